import importlib.util
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.core import create, registry
from artifex.generative_models.extensions.audio_processing import spectral
from artifex.generative_models.modalities import audio as ours
from artifex.generative_models.modalities.audio import create_policy, with_annotations

_FILE = Path(__file__).parent / "references" / "make_migration.py"
_SPEC = importlib.util.spec_from_file_location("make_migration", _FILE)
references = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(references)

PAGE = Path(__file__).parents[2] / "docs" / "migration.md"
RATE = references.SAMPLE_RATE
EXACT = "the same operations, rounded otherwise in the last digits"
MOVED = "nothing is computed"
PEAK = "powers over the strongest; frames at the ends of a tone are laid otherwise"
FILTERED = "the recursion in float32, theirs in float64"
LOUDNESS = "0.1 LU: how the standard's filters are brought from 48 to 16 kHz is open, and the two tools are 0.12 apart"


class Case(NamedTuple):
    """What ours makes of the clip, and how far it may be from the reference, as a share of the reference's peak."""

    ours: Callable[[], Any]
    tolerance: float = 1e-6
    reason: str = EXACT


@cache
def clip(name: str = "sound") -> np.ndarray:
    made: np.ndarray = references.clip(name)
    return made


def fixed(name: str, audio: str = "sound", **options: Any) -> Callable[[], Any]:
    """An augmentation whose ranges have equal bounds, so that the key does not matter."""
    return lambda: create_policy((name, options), sample_rate=RATE)(clip(audio), jax.random.key(0))


def drawing(function: Callable[..., Any], given: jax.Array, **wanted: tuple[float, float]) -> jax.Array:
    """Call a function with the first key of which it draws every wanted value, give or take what stands beside it."""
    keys = jax.random.split(jax.random.key(0), 4096)
    drawn = jax.jit(jax.vmap(lambda key: with_annotations(function)(given, key)[1]))(keys)
    met = np.ones(len(keys), bool)
    for name, (value, slack) in wanted.items():
        met &= np.abs(np.asarray(drawn[name]).reshape(len(keys), -1)[:, 0] - value) <= slack
    assert met.any(), f"no key draws {wanted}"
    return function(given, keys[int(met.argmax())])


def transition() -> Any:
    fade = references.TRANSITION
    function = create(
        "augmentation", "gain_transition", duration_range=(fade["duration"] / RATE,) * 2, sample_rate=RATE
    )
    keys = jax.random.split(jax.random.key(0), 4096)
    drawn = jax.jit(jax.vmap(lambda key: with_annotations(function)(clip("background"), key)[1]))(keys)
    nearest = int(jnp.argmin(jnp.abs(drawn["start"] * RATE - fade["start"])))
    faded = function(clip("background"), keys[nearest])
    return references.progress(np.asarray(faded), *np.asarray(drawn["gain_db"][nearest], np.float64))


def biquad(kind: str, audio: str = "sound", gain_db: float = 0.0, of: str = "SHELF") -> Callable[[], Any]:
    frequency, own_gain, quality = getattr(references, of)
    return lambda: ours.sosfilt(
        clip(audio), ours.biquad(kind, frequency, sample_rate=RATE, q=quality, gain_db=gain_db and own_gain)[None]
    )


def both(value: float) -> tuple[float, float]:
    return (value, value)


def section(of: str) -> dict[str, tuple[float, float]]:
    frequency, gain_db, quality = getattr(references, of)
    return {"frequency_range": both(frequency), "gain_db_range": both(gain_db), "q_range": both(quality)}


def background() -> Any:
    return fixed("add_background_noise", snr_db_range=both(references.SNR_DB), bank=clip("background")[None])()


def leveled(audio: Any) -> Any:
    return 0.5 * audio / jnp.abs(audio).max()


def shifted(mode: str) -> Any:
    function = create("augmentation", "time_shift", max_shift=2 * references.SHIFT, mode=mode)
    return drawing(function, jnp.asarray(clip()), shift=(references.SHIFT, 0))


def silenced() -> Any:
    span = references.MASK
    function = create("augmentation", "silence_span", fraction_range=both(span["width"] / references.N_SAMPLES), fade=0)
    return drawing(function, jnp.asarray(clip()), start=(span["start"], 0), width=(span["width"], 0))


def spectrum(name: str, **options: Any) -> Any:
    return references.around_the_peak(np.asarray(fixed(name, "tone", **options)()))


def masked(axis: str) -> Any:
    wanted = getattr(references, f"{axis.upper()}_MASK")
    function = create("augmentation", f"{axis}_mask", mask_param=2 * wanted["width"])
    names = {"frequency": "freq", "time": "time"}
    bounds = {f"{names[axis]}_{name}": (value, 0) for name, value in wanted.items()}
    return drawing(function, jnp.asarray(references.spectrogram()), **bounds)


def vocoded() -> Any:
    config = spectral.SpectralConfig(n_fft=16, hop_length=16, n_mels=1)
    spectrum = spectral.stft(clip(), config)
    return references.two_parts(np.asarray(spectral.phase_vocoder(spectrum, references.RATE, n_frames=41)))


GAIN = both(10 ** (references.GAIN_DB / 20))
BAND = {"frequency_range": both(references.BAND[0]), "bandwidth_fraction_range": both(references.BAND[1])}
CUTOFF = both(references.BAND[0])

CASES = {
    "audiomentations/Gain": Case(fixed("random_gain", gain_range=GAIN)),
    "audiomentations/PolarityInversion": Case(fixed("invert_polarity")),
    "audiomentations/Normalize": Case(fixed("normalize")),
    "audiomentations/Reverse": Case(fixed("reverse"), 0, MOVED),
    "audiomentations/Shift": Case(partial(shifted, "wrap"), 0, MOVED),
    "audiomentations/TimeMask": Case(silenced, 0, MOVED),
    "audiomentations/Clip": Case(lambda: jnp.clip(clip(), -0.1, 0.2)),
    "audiomentations/GainTransition": Case(
        transition, 5e-3, "theirs begins and ends at whole samples: 1 of 300, and the key's start is off by a fraction"
    ),
    "audiomentations/LoudnessNormalization": Case(
        lambda: fixed("random_loudness", "louder", sample_rate=RATE, lufs_range=both(references.LUFS))()[-800:],
        1.2e-2,
        LOUDNESS,
    ),
    "audiomentations/TanhDistortion": Case(
        fixed("tanh_distortion", distortion_range=both(0.5)), 2e-3, "their percentile lies between two samples"
    ),
    "audiomentations/ClippingDistortion": Case(
        fixed("clip_distortion", "mirrored", fraction_range=both(0.2)),
        5e-3,
        "their percentile lies between two samples",
    ),
    "audiomentations/LowPassFilter": Case(
        fixed("low_pass", sample_rate=RATE, frequency_range=CUTOFF, order=2), 1e-5, FILTERED
    ),
    "audiomentations/HighPassFilter": Case(
        fixed("high_pass", sample_rate=RATE, frequency_range=CUTOFF, order=4), 1e-5, FILTERED
    ),
    "audiomentations/BandPassFilter": Case(fixed("band_pass", sample_rate=RATE, **BAND, order=2), 1e-5, FILTERED),
    "audiomentations/BandStopFilter": Case(fixed("band_stop", sample_rate=RATE, **BAND, order=2), 1e-5, FILTERED),
    "audiomentations/LowShelfFilter": Case(fixed("low_shelf", sample_rate=RATE, **section("SHELF")), 1e-5, FILTERED),
    "audiomentations/HighShelfFilter": Case(fixed("high_shelf", sample_rate=RATE, **section("SHELF")), 1e-5, FILTERED),
    "audiomentations/PeakingFilter": Case(fixed("peaking", sample_rate=RATE, **section("PEAK")), 1e-5, FILTERED),
    "audiomentations/AddBackgroundNoise": Case(background),
    "audiomentations/ApplyImpulseResponse": Case(
        lambda: leveled(fixed("impulse_response", bank=clip("room")[None])()), 1e-5, "by FFT"
    ),
    "audiomentations/TimeStretch": Case(
        lambda: spectrum("time_stretch", rate_range=both(references.RATE), n_fft=2048, tail="zeros"), 1e-3, PEAK
    ),
    "audiomentations/PitchShift": Case(
        lambda: spectrum("pitch_shift", semitones_range=both(references.SEMITONES), n_fft=2048),
        2e-3,
        "powers over the strongest; theirs fades at its end, where ours goes on",
    ),
    "audiomentations/AdjustDuration": Case(lambda: ours.trim_or_pad(clip("room"), 150), 0, MOVED),
    "audiomentations/Trim": Case(lambda: ours.trim(clip("gap"), top_db=30.0)[1][None], 0, "a number of samples"),
    "torch-audiomentations/Gain": Case(fixed("random_gain", gain_range=GAIN)),
    "torch-audiomentations/PolarityInversion": Case(fixed("invert_polarity")),
    "torch-audiomentations/PeakNormalization": Case(fixed("normalize")),
    "torch-audiomentations/AddBackgroundNoise": Case(background),
    "torch-audiomentations/ApplyImpulseResponse": Case(
        fixed("impulse_response", bank=clip("room")[None], keep=None), 1e-5, "by FFT"
    ),
    "torch-audiomentations/TimeInversion": Case(fixed("reverse"), 0, MOVED),
    "torch-audiomentations/Shift": Case(partial(shifted, "fill"), 0, MOVED),
    "torchaudio/Vol": Case(fixed("random_gain", gain_range=GAIN)),
    "torchaudio/Fade": Case(lambda: ours.fade(clip("background"), 80, 160, shape="half_sine")),
    "torchaudio/loudness": Case(
        lambda: ours.integrated_loudness(clip("louder"), sample_rate=RATE)[None],
        6e-3,
        LOUDNESS,
    ),
    "torchaudio/preemphasis": Case(lambda: ours.pre_emphasis(clip("background"), 0.9)),
    "torchaudio/deemphasis": Case(lambda: ours.de_emphasis(clip("quiet"), 0.9), 1e-5, FILTERED),
    "torchaudio/mu_law_encoding": Case(lambda: ours.mu_law_encode(clip(), 256), 0, "whole numbers"),
    "torchaudio/mu_law_decoding": Case(lambda: ours.mu_law_decode(ours.mu_law_encode(clip(), 64), 64)),
    "torchaudio/resample": Case(
        lambda: ours.resample_audio(clip("background"), 44_100, 16_000, quality="hann"), 1e-5, "sums of products"
    ),
    "torchaudio/resample, sinc_interp_kaiser": Case(
        lambda: ours.resample_audio(clip("background"), 8_000, 6_000, quality="kaiser_best"), 1e-5, "sums of products"
    ),
    "torchaudio/add_noise": Case(background),
    "torchaudio/fftconvolve": Case(lambda: ours.fft_convolve(clip()[:700], clip("room"), "full"), 1e-5, "by FFT"),
    "torchaudio/fftconvolve, same": Case(lambda: ours.fft_convolve(clip()[:700], clip("room"), "same"), 1e-5, "by FFT"),
    "torchaudio/lowpass_biquad": Case(biquad("lowpass"), 1e-5, FILTERED),
    "torchaudio/highpass_biquad": Case(biquad("highpass"), 1e-5, FILTERED),
    "torchaudio/bandpass_biquad": Case(biquad("bandpass"), 1e-5, FILTERED),
    "torchaudio/bandreject_biquad": Case(biquad("bandstop"), 1e-5, FILTERED),
    "torchaudio/allpass_biquad": Case(biquad("allpass"), 1e-5, FILTERED),
    "torchaudio/equalizer_biquad": Case(biquad("peaking", "quiet", 1, "PEAK"), 1e-5, FILTERED),
    "torchaudio/bass_biquad": Case(biquad("lowshelf", gain_db=1), 1e-5, FILTERED),
    "torchaudio/treble_biquad": Case(biquad("highshelf", gain_db=1), 1e-5, FILTERED),
    "torchaudio/biquad": Case(lambda: ours.sosfilt(clip(), jnp.array([references.SECTION])), 1e-5, FILTERED),
    "torchaudio/FrequencyMasking": Case(partial(masked, "frequency"), 0, MOVED),
    "torchaudio/TimeMasking": Case(partial(masked, "time"), 0, MOVED),
    "torchaudio/phase_vocoder": Case(vocoded, 1e-4, "phases are added up in another order"),
    "torchaudio/pitch_shift": Case(
        lambda: spectrum("pitch_shift", semitones_range=both(references.SEMITONES), n_fft=512),
        2e-2,
        "powers over the strongest; theirs comes back to its duration through a short filter",
    ),
    "torchaudio/speed": Case(
        lambda: fixed("speed", "smooth", speed_range=both(references.RATE))()[:640],
        1e-3,
        "theirs passes through a short filter, whose passband is not flat",
    ),
    "torchaudio/sliding_window_cmn": Case(
        lambda: spectral.sliding_cmn(clip("background").reshape(40, 20).T, window=15, min_window=5).T, 1e-5, "sums"
    ),
    "torchaudio/compute_deltas": Case(lambda: spectral.deltas(clip("background").reshape(20, 40), width=5)),
}


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    with np.load(references.STORED) as file:
        return dict(file)


@pytest.mark.parametrize("name", CASES)
def test_ours_equals_the_tool_that_it_replaces(name: str, stored: dict[str, np.ndarray]) -> None:
    case = CASES[name]
    made, expected = np.asarray(case.ours(), np.float64), stored[name]
    assert made.shape == expected.shape
    assert np.abs(made - expected).max() <= case.tolerance * np.abs(expected).max(), case.reason


def equal_rows() -> set[str]:
    """The rows of the page's tables that say "equal", as "tool/the first name of the row"."""
    found = set()
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or set(cells[0]) <= {"-"}:
            continue
        if not cells[0].startswith("`"):
            tool = cells[0]
        elif cells[-1].startswith("equal"):
            found.add(f"{tool}/{re.match('`([^`]+)`', cells[0])[1]}")
    return found


def test_every_row_of_the_page_that_says_equal_is_compared_and_no_other() -> None:
    assert equal_rows() == {name.split(",")[0] for name in CASES}


def test_every_reference_is_compared(stored: dict[str, np.ndarray]) -> None:
    assert set(stored) - {"about"} == set(references.REFERENCES) == set(CASES)


def test_the_page_names_nothing_of_ours_that_is_not_there() -> None:
    ours_named = set()
    for line in PAGE.read_text().splitlines():
        cells = line.strip("|").split("|")
        if line.startswith("| `"):
            ours_named |= set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)*)[(`]", cells[1]))
    there = set(registry("augmentation")) | set(dir(ours)) | {f"spectral.{name}" for name in dir(spectral)}
    assert len(ours_named) > 40
    assert ours_named - there == {"jax.numpy.clip", "scipy.signal.tf2sos"} & ours_named
