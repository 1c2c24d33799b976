"""Recordings in files as a dataset. Imports no jax, so that loader workers can read with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from artifex.generative_models.core.checks import check_choice, check_flag, check_integer
from artifex.generative_models.modalities.audio.base import AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.io import AudioInfo, decode, find_audio
from artifex.generative_models.modalities.base import BaseDataset, position

if TYPE_CHECKING:
    import jax
    from flax import nnx

CROPS = ("center", "start", "random")


class AudioFileDataset(BaseDataset):
    """Recordings in files, each cropped or zero-padded to the configuration's length.

    Reading, mixing, resampling (soxr HQ), cropping and padding happen on the host, in NumPy, and no more of a
    file is decoded than its crop. With ``__len__`` and ``__getitem__`` it is a Grain source as it stands.

    Args:
        config: What the examples are like; None means the defaults. A representation other than the waveform
            adds the features, which takes jax.
        paths: A file, a folder, which is searched with everything beneath it, or a list of them.
        mono: Whether the channels are averaged to one.
        crop: Which part of a recording that is longer: its middle (``"center"``), its beginning
            (``"start"``), or one drawn from ``seed`` and the index alone (``"random"``).
        split: Which part of the data the files are.
        seed: At least 0; another number draws other crops.
        rngs: Where ``get_batch`` draws indices from; None draws the same sequence of batches every time.
        name: What the dataset is called.

    Raises:
        FileNotFoundError: For a path that is not there.
        ValueError: For a folder without audio, no path at all, or an option out of range.

    Example:
        >>> import tempfile
        >>> from artifex.generative_models.modalities.audio.io import write_audio
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_audio(folder / "a.wav", np.full(4000, 0.25), 8000)
        >>> data = AudioFileDataset(AudioModalityConfig(duration=1.0), paths=folder)
        >>> sample = data[0]
        >>> sample["audio"].shape, sample["length"], sample["sample_rate"], Path(sample["path"]).name
        ((16000,), 8000, 16000, 'a.wav')
    """

    config: AudioModalityConfig

    def __init__(
        self,
        config: AudioModalityConfig | None = None,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
        *,
        mono: bool = True,
        crop: str = "center",
        split: str = "train",
        seed: int = 0,
        rngs: nnx.Rngs | None = None,
        name: str = "AudioFileDataset",
    ) -> None:
        if config is not None and not isinstance(config, AudioModalityConfig):
            raise TypeError(f"AudioFileDataset takes config=AudioModalityConfig(…), got {type(config).__name__}")
        super().__init__(config if config is not None else AudioModalityConfig(), split, rngs=rngs)
        check_flag("mono", mono)
        check_choice("crop", crop, choices=CROPS)
        check_integer("seed", seed, minimum=0)
        self.paths: tuple[Path, ...] = tuple(find_audio(paths))
        self.mono = mono
        self.crop = crop
        self.seed = int(seed)
        self.name = name

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one recording.

        Args:
            index: The place of the file in ``paths``; a negative one counts from the end.

        Returns:
            ``audio``, float32 (n_time_steps,), or (channels, n_time_steps) with ``mono=False``; ``length``,
            the samples before the padding; ``path``; ``sample_rate`` and ``duration`` of the configuration;
            and the features under the representation's name where it is not the waveform.

        Raises:
            IndexError: When there is no such file.
            AudioReadError: When it cannot be read; the message names the file and the reason.
        """
        sample = self._read(position(index, len(self), self.name))
        return {**sample, **self._features(sample["audio"])}

    def get_batch(self, batch_size: int) -> dict[str, Any]:
        """Return a batch of recordings drawn with replacement, their features computed together.

        Args:
            batch_size: How many, at least 1.

        Returns:
            ``audio`` (batch_size, …), the lists ``length``, ``path``, ``sample_rate`` and ``duration``, and
            ``index`` (batch_size,), the places they were drawn from.
        """
        indices = self.draw_indices(batch_size)
        batch = self.collate_fn([self._read(int(i)) for i in indices])
        return {**batch, **self._features(batch["audio"]), "index": indices}

    def _read(self, place: int) -> dict[str, Any]:
        config = self.config
        n_time_steps = config.n_time_steps

        def span(info: AudioInfo) -> tuple[int, int]:
            wanted = -(-n_time_steps * info.sample_rate // config.sample_rate)
            spare = max(0, info.n_frames - wanted)
            return self._start(place, spare), min(wanted, info.n_frames)

        audio, _ = decode(self.paths[place], span, sample_rate=config.sample_rate, mono=self.mono)
        audio = audio[..., :n_time_steps]
        length = audio.shape[-1]
        if config.normalize:
            audio = peak_normalized(audio)
        return {
            "audio": padded(audio, n_time_steps),
            "length": length,
            "path": str(self.paths[place]),
            "sample_rate": config.sample_rate,
            "duration": config.duration,
        }

    def _start(self, place: int, spare: int) -> int:
        if self.crop == "random":
            return int(np.random.default_rng((self.seed, place)).integers(0, spare, endpoint=True))
        return spare // 2 if self.crop == "center" else 0

    def _features(self, audio: np.ndarray) -> dict[str, np.ndarray]:
        if self.config.representation is AudioRepresentation.RAW_WAVEFORM:
            return {}
        return {self.config.representation_name: np.asarray(encoder(self.config)(audio))}


def padded(audio: np.ndarray, length: int) -> np.ndarray:
    """Return audio with zeros after it.

    Args:
        audio: Samples (..., time).
        length: What the last axis is brought to, at least its own length.

    Returns:
        (..., length), of the same dtype.

    Example:
        >>> padded(np.ones(2, np.float32), 4)
        array([1., 1., 0., 0.], dtype=float32)
    """
    return np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(0, length - audio.shape[-1])])


def peak_normalized(audio: np.ndarray) -> np.ndarray:
    """Return a clip with its peak brought to 1; silence stays silence.

    Args:
        audio: One clip, float32 (time,) or (channels, time), finite.

    Returns:
        The same shape and dtype.

    Example:
        >>> peak_normalized(np.array([0.0, -0.25], np.float32))
        array([ 0., -1.], dtype=float32)
    """
    peak = np.abs(audio).max(initial=0.0)
    return audio / peak if peak > 0 else audio


@lru_cache(maxsize=64)
def encoder(config: AudioModalityConfig) -> Callable[[Any], jax.Array]:
    """Return the compiled ``encode`` of a configuration, one function for equal configurations.

    Args:
        config: What the audio is like.

    Returns:
        A function from waveforms (..., n_time_steps) to features.

    Example:
        >>> encoder(AudioModalityConfig()) is encoder(AudioModalityConfig())
        True
    """
    import jax

    from artifex.generative_models.modalities.audio.base import AudioModality

    return jax.jit(AudioModality(config).encode)
