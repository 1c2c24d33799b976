"""Recordings in files as a dataset. Imports no jax, so that loader workers can read with it."""

from __future__ import annotations

import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from artifex.generative_models.core.checks import check_choice, check_flag, check_integer, check_number
from artifex.generative_models.modalities.audio.base import AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.datasets.manifest import (
    Recording,
    folder_label,
    label_names,
    read_manifest,
)
from artifex.generative_models.modalities.audio.io import (
    AudioInfo,
    AudioReadError,
    AudioSource,
    blocks,
    decode,
    find_audio_in,
    probe,
)
from artifex.generative_models.modalities.base import BaseDataset, checksum, position

if TYPE_CHECKING:
    import jax
    from flax import nnx

CROPS = ("center", "start", "random", "sliding", "loudest", "whole")
ON_ERROR = ("raise", "skip", "warn")
_THREADS = 2
_STEPS = 16
_ROUNDING = 1e-3


@attrs.frozen(eq=False)
class Source:
    """Where one recording of a dataset comes from.

    Args:
        audio: A file, its bytes or its samples; or why there is none.
        name: What it is called in examples and messages: the path of a file.
        label: The number of its class, or None.
        start: Where the part that counts begins, seconds.
        end: Where it ends, seconds; None means the end.
        sample_rate: Its rate in Hz where that is known before it is read.
        n_channels: Its channels, likewise.
        n_frames: Samples in each channel of all of it, likewise.
    """

    audio: AudioSource | AudioReadError
    name: str
    label: int | None = None
    start: float = 0.0
    end: float | None = None
    sample_rate: int | None = None
    n_channels: int | None = None
    n_frames: int | None = None


@attrs.frozen(eq=False)
class _Headers:
    """What the headers say, an array entry for each recording, zero where they cannot be read."""

    sample_rate: np.ndarray
    n_frames: np.ndarray
    n_samples: np.ndarray


def _draws(seed: int, epoch: int, index: int) -> np.random.Generator:
    # The first of the spawn key tells these draws from those of a loader's transforms and orders.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, epoch, index)))


class RecordingDataset(BaseDataset):
    """What datasets of recordings share: which part is read, how, and what happens when it cannot be.

    A subclass gives ``n_recordings`` and ``source``. The options are those of ``AudioFileDataset``.
    """

    config: AudioModalityConfig
    labels: tuple[str, ...] = ()

    def __init__(
        self,
        config: AudioModalityConfig | None,
        *,
        mono: bool,
        crop: str,
        hop: float | None,
        on_error: str,
        split: str,
        seed: int,
        rngs: nnx.Rngs | None,
        name: str,
    ) -> None:
        if config is not None and not isinstance(config, AudioModalityConfig):
            raise TypeError(f"{type(self).__name__} takes config=AudioModalityConfig(…), got {type(config).__name__}")
        super().__init__(config if config is not None else AudioModalityConfig(), split, rngs=rngs)
        check_flag("mono", mono)
        check_choice("crop", crop, choices=CROPS)
        check_choice("on_error", on_error, choices=ON_ERROR)
        check_integer("seed", seed, minimum=0)
        if hop is not None:
            if crop != "sliding":
                raise ValueError(f'hop is the step of crop="sliding", and crop is {crop!r}; leave hop out')
            check_number("hop", hop, minimum=1 / self.config.sample_rate, unit="seconds")
        if crop == "whole" and self.config.representation is not AudioRepresentation.RAW_WAVEFORM:
            raise ValueError(
                f'crop="whole" gives recordings of any length, but {self.config.representation_name} is computed for '
                f"one; take representation='raw_waveform' and encode the padded batches"
            )
        self.mono = mono
        self.crop = crop
        self.on_error = on_error
        self.seed = int(seed)
        self.name = name
        self.problems: dict[str, str] = {}
        self._hop = self.config.n_time_steps if hop is None else max(1, round(hop * self.config.sample_rate))
        self._headers: _Headers | None = None
        self._ends: np.ndarray | None = None
        self._n_channels: int | None = None
        self._loudest: dict[int, int] = {}

    @abstractmethod
    def n_recordings(self) -> int:
        """Return how many recordings there are, each of which is an example unless windows slide over it."""

    @abstractmethod
    def source(self, recording: int) -> Source:
        """Return where a recording comes from.

        Args:
            recording: Its place, from 0.
        """

    def __len__(self) -> int:
        return int(self._windows()[-1]) if self.crop == "sliding" else self.n_recordings()

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one example: what ``example`` gives in epoch 0.

        Args:
            index: Its place; a negative one counts from the end.

        Returns:
            The example.

        Raises:
            IndexError: When there is no such example.
            AudioReadError: With ``on_error="raise"``, when it cannot be read; the message names the file and the
                reason.
        """
        return self.example(index)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield every example once, in order, those that cannot be read left out unless they are errors."""
        for index in range(len(self)):
            sample = self[index]
            if sample["valid"]:
                yield sample

    def example(self, index: int, *, epoch: int = 0) -> dict[str, Any]:
        """Return one example as training sees it in an epoch.

        Args:
            index: Its place; a negative one counts from the end.
            epoch: How many times training has gone through the data before, from 0.

        Returns:
            ``audio``, float32 (n_time_steps,), or (channels, n_time_steps) with ``mono=False``; ``length``, the
            samples before the padding; ``valid``, False when silence stands in for what cannot be read; ``path``;
            ``start``, seconds from the start of the recording; ``sample_rate`` and ``duration`` of the example;
            ``label`` where there are labels; and the features under the representation's name where it is not the
            waveform.

        Raises:
            IndexError: When there is no such example.
            AudioReadError: With ``on_error="raise"``, when it cannot be read.
        """
        sample = self._read(position(index, len(self), self.name), epoch)
        return {**sample, **self._features(sample["audio"])}

    def fingerprint(self) -> str:
        """Return a few digits that are the same where the examples are; see ``BaseDataset.fingerprint``.

        Of the recordings it is their files' places below the folder that they share, their labels and their segments
        that count: the folder may move.
        """
        sources = [self.source(recording) for recording in range(self.n_recordings())]
        names = [each.name for each in sources]
        folders = {os.path.dirname(name) for name in names}
        # commonpath wants paths of one kind.
        root = os.path.commonpath(folders) if len({os.path.isabs(folder) for folder in folders}) == 1 else ""
        parts = [
            (name[len(root) :], each.label, each.start, each.end) for name, each in zip(names, sources, strict=True)
        ]
        return checksum(self.split, self.seed, self.config, self.mono, self.crop, self._hop, self.labels, parts)

    def info(self, recording: int) -> AudioInfo:
        """Read the header of a recording.

        Args:
            recording: Index of the recording, from 0.

        Returns:
            Its own sample rate, number of channels and length, whatever the configuration.

        Raises:
            AudioReadError: If it cannot be read.
        """
        source = self.source(recording)
        if isinstance(source.audio, AudioReadError):
            raise source.audio
        return probe(source.audio, name=source.name)

    def lengths(self) -> np.ndarray:
        """Return the length of every example along time.

        Returns:
            Samples at the configuration's rate, shape (n,), int64: ``n_time_steps``, to which examples are padded;
            with ``crop="whole"`` each recording's own, from the manifest or else from the headers, which are read once
            (1 for what cannot be read).

        Raises:
            AudioReadError: With ``crop="whole"`` and ``on_error="raise"``, when a header cannot be read.
        """
        if self.crop == "whole":
            return np.asarray(np.maximum(1, self._known().n_samples))
        return np.full(len(self), self.config.n_time_steps, np.int64)

    def get_batch(self, batch_size: int) -> dict[str, Any]:
        """Return a batch of examples drawn with replacement, their features computed together.

        Args:
            batch_size: How many, at least 1.

        Returns:
            ``audio`` (batch_size, …), what else an example holds as lists, and ``index`` (batch_size,), the places
            they were drawn from.
        """
        indices = self.draw_indices(batch_size)
        batch = self.collate_fn([self._read(int(i), 0) for i in indices])
        return {**batch, **self._features(batch["audio"]), "index": indices}

    def _read(self, index: int, epoch: int) -> dict[str, Any]:
        config = self.config
        recording, window = self._place(index)
        source = self.source(recording)
        valid = True
        try:
            audio, start = self._excerpt(source, recording, window, (epoch, index))
            length = audio.shape[-1]
        except AudioReadError as error:
            self._note(source.name, error)
            n_time_steps = 1 if self.crop == "whole" else config.n_time_steps
            shape = (n_time_steps,) if self.mono else (self._channels() or 1, n_time_steps)
            audio, start, length, valid = np.zeros(shape, np.float32), 0.0, 0, False
        if config.normalize:
            audio = peak_normalized(audio)
        if self.crop != "whole":
            audio = padded(audio, config.n_time_steps)
        sample = {
            "audio": audio,
            "length": length,
            "valid": valid,
            "path": source.name,
            "start": start,
            "sample_rate": config.sample_rate,
            "duration": length / config.sample_rate if self.crop == "whole" else config.duration,
        }
        if source.label is not None:
            sample["label"] = source.label
        return sample

    def _excerpt(self, source: Source, recording: int, window: int, draw: tuple[int, int]) -> tuple[np.ndarray, float]:
        if isinstance(source.audio, AudioReadError):
            raise source.audio
        config = self.config
        audio = source.audio
        n_time_steps = config.n_time_steps
        begin = 0.0

        def span(info: AudioInfo) -> tuple[int, int]:
            nonlocal begin
            self._check(source, recording, info)
            first, count = _part(source, info.sample_rate, info.n_frames)
            wanted = -(-n_time_steps * info.sample_rate // config.sample_rate)
            spare = max(0, count - wanted)
            if self.crop == "whole":
                wanted = count
            elif self.crop == "center":
                first += spare // 2
            elif self.crop == "random":
                first += int(_draws(self.seed, *draw).integers(0, spare, endpoint=True))
            elif self.crop == "sliding":
                offset = window * self._hop * info.sample_rate // config.sample_rate
                first, count = first + offset, count - offset
            elif self.crop == "loudest" and spare:
                if recording not in self._loudest:
                    self._loudest[recording] = _loudest(audio, source.name, first, count, wanted, mono=self.mono)
                first += self._loudest[recording]
            begin = first / info.sample_rate
            return first, min(wanted, count)

        samples, _ = decode(audio, span, sample_rate=config.sample_rate, mono=self.mono, name=source.name)
        return (samples if self.crop == "whole" else samples[..., :n_time_steps]), begin

    def _check(self, source: Source, recording: int, info: AudioInfo) -> None:
        rate, n_frames = source.sample_rate, source.n_frames
        if self._headers is not None:
            rate, n_frames = int(self._headers.sample_rate[recording]), int(self._headers.n_frames[recording])
        if rate and n_frames and (rate, n_frames) != (info.sample_rate, info.n_frames):
            raise AudioReadError(
                source.name,
                f"has changed: {n_frames} samples at {rate} Hz were known of it, its header says {info.n_frames} at "
                f"{info.sample_rate} Hz; make the manifest or the dataset anew",
            )
        if not self.mono and info.n_channels != (expected := self._channels()):
            raise AudioReadError(
                source.name,
                f"has {info.n_channels} channel{'s' * (info.n_channels != 1)}, the first recording has {expected}: with "
                f"mono=False all have as many; take mono=True, or one dataset for each number of channels",
            )

    def _note(self, name: str, error: AudioReadError) -> None:
        if self.on_error == "raise" or error.transient:
            raise error
        if name in self.problems:
            return
        self.problems[name] = error.reason
        if self.on_error == "warn":
            warnings.warn(f"{error}; silence with valid=False stands in for it", UserWarning, stacklevel=5)

    def _channels(self) -> int:
        """Return the channels of the first recording that can be read, which all have to have; 0 where none can."""
        if self._n_channels is None:
            found = (self._facts(recording) for recording in range(self.n_recordings()))
            self._n_channels = next((facts[0] for facts in found if not isinstance(facts, AudioReadError)), 0)
        return self._n_channels

    def _facts(self, recording: int) -> tuple[int, int, int, int] | AudioReadError:
        """Return the channels, the rate, the samples of the file and those of the part that counts."""
        source = self.source(recording)
        if isinstance(source.audio, AudioReadError):
            return source.audio
        n_channels, rate, n_frames = source.n_channels, source.sample_rate, source.n_frames
        try:
            if not (n_channels and rate and n_frames):
                info = probe(source.audio, name=source.name)
                n_channels, rate, n_frames = info.n_channels, info.sample_rate, info.n_frames
            return n_channels, rate, n_frames, _part(source, rate, n_frames)[1]
        except AudioReadError as error:
            if error.transient:
                raise
            return error

    def _known(self) -> _Headers:
        """Return what headers say, read once, where no manifest says it."""
        if self._headers is None:
            n_recordings = self.n_recordings()
            rates, frames, samples = (np.zeros(n_recordings, np.int64) for _ in range(3))
            with ThreadPoolExecutor(_THREADS) as pool:
                for recording, facts in enumerate(pool.map(self._facts, range(n_recordings))):
                    if isinstance(facts, AudioReadError):
                        self._note(facts.path, facts)
                        continue
                    _, rate, n_frames, count = facts
                    rates[recording], frames[recording] = rate, n_frames
                    samples[recording] = -(-count * self.config.sample_rate // rate)
            self._headers = _Headers(rates, frames, samples)
        return self._headers

    def _windows(self) -> np.ndarray:
        """Return after how many windows each recording ends: steps of ``hop`` until the recording is covered."""
        if self._ends is None:
            n_samples = self._known().n_samples
            beyond = np.maximum(0, n_samples - self.config.n_time_steps)
            counts = np.minimum(-(-n_samples // self._hop), 1 + -(-beyond // self._hop))
            self._ends = np.cumsum(counts)
        return self._ends

    def _place(self, index: int) -> tuple[int, int]:
        if self.crop != "sliding":
            return index, 0
        ends = self._windows()
        recording = int(np.searchsorted(ends, index, side="right"))
        return recording, index - (int(ends[recording - 1]) if recording else 0)

    def _features(self, audio: np.ndarray) -> dict[str, np.ndarray]:
        if self.config.representation is AudioRepresentation.RAW_WAVEFORM:
            return {}
        return {self.config.representation_name: np.asarray(encoder(self.config)(audio))}


class AudioFileDataset(RecordingDataset):
    """Recordings in files, each cropped or zero-padded to the configuration's length.

    Reading, mixing, resampling (soxr HQ), cropping and padding happen on the host, in NumPy, and no more of a
    file is decoded than its crop. With ``__len__`` and ``__getitem__`` it is a Grain source as it stands.

    Args:
        config: What the examples are like; None means the defaults. A representation other than the waveform
            adds the features, which takes jax.
        paths: A file, a folder, which is searched with everything beneath it, a pattern such as
            ``"takes/**/*.wav"``, or a list of them.
        manifest: In place of ``paths`` a table that names them, as ``read_manifest`` takes it, such as ``artifex
            scan`` writes: with labels, parts of files, and splits, of which ``split`` is taken.
        mono: Whether the channels are averaged to one. Otherwise all recordings must have as many as the first one;
            nothing is mixed or copied to make them fit.
        crop: Which part of a recording that is longer: its middle (``"center"``), its beginning
            (``"start"``), one drawn from ``seed``, the epoch and the index alone (``"random"``), the one of the most
            energy (``"loudest"``: the whole recording is decoded once, in blocks, to find it to a sixteenth of the
            duration, and the place is remembered), or every window of it, each an example (``"sliding"``; the last
            ones are padded). ``"whole"`` takes all of it, neither cropped nor padded.
        hop: Seconds from one sliding window to the next; None means the configuration's duration.
        labels: ``"folder"`` labels a recording by the folder right beneath the one that was given, or else by the one
            it lies in; a function does it by the path; None leaves labels out. With a manifest ``"folder"`` means its
            column. ``dataset.labels`` holds the names that the numbers stand for, in order, the same in every split.
        on_error: What happens when a recording cannot be read: ``"raise"`` names file and reason; with ``"skip"``
            silence with ``valid=False`` stands in for it, iteration leaves it out, and ``dataset.problems`` tells the
            reason by path, of what this process has met; ``"warn"`` also warns, once a file. A reason that may pass
            is raised all the same, such as too many open files (``AudioReadError.transient``).
        split: Which part of the data: where a manifest has splits, the one that is taken.
        seed: At least 0; another number draws other crops.
        rngs: Where ``get_batch`` draws indices from; None draws the same sequence of batches every time.
        name: What the dataset is called.

    Raises:
        FileNotFoundError: For a path that is not there.
        ValueError: For a folder without audio, no path at all, a manifest that cannot be true, or an option out of
            range.
        TypeError: For paths and a manifest at once, or an option of the wrong type.

    Example:
        >>> import tempfile
        >>> from artifex.generative_models.modalities.audio.io import write_audio
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     folder.joinpath(name).mkdir()
        ...     write_audio(folder / name / "a.wav", np.full(4000, 0.25), 8000)
        >>> data = AudioFileDataset(AudioModalityConfig(duration=1.0), paths=folder)
        >>> sample = data[1]
        >>> sample["audio"].shape, sample["length"], sample["sample_rate"], data.labels[sample["label"]]
        ((16000,), 8000, 16000, 'dog')
    """

    def __init__(
        self,
        config: AudioModalityConfig | None = None,
        paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
        *,
        manifest: str | os.PathLike[str] | None = None,
        mono: bool = True,
        crop: str = "center",
        hop: float | None = None,
        labels: str | Callable[[Path], str] | None = "folder",
        on_error: str = "raise",
        split: str = "train",
        seed: int = 0,
        rngs: nnx.Rngs | None = None,
        name: str = "AudioFileDataset",
    ) -> None:
        super().__init__(
            config, mono=mono, crop=crop, hop=hop, on_error=on_error, split=split, seed=seed, rngs=rngs, name=name
        )
        if labels is not None and not callable(labels):
            check_choice("labels", labels, choices=("folder", None))
        if manifest is None:
            recordings = [
                Recording(path=str(file), label=folder_label(file, root)) for file, root in find_audio_in(paths)
            ]
        elif isinstance(paths, tuple) and not paths:
            recordings = read_manifest(manifest, check_paths=on_error == "raise")
        else:
            raise TypeError("give paths or a manifest, not both")
        if callable(labels):
            recordings = [attrs.evolve(each, label=_labeled(labels, Path(each.path))) for each in recordings]
        # From all splits, so that a number means the same in each.
        if labels is not None:
            self.labels = label_names(each.label for each in recordings if each.label is not None)
        number: dict[str | None, int] = {label: place for place, label in enumerate(self.labels)}
        self._recordings = [each for each in recordings if each.split in (None, split)]
        if not self._recordings:
            known = ", ".join(sorted({repr(each.split) for each in recordings}))
            raise ValueError(f"{manifest}: no recording has the split {split!r}; those it names are {known}")
        self._labels = [number.get(each.label) for each in self._recordings]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file of each recording."""
        return tuple(Path(each.path) for each in self._recordings)

    def n_recordings(self) -> int:
        """Return how many recordings there are."""
        return len(self._recordings)

    def source(self, recording: int) -> Source:
        """Return where a recording comes from.

        Args:
            recording: Its place in ``paths``.
        """
        known = self._recordings[recording]
        return Source(
            known.path,
            known.path,
            self._labels[recording],
            known.start,
            known.end,
            known.sample_rate,
            known.n_channels,
            known.n_frames,
        )


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
    if audio.shape[-1] == length:
        return audio
    longer = np.zeros((*audio.shape[:-1], length), audio.dtype)
    longer[..., : audio.shape[-1]] = audio
    return longer


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


def _part(source: Source, sample_rate: int, n_frames: int) -> tuple[int, int]:
    """Return the first sample and the number of samples of the part that counts, at the file's rate."""
    if not source.start and source.end is None:
        return 0, n_frames
    first = round(source.start * sample_rate)
    last = n_frames if source.end is None else round(source.end * sample_rate)
    # Tables round seconds: a millisecond too many is not a lie.
    if last > n_frames + _ROUNDING * sample_rate or first >= min(last, n_frames):
        end = "its end" if source.end is None else f"{source.end:g} s"
        raise AudioReadError(
            source.name, f"has no part from {source.start:g} s to {end}: it is {n_frames / sample_rate:g} s long"
        )
    return first, min(last, n_frames) - first


def _loudest(audio: AudioSource, name: str, first: int, count: int, wanted: int, *, mono: bool) -> int:
    """Return where, in samples from ``first``, the window of the most energy starts, in steps of its sixteenth."""
    step = max(1, wanted // _STEPS)
    energies = []
    for _, piece in blocks(audio, lambda info: (first, count), size=step * max(1, (1 << 16) // step), name=name):
        levels = piece @ np.ones((piece.shape[1], 1), np.float32) if mono else piece
        power = np.einsum("tc,tc->t", levels, levels, dtype=np.float64)
        energies.append(np.add.reduceat(power, np.arange(0, len(power), step)))
    total = np.concatenate([[0.0], np.cumsum(np.concatenate(energies))])
    width = wanted // step
    windows = total[width:] - total[:-width]
    return min(int(np.argmax(windows)) * step, count - wanted)


def _labeled(labels: Callable[[Path], str], path: Path) -> str:
    label = labels(path)
    if not isinstance(label, str) or not label:
        raise TypeError(f"labels gives the name of a class for a path, got {label!r} for {path}")
    return label
