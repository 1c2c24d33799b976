"""Sounds like those of a voice."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer
from artifex.generative_models.modalities.audio.annotations import annotated
from artifex.generative_models.modalities.audio.generators.partials import below_nyquist, drawn, harmonics, row_of
from artifex.generative_models.modalities.audio.ranges import check_band, settled

# Averages of Peterson and Barney, Hz, by ARPAbet's names; the fourth formant is added by kind of speaker.
FORMANTS = {
    "man": {
        "iy": (270, 2290, 3010),
        "ih": (390, 1990, 2550),
        "eh": (530, 1840, 2480),
        "ae": (660, 1720, 2410),
        "ah": (640, 1190, 2390),
        "aa": (730, 1090, 2440),
        "ao": (570, 840, 2410),
        "uh": (440, 1020, 2240),
        "uw": (300, 870, 2240),
        "er": (490, 1350, 1690),
    },
    "woman": {
        "iy": (310, 2790, 3310),
        "ih": (430, 2480, 3070),
        "eh": (610, 2330, 2990),
        "ae": (860, 2050, 2850),
        "ah": (760, 1400, 2780),
        "aa": (850, 1220, 2810),
        "ao": (590, 920, 2710),
        "uh": (470, 1160, 2680),
        "uw": (370, 950, 2670),
        "er": (500, 1640, 1960),
    },
    "child": {
        "iy": (370, 3200, 3730),
        "ih": (530, 2730, 3600),
        "eh": (690, 2610, 3570),
        "ae": (1010, 2320, 3320),
        "ah": (850, 1590, 3360),
        "aa": (1030, 1370, 3170),
        "ao": (680, 1060, 3180),
        "uh": (560, 1410, 3310),
        "uw": (430, 1170, 3260),
        "er": (560, 1820, 2160),
    },
}
_FOURTH = {"man": 3500.0, "woman": 4100.0, "child": 4700.0}
_BANDWIDTHS = (60.0, 90.0, 150.0, 200.0)


@annotated
def vowel(
    key: jax.Array,
    *,
    n_time_steps: int,
    sample_rate: int,
    vowels: Sequence[str] = ("iy", "ih", "eh", "ae", "ah", "aa", "ao", "uh", "uw", "er"),
    speaker: str = "man",
    n_harmonics: int = 80,
    f_min: float = 90.0,
    f_max: float = 300.0,
    open_min: float = 0.4,
    open_max: float = 0.7,
    scale_min: float = 0.95,
    scale_max: float = 1.05,
    amplitude: float = 0.1,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render a sung vowel: glottal pulses through four formants; vowel, pitch and voice are drawn uniformly.

    Pulses and resonances are both known in closed form at every harmonic, so that the sound is their sum: free of
    aliasing, steady from the first sample, and the same at every sample rate below which its harmonics lie.

    Args:
        key: Decides vowel, pitch, open quotient, scale of the formants, and phase.
        n_time_steps: Length in samples.
        sample_rate: Samples per second, Hz.
        vowels: What is drawn from, ARPAbet names out of ``FORMANTS``.
        speaker: Whose formants: ``"man"``, ``"woman"`` or ``"child"``.
        n_harmonics: How many harmonics, from 1 to 1000; those at half the sample rate or above are left out.
        f_min: Lowest pitch, Hz, above 0.
        f_max: Highest pitch, Hz, at most half the sample rate.
        open_min: Least open quotient, the share of a period in which the glottis is open, from 0.1 to 0.9.
        open_max: Greatest open quotient.
        scale_min: Least factor on all formants, as of a longer vocal tract, from 0.5 to 2.
        scale_max: Greatest factor on all formants.
        amplitude: Root mean square over a period, full scale 1; the peak is three to five times as high.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,) in Hz; ``vowel``, its place in ``vowels``; ``formants`` and ``bandwidths``
        (4,) in Hz; scalars ``frequency`` (Hz), ``phase`` (cycles, of the glottal period at the first sample; the
        glottis opens at 0), ``open_quotient``, ``scale``.

    Raises:
        TypeError: When an option is of another type.
        ValueError: When an option is out of its range, or a vowel unknown.

    Example:
        >>> vowel(jax.random.key(0), n_time_steps=8000, sample_rate=16000, vowels=("aa",), speaker="woman").shape
        (8000,)

    Reference:
        G. E. Peterson and H. L. Barney, "Control methods used in a study of the vowels", JASA 24 (1952), for the first
        three formants; D. H. Klatt and L. C. Klatt, "Analysis, synthesis, and perception of voice quality variations
        among female and male talkers", JASA 87 (1990), for the pulse, a cubic after Rosenberg; D. H. Klatt, "Software
        for a cascade/parallel formant synthesizer", JASA 67 (1980), for the cascade and its bandwidths.
    """
    check_choice("speaker", speaker, choices=FORMANTS)
    if isinstance(vowels, str) or not isinstance(vowels, Sequence) or not vowels:
        raise TypeError(f"vowels is a tuple of names such as ('iy', 'aa'), got {vowels!r}")
    for name in vowels:
        check_choice("a vowel", name, choices=FORMANTS[speaker])
    check_integer("n_harmonics", n_harmonics, minimum=1, maximum=1000)
    check_band(f_min, f_max, sample_rate)
    vowel_key, f_key, open_key, scale_key, phase_key = jax.random.split(key, 5)
    which = numerics.randint(vowel_key, (), 0, len(vowels))
    frequency = drawn(f_key, "f", f_min, f_max, above=0, unit="Hz")
    open_quotient = drawn(open_key, "open", open_min, open_max, minimum=0.1, maximum=0.9)
    scale = drawn(scale_key, "scale", scale_min, scale_max, minimum=0.5, maximum=2)
    settled("amplitude", amplitude, minimum=0, unit="full scale")
    phase = numerics.uniform(phase_key)

    table = np.array([(*FORMANTS[speaker][name], _FOURTH[speaker]) for name in vowels], np.float32)
    formants, bandwidths = scale * row_of(table, which), np.array(_BANDWIDTHS, np.float32)
    order = np.arange(1, n_harmonics + 1, dtype=np.float32)
    spectrum = _pulse_spectrum(open_quotient * order) * _response(frequency * order, formants, bandwidths)
    spectrum = spectrum * (numerics.cos2pi(order * phase) + 1j * numerics.sin2pi(order * phase))
    audible = below_nyquist(frequency, n_harmonics, sample_rate)
    real, imag = (jnp.where(audible, part, 0) for part in (spectrum.real, spectrum.imag))
    power = jnp.sum(real * real + imag * imag) / 2
    gain = amplitude / jnp.sqrt(jnp.where(power > 0, power, 1))
    audio = harmonics(frequency, -gain * imag, gain * real, n_time_steps=n_time_steps, sample_rate=sample_rate)
    return audio, {
        "f0": jnp.full(n_time_steps, frequency),
        "vowel": which,
        "formants": formants,
        "bandwidths": jnp.asarray(bandwidths),
        "frequency": frequency,
        "phase": phase,
        "open_quotient": open_quotient,
        "scale": scale,
    }


def _pulse_spectrum(turns: jax.Array) -> jax.Array:
    """Integrate the slope of the pulse x**2 - x**3, x from 0 to 1, against exp(-2 pi i turns x), by parts."""
    inverse = -1j / (np.float32(2 * np.pi) * turns)
    end = numerics.cos2pi(turns) - 1j * numerics.sin2pi(turns)
    return inverse * (end + inverse * (2 + 4 * end + inverse * (6 * end - 6)))


def _response(frequencies: jax.Array, formants: jax.Array, bandwidths: np.ndarray) -> jax.Array:
    """The formants' resonances in cascade, each of gain 1 at 0 Hz."""
    squares = formants * formants + np.square(bandwidths) / 4
    each = squares / (squares - jnp.square(frequencies)[:, None] + 1j * frequencies[:, None] * bandwidths)
    return jnp.prod(each, axis=-1)
