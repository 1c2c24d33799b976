"""Time spectral features against torchaudio, librosa, librosax and korvax, those of them that are installed.

Run it as ``python benchmarks/spectral.py``. Each row is one interleaved run: every round calls each tool once, one
after the other, and a ratio is taken within a round; the table gives the median with the lowest and the highest. That
the tools agree is checked first. All work on the same two processors. The floor beside a row is what its bytes cost
to copy, and its operations: those of the transforms, and of the filters that are not zero.
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
    """What is timed: a function by tool, each ready to call, and how far apart the results may be."""

    tools: dict[str, Callable[[], Any]]
    agree: Callable[[np.ndarray, np.ndarray], bool]
    megabytes: float
    megaflops: float


def of_jax(function: Callable[..., Any], *arrays: jax.Array) -> Callable[[], Any]:
    compiled = jax.jit(function)
    return lambda: compiled(*arrays).block_until_ready()


def within(share: float) -> Callable[[np.ndarray, np.ndarray], bool]:
    return lambda ours, theirs: bool(np.abs(ours - theirs).max() <= share * np.abs(theirs).max())


def rows(shape: tuple[int, int], with_slow: bool) -> dict[str, Row]:
    """The rows of one shape of batch."""
    audio = (0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
    here = jnp.asarray(audio)
    length = shape[1]
    spectrum = stft(here, CONFIG)
    magnitude = magnitude_spectrogram(here, CONFIG)
    n_frames = shape[0] * CONFIG.n_frames(length)
    transform = n_frames * (2.5 * 1024 * 10 + 1024) / 1e6
    bands = transform + n_frames * (3 * 513 + 2 * int((mel_weights() > 0).sum())) / 1e6
    n_in, n_spectrum = audio.nbytes / 1e6, 8e-6 * n_frames * 513
    found: dict[str, dict[str, Callable[[], Any]]] = {
        "log-mel": {"artifex": of_jax(lambda a: log_mel_spectrogram(a, CONFIG), here)},
        "MFCC": {"artifex": of_jax(lambda a: mfcc(a, CONFIG, n_mfcc=20), here)},
        "STFT": {"artifex": of_jax(lambda a: stft(a, CONFIG), here)},
        "iSTFT": {"artifex": of_jax(lambda s: istft(s, CONFIG, length=length), spectrum)},
        f"Griffin-Lim({ITERATIONS})": {
            "artifex": of_jax(lambda m: griffin_lim(m, CONFIG, length=length, n_iter=ITERATIONS), magnitude)
        },
    }
    for name, peer in PEERS.items():
        if find_spec(name) is not None:
            for row, call in peer(audio, np.array(spectrum), length, with_slow).items():
                found[row if row in found else f"Griffin-Lim({ITERATIONS})"][name] = call
    sizes = {
        "log-mel": (n_in + 4e-6 * n_frames * 80, bands),
        "MFCC": (n_in + 4e-6 * n_frames * 20, bands + n_frames * 2 * 80 * 20 / 1e6),
        "STFT": (n_in + n_spectrum, transform),
        "iSTFT": (n_in + n_spectrum, transform),
        f"Griffin-Lim({ITERATIONS})": (n_in + n_spectrum / 2, 2 * ITERATIONS * transform),
    }

    def as_close(ours: np.ndarray, theirs: np.ndarray) -> bool:
        """The tools start from other phases and pad otherwise: the spectra have to fit the target as well."""

        def miss(estimate: np.ndarray) -> float:
            again = np.asarray(magnitude_spectrogram(jnp.asarray(estimate), CONFIG))
            return float(np.linalg.norm(again - magnitude) / np.linalg.norm(magnitude))

        return miss(ours) < 1.1 * miss(theirs)

    agree = {"log-mel": within(1e-4), "MFCC": within(1e-4), "STFT": within(1e-4), "iSTFT": within(1e-3)}
    return {name: Row(tools, agree.get(name, as_close), *sizes[name]) for name, tools in found.items()}


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

    def quietly(function: Callable[[], Any]) -> Callable[[], Any]:
        return torch.no_grad()(function)

    return {
        "log-mel": quietly(lambda: levels(mel(clip))),
        "MFCC": quietly(lambda: cepstra(clip)),
        "STFT": quietly(lambda: transform(clip)),
        "iSTFT": quietly(lambda: inverse(spectra, length)),
        "Griffin-Lim": quietly(lambda: invert(magnitude)),
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

    here, spectra = jnp.asarray(audio), jnp.asarray(spectrum)
    return {
        "log-mel": of_jax(levels, here),
        "MFCC": of_jax(lambda a: librosax.feature.mfcc(S=levels(a), n_mfcc=20), here),
        "STFT": of_jax(lambda a: librosax.stft(a, **SIZES), here),
        "iSTFT": of_jax(lambda s: librosax.istft(s, length=length, **SIZES), spectra),
    }


def korvax_calls(audio: np.ndarray, spectrum: np.ndarray, length: int, with_slow: bool) -> dict[str, Any]:
    from korvax import power_to_db, transforms

    def mel(a: jax.Array) -> jax.Array:
        return transforms.mel_spectrogram(a, **MELS)

    here, spectra = jnp.asarray(audio), jnp.asarray(spectrum)
    return {
        "log-mel": of_jax(lambda a: power_to_db(mel(a), top_db=None), here),
        "MFCC": of_jax(lambda a: transforms.cepstral_coefficients(mel(a), n_cc=20), here),
        "STFT": of_jax(lambda a: transforms.stft(a, **SIZES), here),
        "iSTFT": of_jax(lambda s: transforms.istft(s, length=length, **SIZES), spectra),
        "Griffin-Lim": of_jax(
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
            print(f"  {tool}: does not agree")
    kept = dict(row.tools)
    copied = np.empty(int(row.megabytes * 1e6 / 8), np.float32)
    kept["floor"] = copied.copy
    rounds = [{tool: milliseconds(call) for tool, call in kept.items()} for _ in range(n_rounds)]
    here = [one["artifex"] for one in rounds]
    print(
        f"{name:32}{spread(here, 1):>24} ms   floor {statistics.median(one['floor'] for one in rounds):.1f} ms for "
        f"{row.megabytes:.0f} MB, {row.megaflops:.0f} MFLOP"
    )
    for tool in kept:
        if tool not in ("artifex", "floor"):
            print(f"  {tool:30}{spread([one[tool] / one['artifex'] for one in rounds]):>24} x")


def built() -> None:
    options = {"sample_rate": 16_000, "n_mels": 80, **SIZES}
    times = [
        milliseconds(lambda: SpectralAnalysis(ExtensionConfig(extensions={"spectral": options}))) for _ in range(9)
    ]
    print(f"SpectralAnalysis is built in {times[0]:.1f} ms at first, then in {spread(times[1:])} ms")


def memory() -> None:
    for shape in ((256, 160_000), (1, 9_600_000)):
        given = jax.ShapeDtypeStruct(shape, np.float32)
        found = jax.jit(lambda a: log_mel_spectrogram(a, CONFIG)).lower(given).compile().memory_analysis()
        ends = found.argument_size_in_bytes + found.output_size_in_bytes
        print(
            f"log-mel of {shape}: at its peak {(ends + found.temp_size_in_bytes) / ends:.2f} times input and output "
            f"({ends / 1e6:.0f} MB)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time spectral features.")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    parser.add_argument("--slow", action="store_true", help="librosa's Griffin-Lim too")
    options = parser.parse_args()
    print(f"JAX {jax.__version__}, {jax.devices()[0].device_kind}, {options.rounds} rounds; times as slow as ours")
    built()
    memory()
    for label, shape in SHAPES.items():
        for name, row in rows(shape, options.slow).items():
            if options.only in f"{name} {label}":
                run(f"{name} {label}", row, 5 if "Griffin" in name else options.rounds)


if __name__ == "__main__":
    main()
