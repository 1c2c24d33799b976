"""Synthetic vowels."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics
from artifex.generative_models.core.checks import check_choice, check_integer, check_option
from artifex.generative_models.modalities.audio.annotations import AnnotatedAudio, audio_type
from artifex.generative_models.modalities.audio.generators.harmonics import below_nyquist, select_row, sum_harmonics
from artifex.generative_models.modalities.audio.generators.parameters import check_band, check_sequence, draw_uniform

# Mean frequencies of the first three formants in Hz (Peterson and Barney), by ARPAbet symbol and speaker.
FORMANTS = {
    "iy": {"man": (270, 2290, 3010), "woman": (310, 2790, 3310), "child": (370, 3200, 3730)},
    "ih": {"man": (390, 1990, 2550), "woman": (430, 2480, 3070), "child": (530, 2730, 3600)},
    "eh": {"man": (530, 1840, 2480), "woman": (610, 2330, 2990), "child": (690, 2610, 3570)},
    "ae": {"man": (660, 1720, 2410), "woman": (860, 2050, 2850), "child": (1010, 2320, 3320)},
    "ah": {"man": (640, 1190, 2390), "woman": (760, 1400, 2780), "child": (850, 1590, 3360)},
    "aa": {"man": (730, 1090, 2440), "woman": (850, 1220, 2810), "child": (1030, 1370, 3170)},
    "ao": {"man": (570, 840, 2410), "woman": (590, 920, 2710), "child": (680, 1060, 3180)},
    "uh": {"man": (440, 1020, 2240), "woman": (470, 1160, 2680), "child": (560, 1410, 3310)},
    "uw": {"man": (300, 870, 2240), "woman": (370, 950, 2670), "child": (430, 1170, 3260)},
    "er": {"man": (490, 1350, 1690), "woman": (500, 1640, 1960), "child": (560, 1820, 2160)},
}
_FOURTH_FORMANTS = {"man": 3500.0, "woman": 4100.0, "child": 4700.0}
_BANDWIDTHS = (60.0, 90.0, 150.0, 200.0)


def _annotated_vowel(
    key: jax.Array,
    n_time_steps: int,
    sample_rate: int,
    vowels: Sequence[str],
    speaker: str,
    n_harmonics: int,
    f_min: float,
    f_max: float,
    open_min: float,
    open_max: float,
    scale_min: float,
    scale_max: float,
    amplitude: float,
) -> AnnotatedAudio:
    check_choice("speaker", speaker, choices=_FOURTH_FORMANTS)
    check_sequence("vowels", vowels, "names such as ('iy', 'aa')")
    for name in vowels:
        check_choice("a vowel", name, choices=FORMANTS)
    check_integer("n_harmonics", n_harmonics, minimum=1, maximum=1000)
    check_band(f_min, f_max, sample_rate)
    check_option("amplitude", amplitude, minimum=0, unit="full scale")
    vowel_key, f_key, open_key, scale_key, phase_key = jax.random.split(key, 5)
    index = numerics.randint(vowel_key, (), 0, len(vowels))
    frequency = draw_uniform(f_key, "f", f_min, f_max, above=0, unit="Hz")
    open_quotient = draw_uniform(open_key, "open", open_min, open_max, minimum=0.1, maximum=0.9)
    scale = draw_uniform(scale_key, "scale", scale_min, scale_max, minimum=0.5, maximum=2)
    phase = numerics.uniform(phase_key)

    table = np.array([(*FORMANTS[name][speaker], _FOURTH_FORMANTS[speaker]) for name in vowels], np.float32)
    formants, bandwidths = scale * select_row(table, index), np.array(_BANDWIDTHS, np.float32)
    order = np.arange(1, n_harmonics + 1, dtype=np.float32)
    spectrum = _glottal_pulse_spectrum(open_quotient * order) * _formant_response(
        frequency * order, formants, bandwidths
    )
    cosine, sine = (wave(order * phase).astype(np.complex64) for wave in (numerics.cos2pi, numerics.sin2pi))
    spectrum = spectrum * (cosine + 1j * sine)
    audible = below_nyquist(frequency, n_harmonics, sample_rate)
    real, imag = (jnp.where(audible, part, 0) for part in (spectrum.real, spectrum.imag))
    power = jnp.sum(real * real + imag * imag) / 2
    gain = amplitude / jnp.sqrt(jnp.where(power > 0, power, 1))
    audio = sum_harmonics(frequency, -gain * imag, gain * real, n_time_steps=n_time_steps, sample_rate=sample_rate)
    return audio, {
        "f0": jnp.full(n_time_steps, frequency),
        "vowel": index,
        "formants": formants,
        "bandwidths": jnp.asarray(bandwidths),
        "frequency": frequency,
        "phase": phase,
        "open_quotient": open_quotient,
        "scale": scale,
    }


@audio_type(annotated=_annotated_vowel)
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
) -> jax.Array:
    """Generate a sung vowel with random pitch: glottal pulses filtered by four formants.

    The spectra of the pulses and of the resonances are known in closed form at every harmonic, and the waveform is the
    sum of the harmonics. It has no aliasing and no onset transient, and does not depend on the sample rate as long as
    all harmonics are below half of it.

    Args:
        key: Random key; determines the vowel, the pitch, the open quotient, the formant scale and the phase.
        n_time_steps: Length in samples.
        sample_rate: Sample rate in Hz.
        vowels: ARPAbet symbols to draw from, a tuple of keys of ``FORMANTS``.
        speaker: Speaker whose formants are used: ``"man"``, ``"woman"`` or ``"child"``.
        n_harmonics: Number of harmonics, from 1 to 1000; those at or above half the sample rate are omitted.
        f_min: Minimum fundamental frequency in Hz, above 0.
        f_max: Maximum fundamental frequency in Hz, at most half the sample rate.
        open_min: Minimum open quotient, the fraction of a period in which the glottis is open, from 0.1 to 0.9.
        open_max: Maximum open quotient.
        scale_min: Minimum factor on all formant frequencies, from 0.5 to 2; smaller for a longer vocal tract.
        scale_max: Maximum factor on all formant frequencies.
        amplitude: RMS over a period, full scale 1, at least 0; the peak is three to five times as high.

    Returns:
        The waveform, (n_time_steps,) float32.

        Annotations: ``f0`` (n_time_steps,) in Hz; ``vowel``, the index into ``vowels``; ``formants`` and ``bandwidths``
        (4,) in Hz; scalars ``frequency`` in Hz, ``phase`` of the glottal period at the first sample in cycles (the
        glottis opens at 0), ``open_quotient``, ``scale``.

    Raises:
        TypeError: When an option has the wrong type.
        ValueError: When an option is out of range, or a vowel is unknown.

    Example:
        >>> vowel(jax.random.key(0), n_time_steps=8000, sample_rate=16000, vowels=("aa",), speaker="woman").shape
        (8000,)

    Reference:
        G. E. Peterson and H. L. Barney, "Control methods used in a study of the vowels", JASA 24 (1952), for the first
        three formants; D. H. Klatt and L. C. Klatt, "Analysis, synthesis, and perception of voice quality variations
        among female and male talkers", JASA 87 (1990), for the pulse, a cubic after Rosenberg; D. H. Klatt, "Software
        for a cascade/parallel formant synthesizer", JASA 67 (1980), for the cascade and its bandwidths.
    """
    pitch = n_harmonics, f_min, f_max
    voice = open_min, open_max, scale_min, scale_max
    return _annotated_vowel(key, n_time_steps, sample_rate, vowels, speaker, *pitch, *voice, amplitude)[0]


def _glottal_pulse_spectrum(cycles: jax.Array) -> jax.Array:
    """Fourier transform of the derivative of the pulse x**2 - x**3 on [0, 1], integrated by parts."""
    inverse = -1j / (np.float32(2 * np.pi) * cycles).astype(np.complex64)
    end = numerics.cos2pi(cycles).astype(np.complex64) - 1j * numerics.sin2pi(cycles).astype(np.complex64)
    return inverse * (end + inverse * (2 + 4 * end + inverse * (6 * end - 6)))


def _formant_response(frequencies: jax.Array, formants: jax.Array, bandwidths: np.ndarray) -> jax.Array:
    """Frequency response of the formant resonators in cascade, each with gain 1 at 0 Hz."""
    frequencies = frequencies[:, None]
    formants, bandwidths = formants[None, :], bandwidths[None, :]
    pole_power = formants * formants + np.square(bandwidths) / 4
    real = (pole_power - jnp.square(frequencies)).astype(np.complex64)
    denominator = real + 1j * frequencies.astype(np.complex64) * bandwidths.astype(np.complex64)
    return jnp.prod(pole_power.astype(np.complex64) / denominator, axis=-1)
