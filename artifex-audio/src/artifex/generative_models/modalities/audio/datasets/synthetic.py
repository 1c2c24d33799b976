"""Datasets of synthetic audio: every example is a pure function of (seed, split, index), rendered on access."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from flax import nnx

from artifex.generative_models.core import resolve
from artifex.generative_models.core.checks import check_flag, check_integer, check_number, is_list, is_mapping
from artifex.generative_models.core.numerics import jit
from artifex.generative_models.modalities.audio.annotations import with_annotations
from artifex.generative_models.modalities.audio.base import AudioModality, AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.datasets.identity import config_identity
from artifex.generative_models.modalities.audio.preprocessing.levels import normalize_audio
from artifex.generative_models.modalities.base import BaseDataset, checksum, position

AudioType = str | tuple[str, Mapping[str, object]] | Mapping[str, object] | Callable[..., jax.Array]
"""An audio type: a registered name, ``(name, options)``, a mapping with ``name`` and options, or a function."""

# Examples that are accessed in sequence are rendered in blocks of this size, which hides the dispatch latency.
_BLOCK_SIZE = 64
_BLOCK_BYTES = 2**23
# Larger programs are dispatched less often and render more padding; measured on two processors.
_PADDING_BYTES = 2**18
_MAX_PROGRAM_SIZE = 64
_MAX_FUSED = 8  # blocks of a concatenation that XLA fuses with a gather
# With threads, accesses in sequence may be out of order by this many indices.
_MAX_STRIDE = 4


_Device = Any  # jax.Device has no type stub


class _Block(NamedTuple):
    """Rendered examples, followed by padding."""

    positions: np.ndarray  # in the batch, without those of the padding
    audio: jax.Array
    annotations: dict[str, jax.Array]


class SyntheticAudioDataset(BaseDataset):
    """A dataset of registered audio types, in rotation: example i has the type ``i % len(audio_types)``.

    An example depends on (seed, split, index) only, not on how it is accessed. Different splits have different examples.
    Examples that are accessed in sequence are rendered together; only the latest such block, a few megabytes, is stored.

    Each audio type is compiled once for single examples, once for batches of a size, and once for slices of a size;
    sizes within a factor of about two share programs. Another small program puts a batch in order. Slices of whole
    rotations of the audio types (1, 2, 3, 4, 6, 8, 12, … of them) are rendered by one program for all types, which is
    faster. A loader therefore compiles one program per audio type, in its first batches.

    Args:
        config: Configuration of the examples; by default ``AudioModalityConfig()``.
        n_samples: Number of examples, at most 2**32.
        audio_types: Audio types: registered names, ``(name, options)`` pairs, mappings with ``name`` and options, or
            functions ``f(key, *, n_time_steps, sample_rate)``.
        name: Name of the dataset in error messages.
        split: Name of the split.
        seed: Seed. Different seeds give different examples.
        annotations: Whether examples contain ``annotations``, the parameters that the audio was generated from.
        weights: Relative frequency of each audio type, at least 0. The weights need not sum to 1. The type of an example
            is then drawn from (seed, split, index). By default types rotate.
        sharding: Sharding of the batch axis of slices, lists of indices and ``get_batch``. Each device renders its own
            examples. By default batches are on the default device.
        rngs: Random number generators that ``get_batch`` draws indices from; by default every dataset draws the same
            sequence.

    Attributes:
        labels: Names of the audio types, in order.

    Raises:
        UnknownComponentError: For an unknown audio type; the message lists the known ones.
        TypeError: When an audio type has the wrong type or an unknown option.
        ValueError: When a size or weight is out of range, or an audio type does not return ``(n_time_steps,)`` floats.

    Example:
        >>> config = AudioModalityConfig(duration=0.5)
        >>> dataset = SyntheticAudioDataset(config, n_samples=6, audio_types=["sine", ("noise", {"amplitude": 0.1})])
        >>> example = dataset[1]
        >>> example["audio"].shape, example["audio_type"], example["sample_rate"], example["duration"]
        ((8000,), 'noise', 16000, 0.5)
        >>> dataset[2:6]["audio"].shape
        (4, 8000)
        >>> annotations = SyntheticAudioDataset(config, n_samples=6, annotations=True)[0]["annotations"]
        >>> round(float(annotations["gain"]), 2)
        2.0
    """

    config: AudioModalityConfig

    def __init__(
        self,
        config: AudioModalityConfig | None = None,
        n_samples: int = 1000,
        audio_types: Sequence[AudioType] = ("sine", "noise", "chirp"),
        name: str = "SyntheticAudioDataset",
        *,
        split: str = "train",
        seed: int = 0,
        annotations: bool = False,
        weights: Sequence[float] | None = None,
        sharding: jax.sharding.Sharding | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        self.modality = AudioModality(config, rngs=rngs)
        super().__init__(self.modality.config, split, rngs=rngs)
        check_integer("n_samples", n_samples, minimum=1, maximum=2**32)
        check_integer("seed", seed)
        check_flag("annotations", annotations)
        if isinstance(audio_types, str | Mapping) or not isinstance(audio_types, Sequence) or not audio_types:  # pyright: ignore[reportUnnecessaryIsInstance]  user input
            raise TypeError(
                f"audio_types must be a list of at least one audio type, such as ['sine', 'noise'], got {audio_types!r}"
            )
        if sharding is not None and not isinstance(sharding, jax.sharding.Sharding):  # pyright: ignore[reportUnnecessaryIsInstance]  user input
            raise TypeError(
                f"sharding must be a jax.sharding.Sharding of the batch axis, such as NamedSharding(mesh, P('data')), "
                f"got {sharding!r} ({type(sharding).__name__})"
            )
        self.name = name
        self.n_samples = int(n_samples)
        self.seed = int(seed)
        self.annotations = annotations
        self.sharding = sharding
        self.audio_types = self.labels = tuple(_name_of(audio_type) for audio_type in audio_types)
        self._generators = tuple(self._resolve(audio_type) for audio_type in audio_types)
        self._weights = None if weights is None else _check_weights(weights, self.labels)
        words = np.frombuffer(hashlib.sha256(f"{int(seed)} {split}".encode()).digest(), "<u4").astype(np.uint32)
        self._key_words, self._type_words = words[:2], words[2:4]
        self._example_bytes = self._max_example_bytes()
        self._block_size = self._whole_rotations(max(1, min(_BLOCK_SIZE, _BLOCK_BYTES // self._example_bytes)))
        self._last_index = -_MAX_STRIDE - 1
        self._cached_block: tuple[int, list[dict[str, Any]]] = (0, [])

    def __len__(self) -> int:
        return self.n_samples

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray | jax.Array) -> dict[str, Any]:
        """Return an example, or a batch for a slice or a sequence of indices.

        Args:
            index: An integer, a slice, or a sequence of integers; negative indices count from the end.

        Returns:
            For an integer ``audio`` (n_time_steps,), ``audio_type``, ``sample_rate`` and ``duration``, and the features
            under the representation's name where it is not the waveform; with ``annotations=True`` also
            ``annotations``, a dict of NumPy arrays and scalars: the annotations of the audio type, with ``stems`` scaled
            like the audio; those in samples also in seconds, float64, such as ``onset_samples`` as ``onset_seconds``,
            without missing onsets; and ``gain``, the factor of the peak normalization, if the configuration normalizes.
            For several indices, a batch of these examples, as ``collate_fn`` returns it.

        Raises:
            IndexError: When an index is out of range.
            ValueError: When the batch cannot be divided over the devices of the sharding.
        """
        if isinstance(index, slice):
            return self._batch(np.arange(*index.indices(len(self))))
        if isinstance(index, Sequence | np.ndarray | jax.Array) and np.ndim(index) == 1:
            return self._batch(self._check_indices(index))
        return self._cached_example(position(index, len(self), self.name))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self), self._block_size):
            yield from self._examples(np.arange(start, min(start + self._block_size, len(self))), list)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last_index": -_MAX_STRIDE - 1, "_cached_block": (0, [])}

    def example(self, index: int, *, epoch: int | None = None) -> dict[str, Any]:
        """Return an example with NumPy arrays, the same in every epoch.

        Args:
            index: Index of the example.
            epoch: Ignored.

        Returns:
            The entries of ``self[index]``, as NumPy arrays.
        """
        return self.examples([index], epoch=epoch)[0]

    def summary(self) -> dict[str, object]:
        """Return what ``repr`` and notebooks show of the dataset; see ``BaseDataset.summary``."""
        return {
            **super().summary(),
            "sample_rate": self.config.sample_rate,
            "duration": self.config.duration,
            "audio": (self.config.n_time_steps,),
            "representation": self.config.representation_name,
            "seed": self.seed,
        }

    def targets(self) -> np.ndarray:
        """Return the index in ``labels`` of every example's audio type, shape (n,), int64, without rendering."""
        return self._type_numbers(np.arange(len(self))).astype(np.int64)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names that ``column`` accepts."""
        return ("label", "audio_type")

    def column(self, name: str) -> list[str] | list[tuple[str, ...]] | np.ndarray:
        """Return the audio type of every example; see ``BaseDataset.column``.

        Args:
            name: ``"label"`` or ``"audio_type"``.
        """
        return super().column("label" if name == "audio_type" else name)

    def fingerprint(self) -> str:
        """Return a checksum of everything that determines the examples; see ``BaseDataset.fingerprint``."""
        weights = None if self._weights is None else self._weights.tolist()
        types = [_description(generator) for generator in self._generators]
        return checksum(
            len(self),
            self.split,
            self.seed,
            config_identity(self.config),
            self.labels,
            types,
            weights,
            self.annotations,
        )

    def examples(self, indices: Sequence[int], *, epoch: int | None = None) -> list[dict[str, Any]]:
        """Return several examples with NumPy arrays, the same in every epoch. They are rendered together.

        Args:
            indices: Indices of the examples.
            epoch: Ignored.

        Returns:
            A list of examples as ``example`` returns them. The arrays are read-only views of arrays of several examples.

        Raises:
            IndexError: When an index is out of range.
        """
        return self._examples(self._check_indices(indices), np.asarray)

    def get_batch(self, batch_size: int) -> dict[str, Any]:
        """Return a batch of examples drawn with replacement, rendered together.

        Args:
            batch_size: Number of examples, at least 1.

        Returns:
            ``audio`` (batch_size, n_time_steps), the lists ``audio_type``, ``sample_rate`` and ``duration``, and
            ``index`` (batch_size,), the drawn indices.
        """
        indices = self.draw_indices(batch_size)
        return {**self._batch(indices), "index": indices}

    def _check_indices(self, indices: npt.ArrayLike) -> np.ndarray:
        return np.array([position(i, len(self), self.name) for i in np.asarray(indices)], np.int64)

    def _cached_example(self, index: int) -> dict[str, Any]:
        """Return an example of the cached block; access in sequence renders the next block.

        The cache is replaced in one assignment: concurrent threads may render a block twice, but always read a complete one.
        """
        last, self._last_index = self._last_index, index
        start, block = self._cached_block
        if not 0 <= index - start < len(block):
            in_sequence = 0 < index - last <= _MAX_STRIDE and self._block_size > 1
            start = index - index % self._block_size if in_sequence else index
            stop = min(start + self._block_size, len(self)) if in_sequence else index + 1
            block = self._examples(np.arange(start, stop), list)
            if in_sequence:
                self._cached_block = (start, block)
        example = dict(block[index - start])
        if self.annotations:
            example["annotations"] = dict(example["annotations"])
        return example

    def _examples(self, indices: np.ndarray, split: Callable[[jax.Array], Any]) -> list[dict[str, Any]]:
        """Render examples; ``split`` splits an array into one item per example."""
        numbers = self._type_numbers(indices)
        examples: list[dict[str, Any]] = [{}] * len(indices)
        blocks = self._render_blocks(indices, numbers, None)
        for block in blocks:
            for clip, place in zip(split(block.audio), block.positions.tolist(), strict=False):  # without the padding
                examples[place] = {
                    "audio": clip,
                    "audio_type": self.labels[numbers[place]],
                    "sample_rate": self.config.sample_rate,
                    "duration": self.config.duration,
                }
        if self.config.representation is not AudioRepresentation.RAW_WAVEFORM and blocks:
            for name, encoded in self._features(self._in_order(blocks, indices)).items():
                for example, features in zip(examples, split(encoded), strict=True):
                    example[name] = features
        if self.annotations:
            annotations = _annotations_in_order(blocks, self.config.sample_rate)
            for example, of_example in zip(examples, annotations, strict=True):
                example["annotations"] = of_example
        return examples

    def _batch(self, indices: np.ndarray) -> dict[str, Any]:
        if not len(indices):
            raise IndexError(f"{self.name}: a slice or list of indices must select at least one example, got none")
        arrays, annotations = self._render_on(None, indices) if self.sharding is None else self._render_shards(indices)
        return {
            "audio": arrays.pop("audio"),
            "audio_type": [self.labels[number] for number in self._type_numbers(indices).tolist()],
            "sample_rate": [self.config.sample_rate] * len(indices),
            "duration": [self.config.duration] * len(indices),
            **arrays,
            **({"annotations": annotations} if self.annotations else {}),
        }

    def _render_shards(self, indices: np.ndarray) -> tuple[dict[str, jax.Array], list[Any]]:
        """Render the arrays and the annotations of a batch that is sharded.

        Every program runs on one device and renders that device's examples: nothing is moved between devices.
        """
        assert self.sharding is not None
        shards: dict[str, list[jax.Array]] = {}
        annotations: list[Any] = [None] * len(indices)
        for device, positions in _positions_by_device(self.sharding, len(indices)).items():
            arrays, of_shard = self._render_on(device, indices[positions])
            for name, shard in arrays.items():
                shards.setdefault(name, []).append(shard)
            for place, of_example in zip(positions.tolist(), of_shard, strict=self.annotations):
                annotations[place] = of_example
        return {
            name: jax.make_array_from_single_device_arrays((len(indices), *arrays[0].shape[1:]), self.sharding, arrays)
            for name, arrays in shards.items()
        }, annotations

    def _render_on(self, device: _Device | None, indices: np.ndarray) -> tuple[dict[str, jax.Array], list[Any]]:
        """Render the arrays of examples, and their annotations if the dataset has any, on one device."""
        blocks = self._render_blocks(indices, self._type_numbers(indices), device)
        audio = self._in_order(blocks, indices)
        annotations = _annotations_in_order(blocks, self.config.sample_rate) if self.annotations else []
        return {"audio": audio, **self._features(audio)}, annotations

    def _in_order(self, blocks: list[_Block], indices: np.ndarray) -> jax.Array:
        """Take examples from blocks, padded to their maximum number: one program is compiled for a batch size."""
        arrays, size = [block.audio for block in blocks], len(blocks[0].audio)
        if len(indices) == size and len(blocks) == 1:
            return arrays[0]
        order = np.empty(len(indices), np.int32)
        for number, block in enumerate(blocks):
            order[block.positions] = number * size + np.arange(len(block.positions), dtype=np.int32)
        padding = self._block_plan(indices)[1] - len(blocks)
        return _reorder(arrays + arrays[:1] * padding, order)

    def _features(self, audio: jax.Array) -> dict[str, jax.Array]:
        if self.config.representation is AudioRepresentation.RAW_WAVEFORM:
            return {}
        return {self.config.representation_name: self.modality.encode(audio)}

    def _type_numbers(self, indices: np.ndarray) -> np.ndarray:
        """Return the number of each example's audio type."""
        if self._weights is None:
            return indices % len(self.labels)
        possible = np.flatnonzero(self._weights)
        bounds = np.cumsum(self._weights[possible])[:-1]
        drawn: np.ndarray = possible[np.searchsorted(bounds, _uniform(self._type_words, indices), side="right")]
        return drawn

    def _block_plan(self, indices: np.ndarray) -> tuple[int, int]:
        """Return how many examples one program renders, and the maximum number of such blocks.

        Both are the same for all batches of a size. Types in rotation are equally frequent in every slice, so one program
        renders all examples of a type. Otherwise their numbers vary from batch to batch, and programs are smaller: on
        average, half a program per type is padding, which should take about as long as dispatching the programs.
        """
        n_types = len(self.labels) if self._weights is None else int(np.count_nonzero(self._weights))
        mean, max_types = len(indices) / n_types, min(len(indices), n_types)
        if self._weights is None and _is_contiguous(indices):
            return _padded_size(math.ceil(mean)), max_types
        limit = min(math.sqrt(mean * _PADDING_BYTES / self._example_bytes), mean / 1.5, _MAX_PROGRAM_SIZE)
        size = 1 << round(math.log2(max(limit, 1)))
        return size, (len(indices) + max_types * (size - 1)) // size

    def _render_blocks(self, indices: np.ndarray, numbers: np.ndarray, device: _Device | None) -> list[_Block]:
        """Render whole rotations in one block, or blocks of the same size, each of one type; ``numbers`` are the types.

        All programs are dispatched before the first result is used.
        """
        if self._is_whole_rotations(indices):
            options = {"generators": self._generators, "n_examples": len(indices)}
            audio = self._render(_render_rotation, indices[:1], device, **options)
            return [_Block(np.arange(len(indices)), audio, {})]
        size = self._block_plan(indices)[0]
        blocks: list[_Block] = []
        for number, generator in enumerate(self._generators):
            of_type = np.flatnonzero(numbers == number)
            for start in range(0, len(of_type), size):
                positions = of_type[start : start + size]
                padded = np.resize(indices[positions], size)
                options = {"generator": generator, "annotate": self.annotations}
                blocks.append(_Block(positions, *self._render(_render_type, padded, device, **options)))
        return blocks

    def _render(self, render: Callable[..., Any], indices: np.ndarray, device: _Device | None, **options: Any) -> Any:
        indices = indices.astype(np.uint32)
        return render(
            self._key_words,
            indices if device is None else jax.device_put(indices, device),
            n_time_steps=self.config.n_time_steps,
            sample_rate=self.config.sample_rate,
            normalize=self.config.normalize,
            **options,
        )

    def _whole_rotations(self, n_examples: int) -> int:
        """Return the largest number of examples that ``_render_rotation`` renders, or ``n_examples`` if there is none."""
        has_rotations = self._weights is None and not self.annotations
        sizes = [n * len(self.labels) for n in range(1, n_examples // len(self.labels) + 1) if n == _padded_size(n)]
        return max(sizes, default=n_examples) if has_rotations else n_examples

    def _is_whole_rotations(self, indices: np.ndarray) -> bool:
        """Return whether indices are consecutive, start at the first type, and fill whole rotations without padding."""
        n_rotations, remainder = divmod(len(indices), len(self.labels))
        if self._weights is not None or self.annotations or remainder or len(indices) < 2:
            return False
        starts = indices[0] % len(self.labels) == 0 and n_rotations == _padded_size(n_rotations)
        return bool(starts) and _is_contiguous(indices)

    def _resolve(self, audio_type: AudioType) -> Callable[..., jax.Array]:
        generator: Callable[..., jax.Array] = resolve("audio_type", audio_type)
        expected = (self.config.n_time_steps,)
        result = jax.eval_shape(
            partial(generator, n_time_steps=expected[0], sample_rate=self.config.sample_rate), jax.random.key(0)
        )
        if getattr(result, "shape", None) != expected or not jnp.issubdtype(result.dtype, jnp.floating):
            raise ValueError(
                f"audio type {_name_of(audio_type)!r} must return floats of shape {expected}, got {result}"
            )
        return generator

    def _max_example_bytes(self) -> int:
        """Return the size of the largest example on the device: audio, features and annotations."""
        render = partial(self._render, _render_type, np.zeros(1), None, annotate=self.annotations)
        sizes = [
            sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(result))
            for generator in dict.fromkeys(self._generators)
            for result in [jax.eval_shape(partial(render, generator=generator))]
        ]
        has_features = self.config.representation is not AudioRepresentation.RAW_WAVEFORM
        return int(max(sizes)) + (8 * int(np.prod(self.modality.output_shape)) if has_features else 0)


@jit(static_argnames=("generator", "n_time_steps", "sample_rate", "normalize", "annotate"))
def _render_type(
    key_words: jax.Array,
    indices: jax.Array,
    *,
    generator: Callable[..., jax.Array],
    n_time_steps: int,
    sample_rate: int,
    normalize: bool,
    annotate: bool,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Render examples of one audio type, with their annotations if ``annotate``."""
    key = cast("jax.Array", jax.random.wrap_key_data(key_words, impl="threefry2x32"))

    def render_example(index: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        example_key = jax.random.fold_in(key, index)
        audio, annotations = with_annotations(generator)(
            example_key, n_time_steps=n_time_steps, sample_rate=sample_rate
        )
        if normalize:
            normalized, gain = normalize_audio(audio), _normalization_gain(audio)
            annotations = {
                name: gain.astype(value.dtype) * value if _last_part(name) == "stems" else value
                for name, value in annotations.items()
            }
            annotations["gain"] = gain
            audio = normalized
        return audio, annotations if annotate else {}

    return jax.vmap(render_example)(indices)


@jit(static_argnames=("generators", "n_examples", "n_time_steps", "sample_rate", "normalize"))
def _render_rotation(
    key_words: jax.Array,
    first: jax.Array,
    *,
    generators: tuple[Callable[..., jax.Array], ...],
    n_examples: int,
    n_time_steps: int,
    sample_rate: int,
    normalize: bool,
) -> jax.Array:
    """Render whole rotations through the audio types in one program, which writes each example in place."""
    n_types = len(generators)
    blocks = [
        _render_type(
            key_words,
            first + np.arange(start, n_examples, n_types, dtype=np.uint32),
            generator=generator,
            n_time_steps=n_time_steps,
            sample_rate=sample_rate,
            normalize=normalize,
            annotate=False,
        )[0]
        for start, generator in enumerate(generators)
    ]
    return jnp.stack(blocks, axis=1).reshape(n_examples, -1)


def _normalization_gain(audio: jax.Array) -> jax.Array:
    """Return the factor that ``normalize_audio`` applies to a clip."""
    peak = jnp.max(jnp.abs(audio))
    is_silent = jnp.less(peak, cast("float", jnp.finfo(audio.dtype).tiny))
    return jnp.where(jnp.isfinite(peak), 1 / jnp.where(is_silent, 1, peak), jnp.nan)


@jit()
def _reorder(blocks: list[jax.Array], order: np.ndarray) -> jax.Array:
    """Take examples from concatenated blocks of one size; compiled, this is one pass over the data."""
    if len(blocks) <= _MAX_FUSED:
        return jnp.concatenate(blocks).at[jnp.asarray(order)].get(mode="promise_in_bounds")
    # XLA would write the concatenation of so many blocks to memory.
    count, size = len(order), len(blocks[0])
    places = jnp.arange(count, count + len(blocks) * size).at[jnp.asarray(order)].set(np.arange(count))
    ordered = jnp.zeros((count, *blocks[0].shape[1:]), blocks[0].dtype)
    for block, of_block in zip(blocks, jnp.split(places, len(blocks)), strict=True):
        ordered = ordered.at[of_block].set(block, mode="drop", unique_indices=True)
    return ordered


def _positions_by_device(sharding: jax.sharding.Sharding, batch_size: int) -> dict[_Device, np.ndarray]:
    """Return the positions of a batch that each device of this process holds."""
    try:
        sharding.shard_shape((batch_size, 1))
    except ValueError as error:
        raise ValueError(
            f"a batch of {batch_size} examples cannot be divided by the sharding {sharding}; the sharding must divide the "
            f"first axis only, and the batch size must be a multiple of its number of shards"
        ) from error
    by_device = cast("Mapping[_Device, Any]", sharding.addressable_devices_indices_map((batch_size, 1)))
    positions = np.arange(batch_size)
    return {device: positions if index is None else positions[index[0]] for device, index in by_device.items()}


def _annotations_in_order(blocks: Sequence[_Block], sample_rate: int) -> list[dict[str, Any]]:
    """Transfer the annotations of blocks to the host; return one dict per example of the batch."""
    in_order: list[dict[str, Any]] = [{}] * sum(len(block.positions) for block in blocks)
    for block in blocks:
        arrays = {name: np.asarray(values) for name, values in block.annotations.items()}
        for i, place in enumerate(block.positions.tolist()):
            annotations = _without_missing_onsets({name: values[i] for name, values in arrays.items()})
            in_order[place] = annotations | _in_seconds(annotations, sample_rate)
    return in_order


def _without_missing_onsets(annotations: Mapping[str, Any]) -> dict[str, Any]:
    """Drop onsets that are missing, and the entries of parallel arrays that are missing (-1 or NaN) for the same onsets."""
    trimmed = dict(annotations)
    for name in annotations:
        if _last_part(name) != "onset_samples":
            continue
        is_missing, prefix = annotations[name] < 0, name.removesuffix("onset_samples")
        for other, value in annotations.items():
            if other.removesuffix(_last_part(other)) != prefix or value.shape[:1] != is_missing.shape:
                continue
            missing = value[is_missing]
            if (missing == -1 if other.endswith("_samples") else np.isnan(missing)).all():
                trimmed[other] = value[~is_missing]
                trimmed[other].flags.writeable = False  # like the other annotations, which are views
    return trimmed


def _in_seconds(annotations: Mapping[str, Any], sample_rate: int) -> dict[str, Any]:
    """Convert annotations in samples to float64 seconds, under names that end in ``_seconds``."""
    converted: dict[str, Any] = {}
    for name, samples in annotations.items():
        if name.endswith("_samples") and np.issubdtype(samples.dtype, np.integer):
            seconds = samples / sample_rate
            if isinstance(seconds, np.ndarray):
                seconds.flags.writeable = False
            converted[f"{name.removesuffix('_samples')}_seconds"] = seconds
    return converted


def _last_part(name: str) -> str:
    """Return the last part of an annotation's name: in a mixture it is preceded by the number of the component."""
    return name.rpartition(".")[2]


def _description(value: Any) -> Any:
    """Return a description of a function and its options that does not contain memory addresses."""
    if isinstance(value, partial):
        return _description(value.func), _description(value.args), _description(value.keywords)
    if is_mapping(value):
        return [(name, _description(each)) for name, each in sorted(value.items())]
    if is_list(value):
        return [_description(each) for each in value]
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return value


def _check_weights(weights: Sequence[float], labels: Sequence[str]) -> np.ndarray:
    """Return the weights as fractions."""
    if isinstance(weights, str | Mapping) or not isinstance(weights, Sequence | np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance]  user input
        raise TypeError(f"weights must be a list of one number per audio type, got {weights!r}")
    if len(weights) != len(labels):
        raise ValueError(f"weights must have one number per audio type, {len(labels)}, got {len(weights)}")
    for label, weight in zip(labels, weights, strict=True):
        check_number(f"the weight of {label!r}", weight, minimum=0)
    relative = np.array(weights, np.float64)
    if not relative.any():
        raise ValueError("at least one of weights must be above 0, got only zeros")
    relative = relative / relative.max()  # so that their sum is finite
    fractions: np.ndarray = relative / relative.sum()
    return fractions


def _uniform(words: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Draw a number in [0, 1) for each index, from the index alone, with SplitMix64 on the host.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
    """
    mixed = np.uint64(int(words[0]) << 32 | int(words[1])) + (indices.astype(np.uint64) + 1) * np.uint64(
        0x9E3779B97F4A7C15
    )
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    uniform: np.ndarray = ((mixed ^ mixed >> np.uint64(31)) >> np.uint64(11)) * 2.0**-53
    return uniform


def _is_contiguous(indices: np.ndarray) -> bool:
    return len(indices) < 2 or bool((np.diff(indices) == 1).all())


def _padded_size(count: int) -> int:
    """Round up to a power of two, or one and a half of one, so that few sizes are compiled."""
    power = 1 << (count - 1).bit_length()
    return power * 3 // 4 if power >= 4 and count <= power * 3 // 4 else power


def _name_of(audio_type: AudioType) -> str:
    if isinstance(audio_type, str):
        return audio_type
    if is_mapping(audio_type):
        return str(audio_type.get("name", audio_type))
    if is_list(audio_type):
        return str(audio_type[0]) if audio_type else repr(audio_type)
    function = getattr(audio_type, "func", audio_type)
    return str(getattr(function, "__name__", function))
