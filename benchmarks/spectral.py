"""Time spectral features compared with those of torchaudio, librosa, librosax and korvax, if installed.

Run ``python benchmarks/spectral.py``. Results are compared before timing. Every round calls each tool once, and ratios are
computed within a round; the output is the median with the minimum and the maximum. All tools use the same two processors.
For comparison, a row states the time to copy its input and output, and its number of floating-point operations in
transforms and nonzero filter weights.
"""

import argparse
import os
import statistics
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])

import jax
import jax.numpy as jnp
import numpy as np
from timing import milliseconds, spread

from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.extensions.audio_processing.spectral import (
    SpectralAnalysis,
    SpectralConfig,
    filter_bank,
    griffin_lim,
    istft,
    log_mel_spectrogram,
    magnitude_spectrogram,
    mfcc,
    stft,
)

SHAPES = {"(256, 1 s)": (256, 16_000), "(32, 2 s)": (32, 32_000), "(1, 60 s)": (1, 960_000)}
SIZES = {"n_fft": 1024, "hop_length": 256}
MELS = {"sr": 16_000, "n_mels": 80, **SIZES}
CONFIG = SpectralConfig(sample_rate=16_000, n_mels=80, top_db=None, **SIZES)
ITERATIONS = 32


class Row(NamedTuple):
    """The calls to time by tool, whether two results agree, and the size of input and output and the work."""

    tools: dict[str, Callable[[], Any]]
    agree: Callable[[np.ndarray, np.ndarray], bool]
    megabytes: float
    megaflops: float


def compiled_call(function: Callable[..., Any], *arrays: jax.Array) -> Callable[[], Any]:
    compiled = jax.jit(function)
    return lambda: compiled(*arrays).block_until_ready()


def within(fraction: float) -> Callable[[np.ndarray, np.ndarray], bool]:
    """Return whether the maximum difference of two results is at most a fraction of the maximum."""
    return lambda ours, theirs: bool(np.abs(ours - theirs).max() <= fraction * np.abs(theirs).max())


def rows(shape: tuple[int, int], with_slow: bool) -> dict[str, Row]:
    """Return the rows for a batch of one shape, with librosa's slow Griffin-Lim or without."""
    audio = (0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
    clip = jnp.asarray(audio)
    length = shape[1]
    spectrum = stft(clip, CONFIG)
    magnitude = magnitude_spectrogram(clip, CONFIG)
    n_frames = shape[0] * CONFIG.n_frames(length)
    transform = n_frames * (2.5 * 1024 * 10 + 1024) / 1e6
    bands = transform + n_frames * (3 * 513 + 2 * int((mel_weights() > 0).sum())) / 1e6
    n_in, n_spectrum = audio.nbytes / 1e6, 8e-6 * n_frames * 513
    tools: dict[str, dict[str, Callable[[], Any]]] = {
        "log-mel": {"artifex": compiled_call(lambda a: log_mel_spectrogram(a, CONFIG), clip)},
        "MFCC": {"artifex": compiled_call(lambda a: mfcc(a, CONFIG, n_mfcc=20), clip)},
        "STFT": {"artifex": compiled_call(lambda a: stft(a, CONFIG), clip)},
        "iSTFT": {"artifex": compiled_call(lambda s: istft(s, CONFIG, length=length), spectrum)},
        f"Griffin-Lim({ITERATIONS})": {
            "artifex": compiled_call(lambda m: griffin_lim(m, CONFIG, length=length, n_iter=ITERATIONS), magnitude)
        },
    }
    for name, peer in PEERS.items():
        if find_spec(name) is not None:
            for row, call in peer(audio, np.array(spectrum), length, with_slow).items():
                tools[row if row in tools else f"Griffin-Lim({ITERATIONS})"][name] = call
    sizes = {
        "log-mel": (n_in + 4e-6 * n_frames * 80, bands),
        "MFCC": (n_in + 4e-6 * n_frames * 20, bands + n_frames * 2 * 80 * 20 / 1e6),
        "STFT": (n_in + n_spectrum, transform),
        "iSTFT": (n_in + n_spectrum, transform),
        f"Griffin-Lim({ITERATIONS})": (n_in + n_spectrum / 2, 2 * ITERATIONS * transform),
    }

    def converged(ours: np.ndarray, theirs: np.ndarray) -> bool:
        """Compare spectral convergence, because the tools differ in initial phases and padding."""

        def error(estimate: np.ndarray) -> float:
            reconstructed = np.asarray(magnitude_spectrogram(jnp.asarray(estimate), CONFIG))
            return float(np.linalg.norm(reconstructed - magnitude) / np.linalg.norm(magnitude))

        return error(ours) < 1.1 * error(theirs)

    agree = {"log-mel": within(1e-4), "MFCC": within(1e-4), "STFT": within(1e-4), "iSTFT": within(1e-3)}
    return {name: Row(calls, agree.get(name, converged), *sizes[name]) for name, calls in tools.items()}


def mel_weights() -> np.ndarray:
    return filter_bank(sample_rate=16_000, n_fft=1024, n_mels=80)


def torchaudio_calls(audio: np.ndarray, spectrum: np.ndarray, length: int, with_slow: bool) -> dict[str, Any]:
    import torch
    import torchaudio

    torch.set_num_threads(2)
    options = {"n_fft": 1024, "hop_length": 256, "pad_mode": "constant"}
    mel = torchaudio.transforms.MelSpectrogram(16_000, n_mels=80, norm="slaney", mel_scale="slaney", **options)
    cepstra = torchaudio.transforms.MFCC(
        16_000, 20, melkwargs={"n_mels": 80, "norm": "slaney", "mel_scale": "slaney", **options}
    )
    cepstra.amplitude_to_DB.top_db = None
    levels = torchaudio.transforms.AmplitudeToDB("power")
    transform = torchaudio.transforms.Spectrogram(power=None, **options)
    inverse = torchaudio.transforms.InverseSpectrogram(n_fft=1024, hop_length=256)
    invert = torchaudio.transforms.GriffinLim(
        n_fft=1024, n_iter=ITERATIONS, hop_length=256, power=1.0, length=length, rand_init=False
    )
    clip, spectra = torch.from_numpy(audio), torch.from_numpy(spectrum)
    magnitude = spectra.abs()

    def without_gradient(function: Callable[[], Any]) -> Callable[[], Any]:
        return torch.no_grad()(function)

    return {
        "log-mel": without_gradient(lambda: levels(mel(clip))),
        "MFCC": without_gradient(lambda: cepstra(clip)),
        "STFT": without_gradient(lambda: transform(clip)),
        "iSTFT": without_gradient(lambda: inverse(spectra, length)),
        "Griffin-Lim": without_gradient(lambda: invert(magnitude)),
    }


def librosa_calls(audio: np.ndarray, spectrum: np.ndarray, length: int, with_slow: bool) -> dict[str, Any]:
    import librosa

    magnitude = np.abs(spectrum)

    def levels() -> np.ndarray:
        return librosa.power_to_db(librosa.feature.melspectrogram(y=audio, **MELS), top_db=None)

    slow = partial(librosa.griffinlim, magnitude, n_iter=ITERATIONS, length=length, init=None, **SIZES)
    return {
        "log-mel": levels,
        "MFCC": lambda: librosa.feature.mfcc(S=levels(), n_mfcc=20),
        "STFT": partial(librosa.stft, audio, **SIZES),
        "iSTFT": partial(librosa.istft, spectrum, length=length, **SIZES),
        **({"Griffin-Lim": slow} if with_slow else {}),
    }


def librosax_calls(audio: np.ndarray, spectrum: np.ndarray, length: int, with_slow: bool) -> dict[str, Any]:
    import librosax

    def levels(a: jax.Array) -> jax.Array:
        return librosax.power_to_db(librosax.feature.melspectrogram(y=a, **MELS), top_db=None)

    clip, spectra = jnp.asarray(audio), jnp.asarray(spectrum)
    return {
        "log-mel": compiled_call(levels, clip),
        "MFCC": compiled_call(lambda a: librosax.feature.mfcc(S=levels(a), n_mfcc=20), clip),
        "STFT": compiled_call(lambda a: librosax.stft(a, **SIZES), clip),
        "iSTFT": compiled_call(lambda s: librosax.istft(s, length=length, **SIZES), spectra),
    }


def korvax_calls(audio: np.ndarray, spectrum: np.ndarray, length: int, with_slow: bool) -> dict[str, Any]:
    from korvax import power_to_db, transforms

    def mel(a: jax.Array) -> jax.Array:
        return transforms.mel_spectrogram(a, **MELS)

    clip, spectra = jnp.asarray(audio), jnp.asarray(spectrum)
    return {
        "log-mel": compiled_call(lambda a: power_to_db(mel(a), top_db=None), clip),
        "MFCC": compiled_call(lambda a: transforms.cepstral_coefficients(mel(a), n_cc=20), clip),
        "STFT": compiled_call(lambda a: transforms.stft(a, **SIZES), clip),
        "iSTFT": compiled_call(lambda s: transforms.istft(s, length=length, **SIZES), spectra),
        "Griffin-Lim": compiled_call(
            lambda s: transforms.griffin_lim(jnp.abs(s), n_iter=ITERATIONS, length=length, **SIZES), spectra
        ),
    }


PEERS = {
    "torchaudio": torchaudio_calls,
    "librosa": librosa_calls,
    "librosax": librosax_calls,
    "korvax": korvax_calls,
}


def run(name: str, row: Row, n_rounds: int) -> None:
    ours = np.asarray(row.tools["artifex"]())
    for tool, call in row.tools.items():
        theirs = np.asarray(call())
        if tool != "artifex" and not (ours.shape == theirs.shape and row.agree(ours, theirs)):
            print(f"  {tool}: results differ")
    # A copy reads and writes its bytes, so half of them are allocated.
    calls = {**row.tools, "copy": np.empty(int(row.megabytes * 1e6 / 8), np.float32).copy}
    rounds = [{tool: milliseconds(call) for tool, call in calls.items()} for _ in range(n_rounds)]
    print(
        f"{name:32}{spread([times['artifex'] for times in rounds], 1):>24} ms   copy "
        f"{statistics.median(times['copy'] for times in rounds):.1f} ms for {row.megabytes:.0f} MB, "
        f"{row.megaflops:.0f} MFLOP"
    )
    for tool in row.tools:
        if tool != "artifex":
            print(f"  {tool:30}{spread([times[tool] / times['artifex'] for times in rounds]):>24} times as long")


def construction() -> None:
    """Print the time to construct ``SpectralAnalysis``, the first time and later."""
    options = {"sample_rate": 16_000, "n_mels": 80, **SIZES}
    times = [
        milliseconds(lambda: SpectralAnalysis(ExtensionConfig(extensions={"spectral": options}))) for _ in range(9)
    ]
    print(f"SpectralAnalysis is constructed in {times[0]:.1f} ms the first time, then in {spread(times[1:])} ms")


def memory() -> None:
    """Print the peak memory of log-mel spectrograms of two large batches."""
    for shape in ((256, 160_000), (1, 9_600_000)):
        audio = jax.ShapeDtypeStruct(shape, np.float32)
        sizes = jax.jit(lambda a: log_mel_spectrogram(a, CONFIG)).lower(audio).compile().memory_analysis()
        n_bytes = sizes.argument_size_in_bytes + sizes.output_size_in_bytes
        print(
            f"log-mel of {shape}: peak memory is {(n_bytes + sizes.temp_size_in_bytes) / n_bytes:.2f} times input and "
            f"output ({n_bytes / 1e6:.0f} MB)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time spectral features.")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--only", default="", help="run rows whose name contains this")
    parser.add_argument("--slow", action="store_true", help="include librosa's Griffin-Lim")
    options = parser.parse_args()
    print(f"JAX {jax.__version__}, {jax.devices()[0].device_kind}, {options.rounds} rounds; ratios are theirs / ours")
    construction()
    memory()
    for label, shape in SHAPES.items():
        for name, row in rows(shape, options.slow).items():
            if options.only in f"{name} {label}":
                run(f"{name} {label}", row, 5 if "Griffin" in name else options.rounds)


if __name__ == "__main__":
    main()
