"""Notes, chords, plucked strings and telephone digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_number
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.generators.partials import (
    below_nyquist,
    drawn,
    harmonics,
    rolled_off,
    row_of,
)
from artifex.generative_models.modalities.audio.ranges import check_band, settled

QUALITIES = {
    "major": (0, 4, 7),
    "minor": (0, 3, 7),
    "diminished": (0, 3, 6),
    "augmented": (0, 4, 8),
    "dominant7": (0, 4, 7, 10),
    "major7": (0, 4, 7, 11),
    "minor7": (0, 3, 7, 10),
}

DIGITS = "123A456B789C*0#D"
_LOW_GROUP = (697, 770, 852, 941)
_HIGH_GROUP = (1209, 1336, 1477, 1633)


@annotated
def harmonic_stack(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    n_harmonics: int = 16,
    f_min: float = 80.0,
    f_max: float = 800.0,
    rolloff_min: float = 3.0,
    rolloff_max: float = 12.0,
    amplitude: float = 0.5,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render a steady tone with harmonics; pitch, spectral slope and every phase are drawn uniformly.

    Args:
        key: Decides pitch, slope and phases.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        n_harmonics: How many harmonics, the fundamental among them, from 1 to 1000; those at half the sample rate or
            above are left out.
        f_min: Lowest fundamental frequency, Hz, at least 0.
        f_max: Highest fundamental frequency, Hz, at most half the sample rate.
        rolloff_min: Least slope by which the harmonics fall, dB per octave.
        rolloff_max: Greatest slope, dB per octave.
        amplitude: What the harmonics' amplitudes add up to, which no sample exceeds, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,) in Hz; ``frequency`` (Hz); ``rolloff_db`` (dB per octave); ``amplitudes``
        (n_harmonics,), 0 for those left out; ``phases`` (n_harmonics,) at the first sample, in cycles.

    Raises:
        TypeError: When ``n_harmonics`` is no integer.
        ValueError: When an option is out of its range.

    Example:
        >>> harmonic_stack(jax.random.key(0), n_time_steps=8000, sample_rate=16000, n_harmonics=4).shape
        (8000,)

    Reference:
        ``sum_k amplitudes[k] * sin(2 pi (k frequency t + phases[k]))``, k from 1.
    """
    check_integer("n_harmonics", n_harmonics, minimum=1, maximum=1000)
    check_band(f_min, f_max, sample_rate)
    f_key, rolloff_key, phase_key = jax.random.split(key, 3)
    frequency = drawn(f_key, "f", f_min, f_max, minimum=0, unit="Hz")
    rolloff = drawn(rolloff_key, "rolloff", rolloff_min, rolloff_max, unit="dB per octave")
    settled("amplitude", amplitude, minimum=0, unit="full scale")
    phases = numerics.uniform(phase_key, (n_harmonics,))
    levels = amplitude * _shares(frequency, n_harmonics, rolloff, sample_rate)
    audio = harmonics(
        frequency,
        levels * numerics.cos2pi(phases),
        levels * numerics.sin2pi(phases),
        n_time_steps=n_time_steps,
        sample_rate=sample_rate,
    )
    return audio, {
        "f0": jnp.full(n_time_steps, frequency),
        "frequency": frequency,
        "rolloff_db": rolloff,
        "amplitudes": levels,
        "phases": phases,
    }


@annotated
def adsr_note(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    n_harmonics: int = 8,
    f_min: float = 100.0,
    f_max: float = 1000.0,
    rolloff_db: float = 9.0,
    onset_min: float = 0.0,
    onset_max: float = 0.2,
    held_min: float = 0.5,
    held_max: float = 0.8,
    attack_min: float = 0.005,
    attack_max: float = 0.05,
    decay_min: float = 0.05,
    decay_max: float = 0.2,
    sustain_min: float = 0.3,
    sustain_max: float = 0.9,
    release_min: float = 0.05,
    release_max: float = 0.2,
    amplitude: float = 0.5,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render one note under an envelope of attack, decay, sustain and release; all parameters are drawn uniformly.

    The level rises linearly to its peak, falls to the level of the sustain, stays there while the key is held, and falls
    to 0, from wherever it is, when the key is let go.

    Args:
        key: Decides pitch, phase, and when each part of the envelope begins.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        n_harmonics: How many harmonics, the fundamental among them, from 1 to 1000; those at half the sample rate or
            above are left out.
        f_min: Lowest fundamental frequency, Hz, at least 0.
        f_max: Highest fundamental frequency, Hz, at most half the sample rate.
        rolloff_db: By how much the harmonics fall, dB per octave.
        onset_min: Earliest onset, a share of the clip from 0 to 1.
        onset_max: Latest onset, a share of the clip.
        held_min: Least time that the key is held, a share from 0 to 1 of what is left of the clip after the onset.
        held_max: Greatest such share.
        attack_min: Shortest rise to the peak, seconds, above 0.
        attack_max: Longest rise, seconds.
        decay_min: Shortest fall to the sustain, seconds, above 0.
        decay_max: Longest fall, seconds.
        sustain_min: Lowest level of the sustain, a share of the peak from 0 to 1.
        sustain_max: Highest level of the sustain.
        release_min: Shortest fall to silence, seconds, above 0.
        release_max: Longest fall to silence, seconds.
        amplitude: What the harmonics' amplitudes add up to at the peak, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,) in Hz, 0 where the envelope is 0; ``envelope`` (n_time_steps,) from 0 to 1;
        ``onsets`` (1,) in seconds; scalars ``frequency`` (Hz), ``phase`` (cycles, of the fundamental at the clip's
        start), ``attack``, ``decay``, ``held`` and ``release`` in seconds, ``sustain``.

    Raises:
        TypeError: When ``n_harmonics`` is no integer.
        ValueError: When an option is out of its range.

    Example:
        >>> adsr_note(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        The envelope generator of Moog's and ARP's synthesizers, its segments linear.
    """
    check_integer("n_harmonics", n_harmonics, minimum=1, maximum=1000)
    check_band(f_min, f_max, sample_rate)
    f_key, phase_key, onset_key, held_key, attack_key, decay_key, sustain_key, release_key = jax.random.split(key, 8)
    duration = n_time_steps / sample_rate
    frequency = drawn(f_key, "f", f_min, f_max, minimum=0, unit="Hz")
    onset = duration * drawn(onset_key, "onset", onset_min, onset_max, minimum=0, maximum=1)
    held = (duration - onset) * drawn(held_key, "held", held_min, held_max, minimum=0, maximum=1)
    attack = drawn(attack_key, "attack", attack_min, attack_max, above=0, unit="seconds")
    decay = drawn(decay_key, "decay", decay_min, decay_max, above=0, unit="seconds")
    sustain = drawn(sustain_key, "sustain", sustain_min, sustain_max, minimum=0, maximum=1)
    release = drawn(release_key, "release", release_min, release_max, above=0, unit="seconds")
    settled("rolloff_db", rolloff_db, unit="dB per octave")
    settled("amplitude", amplitude, minimum=0, unit="full scale")
    phase = numerics.uniform(phase_key)

    since = np.arange(n_time_steps, dtype=np.float32) / np.float32(sample_rate) - onset
    down = jnp.minimum(since, held)
    rise = jnp.clip(down / attack, 0, 1)
    fall = 1 - (1 - sustain) * jnp.clip((down - attack) / decay, 0, 1)
    envelope = rise * fall * (1 - jnp.clip((since - held) / release, 0, 1))

    levels = amplitude * _shares(frequency, n_harmonics, rolloff_db, sample_rate)
    phases = phase * np.arange(1, n_harmonics + 1, dtype=np.float32)
    tone = harmonics(
        frequency,
        levels * numerics.cos2pi(phases),
        levels * numerics.sin2pi(phases),
        n_time_steps=n_time_steps,
        sample_rate=sample_rate,
    )
    return envelope * tone, {
        "f0": jnp.where(envelope > 0, frequency, 0),
        "envelope": envelope,
        "onsets": onset[None],
        "frequency": frequency,
        "phase": phase,
        "attack": attack,
        "decay": decay,
        "sustain": sustain,
        "held": held,
        "release": release,
    }


@annotated
def chord(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    notes: Sequence[float] | None = None,
    qualities: Sequence[str] = ("major", "minor", "diminished", "augmented"),
    root_min: int = 48,
    root_max: int = 72,
    tuning: float = 440.0,
    n_harmonics: int = 6,
    rolloff_db: float = 12.0,
    amplitude: float = 0.5,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render a chord in equal temperament, its root and quality drawn uniformly, or of given notes.

    Args:
        key: Decides root, quality and the phases of the notes.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        notes: MIDI numbers of the notes, fractions allowed, as a tuple; None draws a chord.
        qualities: What is drawn from: names out of ``QUALITIES`` with equally many notes, such as ``("dominant7",
            "minor7")``.
        root_min: Lowest root, a MIDI number from 0 to 127; 60 is middle C.
        root_max: Highest root, a MIDI number.
        tuning: Frequency of the A above middle C (MIDI number 69), Hz, above 0.
        n_harmonics: Harmonics of each note, from 1 to 1000; those at half the sample rate or above are left out.
        rolloff_db: By how much the harmonics fall, dB per octave.
        amplitude: What the amplitudes of all partials of all notes add up to, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations, for k notes: ``notes`` (k,) MIDI numbers; ``frequencies`` (k,) in Hz; ``phases`` (k,) of their
        fundamentals in cycles; ``stems`` (k, n_time_steps), the notes by themselves; and, where the chord is drawn,
        ``quality``, its place in ``qualities``.

    Raises:
        TypeError: When an option is of another type.
        ValueError: When an option is out of its range, or a given note at half the sample rate or above.

    Example:
        >>> chord(jax.random.key(0), n_time_steps=8000, sample_rate=16000, notes=(57, 60, 64)).shape
        (8000,)

    Reference:
        ``tuning * 2 ** ((note - 69) / 12)``, MIDI Tuning Standard.
    """
    check_integer("n_harmonics", n_harmonics, minimum=1, maximum=1000)
    check_integer("root_min", root_min, minimum=0, maximum=127)
    check_integer("root_max", root_max, minimum=int(root_min), maximum=127)
    settled("tuning", tuning, above=0, unit="Hz")
    settled("rolloff_db", rolloff_db, unit="dB per octave")
    settled("amplitude", amplitude, minimum=0, unit="full scale")
    intervals = _intervals(qualities)
    root_key, quality_key, phase_key = jax.random.split(key, 3)
    known = {}
    if notes is None:
        quality = numerics.randint(quality_key, (), 0, len(intervals))
        root = numerics.randint(root_key, (), root_min, root_max + 1)
        pitches = root.astype(np.float32) + row_of(intervals, quality)
        highest = root_max + intervals.max()
        known["quality"] = quality
    else:
        pitches = jnp.asarray(_given_notes(notes))
        highest = max(notes)
    if not isinstance(tuning, jax.Array):
        check_band(0.0, float(tuning * 2 ** ((highest - 69) / 12)), sample_rate)
    frequencies = tuning * jnp.exp2((pitches - 69) / 12)
    phases = numerics.uniform(phase_key, pitches.shape)

    def note(frequency: jax.Array, phase: jax.Array) -> jax.Array:
        levels = amplitude / len(phases) * _shares(frequency, n_harmonics, rolloff_db, sample_rate)
        own = phase * np.arange(1, n_harmonics + 1, dtype=np.float32)
        return harmonics(
            frequency,
            levels * numerics.cos2pi(own),
            levels * numerics.sin2pi(own),
            n_time_steps=n_time_steps,
            sample_rate=sample_rate,
        )

    stems = jax.vmap(note)(frequencies, phases)
    return stems.sum(axis=0), {
        "notes": pitches,
        "frequencies": frequencies,
        "phases": phases,
        "stems": stems,
        **known,
    }


@annotated
def karplus_strong(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    n_harmonics: int = 80,
    f_min: float = 80.0,
    f_max: float = 400.0,
    decay_min: float = 0.5,
    decay_max: float = 4.0,
    amplitude: float = 0.2,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render a plucked string: noise that goes round a loop with an average of two samples in it; all is drawn.

    The loop is solved in closed form: each of its modes decays by the cosine of its frequency once per period. So the
    delay need not be a whole number of samples, the string is exactly in tune, and nothing runs sample by sample.

    Args:
        key: Decides pitch, decay and the noise.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        n_harmonics: How many modes, from 1 to 1000; those at half the sample rate or above are left out.
        f_min: Lowest fundamental frequency, Hz, above 0.
        f_max: Highest fundamental frequency, Hz, at most half the sample rate.
        decay_min: Shortest time in which the fundamental falls by 60 dB, seconds, above 0; the other modes fall
            faster, the higher the faster.
        decay_max: Longest such time, seconds.
        amplitude: Standard deviation of the noise with which the string starts, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,) in Hz; ``frequency`` (Hz); ``decay`` (seconds, by 60 dB); ``decays``
        (n_harmonics,) the same of every mode, 0 for those left out; ``onsets`` (1,), 0.

    Raises:
        TypeError: When ``n_harmonics`` is no integer.
        ValueError: When an option is out of its range.

    Example:
        >>> karplus_strong(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        K. Karplus and A. Strong, "Digital synthesis of plucked-string and drum timbres", Computer Music Journal 7
        (1983); its modes as D. A. Jaffe and J. O. Smith, "Extensions of the Karplus-Strong plucked-string algorithm",
        the same issue, give them.
    """
    check_integer("n_harmonics", n_harmonics, minimum=1, maximum=1000)
    check_band(f_min, f_max, sample_rate)
    f_key, decay_key, sine_key, cosine_key = jax.random.split(key, 4)
    frequency = drawn(f_key, "f", f_min, f_max, above=0, unit="Hz")
    decay = drawn(decay_key, "decay", decay_min, decay_max, above=0, unit="seconds")
    settled("amplitude", amplitude, minimum=0, unit="full scale")

    audible = below_nyquist(frequency, n_harmonics, sample_rate)
    order = np.arange(1, n_harmonics + 1, dtype=np.float32)
    turns = jnp.where(audible, order * frequency, 0) * np.float32(0.5 / sample_rate)
    lost = -frequency * jnp.log(numerics.cos2pi(turns))
    rates = np.float32(3 * np.log(10)) / decay + jnp.maximum(lost - lost[0], 0)
    level = jnp.where(audible, amplitude / jnp.sqrt(jnp.maximum(audible.sum(), 1)), 0)
    audio = harmonics(
        frequency,
        level * numerics.normal(sine_key, (n_harmonics,)),
        level * numerics.normal(cosine_key, (n_harmonics,)),
        decays=rates,
        n_time_steps=n_time_steps,
        sample_rate=sample_rate,
    )
    return audio, {
        "f0": jnp.full(n_time_steps, frequency),
        "frequency": frequency,
        "decay": decay,
        "decays": jnp.where(audible, np.float32(3 * np.log(10)) / rates, 0),
        "onsets": jnp.zeros(1),
    }


@annotated
def dtmf(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    digits: str | None = None,
    n_digits: int = 5,
    tone: float = 0.08,
    gap: float = 0.06,
    ramp: float = 0.003,
    twist_db: float = 0.0,
    amplitude: float = 0.5,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render telephone digits, drawn uniformly from 16 or given, somewhere in the clip if they fit, else from its start.

    Args:
        key: Decides the digits, when the first begins, and the phases of each.
        n_time_steps: Length in samples; digits for which there is no room are cut off.
        sample_rate: Samples per second, Hz, at least 3266.
        digits: Which digits, out of ``0123456789*#ABCD``; None draws them.
        n_digits: How many are drawn, from 1 to 1000.
        tone: Length of a digit, seconds, above 0; Q.24 asks of receivers to know 0.04.
        gap: Silence between digits, seconds, at least 0.
        ramp: Length of the rise and of the fall of a digit, half a cosine, seconds, above 0.
        twist_db: By how much the higher of the two frequencies is stronger, dB.
        amplitude: What both amplitudes add up to, full scale 1.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations, for k digits: ``digits`` (k,), places in ``DIGITS``, "123A456B789C*0#D"; ``onsets`` (k,) in seconds,
        NaN for those after the clip's end; ``frequencies`` (k, 2) in Hz; ``phases`` (k, 2) at the onset, in cycles;
        ``envelope`` (n_time_steps,) from 0 to 1.

    Raises:
        TypeError: When an option is of another type.
        ValueError: When an option is out of its range, or the sample rate too low for 1633 Hz.

    Example:
        >>> dtmf(jax.random.key(0), n_time_steps=8000, sample_rate=8000, digits="42#").shape
        (8000,)

    Reference:
        ITU-T Recommendation Q.23 (frequencies) and Q.24 (times).
    """
    if digits is None:
        check_integer("n_digits", n_digits, minimum=1, maximum=1000)
    elif not isinstance(digits, str) or not digits or any(digit not in DIGITS for digit in digits):
        raise ValueError(f"digits must be at least one of 0123456789*#ABCD, or None to draw them, got {digits!r}")
    if sample_rate < 2 * _HIGH_GROUP[-1]:
        raise ValueError(f"dtmf needs a sample rate of at least {2 * _HIGH_GROUP[-1]} Hz, got {sample_rate}")
    for name, value in (("tone", tone), ("ramp", ramp)):
        settled(name, value, above=0, unit="seconds")
    settled("gap", gap, minimum=0, unit="seconds")
    settled("twist_db", twist_db, unit="dB")
    settled("amplitude", amplitude, minimum=0, unit="full scale")

    digit_key, start_key, phase_key = jax.random.split(key, 3)
    if digits is None:
        codes = numerics.randint(digit_key, (n_digits,), 0, len(DIGITS))
    else:
        codes = jnp.asarray([DIGITS.index(digit) for digit in digits], np.int32)
    count = len(codes)
    tone_steps, gap_steps = (jnp.round(jnp.asarray(value) * sample_rate).astype(np.int32) for value in (tone, gap))
    slot = jnp.maximum(tone_steps + gap_steps, 1)
    room = n_time_steps - (count * slot - gap_steps)
    start = numerics.randint(start_key, (), 0, jnp.maximum(room, 0) + 1)
    phases = numerics.uniform(phase_key, (count, 2))

    since = jnp.arange(n_time_steps, dtype=np.int32) - start
    place = since // slot
    within = since - place * slot
    sounding = (since >= 0) & (place < count) & (within < tone_steps)
    edge = jnp.minimum(within + 1, tone_steps - within).astype(np.float32) / np.float32(sample_rate)
    rise = numerics.sin2pi(jnp.clip(edge / ramp, 0, 1) / 4)
    envelope = jnp.where(sounding, rise * rise, 0)

    # A phase is a count of 2**-32 cycles, which wraps as cycles do and is exact however long a digit lasts.
    hertz = np.array([(low, high) for low in _LOW_GROUP for high in _HIGH_GROUP])
    steps = jax.vmap(lambda code: row_of(_words(hertz / sample_rate), code))(codes)
    offsets = (phases * np.float32(2**32 - 2**8)).astype(np.uint32)
    chosen = place == np.arange(count)[:, None]

    def wave(group: int) -> jax.Array:
        step, offset = (
            jnp.sum(jnp.where(chosen, words[:, group, None], np.uint32(0)), axis=0, dtype=np.uint32)
            for words in (steps, offsets)
        )
        turned = jax.lax.bitcast_convert_type(step * within.astype(np.uint32) + offset, np.int32)
        return numerics.sin2pi(turned.astype(np.float32) * np.float32(2.0**-32))

    high = jnp.exp(jnp.asarray(twist_db) * np.float32(np.log(10) / 20))
    audio = amplitude / (1 + high) * envelope * (wave(0) + high * wave(1))
    onsets = start + np.arange(count) * slot
    return audio, {
        "digits": codes,
        "onsets": jnp.where(onsets < n_time_steps, onsets / np.float32(sample_rate), np.nan),
        "frequencies": jax.vmap(lambda code: row_of(hertz.astype(np.float32), code))(codes),
        "phases": phases,
        "envelope": envelope,
    }


def _shares(frequency: jax.Array, n_harmonics: int, rolloff_db: Any, sample_rate: int) -> jax.Array:
    """Amplitudes of the harmonics that are below half the sample rate; they add up to 1."""
    levels = jnp.where(below_nyquist(frequency, n_harmonics, sample_rate), rolled_off(n_harmonics, rolloff_db), 0)
    total = levels.sum()
    return levels / jnp.where(total > 0, total, 1)


def _words(cycles: np.ndarray) -> np.ndarray:
    return np.round(cycles * 2.0**32).astype(np.uint64).astype(np.uint32)


def _intervals(qualities: Sequence[str]) -> np.ndarray:
    if isinstance(qualities, str) or not isinstance(qualities, Sequence) or not qualities:
        raise TypeError(f"qualities is a tuple of names such as ('major', 'minor'), got {qualities!r}")
    for quality in qualities:
        check_choice("a quality", quality, choices=QUALITIES)
    if len({len(QUALITIES[quality]) for quality in qualities}) > 1:
        raise ValueError(f"qualities must have equally many notes, got {tuple(qualities)}")
    return np.array([QUALITIES[quality] for quality in qualities], np.float32)


def _given_notes(notes: Sequence[float]) -> np.ndarray:
    if isinstance(notes, str) or not isinstance(notes, Sequence) or not notes:
        raise TypeError(f"notes is a tuple of MIDI numbers such as (60, 64, 67), or None to draw them, got {notes!r}")
    for note in notes:
        check_number("a note", note, unit="(MIDI number)")
    return np.array(notes, np.float32)
