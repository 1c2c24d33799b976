"""Time augmentation and resampling against audiomentations, torch-audiomentations and torchaudio, if installed.

Run ``python benchmarks/augment.py``. Every round calls each tool twice with new draws, one tool after another, and times the second
call, as in a training loop; ratios are computed within a round, and the table gives the median with the minimum and the maximum. The
batch is (256, 16 000) float32, tones in noise. artifex is called through ``apply_batch``, audiomentations clip by clip and
torch-audiomentations with the batch, as their users call them, with every transform always applied. All run on the same two
processors; ``--devices 2`` makes two devices of them with half of the batch on each, so that loops and FFTs, which XLA:CPU runs on one
thread, run on both. Equal output levels are checked first; ``tests/audio/test_migration.py`` checks that results are equal for equal
parameters. The cost of copying the same bytes is shown beside each row.
"""

import argparse
import atexit
import functools
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from math import log10
from pathlib import Path
from typing import Any, NamedTuple

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])

import jax
import jax.numpy as jnp
import numpy as np
from timing import milliseconds, spread

from artifex.generative_models.modalities.audio import apply_batch, resample_audio

RATE = 16_000
N_FILES = 8
LONG_ENOUGH = 20  # seconds, after which a row stops at three rounds
Call = Callable[[], Any]


class Row(NamedTuple):
    """A row of the table: the step of artifex, the calls of the other tools by name, and the minimum work."""

    step: Any
    peers: dict[str, Call]
    floor: str


@functools.cache
def folder(name: str) -> Path:
    """Write the files that the other tools read: 8 noises of 5 seconds, or 8 decaying responses of 0.25 seconds."""
    import soundfile

    kept = tempfile.TemporaryDirectory()
    atexit.register(kept.cleanup)
    for number, sound in enumerate(bank(name)):
        soundfile.write(Path(kept.name) / f"{number}.wav", sound, RATE, subtype="FLOAT")
    return Path(kept.name)


@functools.cache
def bank(name: str) -> np.ndarray:
    draws = np.random.default_rng(1)
    if name == "noises":
        return (0.1 * draws.standard_normal((N_FILES, 5 * RATE))).astype(np.float32)
    decay = np.exp(-np.arange(RATE // 4) / 400)
    tails = draws.standard_normal((N_FILES, RATE // 4)) * decay
    return (tails / np.linalg.norm(tails, axis=1, keepdims=True)).astype(np.float32)


def clips(batch: int, n_samples: int) -> np.ndarray:
    draws = np.random.default_rng(0)
    cycles = draws.uniform(100, 2_000, (batch, 1)) * np.arange(n_samples) / RATE
    tones = np.sin(2 * np.pi * cycles)
    return (0.3 * tones + 0.05 * draws.standard_normal((batch, n_samples))).astype(np.float32)


def of_audiomentations(transform: Any, audio: np.ndarray) -> Call:
    return lambda: np.stack([transform(clip, RATE) for clip in audio])


def as_torchaudio_read() -> None:
    """Define torchaudio.info and torchaudio.load, which torch-audiomentations calls, where torchaudio has removed them."""
    import soundfile
    import torch
    import torchaudio

    class Info(NamedTuple):
        num_frames: int
        sample_rate: int

    def info(path: str) -> Info:
        found = soundfile.info(path)
        return Info(found.frames, found.samplerate)

    def load(path: str, frame_offset: int = 0, num_frames: int = -1) -> Any:
        found, rate = soundfile.read(path, num_frames, frame_offset, dtype="float32", always_2d=True)
        return torch.from_numpy(found.T), rate

    if not hasattr(torchaudio, "info"):
        torchaudio.info, torchaudio.load = info, load


def of_torch(transform: Any, audio: np.ndarray) -> Call:
    import torch

    given = torch.from_numpy(audio)[:, None]

    def call() -> Any:
        with torch.no_grad():
            return transform(given, RATE)["samples"][:, 0]

    return call


def shard(audio: np.ndarray) -> jax.Array:
    """Shard a batch evenly over the devices."""
    if jax.device_count() == 1:
        return jnp.asarray(audio)
    mesh = jax.make_mesh((jax.device_count(),), ("batch",), axis_types=(jax.sharding.AxisType.Explicit,))
    return jax.device_put(audio, jax.NamedSharding(mesh, jax.P("batch")))


def decibels(gain: float) -> float:
    return 20 * log10(gain)


def rows(audio: np.ndarray) -> dict[str, Callable[[], Row]]:
    """Return functions that make the rows of the table, by name."""
    peers: dict[str, Callable[..., dict[str, Call]]] = {}
    if find_spec("audiomentations") is not None:
        import audiomentations

        def audiomentations_calls(
            make: Callable[[Any], Any], also: Callable[[Any], Any] | None = None
        ) -> dict[str, Call]:
            made = {"audiomentations": of_audiomentations(make(audiomentations), audio)}
            if also is not None:
                made["audiomentations, librosa"] = of_audiomentations(also(audiomentations), audio)
            return made

        peers["audiomentations"] = audiomentations_calls
    if find_spec("torch_audiomentations") is not None:
        import torch
        import torch_audiomentations

        torch.set_num_threads(2)
        as_torchaudio_read()

        def torch_calls(make: Callable[[Any], Any]) -> dict[str, Call]:
            return {"torch-audiomentations": of_torch(make(torch_audiomentations), audio)}

        peers["torch-audiomentations"] = torch_calls

    def row(step: Any, floor: str, one: Any = None, batched: Any = None, also: Any = None) -> Callable[[], Row]:
        def make() -> Row:
            calls: dict[str, Call] = {}
            if one is not None and "audiomentations" in peers:
                calls |= peers["audiomentations"](one, also)
            if batched is not None and "torch-audiomentations" in peers:
                calls |= peers["torch-audiomentations"](batched)
            return Row(step, calls, floor)

        return make

    always: dict[str, Any] = {"p": 1.0}
    together = {"p": 1.0, "sample_rate": RATE, "output_type": "dict"}
    gains_db = decibels(0.8), decibels(1.2)

    def guide(stretched: bool) -> list[Any]:
        steps: list[Any] = [
            ("time_shift", {"max_shift": 800}),
            ("add_gaussian_noise", {"noise_level": 0.005}),
            "normalize",
            ("random_gain", {"gain_range": (0.8, 1.2)}),
        ]
        return [*steps[:2], ("time_stretch", {"rate_range": (0.95, 1.05)}), *steps[2:]] if stretched else steps

    def theirs(tool: Any, stretched: bool = False, **method: str) -> Any:
        steps = [
            tool.Shift(-800, 800, shift_unit="samples", fade_duration=0.0, **always),
            tool.AddGaussianNoise(0.005, 0.005, **always),
            tool.Normalize(**always),
            tool.Gain(*gains_db, **always),
        ]
        return tool.Compose(
            [*steps[:2], tool.TimeStretch(0.95, 1.05, **always, **method), *steps[2:]] if stretched else steps
        )

    def theirs_batched(tool: Any) -> Any:
        return tool.Compose(
            [
                tool.Shift(-800, 800, shift_unit="samples", **together),
                tool.AddColoredNoise(35.0, 40.0, min_f_decay=0.0, max_f_decay=0.0, **together),
                tool.PeakNormalization(**together),
                tool.Gain(*gains_db, **together),
            ],
            output_type="dict",
        )

    librosa = {"method": "librosa_phase_vocoder"}
    vocoder = "81 FFTs of 1024 samples and 67 inverse FFTs per clip"
    return {
        "the guide's pipeline without the stretch": row(
            guide(False), "one normal draw per sample, two passes", theirs, theirs_batched
        ),
        "the guide's pipeline": row(
            guide(True),
            vocoder,
            functools.partial(theirs, stretched=True),
            None,
            lambda tool: theirs(tool, True, **librosa),
        ),
        "gain": row(
            ("random_gain", {"gain_range": (0.5, 2.0)}),
            "one pass",
            lambda tool: tool.Gain(-6.0, 6.0, **always),
            lambda tool: tool.Gain(-6.0, 6.0, **together),
        ),
        "polarity": row(
            "invert_polarity",
            "one pass",
            lambda tool: tool.PolarityInversion(**always),
            lambda tool: tool.PolarityInversion(**together),
        ),
        "peak normalization": row(
            "normalize",
            "two passes",
            lambda tool: tool.Normalize(**always),
            lambda tool: tool.PeakNormalization(**together),
        ),
        "Gaussian noise": row(
            ("add_gaussian_noise", {"noise_level": 0.01}),
            "one normal draw per sample",
            lambda tool: tool.AddGaussianNoise(0.01, 0.01, **always),
        ),
        "Gaussian noise by SNR": row(
            "add_gaussian_snr",
            "one normal draw per sample, two passes",
            lambda tool: tool.AddGaussianSNR(**always),
            lambda tool: tool.AddColoredNoise(5.0, 40.0, min_f_decay=0.0, max_f_decay=0.0, **together),
        ),
        "colored noise": row(
            "add_colored_noise",
            "one normal draw per sample, an FFT of the clip and its inverse",
            lambda tool: tool.AddColorNoise(**always),
            lambda tool: tool.AddColoredNoise(5.0, 40.0, **together),
        ),
        "background noise": row(
            ("add_background_noise", {"bank": jnp.asarray(bank("noises"))}),
            "two passes over clip and noise",
            lambda tool: tool.AddBackgroundNoise(str(folder("noises")), **always),
            lambda tool: tool.AddBackgroundNoise(str(folder("noises")), **together),
        ),
        "impulse response": row(
            ("impulse_response", {"bank": jnp.asarray(bank("responses"))}),
            "an FFT of 20 000 samples and its inverse",
            lambda tool: tool.ApplyImpulseResponse(str(folder("responses")), **always),
            lambda tool: tool.ApplyImpulseResponse(str(folder("responses")), **together),
        ),
        "low pass": row(
            "low_pass",
            "one recursion of second order",
            lambda tool: tool.LowPassFilter(max_rolloff=12, **always),
            lambda tool: tool.LowPassFilter(**together),
        ),
        "high pass": row(
            "high_pass",
            "one recursion of second order",
            lambda tool: tool.HighPassFilter(max_rolloff=12, **always),
            lambda tool: tool.HighPassFilter(**together),
        ),
        "band pass": row(
            "band_pass",
            "two recursions of second order",
            lambda tool: tool.BandPassFilter(max_rolloff=12, **always),
            lambda tool: tool.BandPassFilter(**together),
        ),
        "peaking filter": row("peaking", "one recursion of second order", lambda tool: tool.PeakingFilter(**always)),
        "shift": row(
            ("time_shift", {"max_shift": 8_000}),
            "one pass",
            lambda tool: tool.Shift(-8_000, 8_000, shift_unit="samples", fade_duration=0.0, **always),
            lambda tool: tool.Shift(-8_000, 8_000, shift_unit="samples", **together),
        ),
        "time mask": row("silence_span", "one pass", lambda tool: tool.TimeMask(**always)),
        "clipping": row("clip_distortion", "a percentile of the clip", lambda tool: tool.ClippingDistortion(**always)),
        "tanh distortion": row(
            "tanh_distortion",
            "a percentile of the clip, one tanh per sample",
            lambda tool: tool.TanhDistortion(**always),
        ),
        "time stretch": row(
            ("time_stretch", {"rate_range": (0.8, 1.25)}),
            vocoder,
            lambda tool: tool.TimeStretch(**always),
            None,
            lambda tool: tool.TimeStretch(**always, **librosa),
        ),
        "pitch shift": row(
            ("pitch_shift", {"semitones_range": (-4, 4)}),
            vocoder + ", and an interpolation",
            lambda tool: tool.PitchShift(**always),
            lambda tool: tool.PitchShift(**together),
            lambda tool: tool.PitchShift(**always, **librosa),
        ),
    }


def resampling(audio: np.ndarray, quality: Any, **parameters: Any) -> tuple[Call, dict[str, Call]]:
    """Return calls that resample from 44.1 to 16 kHz with one filter: of artifex by name, of torchaudio by parameters."""
    here = shard(audio)
    calls: dict[str, Call] = {}
    if find_spec("torchaudio") is not None:
        import torch
        import torchaudio

        torch.set_num_threads(2)
        there = torch.from_numpy(audio)
        calls["torchaudio"] = lambda: torchaudio.functional.resample(there, 44_100, RATE, **parameters)
    return lambda: resample_audio(here, 44_100, RATE, quality=quality).block_until_ready(), calls


def masks(batch: int) -> tuple[Call, dict[str, Call]]:
    """Return calls that draw two masks along each axis of spectrograms (80, 100)."""
    spectra = np.random.default_rng(0).standard_normal((batch, 80, 100)).astype(np.float32)
    here, keys = shard(spectra), iter(jax.random.split(jax.random.key(0), 1_000))
    calls: dict[str, Call] = {}
    if find_spec("torchaudio") is not None:
        import torch
        from torchaudio.transforms import SpecAugment

        torch.set_num_threads(2)
        there, transform = (
            torch.from_numpy(spectra)[:, None],
            SpecAugment(2, 10, 2, 10, iid_masks=True, zero_masking=True),
        )
        calls["torchaudio"] = lambda: transform(there)[:, 0]
    step = ("spec_augment", {"freq_masks": 2, "time_masks": 2, "freq_mask_param": 10, "time_mask_param": 10})
    return lambda: apply_batch(step, here, next(keys), sample_rate=RATE).block_until_ready(), calls


def level(result: Any) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(result, np.float64)))))


def run(name: str, ours: Call, peers: dict[str, Call], n_bytes: int, floor: str, n_rounds: int) -> None:
    expected = np.asarray(ours())
    for tool, call in peers.items():
        found = np.asarray(call())
        if found.shape != expected.shape or not 0.7 < level(found) / level(expected) < 1.4:
            print(
                f"  {tool} differs: {found.shape} at {level(found):.3f}, ours {expected.shape} at {level(expected):.3f}"
            )
    source = np.ones(n_bytes // 8, np.float32)
    target = np.ones_like(source)
    tools = {"artifex": ours, "floor": lambda: np.copyto(target, source), **peers}
    rounds: list[dict[str, float]] = []
    begin = time.perf_counter()
    while len(rounds) < n_rounds and (len(rounds) < 3 or time.perf_counter() < begin + LONG_ENOUGH):
        rounds.append({tool: (call(), milliseconds(call))[1] for tool, call in tools.items()})
    print(
        f"{name:42}{spread([one['artifex'] for one in rounds], 1):>22} ms   copying "
        f"{statistics.median(one['floor'] for one in rounds):.1f} ms; {floor}"
    )
    for tool in peers:
        print(f"  {tool:40}{spread([one[tool] / one['artifex'] for one in rounds]):>22} x")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time augmentation and resampling.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    parser.add_argument("--devices", type=int, default=1, help="number of CPU devices")
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", options.devices)
    warnings.simplefilter("ignore")  # of the other tools, about their construction
    print(
        f"JAX {jax.__version__}, {options.devices} x {jax.devices()[0].device_kind}, {options.batch} clips, {options.rounds} rounds, load "
        f"{os.getloadavg()[0]:.1f}; ratios: time of the other tool divided by that of artifex"
    )
    audio = clips(options.batch, RATE)
    here = shard(audio)
    for name, make in rows(audio).items():
        if options.only in name:
            keys = iter(jax.random.split(jax.random.key(0), 2 * options.rounds + 1))
            made = make()
            call = functools.partial(
                lambda step, keys: apply_batch(step, here, next(keys), sample_rate=RATE).block_until_ready(),
                made.step,
                keys,
            )
            run(name, call, made.peers, 2 * audio.nbytes, made.floor, options.rounds)
    longer = clips(options.batch, 44_100)
    n_bytes = longer.nbytes + audio.nbytes
    kaiser = {
        "lowpass_filter_width": 64,
        "rolloff": 0.9475937167399596,
        "resampling_method": "sinc_interp_kaiser",
        "beta": 14.769656459379492,
    }
    for quality, taps, parameters in (("hann", 34, {}), ("kaiser_best", 373, kaiser)):
        name = f"44.1 to 16 kHz, {quality}"
        if options.only in name:
            run(name, *resampling(longer, quality, **parameters), n_bytes, f"{taps} taps per sample", options.rounds)
    if options.only in "masks of (80, 100)":
        run("masks of (80, 100)", *masks(options.batch), 2 * 4 * options.batch * 8_000, "one pass", options.rounds)


if __name__ == "__main__":
    main()
