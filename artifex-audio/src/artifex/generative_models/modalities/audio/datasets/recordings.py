"""Base class of datasets of recordings: reading, cropping, padding, errors. Imports no jax at module level."""

from __future__ import annotations

import copy
import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import attrs
import numpy as np

from artifex.generative_models.core.checks import check_choice, check_flag, check_integer, check_number
from artifex.generative_models.modalities.audio.base import AudioModalityConfig, AudioRepresentation, config_or_default
from artifex.generative_models.modalities.audio.datasets.audio_cache import AudioCache
from artifex.generative_models.modalities.audio.datasets.identity import config_identity
from artifex.generative_models.modalities.audio.datasets.manifests.labels import multi_hot
from artifex.generative_models.modalities.audio.datasets.normalization import MAX_GAIN_DB, normalize_peak
from artifex.generative_models.modalities.audio.datasets.random_draws import crop_rng
from artifex.generative_models.modalities.audio.datasets.segments import check_header, segment_span
from artifex.generative_models.modalities.audio.io import (
    AudioInfo,
    AudioReadError,
    AudioSource,
    Samples,
    decode,
    missing_now,
    probe,
    read_blocks,
)
from artifex.generative_models.modalities.base import BaseDataset, checksum, content_checksum, current_epoch, position

if TYPE_CHECKING:
    import jax
    from flax import nnx

Crop = Literal["center", "start", "random", "sliding", "loudest", "whole"]
OnError = Literal["raise", "skip", "warn"]
_HEADER_THREADS = 2
_STEPS_PER_WINDOW = 16
# Normalized peaks differ from 1 by rounding.
_FULL_SCALE = 0.999


@attrs.frozen(eq=False)
class Source:
    """Source of one recording of a dataset.

    Args:
        audio: The path of a file, the bytes of a file, or samples; or the error to raise instead.
        name: Name in examples and error messages: the path of a file.
        label: Class index, a tuple of several, or None.
        start: Start of the segment in seconds.
        end: End of the segment in seconds; None means the end of the recording.
        sample_rate: Sample rate in Hz, if known without reading the header.
        n_channels: Number of channels, if known.
        n_samples: Samples per channel of the whole recording, if known.
        existed: Whether the file existed when the dataset was created. If it is missing later, reading it raises.
        annotations: Entry ``annotations`` of the example, or None.
    """

    audio: AudioSource | AudioReadError
    name: str
    label: int | tuple[int, ...] | None = None
    start: float = 0.0
    end: float | None = None
    sample_rate: int | None = None
    n_channels: int | None = None
    n_samples: int | None = None
    existed: bool = False
    annotations: Mapping[str, str | float] | None = None


@attrs.frozen(eq=False)
class _Headers:
    """Headers of all recordings, one array entry per recording; 0 for recordings that cannot be read."""

    sample_rate: np.ndarray
    n_samples: np.ndarray
    n_resampled: np.ndarray  # samples of the segment at the configuration's rate


@attrs.frozen
class _Segment:
    """Header of a recording and the length of its segment."""

    n_channels: int
    sample_rate: int
    n_samples: int
    segment_length: int


class RecordingDataset(BaseDataset):
    """Base class of datasets of recordings, which reads, crops and pads them and handles errors.

    Subclasses implement ``n_recordings`` and ``source``.

    Args:
        config: Configuration of the examples; None means ``AudioModalityConfig()``.
        mono: Whether to average the channels; for this and the other options see ``AudioFileDataset``.
        crop: The part of a longer recording.
        hop: Hop between sliding windows in seconds.
        on_error: Whether a recording that cannot be read raises, is skipped, or warns.
        split: Name of the split.
        seed: Seed of random crops, at least 0.
        rngs: Random number generators that ``get_batch`` draws indices from.
        name: Name of the dataset in error messages.

    Attributes:
        labels: Class names, in order of their indices.
        problems: The reason for each recording that could not be read, by name, in this process.
    """

    config: AudioModalityConfig
    _n_classes: int | None = None

    def __init__(
        self,
        config: AudioModalityConfig | None,
        *,
        mono: bool,
        crop: Crop,
        hop: float | None,
        on_error: OnError,
        split: str,
        seed: int,
        rngs: nnx.Rngs | None,
        name: str,
    ) -> None:
        super().__init__(config_or_default(config), split, rngs=rngs)
        check_flag("mono", mono)
        check_choice("crop", crop, choices=get_args(Crop))
        check_choice("on_error", on_error, choices=get_args(OnError))
        check_integer("seed", seed, minimum=0)
        if hop is not None:
            if crop != "sliding":
                raise ValueError(f'hop requires crop="sliding", got crop={crop!r}; omit hop')
            check_number("hop", hop, minimum=1 / self.config.sample_rate, unit="seconds")
        if crop == "whole" and self.config.representation is not AudioRepresentation.RAW_WAVEFORM:
            raise ValueError(
                f'crop="whole" gives variable-length examples, but {self.config.representation_name} has a fixed length; '
                f'use representation="raw_waveform" and encode the padded batches with AudioModality.encode(audio, lengths=...)'
            )
        self.mono = mono
        self.crop = crop
        self.on_error = on_error
        self.seed = int(seed)
        self.name = name
        self.problems: dict[str, str] = {}
        self._warned_of_gain = False
        self._hop = self.config.n_time_steps if hop is None else max(1, round(hop * self.config.sample_rate))
        self._headers: _Headers | None = None
        self._window_ends: np.ndarray | None = None
        self._n_channels: int | None = None
        self._loudest_starts: dict[int, int] = {}
        self._was_read: set[int] = set()
        self._contents: list[tuple[object, ...]] | None = None
        self._cache: AudioCache | None = None

    @abstractmethod
    def n_recordings(self) -> int:
        """Return the number of recordings. It is the number of examples, except with ``crop="sliding"``."""

    @abstractmethod
    def source(self, recording: int) -> Source:
        """Return the source of a recording.

        Args:
            recording: Index of the recording, from 0.
        """

    def with_cache(self, cache: AudioCache) -> Self:
        """Return a copy of the dataset that reads recordings through a cache; see ``cached``.

        Args:
            cache: The cache.
        """
        copied = copy.copy(self)
        copied.problems, copied._loudest_starts, copied._was_read = {}, {}, set()
        copied._draws = copy.deepcopy(self._draws)
        copied._cache = cache
        return copied

    def __len__(self) -> int:
        return int(self._count_windows()[-1]) if self.crop == "sliding" else self.n_recordings()

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return an example of the epoch that a loader is reading, or of epoch 0 outside of a loader.

        Args:
            index: Index of the example; negative indices count from the end.

        Returns:
            The example, as ``example`` returns it.

        Raises:
            IndexError: When the index is out of range.
            AudioReadError: With ``on_error="raise"``, when the recording cannot be read.
        """
        return self.example(index)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield every example once, in order; examples that cannot be read raise or are skipped."""
        for index in range(len(self)):
            example = self[index]
            if example["valid"]:
                yield example

    def example(self, index: int, *, epoch: int | None = None) -> dict[str, Any]:
        """Return an example as it is in an epoch of training.

        Args:
            index: Index of the example; negative indices count from the end.
            epoch: Epoch, from 0. None means the epoch that a loader is reading, or 0 outside of a loader.

        Returns:
            ``audio``, float32 (n_time_steps,), or (channels, n_time_steps) with ``mono=False``; ``length``, the number
            of samples before padding; ``valid``, False for silence in place of a recording that cannot be read;
            ``path``; ``start`` of the crop in seconds; ``sample_rate`` and ``duration`` of the example; ``label`` where
            the dataset has labels: a class index, or where recordings have lists of labels a multi-hot array, float32
            (n_classes,); ``annotations``, a dict of strings and numbers, where they are requested; and the features under the representation's name where it is not the waveform.

        Raises:
            IndexError: When the index is out of range.
            AudioReadError: With ``on_error="raise"``, when the recording cannot be read.
        """
        epoch = current_epoch() if epoch is None else epoch
        example = self._read_example(position(index, len(self), self.name), epoch)
        return {**example, **self._features(example["audio"])}

    def summary(self) -> dict[str, object]:
        """Return what ``repr`` and notebooks show of the dataset; see ``BaseDataset.summary``."""
        config, is_whole = self.config, self.crop == "whole"
        return {
            **super().summary(),
            "n_recordings": self.n_recordings() if self.crop == "sliding" else None,
            "sample_rate": config.sample_rate,
            "duration": None if is_whole else config.duration,
            "crop": self.crop,
            "hop": self._hop / config.sample_rate if self.crop == "sliding" else None,
            "mono": self.mono,
            "audio": (config.n_time_steps,) if self.mono and not is_whole else None,
            "representation": config.representation_name,
            "cache": None if self._cache is None else str(self._cache.folder),
        }

    def _known_length(self) -> int | None:
        return None if self.crop == "sliding" and self._window_ends is None else len(self)

    def fingerprint(self) -> str:
        """Return a checksum of the options and recordings; see ``BaseDataset.fingerprint``.

        It includes the labels, segments and annotations of the recordings, the sizes of their files and their paths
        relative to the common folder: moving that folder does not change it. Audio in memory is read completely.
        """
        sources = [self.source(recording) for recording in range(self.n_recordings())]
        names = [each.name for each in sources]
        folders = {os.path.dirname(name) for name in names}
        # commonpath does not accept absolute and relative paths together.
        root = os.path.commonpath(folders) if len({os.path.isabs(folder) for folder in folders}) == 1 else ""
        if self._contents is None:  # once, so that a file that is missing later does not change it
            self._contents = [_content(each.audio) for each in sources]
        recordings = [
            (name[len(root) :], content, each.label, each.start, each.end, each.annotations)
            for name, content, each in zip(names, self._contents, sources, strict=True)
        ]
        return checksum(*self._options(), recordings)

    def _options(self) -> tuple[object, ...]:
        """Return the options that examples depend on."""
        return self.split, self.seed, config_identity(self.config), self.mono, self.crop, self._hop, self.labels

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
        """Return the length of every example.

        Returns:
            Samples at the configuration's rate, shape (n_examples,), int64: ``n_time_steps``; or with ``crop="whole"``
            each recording's own length, from the manifest or the headers, which are read once (1 for recordings that
            cannot be read).

        Raises:
            AudioReadError: With ``crop="whole"`` and ``on_error="raise"``, when a header cannot be read.
        """
        if self.crop == "whole":
            return np.asarray(np.maximum(1, self._read_headers().n_resampled))
        return np.full(len(self), self.config.n_time_steps, np.int64)

    def targets(self) -> np.ndarray | None:
        """Return the class of every example without reading the recordings.

        Returns:
            Class indices, shape (n,), int64, -1 for examples without a label; where recordings have lists of labels a
            multi-hot array, shape (n, n_classes), float32; None for a dataset without labels.
        """
        classes = self._recording_classes()
        if all(each is None for each in classes):
            return None
        if any(isinstance(each, tuple) for each in classes):
            n_classes = len(self.labels) if self._n_classes is None else self._n_classes
            targets = np.stack([multi_hot(_as_tuple(each), n_classes) for each in classes])
        else:
            targets = np.array([-1 if each is None else each for each in classes], np.int64)
        return np.asarray(targets[self.recordings()])

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names that ``column`` accepts."""
        return tuple(dict.fromkeys((*super().column_names, *self._recording_column_names())))

    def column(self, name: str) -> list[str] | list[tuple[str, ...]] | np.ndarray:
        """Return a value of every example without reading the recordings.

        Args:
            name: One of ``column_names``: ``"label"``, ``"length"``, or an annotation such as ``"speaker"``.

        Returns:
            n strings, or an array of numbers, shape (n,); see ``BaseDataset.column``.

        Raises:
            ValueError: When there is no such column; the message lists those that exist.
        """
        if name in ("label", "length") or name not in self._recording_column_names():
            return super().column(name)
        values = self._recording_column(name)
        recordings = self.recordings()
        return [values[recording] for recording in recordings] if isinstance(values, list) else values[recordings]

    def recordings(self) -> np.ndarray:
        """Return the index of the recording of every example, shape (n,), int64; see ``BaseDataset.recordings``."""
        recordings = np.arange(self.n_recordings(), dtype=np.int64)
        return (
            np.repeat(recordings, np.diff(self._count_windows(), prepend=0)) if self.crop == "sliding" else recordings
        )

    def _recording_classes(self) -> Sequence[int | tuple[int, ...] | None]:
        """Return the class of every recording."""
        return [self.source(recording).label for recording in range(self.n_recordings())]

    def _recording_column_names(self) -> tuple[str, ...]:
        """Return the names of the annotations of recordings."""
        return ()

    def _recording_column(self, name: str) -> list[str] | np.ndarray:
        """Return an annotation of every recording."""
        raise NotImplementedError(f"{type(self).__name__} names the column {name!r}, but does not return it")

    def get_batch(self, batch_size: int) -> dict[str, Any]:
        """Return a batch of examples drawn with replacement, whose features are computed together.

        Args:
            batch_size: Number of examples, at least 1.

        Returns:
            ``audio`` (batch_size, …), lists of the other entries, and ``index`` (batch_size,), the drawn indices.
        """
        indices = self.draw_indices(batch_size)
        batch = self.collate_fn([self._read_example(int(i), current_epoch()) for i in indices])
        return {**batch, **self._features(batch["audio"]), "index": indices}

    def _read_example(self, index: int, epoch: int) -> dict[str, Any]:
        config = self.config
        recording, window = self._locate(index)
        source = self.source(recording)
        valid = True
        try:
            audio, start = self._read_crop(source, recording, window, epoch, index)
            length = audio.shape[-1]
            self._was_read.add(recording)
        except AudioReadError as error:
            self._handle_error(source.name, missing_now(error, existed=source.existed or recording in self._was_read))
            n_samples = 1 if self.crop == "whole" else config.n_time_steps
            shape = (n_samples,) if self.mono else (self._expected_channels() or 1, n_samples)
            audio, start, length, valid = np.zeros(shape, np.float32), 0.0, 0, False
        if config.normalize:
            audio = self._normalize(audio, source.name)
        if self.crop != "whole" and audio.shape[-1] < config.n_time_steps:
            padding = config.n_time_steps - audio.shape[-1]
            audio = np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(0, padding)])
        example = {
            "audio": audio,
            "length": length,
            "valid": valid,
            "path": source.name,
            "start": start,
            "sample_rate": config.sample_rate,
            "duration": length / config.sample_rate if self.crop == "whole" else config.duration,
        }
        if source.label is not None:
            label = source.label
            n_classes = len(self.labels) if self._n_classes is None else self._n_classes
            example["label"] = multi_hot(label, n_classes) if isinstance(label, tuple) else label
        if source.annotations is not None:
            example["annotations"] = dict(source.annotations)
        return example

    def _read_crop(
        self, source: Source, recording: int, window: int, epoch: int, index: int
    ) -> tuple[np.ndarray, float]:
        """Return the cropped samples of a recording and the start of the crop in seconds."""
        if isinstance(source.audio, AudioReadError):
            raise source.audio
        audio, n_time_steps, sample_rate = source.audio, self.config.n_time_steps, self.config.sample_rate
        crop_start = 0
        decode_crop: Callable[..., tuple[np.ndarray, AudioInfo]] = decode
        read: Callable[..., Iterator[tuple[AudioInfo, np.ndarray]]] = read_blocks
        if self._cache is not None:
            decode_crop = partial(self._cache.decode, segment=(source.start, source.end))
            read = partial(self._cache.read_blocks, segment=(source.start, source.end))

        def segment(info: AudioInfo) -> tuple[int, int]:
            self._check_header(source, recording, info)
            return segment_span(source.name, source.start, source.end, info.sample_rate, info.n_samples)

        def crop(n_samples: int) -> tuple[int, int]:
            nonlocal crop_start
            n_excess = max(0, n_samples - n_time_steps)
            if self.crop == "whole":
                return 0, n_samples
            if self.crop == "center":
                crop_start = n_excess // 2
            elif self.crop == "random":
                crop_start = int(crop_rng(self.seed, epoch, index).integers(0, n_excess, endpoint=True))
            elif self.crop == "sliding":
                crop_start = window * self._hop
            elif self.crop == "loudest" and n_excess:
                if recording not in self._loudest_starts:
                    blocks = read(audio, segment, sample_rate=sample_rate, mono=self.mono, name=source.name)
                    self._loudest_starts[recording] = _find_loudest(blocks, n_samples, n_time_steps)
                crop_start = self._loudest_starts[recording]
            return crop_start, min(n_time_steps, n_samples - crop_start)

        samples, info = decode_crop(audio, segment, crop, sample_rate=sample_rate, mono=self.mono, name=source.name)
        return samples, segment(info)[0] / info.sample_rate + crop_start / sample_rate

    def _check_header(self, source: Source, recording: int, info: AudioInfo) -> None:
        check_header(
            source.name,
            info,
            sample_rate=source.sample_rate,
            n_channels=source.n_channels,
            n_samples=source.n_samples,
        )
        if self._headers is not None:
            rate, n_samples = int(self._headers.sample_rate[recording]), int(self._headers.n_samples[recording])
            check_header(source.name, info, sample_rate=rate, n_samples=n_samples)
        if not self.mono and info.n_channels != (expected := self._expected_channels()):
            raise AudioReadError(
                source.name,
                f"has {info.n_channels} channel{'s' * (info.n_channels != 1)}, but the first recording has {expected}; "
                f"use mono=True, or one dataset per number of channels",
            )

    def _handle_error(self, name: str, error: AudioReadError) -> None:
        if self.on_error == "raise" or error.transient:
            raise error
        if name in self.problems:
            return
        self.problems[name] = error.reason
        if self.on_error == "warn":
            warnings.warn(f"{error}; it is replaced by silence with valid=False", UserWarning, stacklevel=5)

    def _normalize(self, audio: np.ndarray, name: str) -> np.ndarray:
        """Normalize a clip, and warn once if its peak stays below full scale."""
        normalized = normalize_peak(audio)
        peak = np.abs(normalized).max(initial=0.0)
        if 0 < peak < _FULL_SCALE and not self._warned_of_gain:
            self._warned_of_gain = True
            warnings.warn(
                f"{name}: a clip with a peak of {20 * np.log10(peak) - MAX_GAIN_DB:.0f} dBFS is normalized by "
                f"{MAX_GAIN_DB:.0f} dB only, since it probably contains noise only; normalize=False keeps the levels. "
                f"Later clips of {self.name} are normalized likewise without a warning",
                UserWarning,
                stacklevel=5,
            )
        return normalized

    def _expected_channels(self) -> int:
        """Return the number of channels of the first valid recording, which all must have; 0 if none is valid."""
        if self._n_channels is None:
            segments = (self._read_header(recording) for recording in range(self.n_recordings()))
            self._n_channels = next((each.n_channels for each in segments if isinstance(each, _Segment)), 0)
        return self._n_channels

    def _read_header(self, recording: int) -> _Segment | AudioReadError:
        source = self.source(recording)
        if isinstance(source.audio, AudioReadError):
            return source.audio
        n_channels, rate, n_samples = source.n_channels, source.sample_rate, source.n_samples
        try:
            if not (n_channels and rate and n_samples):
                info = probe(source.audio, name=source.name)
                check_header(source.name, info, sample_rate=rate, n_channels=n_channels, n_samples=n_samples)
                n_channels, rate, n_samples = info.n_channels, info.sample_rate, info.n_samples
            length = segment_span(source.name, source.start, source.end, rate, n_samples)[1]
            return _Segment(n_channels, rate, n_samples, length)
        except AudioReadError as error:
            error = missing_now(error, existed=source.existed)
            if error.transient:
                raise error from None
            return error

    def _read_headers(self) -> _Headers:
        """Return the headers of all recordings, read once, where the manifest does not contain them."""
        if self._headers is None:
            n_recordings = self.n_recordings()
            rates, n_samples, n_resampled = (np.zeros(n_recordings, np.int64) for _ in range(3))
            with ThreadPoolExecutor(_HEADER_THREADS) as pool:
                for recording, segment in enumerate(pool.map(self._read_header, range(n_recordings))):
                    if isinstance(segment, AudioReadError):
                        self._handle_error(segment.path, segment)
                        continue
                    rates[recording], n_samples[recording] = segment.sample_rate, segment.n_samples
                    n_resampled[recording] = -(-segment.segment_length * self.config.sample_rate // segment.sample_rate)
            self._headers = _Headers(rates, n_samples, n_resampled)
        return self._headers

    def _count_windows(self) -> np.ndarray:
        """Return the cumulative number of windows per recording: steps of ``hop`` until the recording is covered."""
        if self._window_ends is None:
            n_samples = self._read_headers().n_resampled
            n_excess = np.maximum(0, n_samples - self.config.n_time_steps)
            counts = np.minimum(-(-n_samples // self._hop), 1 + -(-n_excess // self._hop))
            self._window_ends = np.cumsum(counts)
        return self._window_ends

    def _locate(self, index: int) -> tuple[int, int]:
        """Return the recording of an example, and which of its windows the example is."""
        if self.crop != "sliding":
            return index, 0
        ends = self._count_windows()
        recording = int(np.searchsorted(ends, index, side="right"))
        return recording, index - (int(ends[recording - 1]) if recording else 0)

    def _features(self, audio: np.ndarray) -> dict[str, np.ndarray]:
        if self.config.representation is AudioRepresentation.RAW_WAVEFORM:
            return {}
        return {self.config.representation_name: np.asarray(encoder(self.config)(audio))}


def _as_tuple(classes: int | tuple[int, ...] | None) -> tuple[int, ...]:
    return () if classes is None else (classes,) if isinstance(classes, int) else classes


@lru_cache(maxsize=64)
def encoder(config: AudioModalityConfig) -> Callable[..., jax.Array]:
    """Return the compiled ``AudioModality.encode`` of a configuration, cached per configuration.

    Args:
        config: The configuration.

    Returns:
        A function from waveforms (..., n_time_steps), and optional ``lengths``, to features.

    Example:
        >>> encoder(AudioModalityConfig()) is encoder(AudioModalityConfig())
        True
    """
    import jax

    from artifex.generative_models.modalities.audio.base import AudioModality

    return jax.jit(AudioModality(config).encode)


def _content(audio: AudioSource | AudioReadError) -> tuple[object, ...]:
    """Return what represents the content of a recording in a fingerprint: the size of a file, a checksum of other audio."""
    if isinstance(audio, AudioReadError):
        return (audio.reason,)
    if isinstance(audio, bytes):
        return (content_checksum(audio),)
    if isinstance(audio, Samples):
        return (content_checksum(audio.array), audio.sample_rate)
    try:
        return (os.stat(audio).st_size,)
    except OSError:
        return ()


def _find_loudest(blocks: Iterable[tuple[AudioInfo, np.ndarray]], n_samples: int, n_crop: int) -> int:
    """Return the start of the window with the highest energy, in steps of 1/16 window."""
    step = max(1, n_crop // _STEPS_PER_WINDOW)
    energies: list[np.ndarray] = []
    remainder = np.empty(0)
    for _, block in blocks:
        power = np.concatenate([remainder, np.einsum("tc,tc->t", block, block, dtype=np.float64)])
        n_steps = len(power) // step
        energies.append(power[: n_steps * step].reshape(n_steps, step).sum(axis=1))
        remainder = power[n_steps * step :]
    cumulative = np.cumsum(np.concatenate([[0.0], *energies, [remainder.sum()]]))
    width = n_crop // step
    windows = cumulative[width:] - cumulative[:-width]
    return min(int(np.argmax(windows)) * step, n_samples - n_crop)
