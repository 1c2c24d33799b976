"""Notes, chords, plucked strings and telephone digits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_number, check_option, is_jax_array
from artifex.generative_models.modalities.audio.annotations import AnnotatedAudio, audio_type
from artifex.generative_models.modalities.audio.generators.harmonics import (
    below_nyquist,
    rolloff_amplitudes,
    select_row,
    sum_harmonics,
)
from artifex.generative_models.modalities.audio.generators.parameters import (
    check_band,
    check_below_nyquist,
    check_sequence,
    draw_uniform,
)

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
_LOW_FREQUENCIES = (697, 770, 852, 941)
_HIGH_FREQUENCIES = (1209, 1336, 1477, 1633)


def _annotated_harmonic_stack(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    n_harmonics: int,
    f_min: float,
    f_max: float,
    rolloff_min: float,
    rolloff_max: float,
    amplitude: float,
) -> AnnotatedAudio:
    check_integer("n_harmonics", n_harmonics, minimum=1, maximum=1000)
    check_band(f_min, f_max, sample_rate)
    check_option("amplitude", amplitude, minimum=0, unit="full scale")
    f_key, rolloff_key, phase_key = jax.random.split(key, 3)
    frequency = draw_uniform(f_key, "f", f_min, f_max, minimum=0, unit="Hz")
    rolloff_db = draw_uniform(rolloff_key, "rolloff", rolloff_min, rolloff_max, unit="dB per octave")
    phases = numerics.uniform(phase_key, (n_harmonics,))
    amplitudes = amplitude * _relative_amplitudes(frequency, n_harmonics, rolloff_db, sample_rate)
    audio = _sum_sines(frequency, amplitudes, phases, n_time_steps, sample_rate)
    return audio, {
        "f0": jnp.full(n_time_steps, frequency),
        "frequency": frequency,
        "rolloff_db": rolloff_db,
        "amplitudes": amplitudes,
        "phases": phases,
    }


@audio_type(annotated=_annotated_harmonic_stack)
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
) -> jax.Array:
    """Generate a steady harmonic tone with random frequency, spectral slope and phases.

    Args:
        key: Random key; determines the frequency, the slope and the phases.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        n_harmonics: Number of harmonics, fundamental included, from 1 to 1000; those at or above half the sample rate
            are omitted.
        f_min: Minimum fundamental frequency in Hz, at least 0.
        f_max: Maximum fundamental frequency in Hz, at most half the sample rate.
        rolloff_min: Minimum decrease of the harmonics in dB per octave.
        rolloff_max: Maximum decrease of the harmonics in dB per octave.
        amplitude: Sum of the amplitudes of the harmonics, an upper bound of the peak, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,) in Hz; ``frequency`` in Hz; ``rolloff_db`` in dB per octave; ``amplitudes``
        (n_harmonics,), 0 for omitted harmonics; ``phases`` (n_harmonics,) at the first sample in cycles.

    Raises:
        TypeError: When ``n_harmonics`` is not an integer.
        ValueError: When an option is out of range.

    Example:
        >>> harmonic_stack(jax.random.key(0), n_time_steps=8000, sample_rate=16000, n_harmonics=4).shape
        (8000,)

    Reference:
        ``sum_k amplitudes[k] * sin(2 pi (k frequency t + phases[k]))``, k from 1.
    """
    return _annotated_harmonic_stack(
        key, n_time_steps, sample_rate, n_harmonics, f_min, f_max, rolloff_min, rolloff_max, amplitude
    )[0]


def _annotated_adsr_note(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    n_harmonics: int,
    f_min: float,
    f_max: float,
    rolloff_db: float,
    onset_min: float,
    onset_max: float,
    held_min: float,
    held_max: float,
    attack_min: float,
    attack_max: float,
    decay_min: float,
    decay_max: float,
    sustain_min: float,
    sustain_max: float,
    release_min: float,
    release_max: float,
    amplitude: float,
) -> AnnotatedAudio:
    check_integer("n_harmonics", n_harmonics, minimum=1, maximum=1000)
    check_band(f_min, f_max, sample_rate)
    check_option("rolloff_db", rolloff_db, unit="dB per octave")
    check_option("amplitude", amplitude, minimum=0, unit="full scale")
    f_key, phase_key, onset_key, held_key, attack_key, decay_key, sustain_key, release_key = jax.random.split(key, 8)
    frequency = draw_uniform(f_key, "f", f_min, f_max, minimum=0, unit="Hz")
    onset_fraction = draw_uniform(onset_key, "onset", onset_min, onset_max, minimum=0, maximum=1)
    held_fraction = draw_uniform(held_key, "held", held_min, held_max, minimum=0, maximum=1)
    # In samples: float32 seconds are off by several samples after some minutes.
    onset = jnp.minimum(_scale(onset_fraction, jnp.int32(n_time_steps)), n_time_steps - 1)
    held = _scale(held_fraction, n_time_steps - onset)
    attack = draw_uniform(attack_key, "attack", attack_min, attack_max, above=0, unit="seconds")
    decay = draw_uniform(decay_key, "decay", decay_min, decay_max, above=0, unit="seconds")
    sustain = draw_uniform(sustain_key, "sustain", sustain_min, sustain_max, minimum=0, maximum=1)
    release = draw_uniform(release_key, "release", release_min, release_max, above=0, unit="seconds")
    phase = numerics.uniform(phase_key)

    since_onset = jnp.arange(n_time_steps, dtype=np.int32) - onset
    while_held, since_release = (
        samples.astype(np.float32) / np.float32(sample_rate)
        for samples in (jnp.minimum(since_onset, held), since_onset - held)
    )
    rise = jnp.clip(while_held / attack, 0, 1)
    fall = 1 - (1 - sustain) * jnp.clip((while_held - attack) / decay, 0, 1)
    envelope = rise * fall * (1 - jnp.clip(since_release / release, 0, 1))

    amplitudes = amplitude * _relative_amplitudes(frequency, n_harmonics, rolloff_db, sample_rate)
    phases = phase * np.arange(1, n_harmonics + 1, dtype=np.float32)
    return envelope * _sum_sines(frequency, amplitudes, phases, n_time_steps, sample_rate), {
        "f0": jnp.where(envelope > 0, frequency, 0),
        "envelope": envelope,
        "onset_samples": onset[None],
        "held_samples": held,
        "frequency": frequency,
        "phase": phase,
        "attack": attack,
        "decay": decay,
        "sustain": sustain,
        "release": release,
    }


@audio_type(annotated=_annotated_adsr_note)
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
) -> jax.Array:
    """Generate a harmonic note with an ADSR envelope (attack, decay, sustain, release) and random parameters.

    The level rises linearly to its maximum, decays linearly to the sustain level, stays there while the note is held,
    and falls linearly to 0 after its release.

    Args:
        key: Random key; determines frequency, phase and envelope.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        n_harmonics: Number of harmonics, fundamental included, from 1 to 1000; those at or above half the sample rate
            are omitted.
        f_min: Minimum fundamental frequency in Hz, at least 0.
        f_max: Maximum fundamental frequency in Hz, at most half the sample rate.
        rolloff_db: Decrease of the harmonics in dB per octave.
        onset_min: Minimum onset as a fraction of the clip, from 0 to 1.
        onset_max: Maximum onset as a fraction of the clip.
        held_min: Minimum time that the note is held, as a fraction of the clip after the onset, from 0 to 1.
        held_max: Maximum of that fraction.
        attack_min: Minimum attack time in seconds, above 0.
        attack_max: Maximum attack time in seconds.
        decay_min: Minimum decay time in seconds, above 0.
        decay_max: Maximum decay time in seconds.
        sustain_min: Minimum sustain level as a fraction of the maximum level, from 0 to 1.
        sustain_max: Maximum sustain level.
        release_min: Minimum release time in seconds, above 0.
        release_max: Maximum release time in seconds.
        amplitude: Sum of the amplitudes of the harmonics at the maximum level, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,) in Hz, 0 where the envelope is 0; ``envelope`` (n_time_steps,) from 0 to 1;
        ``onset_samples`` (1,) and the scalar ``held_samples``, int32; scalars ``frequency`` in Hz, ``phase`` of the
        fundamental at the first sample in cycles, ``attack``, ``decay`` and ``release`` in seconds, ``sustain``.

    Raises:
        TypeError: When ``n_harmonics`` is not an integer.
        ValueError: When an option is out of range.

    Example:
        >>> adsr_note(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        The envelope generator of Moog and ARP synthesizers, with linear segments.
    """
    tone = n_harmonics, f_min, f_max, rolloff_db
    timing = onset_min, onset_max, held_min, held_max
    envelope = attack_min, attack_max, decay_min, decay_max, sustain_min, sustain_max, release_min, release_max
    return _annotated_adsr_note(key, n_time_steps, sample_rate, *tone, *timing, *envelope, amplitude)[0]


def _annotated_chord(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    notes: Sequence[float] | None,
    qualities: Sequence[str],
    root_min: int,
    root_max: int,
    tuning: float,
    n_harmonics: int,
    rolloff_db: float,
    amplitude: float,
) -> AnnotatedAudio:
    check_integer("n_harmonics", n_harmonics, minimum=1, maximum=1000)
    check_integer("root_min", root_min, minimum=0, maximum=127)
    check_integer("root_max", root_max, minimum=int(root_min), maximum=127)
    check_option("tuning", tuning, above=0, unit="Hz")
    check_option("rolloff_db", rolloff_db, unit="dB per octave")
    check_option("amplitude", amplitude, minimum=0, unit="full scale")
    intervals = _intervals(qualities)
    root_key, quality_key, phase_key = jax.random.split(key, 3)
    annotations = {}
    if notes is None:
        quality = numerics.randint(quality_key, (), 0, len(intervals))
        root = numerics.randint(root_key, (), root_min, root_max + 1)
        pitches = root.astype(np.float32) + select_row(intervals, quality)
        highest = root_max + intervals.max()
        annotations["quality"] = quality
    else:
        pitches = jnp.asarray(_midi_numbers(notes))
        highest = max(notes)
    if not is_jax_array(tuning):
        check_below_nyquist("the frequency of the highest note", tuning * 2 ** ((highest - 69) / 12), sample_rate)
    frequencies = tuning * jnp.exp2((pitches - 69) / 12)
    phases = numerics.uniform(phase_key, pitches.shape)

    def generate_note(frequency: jax.Array, phase: jax.Array) -> jax.Array:
        relative = _relative_amplitudes(frequency, n_harmonics, rolloff_db, sample_rate)
        harmonic_phases = phase * np.arange(1, n_harmonics + 1, dtype=np.float32)
        return _sum_sines(frequency, amplitude / len(phases) * relative, harmonic_phases, n_time_steps, sample_rate)

    stems = jax.vmap(generate_note)(frequencies, phases)
    return stems.sum(axis=0), {
        "notes": pitches,
        "frequencies": frequencies,
        "phases": phases,
        "stems": stems,
        **annotations,
    }


@audio_type(annotated=_annotated_chord)
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
) -> jax.Array:
    """Generate a chord in equal temperament, with random root and quality or with given notes.

    Args:
        key: Random key; determines the root, the quality and the phases of the notes.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        notes: MIDI numbers of the notes as a tuple, fractions allowed; None draws a chord.
        qualities: Chord qualities to draw from: keys of ``QUALITIES`` with the same number of notes, such as
            ``("dominant7", "minor7")``.
        root_min: Minimum root, a MIDI number from 0 to 127; 60 is middle C.
        root_max: Maximum root, a MIDI number.
        tuning: Frequency of A4 (MIDI number 69) in Hz, above 0.
        n_harmonics: Number of harmonics per note, from 1 to 1000; those at or above half the sample rate are omitted.
        rolloff_db: Decrease of the harmonics in dB per octave.
        amplitude: Sum of the amplitudes of all harmonics of all notes, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations, for k notes: ``notes`` (k,) as MIDI numbers; ``frequencies`` (k,) in Hz; ``phases`` (k,) of the
        fundamentals in cycles; ``stems`` (k, n_time_steps), the notes; and, for a drawn chord, ``quality``, the index
        into ``qualities``.

    Raises:
        TypeError: When an option has the wrong type.
        ValueError: When an option is out of range, or a note is above half the sample rate.

    Example:
        >>> chord(jax.random.key(0), n_time_steps=8000, sample_rate=16000, notes=(57, 60, 64)).shape
        (8000,)

    Reference:
        ``tuning * 2 ** ((note - 69) / 12)``, MIDI Tuning Standard.
    """
    return _annotated_chord(
        key, n_time_steps, sample_rate, notes, qualities, root_min, root_max, tuning, n_harmonics, rolloff_db, amplitude
    )[0]


def _annotated_karplus_strong(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    n_harmonics: int,
    f_min: float,
    f_max: float,
    decay_min: float,
    decay_max: float,
    amplitude: float,
) -> AnnotatedAudio:
    check_integer("n_harmonics", n_harmonics, minimum=1, maximum=1000)
    check_band(f_min, f_max, sample_rate)
    check_option("amplitude", amplitude, minimum=0, unit="full scale")
    f_key, decay_key, sine_key, cosine_key = jax.random.split(key, 4)
    frequency = draw_uniform(f_key, "f", f_min, f_max, above=0, unit="Hz")
    decay = draw_uniform(decay_key, "decay", decay_min, decay_max, above=0, unit="seconds")

    audible = below_nyquist(frequency, n_harmonics, sample_rate)
    order = np.arange(1, n_harmonics + 1, dtype=np.float32)
    half_cycles = jnp.where(audible, order * frequency, 0) * np.float32(0.5 / sample_rate)
    # The average of two samples multiplies a mode by the cosine of half its angular frequency, once per period.
    loop_loss = -frequency * jnp.log(numerics.cos2pi(half_cycles))
    decay_rates = np.float32(3 * np.log(10)) / decay + jnp.maximum(loop_loss - loop_loss[0], 0)
    level = jnp.where(audible, amplitude / jnp.sqrt(jnp.maximum(audible.sum(), 1).astype(np.float32)), 0)
    audio = sum_harmonics(
        frequency,
        level * numerics.normal(sine_key, (n_harmonics,)),
        level * numerics.normal(cosine_key, (n_harmonics,)),
        decays=decay_rates,
        n_time_steps=n_time_steps,
        sample_rate=sample_rate,
    )
    return audio, {
        "f0": jnp.full(n_time_steps, frequency),
        "frequency": frequency,
        "decay": decay,
        "decays": jnp.where(audible, np.float32(3 * np.log(10)) / decay_rates, 0),
        "onset_samples": jnp.zeros(1, np.int32),
    }


@audio_type(annotated=_annotated_karplus_strong)
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
) -> jax.Array:
    """Generate a plucked string by Karplus-Strong synthesis with random frequency, decay and excitation.

    The feedback loop, a delay line with an average of two successive samples, is solved in closed form: each mode decays
    by the cosine of half its angular frequency once per period. The delay need not be an integer number of samples, so
    the string is exactly in tune, and there is no recursion over samples.

    Args:
        key: Random key; determines the frequency, the decay and the excitation noise.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        n_harmonics: Number of modes, from 1 to 1000; those at or above half the sample rate are omitted.
        f_min: Minimum fundamental frequency in Hz, above 0.
        f_max: Maximum fundamental frequency in Hz, at most half the sample rate.
        decay_min: Minimum 60 dB decay time of the fundamental in seconds, above 0; higher modes decay faster.
        decay_max: Maximum 60 dB decay time of the fundamental in seconds.
        amplitude: Standard deviation of the excitation noise, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,) in Hz; ``frequency`` in Hz; ``decay``, the 60 dB decay time in seconds;
        ``decays`` (n_harmonics,), the decay time of every mode, 0 for omitted modes; ``onset_samples`` (1,), 0.

    Raises:
        TypeError: When ``n_harmonics`` is not an integer.
        ValueError: When an option is out of range.

    Example:
        >>> karplus_strong(jax.random.key(0), n_time_steps=8000, sample_rate=16000).shape
        (8000,)

    Reference:
        K. Karplus and A. Strong, "Digital synthesis of plucked-string and drum timbres", Computer Music Journal 7
        (1983); for the modes, D. A. Jaffe and J. O. Smith, "Extensions of the Karplus-Strong plucked-string algorithm",
        in the same issue.
    """
    return _annotated_karplus_strong(
        key, n_time_steps, sample_rate, n_harmonics, f_min, f_max, decay_min, decay_max, amplitude
    )[0]


def _annotated_dtmf(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    digits: str | None,
    n_digits: int,
    tone: float,
    gap: float,
    ramp: float,
    twist_db: float,
    amplitude: float,
) -> AnnotatedAudio:
    if digits is None:
        check_integer("n_digits", n_digits, minimum=1, maximum=1000)
    elif not isinstance(digits, str) or not digits or not set(digits) <= set(DIGITS):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(
            f"digits must be a string of one or more of 0123456789*#ABCD, or None to draw them, got {digits!r}"
        )
    if sample_rate < 2 * _HIGH_FREQUENCIES[-1]:
        raise ValueError(f"sample_rate must be at least {2 * _HIGH_FREQUENCIES[-1]} Hz, got {sample_rate}")
    check_option("tone", tone, above=0, unit="seconds")
    check_option("gap", gap, minimum=0, unit="seconds")
    check_option("ramp", ramp, above=0, unit="seconds")
    check_option("twist_db", twist_db, unit="dB")
    check_option("amplitude", amplitude, minimum=0, unit="full scale")

    digit_key, start_key, phase_key = jax.random.split(key, 3)
    if digits is None:
        codes = numerics.randint(digit_key, (n_digits,), 0, len(DIGITS))
    else:
        codes = jnp.asarray([DIGITS.index(digit) for digit in digits], np.int32)
    count = len(codes)
    tone_length, gap_length = (
        jnp.round(jnp.asarray(seconds) * sample_rate).astype(np.int32) for seconds in (tone, gap)
    )
    slot = jnp.maximum(tone_length + gap_length, 1)
    spare = n_time_steps - (count * slot - gap_length)
    start = numerics.randint(start_key, (), 0, jnp.maximum(spare, 0) + 1)
    phases = numerics.uniform(phase_key, (count, 2))

    since_start = jnp.arange(n_time_steps, dtype=np.int32) - start
    digit_index = since_start // slot
    since_onset = since_start - digit_index * slot
    is_tone = (since_start >= 0) & (digit_index < count) & (since_onset < tone_length)
    distance_to_edge = jnp.minimum(since_onset + 1, tone_length - since_onset)
    edge_seconds = distance_to_edge.astype(np.float32) / np.float32(sample_rate)
    rise = numerics.sin2pi(jnp.clip(edge_seconds / ramp, 0, 1) / 4)
    envelope = jnp.where(is_tone, rise * rise, 0)

    # A phase is an unsigned integer in units of 2**-32 cycles. It wraps as cycles do and is exact for any tone length.
    frequency_pairs = np.array([(low, high) for low in _LOW_FREQUENCIES for high in _HIGH_FREQUENCIES])
    increments = jax.vmap(partial(select_row, _to_phase_words(frequency_pairs / sample_rate)))(codes)
    offsets = (phases * np.float32(2**32 - 2**8)).astype(np.uint32)
    is_current = digit_index[None, :] == np.arange(count, dtype=np.int32)[:, None]

    def wave(group: int) -> jax.Array:
        increment, offset = (
            jnp.sum(jnp.where(is_current, words[:, group, None], np.uint32(0)), axis=0, dtype=np.uint32)
            for words in (increments, offsets)
        )
        phase = jax.lax.bitcast_convert_type(increment * since_onset.astype(np.uint32) + offset, np.int32)
        return numerics.sin2pi(phase.astype(np.float32) * np.float32(2.0**-32))

    twist = jnp.exp(jnp.asarray(twist_db) * np.float32(np.log(10) / 20))
    audio = amplitude / (1 + twist) * envelope * (wave(0) + twist * wave(1))
    onsets = start + np.arange(count, dtype=np.int32) * slot
    return audio, {
        "digits": codes,
        "onset_samples": jnp.where(onsets < n_time_steps, onsets, -1),
        "frequencies": jax.vmap(partial(select_row, frequency_pairs.astype(np.float32)))(codes),
        "phases": phases,
        "envelope": envelope,
    }


@audio_type(annotated=_annotated_dtmf)
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
) -> jax.Array:
    """Generate a sequence of DTMF telephone digits, random or given.

    The sequence has a random position in the clip if it fits, else it starts at the beginning.

    Args:
        key: Random key; determines the digits, the onset of the first and all phases.
        n_time_steps: Length in samples; digits after the end of the clip are cut off.
        sample_rate: Sample rate in Hz, at least 3266.
        digits: Digits out of ``0123456789*#ABCD``; None draws them uniformly.
        n_digits: Number of drawn digits, from 1 to 1000.
        tone: Duration of a digit in seconds, above 0; Q.24 requires receivers to detect 0.04 s.
        gap: Silence between digits in seconds, at least 0.
        ramp: Duration of the raised-cosine rise and fall of a digit in seconds, above 0.
        twist_db: Level of the higher frequency relative to the lower one in dB.
        amplitude: Sum of both amplitudes, full scale 1, at least 0.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations, for k digits: ``digits`` (k,), indices into ``DIGITS``, "123A456B789C*0#D"; ``onset_samples``
        (k,) int32, -1 for digits after the end of the clip; ``frequencies`` (k, 2) in Hz; ``phases`` (k, 2) at the onset
        in cycles; ``envelope`` (n_time_steps,) from 0 to 1.

    Raises:
        TypeError: When an option has the wrong type.
        ValueError: When an option is out of range, or the sample rate is too low for 1633 Hz.

    Example:
        >>> dtmf(jax.random.key(0), n_time_steps=8000, sample_rate=8000, digits="42#").shape
        (8000,)

    Reference:
        ITU-T Recommendation Q.23 (frequencies) and Q.24 (durations).
    """
    return _annotated_dtmf(key, n_time_steps, sample_rate, digits, n_digits, tone, gap, ramp, twist_db, amplitude)[0]


def _relative_amplitudes(
    frequency: jax.Array, n_harmonics: int, rolloff_db: float | jax.Array, sample_rate: int
) -> jax.Array:
    """Return the amplitudes of the harmonics, 0 at or above half the sample rate, with sum 1."""
    audible = below_nyquist(frequency, n_harmonics, sample_rate)
    amplitudes = jnp.where(audible, rolloff_amplitudes(n_harmonics, rolloff_db), 0)
    total = amplitudes.sum()
    return amplitudes / jnp.where(total > 0, total, 1)


def _sum_sines(
    frequency: jax.Array, amplitudes: jax.Array, phases: jax.Array, n_time_steps: int, sample_rate: int
) -> jax.Array:
    return sum_harmonics(
        frequency,
        amplitudes * numerics.cos2pi(phases),
        amplitudes * numerics.sin2pi(phases),
        n_time_steps=n_time_steps,
        sample_rate=sample_rate,
    )


def _scale(fraction: jax.Array, n_samples: jax.Array) -> jax.Array:
    """Return a fraction of a number of samples, rounded down; of numbers above 2**24 to a multiple of a few samples."""
    scaled = (fraction * n_samples.astype(np.float32)).astype(np.int32)
    return jnp.minimum(scaled, n_samples)


def _to_phase_words(cycles: np.ndarray) -> np.ndarray:
    """Convert cycles to integers in units of 2**-32 cycles."""
    return np.round(cycles * 2.0**32).astype(np.uint64).astype(np.uint32)


def _intervals(qualities: Sequence[str]) -> np.ndarray:
    check_sequence("qualities", qualities, "names such as ('major', 'minor')")
    for quality in qualities:
        check_choice("a quality", quality, choices=QUALITIES)
    if len({len(QUALITIES[quality]) for quality in qualities}) > 1:
        raise ValueError(f"qualities must have the same number of notes, got {tuple(qualities)}")
    return np.array([QUALITIES[quality] for quality in qualities], np.float32)


def _midi_numbers(notes: Sequence[float]) -> np.ndarray:
    check_sequence("notes", notes, "MIDI numbers such as (60, 64, 67)")
    for note in notes:
        check_number("a note", note, unit="(MIDI number)")
    return np.array(notes, np.float32)
