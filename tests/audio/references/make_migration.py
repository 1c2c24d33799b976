"""What the tools of the migration page make of short clips where nothing is left to chance.

Run it as ``python tests/audio/references/make_migration.py``; it rewrites ``migration.npz`` beside it and prints what it
stored. Needed are audiomentations with its extra ``loudness``, torch-audiomentations, torchaudio, librosa and soundfile;
nothing is downloaded. The stored file was made by audiomentations 0.43.1 (librosa 0.11.0, scipy 1.17.1, loudness 0.2.0),
torch-audiomentations 0.12.0 (julius 0.2.8) and torchaudio 2.11.0 (torch 2.13.0, CPU).

The file holds float32 arrays of at most 800 elements by ``"tool/name"``, for each entry of ``REFERENCES``, the names being
those of the page. The clips are not in it, since `clip` makes them again from their names. ``"about"`` is a JSON text of
the versions that made it. Places and sizes that a tool draws are given to it: they stand in this file as constants.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

STORED = Path(__file__).with_name("migration.npz")
PACKAGES = (
    *("audiomentations", "librosa", "scipy", "loudness"),
    *("torch-audiomentations", "julius", "torchaudio", "torch"),
)
SAMPLE_RATE = 16_000
N_SAMPLES = 800
GAIN_DB = -6.0
LUFS = -20.0
SHIFT = 100
SNR_DB = 10.0
BAND = (1_000.0, 0.8)  # the center in Hz, and the width as a share of it
SHELF = (1_500.0, -9.0, 0.6)  # Hz, dB, quality
PEAK = (2_000.0, 12.0, 1.5)
SECTION = (0.3, 0.1, -0.05, 1.0, -0.8, 0.4)  # b0, b1, b2, a0, a1, a2
RATE = 1.25
SEMITONES = 4.0
TRANSITION = {"gain_db": (-20.0, 4.0), "duration": 300, "start": 250}  # samples
MASK = {"start": 301, "width": 120}  # samples
FREQUENCY_MASK = {"start": 5, "width": 7}  # bins of 20
TIME_MASK = {"start": 11, "width": 9}  # frames of 40


def noise(seed: int, n_samples: int) -> np.ndarray:
    """Uniform in [-1, 1], from the bits of PCG64, which are the same in every version of NumPy."""
    bits = np.random.PCG64(seed).random_raw(n_samples)
    return (bits >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1.0


def clip(name: str) -> np.ndarray:
    """One clip at 16 kHz, float32 in [-1, 1].

    "sound" is a chord in noise, "quiet" the same a twentieth as loud, "smooth" the chord alone, all silent at
    their ends: there the states that audiomentations starts its filters in are those of silence. "mirrored" is the sound's first half and its negative. "background" is noise, "room" noise that dies away,
    "tone" half a second of 440 Hz, "louder" two seconds of noise that gets louder, "gap" the
    sound with silence around it.
    """
    time = np.arange(N_SAMPLES) / SAMPLE_RATE
    fade = np.sin(np.pi * np.arange(N_SAMPLES) / (N_SAMPLES - 1)) ** 2
    chord = sum(np.sin(2 * np.pi * frequency * time + frequency) for frequency in (310.0, 790.0, 1_730.0))
    made: dict[str, Callable[[], np.ndarray]] = {
        "sound": lambda: fade * (0.12 * chord + 0.1 * noise(1, N_SAMPLES)),
        "quiet": lambda: 0.05 * clip("sound"),
        "smooth": lambda: fade * 0.2 * chord,
        "mirrored": lambda: np.concatenate([clip("sound")[:400], -clip("sound")[:400]]),
        "background": lambda: 0.3 * noise(2, N_SAMPLES),
        "room": lambda: noise(3, 100) * np.exp(-np.arange(100) / 20),
        "tone": lambda: 0.5 * np.sin(2 * np.pi * 440 * np.arange(8_000) / SAMPLE_RATE),
        "louder": lambda: noise(4, 32_000) * np.geomspace(0.01, 0.5, 32_000),
        "gap": lambda: np.concatenate([np.zeros(4_000), noise(5, 6_000), np.zeros(6_000)]),
    }
    return np.asarray(made[name](), np.float32)


def spectrogram() -> np.ndarray:
    """Twenty bins in forty frames, none of them zero."""
    return (2.0 + noise(6, 800)).astype(np.float32).reshape(20, 40)


def progress(faded: np.ndarray, first: float, last: float) -> np.ndarray:
    """How far the gain of "background" has gone from the first to the last, which are in dB."""
    gain_db = 20 * np.log10(faded.astype(np.float64) / clip("background"))
    return (gain_db - first) / (last - first)


def around_the_peak(audio: np.ndarray) -> np.ndarray:
    """The powers of 800 bins of 2 Hz from 0 Hz on, over the strongest."""
    powers = np.abs(np.fft.rfft(np.hanning(len(audio)) * audio))[:N_SAMPLES] ** 2
    return powers / powers.max()


def audiomentations(name: str, audio: str = "sound", parameters: dict[str, Any] | None = None, **options: Any) -> Any:
    """Apply a transform to a clip; what it draws is fixed by its bounds, or put in place of its draw."""

    def made() -> np.ndarray:
        import audiomentations as tool

        transform = getattr(tool, name)(p=1.0, **options)
        if parameters is not None:
            transform.parameters = {"should_apply": True, **parameters}
            transform.freeze_parameters()
        return np.asarray(transform(clip(audio), SAMPLE_RATE))

    return made


def of_a_file(name: str, sound: str, **options: Any) -> Any:
    """The same with a sound that is read from a file, the option being its folder."""

    def made() -> np.ndarray:
        import soundfile

        with tempfile.TemporaryDirectory() as folder:
            soundfile.write(Path(folder) / "sound.wav", clip(sound), SAMPLE_RATE, subtype="FLOAT")
            paths = {"AddBackgroundNoise": "sounds_path", "ApplyImpulseResponse": "ir_path"}
            return np.asarray(audiomentations(name, **{paths[name]: folder}, **options)())

    return made


def torch_audiomentations(name: str, parameters: dict[str, Any] | None = None, **options: Any) -> Any:
    """The same for torch-audiomentations; what it would read from files is put in the place of its draw."""

    def made() -> np.ndarray:
        import torch
        import torch_audiomentations as tool

        transform = getattr(tool, name)(p=1.0, sample_rate=SAMPLE_RATE, output_type="dict", **options)
        given = torch.from_numpy(clip("sound"))[None, None]
        if parameters is None:
            return np.asarray(transform(given, SAMPLE_RATE)["samples"][0, 0])
        transform.transform_parameters = {name: torch.tensor(value) for name, value in parameters.items()}
        return np.asarray(transform.apply_transform(given, SAMPLE_RATE)["samples"][0, 0])

    return made


def torchaudio(call: Callable[[Any, Any, Any], Any], audio: str = "sound") -> Any:
    """What ``call(functional, transforms, audio)`` gives."""

    def made() -> np.ndarray:
        import torch
        import torchaudio as tool

        with torch.no_grad():
            return np.asarray(call(tool.functional, tool.transforms, torch.from_numpy(clip(audio))))

    return made


def masked(axis: str, start: int, width: int) -> Any:
    """What torchaudio's masks leave where its two draws come out at these bounds."""

    def made() -> np.ndarray:
        import torch
        from torchaudio import transforms

        kind, size = {"frequency": (transforms.FrequencyMasking, 20), "time": (transforms.TimeMasking, 40)}[axis]
        widest, wide = 2 * width, width + 0.5
        draws = iter([wide / widest, (start + 0.5) / (size - wide)])
        drawn, torch.rand = torch.rand, lambda *_, **__: torch.tensor([next(draws)])
        try:
            return np.asarray(kind(widest)(torch.from_numpy(spectrogram())[None])[0])
        finally:
            torch.rand = drawn

    return made


def two_parts(spectrum: Any) -> np.ndarray:
    return np.stack([np.real(spectrum), np.imag(spectrum)])


def _vocoded(f: Any, _: Any, audio: Any) -> np.ndarray:
    import torch

    spectrum = torch.stft(
        audio, 16, 16, window=torch.hann_window(16), return_complex=True, center=True, pad_mode="constant"
    )
    advance = torch.linspace(0, np.pi * 16, 9)[:, None]
    return two_parts(f.phase_vocoder(spectrum, RATE, advance).numpy())


def _added(f: Any, _: Any, audio: Any) -> Any:
    import torch

    return f.add_noise(audio[None], torch.from_numpy(clip("background"))[None], torch.tensor([SNR_DB]))[0]


def _convolved(mode: str) -> Callable[[Any, Any, Any], Any]:
    def call(f: Any, _: Any, audio: Any) -> Any:
        import torch

        return f.fftconvolve(audio[:700], torch.from_numpy(clip("room")), mode)

    return call


def _fixed(least: str, greatest: str, value: float) -> dict[str, float]:
    return {least: value, greatest: value}


def _cutoff(rolloff: int) -> dict[str, float]:
    return {**_fixed("min_cutoff_freq", "max_cutoff_freq", BAND[0]), **_fixed("min_rolloff", "max_rolloff", rolloff)}


def _band() -> dict[str, float]:
    return {
        **_fixed("min_center_freq", "max_center_freq", BAND[0]),
        **_fixed("min_bandwidth_fraction", "max_bandwidth_fraction", BAND[1]),
        **_fixed("min_rolloff", "max_rolloff", 12),
    }


def _section(frequency: float, gain_db: float, quality: float) -> dict[str, float]:
    return {
        **_fixed("min_center_freq", "max_center_freq", frequency),
        **_fixed("min_gain_db", "max_gain_db", gain_db),
        **_fixed("min_q", "max_q", quality),
    }


_transition = {
    "start_gain_db": TRANSITION["gain_db"][0],
    "end_gain_db": TRANSITION["gain_db"][1],
    "fade_time_samples": TRANSITION["duration"],
    "t0": TRANSITION["start"],
}
_background = {"offset": 0.0, **_fixed("min_snr_db", "max_snr_db", SNR_DB)}
_of_rooms = {"ir": clip("room")[None, None]}
_of_backgrounds = {
    "background": (clip("background") / np.sqrt(np.mean(np.square(clip("background")))))[None],
    "snr_in_db": np.array([SNR_DB], np.float32),
}

REFERENCES: dict[str, Callable[[], Any]] = {
    "audiomentations/Gain": audiomentations("Gain", **_fixed("min_gain_db", "max_gain_db", GAIN_DB)),
    "audiomentations/PolarityInversion": audiomentations("PolarityInversion"),
    "audiomentations/Normalize": audiomentations("Normalize"),
    "audiomentations/Reverse": audiomentations("Reverse"),
    "audiomentations/Clip": audiomentations("Clip", a_min=-0.1, a_max=0.2),
    "audiomentations/GainTransition": lambda: progress(
        audiomentations("GainTransition", "background", _transition)(), *TRANSITION["gain_db"]
    ),
    "audiomentations/LoudnessNormalization": lambda: audiomentations(
        "LoudnessNormalization", "louder", **_fixed("min_lufs", "max_lufs", LUFS)
    )()[-N_SAMPLES:],
    "audiomentations/Shift": audiomentations(
        "Shift", shift_unit="samples", fade_duration=0.0, **_fixed("min_shift", "max_shift", SHIFT)
    ),
    "audiomentations/TimeMask": audiomentations(
        "TimeMask", fade_duration=0.0, parameters={"t": MASK["width"], "t0": MASK["start"]}
    ),
    "audiomentations/TanhDistortion": audiomentations(
        "TanhDistortion", **_fixed("min_distortion", "max_distortion", 0.5)
    ),
    "audiomentations/ClippingDistortion": audiomentations(
        "ClippingDistortion", "mirrored", **_fixed("min_percentile_threshold", "max_percentile_threshold", 20)
    ),
    "audiomentations/LowPassFilter": audiomentations("LowPassFilter", **_cutoff(12)),
    "audiomentations/HighPassFilter": audiomentations("HighPassFilter", **_cutoff(24)),
    "audiomentations/BandPassFilter": audiomentations("BandPassFilter", **_band()),
    "audiomentations/BandStopFilter": audiomentations("BandStopFilter", **_band()),
    "audiomentations/LowShelfFilter": audiomentations("LowShelfFilter", **_section(*SHELF)),
    "audiomentations/HighShelfFilter": audiomentations("HighShelfFilter", **_section(*SHELF)),
    "audiomentations/PeakingFilter": audiomentations("PeakingFilter", **_section(*PEAK)),
    "audiomentations/AddBackgroundNoise": of_a_file(
        "AddBackgroundNoise", "background", **_fixed("min_snr_db", "max_snr_db", SNR_DB)
    ),
    "audiomentations/ApplyImpulseResponse": of_a_file("ApplyImpulseResponse", "room"),
    "audiomentations/TimeStretch": lambda: around_the_peak(
        audiomentations("TimeStretch", "tone", method="librosa_phase_vocoder", **_fixed("min_rate", "max_rate", RATE))()
    ),
    "audiomentations/PitchShift": lambda: around_the_peak(
        audiomentations(
            "PitchShift", "tone", method="librosa_phase_vocoder", **_fixed("min_semitones", "max_semitones", SEMITONES)
        )()
    ),
    "audiomentations/AdjustDuration": lambda: audiomentations("AdjustDuration", "room", duration_samples=150)(),
    "audiomentations/Trim": lambda: [len(audiomentations("Trim", "gap")())],
    "torch-audiomentations/Gain": torch_audiomentations(
        "Gain", {"gain_factors": np.full((1, 1, 1), 10 ** (GAIN_DB / 20), np.float32)}
    ),
    "torch-audiomentations/PolarityInversion": torch_audiomentations("PolarityInversion"),
    "torch-audiomentations/PeakNormalization": torch_audiomentations("PeakNormalization"),
    "torch-audiomentations/TimeInversion": torch_audiomentations("TimeInversion"),
    "torch-audiomentations/Shift": torch_audiomentations(
        "Shift", shift_unit="samples", rollover=False, **_fixed("min_shift", "max_shift", SHIFT)
    ),
    "torch-audiomentations/AddBackgroundNoise": torch_audiomentations(
        "AddBackgroundNoise", _of_backgrounds, background_paths=["sound.wav"]
    ),
    "torch-audiomentations/ApplyImpulseResponse": torch_audiomentations(
        "ApplyImpulseResponse", _of_rooms, ir_paths=["sound.wav"]
    ),
    "torchaudio/Vol": torchaudio(lambda f, t, a: t.Vol(GAIN_DB, "db")(a)),
    "torchaudio/Fade": torchaudio(lambda f, t, a: t.Fade(80, 160, "half_sine")(a), "background"),
    "torchaudio/loudness": torchaudio(lambda f, t, a: f.loudness(a[None], SAMPLE_RATE)[None], "louder"),
    "torchaudio/preemphasis": torchaudio(lambda f, t, a: f.preemphasis(a, 0.9), "background"),
    "torchaudio/deemphasis": torchaudio(lambda f, t, a: f.deemphasis(a, 0.9), "quiet"),
    "torchaudio/mu_law_encoding": torchaudio(lambda f, t, a: f.mu_law_encoding(a, 256)),
    "torchaudio/mu_law_decoding": torchaudio(lambda f, t, a: f.mu_law_decoding(f.mu_law_encoding(a, 64), 64)),
    "torchaudio/resample": torchaudio(lambda f, t, a: f.resample(a, 44_100, 16_000), "background"),
    "torchaudio/resample, sinc_interp_kaiser": torchaudio(
        lambda f, t, a: f.resample(
            *(a, 8_000, 6_000),
            lowpass_filter_width=64,
            rolloff=0.9475937167399596,
            resampling_method="sinc_interp_kaiser",
            beta=14.769656459379492,
        ),
        "background",
    ),
    "torchaudio/speed": torchaudio(lambda f, t, a: f.speed(a, SAMPLE_RATE, RATE)[0], "smooth"),
    "torchaudio/add_noise": torchaudio(_added),
    "torchaudio/fftconvolve": torchaudio(_convolved("full")),
    "torchaudio/fftconvolve, same": torchaudio(_convolved("same")),
    "torchaudio/lowpass_biquad": torchaudio(lambda f, t, a: f.lowpass_biquad(a, SAMPLE_RATE, *SHELF[::2])),
    "torchaudio/highpass_biquad": torchaudio(lambda f, t, a: f.highpass_biquad(a, SAMPLE_RATE, *SHELF[::2])),
    "torchaudio/bandpass_biquad": torchaudio(lambda f, t, a: f.bandpass_biquad(a, SAMPLE_RATE, *SHELF[::2])),
    "torchaudio/bandreject_biquad": torchaudio(lambda f, t, a: f.bandreject_biquad(a, SAMPLE_RATE, *SHELF[::2])),
    "torchaudio/allpass_biquad": torchaudio(lambda f, t, a: f.allpass_biquad(a, SAMPLE_RATE, *SHELF[::2])),
    "torchaudio/equalizer_biquad": torchaudio(lambda f, t, a: f.equalizer_biquad(a, SAMPLE_RATE, *PEAK), "quiet"),
    "torchaudio/bass_biquad": torchaudio(lambda f, t, a: f.bass_biquad(a, SAMPLE_RATE, SHELF[1], SHELF[0], SHELF[2])),
    "torchaudio/treble_biquad": torchaudio(
        lambda f, t, a: f.treble_biquad(a, SAMPLE_RATE, SHELF[1], SHELF[0], SHELF[2])
    ),
    "torchaudio/biquad": torchaudio(lambda f, t, a: f.biquad(a, *SECTION)),
    "torchaudio/FrequencyMasking": masked("frequency", **FREQUENCY_MASK),
    "torchaudio/TimeMasking": masked("time", **TIME_MASK),
    "torchaudio/phase_vocoder": torchaudio(_vocoded),
    "torchaudio/pitch_shift": lambda: around_the_peak(
        torchaudio(lambda f, t, a: f.pitch_shift(a, SAMPLE_RATE, int(SEMITONES)), "tone")()
    ),
    "torchaudio/sliding_window_cmn": torchaudio(
        lambda f, t, a: f.sliding_window_cmn(a.reshape(40, 20), 15, 5), "background"
    ),
    "torchaudio/compute_deltas": torchaudio(lambda f, t, a: f.compute_deltas(a.reshape(20, 40)), "background"),
}


def main() -> None:
    warnings.simplefilter("ignore")
    arrays = {}
    for name, make in REFERENCES.items():
        arrays[name] = np.asarray(make(), np.float32)
        assert arrays[name].size <= N_SAMPLES, name
        print(f"{name:42}{arrays[name].shape!s:>12}  to {np.abs(arrays[name]).max():.4g}")
    versions = {package: metadata.version(package) for package in PACKAGES}
    np.savez_compressed(STORED, about=np.array(json.dumps(versions)), **arrays)
    print(f"{STORED.name}: {STORED.stat().st_size} bytes, made by {versions}")


if __name__ == "__main__":
    main()
