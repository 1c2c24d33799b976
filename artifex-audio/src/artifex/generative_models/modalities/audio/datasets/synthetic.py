"""Datasets of synthetic audio: every example is a pure function of (seed, split, index), rendered on access."""

from __future__ import annotations

import hashlib
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
from artifex.generative_models.modalities.audio.preprocessing.levels import normalize_audio
from artifex.generative_models.modalities.base import BaseDataset, checksum, position

AudioType = str | tuple[str, Mapping[str, object]] | Mapping[str, object] | Callable[..., jax.Array]
"""An audio type: a registered name, ``(name, options)``, a mapping with ``name`` and options, or a function."""

# Examples that are accessed in sequence are rendered in blocks of this size, which hides the dispatch latency.
_BLOCK_SIZE = 32
_BLOCK_BYTES = 2**23
# With threads, accesses in sequence may be out of order by this many indices.
_MAX_STRIDE = 4


_Device = Any  # jax.Device has no type stub


class _TypeBlock(NamedTuple):
    """Rendered examples of one audio type, followed by padding."""

    label: str
    positions: np.ndarray  # in the batch, without those of the padding
    audio: jax.Array
    annotations: dict[str, jax.Array]


class SyntheticAudioDataset(BaseDataset):
    """A dataset of registered audio types, in rotation: example i has the type ``i % len(audio_types)``.

    An example depends on (seed, split, index) only, not on how it is accessed. Different splits have different examples.
    Examples that are accessed in sequence are rendered together; only the latest such block, a few megabytes, is stored.

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
        self._block_size = max(1, min(_BLOCK_SIZE, _BLOCK_BYTES // self._max_example_bytes()))
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
            like the audio, and ``gain``, the factor of the peak normalization, if the configuration normalizes. For
            several indices, a batch of these examples, as ``collate_fn`` returns it.

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

    def example(self, index: int, *, epoch: int = 0) -> dict[str, Any]:
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

    def fingerprint(self) -> str:
        """Return a checksum of everything that determines the examples; see ``BaseDataset.fingerprint``."""
        weights = None if self._weights is None else self._weights.tolist()
        types = [_description(generator) for generator in self._generators]
        return checksum(len(self), self.split, self.seed, self.config, self.labels, types, weights, self.annotations)

    def examples(self, indices: Sequence[int], *, epoch: int = 0) -> list[dict[str, Any]]:
        """Return several examples with NumPy arrays, the same in every epoch. They are rendered together.

        Args:
            indices: Indices of the examples.
            epoch: Ignored.

        Returns:
            A list of examples as ``example`` returns them. The arrays are read-only views of one array per audio type.

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
            stop = min(index + self._block_size, len(self)) if in_sequence else index + 1
            start, block = index, self._examples(np.arange(index, stop), list)
            if in_sequence:
                self._cached_block = (start, block)
        example = dict(block[index - start])
        if self.annotations:
            example["annotations"] = dict(example["annotations"])
        return example

    def _examples(self, indices: np.ndarray, split: Callable[[jax.Array], Any]) -> list[dict[str, Any]]:
        """Render examples; ``split`` splits an array into one item per example."""
        examples: list[dict[str, Any]] = [{}] * len(indices)
        for label, positions, audio, type_annotations in self._render_types(indices):
            clips = split(audio)
            features = {name: split(encoded) for name, encoded in self._features(audio).items()}
            annotations = _split_annotations(type_annotations, len(positions)) if self.annotations else []
            for i, place in enumerate(positions.tolist()):
                examples[place] = {
                    "audio": clips[i],
                    "audio_type": label,
                    "sample_rate": self.config.sample_rate,
                    "duration": self.config.duration,
                    **{name: encoded[i] for name, encoded in features.items()},
                }
                if self.annotations:
                    examples[place]["annotations"] = annotations[i]
        return examples

    def _batch(self, indices: np.ndarray) -> dict[str, Any]:
        if not len(indices):
            raise IndexError(f"{self.name}: a slice or list of indices must select at least one example, got none")
        annotations: list[Any] = [None] * len(indices)
        arrays = self._batch_arrays(indices, annotations)
        return {
            "audio": arrays.pop("audio"),
            "audio_type": [self.labels[number] for number in self._type_numbers(indices).tolist()],
            "sample_rate": [self.config.sample_rate] * len(indices),
            "duration": [self.config.duration] * len(indices),
            **arrays,
            **({"annotations": annotations} if self.annotations else {}),
        }

    def _batch_arrays(self, indices: np.ndarray, annotations: list[Any]) -> dict[str, jax.Array]:
        """Render the arrays of a batch, and write its annotations into a list.

        Every program runs on one device and renders that device's examples: nothing is moved between devices.
        """
        if self.sharding is None:
            return self._render_on(None, indices, np.arange(len(indices)), annotations)
        shards: dict[str, list[jax.Array]] = {}
        for device, positions in _positions_by_device(self.sharding, len(indices)).items():
            for name, shard in self._render_on(device, indices[positions], positions, annotations).items():
                shards.setdefault(name, []).append(shard)
        return {
            name: jax.make_array_from_single_device_arrays((len(indices), *arrays[0].shape[1:]), self.sharding, arrays)
            for name, arrays in shards.items()
        }

    def _render_on(
        self, device: _Device | None, indices: np.ndarray, positions: np.ndarray, annotations: list[Any]
    ) -> dict[str, jax.Array]:
        if self._is_whole_rotations(indices):
            options = {"generators": self._generators, "n_examples": len(indices)}
            audio = self._render(_render_rotation, indices[:1], device, **options)
            return {"audio": audio, **self._features(audio)}
        # Sorted by size, so that the function that reorders blocks of given sizes is compiled once for all types.
        blocks = sorted(self._render_types(indices, device), key=lambda block: len(block.audio))
        order = np.empty(len(indices), np.int32)
        start = 0
        for block in blocks:
            order[block.positions] = start + np.arange(len(block.positions), dtype=np.int32)
            start += len(block.audio)
        is_one_block = len(blocks) == 1 and len(blocks[0].audio) == len(indices)
        audio = blocks[0].audio if is_one_block else _reorder([block.audio for block in blocks], order)
        if self.annotations:
            for block in blocks:
                split = _split_annotations(block.annotations, len(block.positions))
                for place, of_example in zip(positions[block.positions].tolist(), split, strict=True):
                    annotations[place] = of_example
        return {"audio": audio, **self._features(audio)}

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

    def _render_types(self, indices: np.ndarray, device: _Device | None = None) -> list[_TypeBlock]:
        """Render the examples of each type together; all programs are dispatched before the first result is used."""
        numbers = self._type_numbers(indices)
        blocks: list[_TypeBlock] = []
        for number, generator in enumerate(self._generators):
            positions = np.flatnonzero(numbers == number)
            if not len(positions):
                continue
            padded = np.resize(indices[positions], _padded_size(len(positions)))
            audio, annotations = self._render(
                _render_type, padded, device, generator=generator, annotate=self.annotations
            )
            blocks.append(_TypeBlock(self.labels[number], positions, audio, annotations))
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

    def _is_whole_rotations(self, indices: np.ndarray) -> bool:
        """Return whether indices are consecutive, start at the first type, and fill whole rotations without padding."""
        n_rotations, remainder = divmod(len(indices), len(self.labels))
        if self._weights is not None or self.annotations or remainder or indices[0] % len(self.labels):
            return False
        is_contiguous = bool((np.diff(indices) == 1).all())
        return is_contiguous and n_rotations == _padded_size(n_rotations) and n_rotations < len(indices)

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
    """Take examples from concatenated blocks; compiled, this is one pass over the data."""
    return jnp.concatenate(blocks).at[jnp.asarray(order)].get(mode="promise_in_bounds")


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


def _split_annotations(annotations: Mapping[str, jax.Array], count: int) -> list[dict[str, Any]]:
    """Transfer annotations to the host and split them into one dict per example, without their padding."""
    arrays = {name: np.asarray(values) for name, values in annotations.items()}
    return [_drop_missing_onsets({name: values[i] for name, values in arrays.items()}) for i in range(count)]


def _drop_missing_onsets(annotations: dict[str, Any]) -> dict[str, Any]:
    """Drop onsets that are NaN, and the entries of parallel arrays that are NaN for the same onsets."""
    trimmed = dict(annotations)
    for name in annotations:
        if _last_part(name) != "onsets":
            continue
        is_missing, prefix = np.isnan(annotations[name]), name.removesuffix("onsets")
        for other, value in annotations.items():
            is_parallel = other.removesuffix(_last_part(other)) == prefix and value.shape[:1] == is_missing.shape
            if is_parallel and np.isnan(value[is_missing]).all():
                trimmed[other] = value[~is_missing]
                trimmed[other].flags.writeable = False  # like the other annotations, which are views
    return trimmed


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
