"""Synthetic audio: every sample a pure function of (seed, split, index), rendered when asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.generative_models.core import resolve
from artifex.generative_models.core.checks import check_flag, check_integer, check_number
from artifex.generative_models.modalities.audio.annotations import with_annotations
from artifex.generative_models.modalities.audio.base import AudioModality, AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.preprocessing import normalize_audio
from artifex.generative_models.modalities.base import BaseDataset, checksum, position

# Samples asked for one after the other are rendered as many at a time: enough to hide the dispatch, few megabytes.
_BLOCK = 32
_BLOCK_BYTES = 2**23
# How far behind its neighbors a thread may be for the samples still to count as asked for in turn.
_STRIDE = 4


class _Block(NamedTuple):
    """The samples of one type: where they stand in the batch, then a row for each and, for padding, some more."""

    label: str
    group: np.ndarray
    audio: jax.Array
    known: dict[str, jax.Array]


class SyntheticAudioDataset(BaseDataset):
    """Sounds made by registered audio types, which take turns: sample i is of type ``i % len(audio_types)``.

    A sample depends on (seed, split, index) alone, whatever is asked for around it, and no two splits share one.
    Nothing is stored but the block of samples last rendered, a few megabytes: samples that are asked for one after the
    other are rendered together.

    Args:
        config: What the audio is like; None means the defaults.
        n_samples: How many samples there are, at most 2**32.
        audio_types: Names of registered audio types, ``(name, options)`` pairs, mappings with ``name`` and options, or
            functions ``f(key, *, n_time_steps, sample_rate)``.
        name: What the dataset is called.
        split: Which part of the data; another name gives other samples.
        seed: Another number gives other samples.
        annotations: Whether samples come with ``annotations``, what their audio type knows of them.
        weights: How often each type comes, one number per type in any unit: the type of a sample is then drawn from
            (seed, split, index). None lets them take turns.
        sharding: How the batches of slices, lists of indices and ``get_batch`` lie on the devices: a sharding of
            their first axis. Every device renders its own rows. None leaves them on the default device.
        rngs: Where ``get_batch`` draws indices from; None draws the same sequence of batches every time.

    Attributes:
        labels: The names of the audio types, in order.

    Raises:
        UnknownComponentError: For an unknown audio type; the message names those that are installed.
        TypeError: For an audio type that is none, or an option that it does not take.
        ValueError: For sizes or weights out of range, or an audio type that does not give ``(n_time_steps,)`` floats.

    Example:
        >>> config = AudioModalityConfig(duration=0.5)
        >>> data = SyntheticAudioDataset(config, n_samples=6, audio_types=["sine", ("noise", {"amplitude": 0.1})])
        >>> sample = data[1]
        >>> sample["audio"].shape, sample["audio_type"], sample["sample_rate"], sample["duration"]
        ((8000,), 'noise', 16000, 0.5)
        >>> data[2:6]["audio"].shape
        (4, 8000)
        >>> known = SyntheticAudioDataset(config, n_samples=6, annotations=True)[0]["annotations"]
        >>> round(float(known["gain"]), 2)
        2.0
    """

    config: AudioModalityConfig

    def __init__(
        self,
        config: AudioModalityConfig | None = None,
        n_samples: int = 1000,
        audio_types: Sequence[Any] = ("sine", "noise", "chirp"),
        name: str = "SyntheticAudioDataset",
        *,
        split: str = "train",
        seed: int = 0,
        annotations: bool = False,
        weights: Sequence[float] | None = None,
        sharding: jax.sharding.Sharding | None = None,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        if config is not None and not isinstance(config, AudioModalityConfig):
            raise TypeError(f"SyntheticAudioDataset takes config=AudioModalityConfig(…), got {type(config).__name__}")
        self.modality = AudioModality(config, rngs=rngs)
        super().__init__(self.modality.config, split, rngs=rngs)
        check_integer("n_samples", n_samples, minimum=1, maximum=2**32)
        check_integer("seed", seed)
        check_flag("annotations", annotations)
        if isinstance(audio_types, str | Mapping) or not isinstance(audio_types, Sequence) or not audio_types:
            raise TypeError(
                f"audio_types is a list of at least one audio type, such as ['sine', 'noise'], got {audio_types!r}"
            )
        if sharding is not None and not isinstance(sharding, jax.sharding.Sharding):
            raise TypeError(
                f"sharding is a jax.sharding.Sharding of the batch axis, such as NamedSharding(mesh, P('data')), "
                f"got {sharding!r} ({type(sharding).__name__})"
            )
        self.name = name
        self.n_samples = int(n_samples)
        self.seed = int(seed)
        self.annotations = annotations
        self.sharding = sharding
        self.audio_types = self.labels = tuple(_name_of(spec) for spec in audio_types)
        self._generators = tuple(self._checked(spec) for spec in audio_types)
        self._weights = None if weights is None else _checked_weights(weights, self.labels)
        words = np.frombuffer(hashlib.sha256(f"{int(seed)} {split}".encode()).digest(), "<u4").astype(np.uint32)
        self._key_words, self._draw_words = words[:2], words[2:4]
        self._block_size = max(1, min(_BLOCK, _BLOCK_BYTES // self._bytes_of_a_sample()))
        self._last = -_STRIDE - 1
        self._ahead: tuple[int, list[dict[str, Any]]] = (0, [])

    def __len__(self) -> int:
        return self.n_samples

    def __getitem__(self, index: Any) -> dict[str, Any]:
        """Return a sample, or a batch for a slice or a sequence of indices.

        Args:
            index: An integer, a slice, or a sequence of integers; negative ones count from the end.

        Returns:
            For an integer ``audio`` (n_time_steps,), ``audio_type``, ``sample_rate`` and ``duration``, and the features
            under the representation's name where it is not the waveform; with ``annotations=True`` also
            ``annotations``, a dict of NumPy arrays and scalars: what the audio type knows, with ``stems`` brought to
            the level of the audio, and ``gain``, the factor that normalizing applied, where the configuration
            normalizes. For several a batch: what ``collate_fn`` makes of such samples.

        Raises:
            IndexError: When there is no such sample.
            ValueError: When the dataset has a sharding which the batch does not divide into.
        """
        if isinstance(index, slice):
            return self._batch(np.arange(*index.indices(len(self))))
        if isinstance(index, Sequence | np.ndarray | jax.Array) and np.ndim(index) == 1:
            return self._batch(self._places(index))
        return self._sample(position(index, len(self), self.name))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self), self._block_size):
            yield from self._samples(np.arange(start, min(start + self._block_size, len(self))), list)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": -_STRIDE - 1, "_ahead": (0, [])}

    def example(self, index: int, *, epoch: int = 0) -> dict[str, Any]:
        """Return one sample with NumPy arrays; it is the same in every epoch.

        Args:
            index: Its place.
            epoch: Makes no difference.

        Returns:
            What ``self[index]`` returns, on the host.
        """
        return self.examples([index], epoch=epoch)[0]

    def fingerprint(self) -> str:
        """Return a few digits that are the same where the samples are; see ``BaseDataset.fingerprint``."""
        weights = None if self._weights is None else self._weights.tolist()
        types = [_described(generator) for generator in self._generators]
        return checksum(len(self), self.split, self.seed, self.config, self.labels, types, weights, self.annotations)

    def examples(self, indices: Sequence[int], *, epoch: int = 0) -> list[dict[str, Any]]:
        """Return several samples with NumPy arrays, rendered together; they are the same in every epoch.

        Args:
            indices: Their places.
            epoch: Makes no difference.

        Returns:
            A list of what ``example`` returns. The arrays are read-only views of one array for each audio type.

        Raises:
            IndexError: When there is no such sample.
        """
        return self._samples(self._places(indices), np.asarray)

    def get_batch(self, batch_size: int) -> dict[str, Any]:
        """Return a batch of samples drawn with replacement, rendered together.

        Args:
            batch_size: How many, at least 1.

        Returns:
            ``audio`` (batch_size, n_time_steps), the lists ``audio_type``, ``sample_rate`` and ``duration``, and
            ``index`` (batch_size,), the places they were drawn from.
        """
        indices = self.draw_indices(batch_size)
        return {**self._batch(indices), "index": indices}

    def _places(self, indices: Any) -> np.ndarray:
        return np.array([position(i, len(self), self.name) for i in np.asarray(indices)], np.int64)

    def _sample(self, place: int) -> dict[str, Any]:
        """Take a sample from the block last rendered, which the next one in turn renders anew.

        What is kept is replaced in one assignment: threads that meet here may render a block twice, never see half.
        """
        last, self._last = self._last, place
        start, block = self._ahead
        if not 0 <= place - start < len(block):
            in_turn = 0 < place - last <= _STRIDE and self._block_size > 1
            places = np.arange(place, min(place + self._block_size, len(self)) if in_turn else place + 1)
            start, block = place, self._samples(places, list)
            if in_turn:
                self._ahead = (start, block)
        sample = dict(block[place - start])
        if self.annotations:
            sample["annotations"] = dict(sample["annotations"])
        return sample

    def _samples(self, places: np.ndarray, rows: Callable[[jax.Array], Any]) -> list[dict[str, Any]]:
        samples: list[dict[str, Any]] = [{}] * len(places)
        for label, group, audio, known in self._blocks(places):
            clips = rows(audio)
            features = {name: rows(encoded) for name, encoded in self._features(audio).items()}
            annotations = _rows_of(known, len(group)) if self.annotations else []
            for row, place in enumerate(group.tolist()):
                samples[place] = {
                    "audio": clips[row],
                    "audio_type": label,
                    "sample_rate": self.config.sample_rate,
                    "duration": self.config.duration,
                    **{name: encoded[row] for name, encoded in features.items()},
                }
                if self.annotations:
                    samples[place]["annotations"] = annotations[row]
        return samples

    def _batch(self, places: np.ndarray) -> dict[str, Any]:
        if not len(places):
            raise IndexError(f"{self.name}: the slice or list of indices is empty; a batch has at least one sample")
        annotations: list[Any] = [None] * len(places)
        arrays = self._arrays(places, annotations)
        return {
            "audio": arrays.pop("audio"),
            "audio_type": [self.labels[which] for which in self._kinds(places).tolist()],
            "sample_rate": [self.config.sample_rate] * len(places),
            "duration": [self.config.duration] * len(places),
            **arrays,
            **({"annotations": annotations} if self.annotations else {}),
        }

    def _arrays(self, places: np.ndarray, annotations: list[Any]) -> dict[str, jax.Array]:
        """Render the rows of a batch where they belong, and write what is known of them into a list.

        Every program runs on one device and makes that device's rows: nothing is moved between devices.
        """
        if self.sharding is None:
            return self._arrays_on(None, places, np.arange(len(places)), annotations)
        parts: dict[str, list[jax.Array]] = {}
        for device, rows in _rows_by_device(self.sharding, len(places)).items():
            for name, part in self._arrays_on(device, places[rows], rows, annotations).items():
                parts.setdefault(name, []).append(part)
        return {
            name: jax.make_array_from_single_device_arrays((len(places), *made[0].shape[1:]), self.sharding, made)
            for name, made in parts.items()
        }

    def _arrays_on(
        self, device: jax.Device | None, places: np.ndarray, rows: np.ndarray, annotations: list[Any]
    ) -> dict[str, jax.Array]:
        if self._are_whole_turns(places):
            audio = self._rendered(_render_turns, places[:1], device, generators=self._generators, n_rows=len(places))
            return {"audio": audio, **self._features(audio)}
        # By size, so that the types share what is compiled to put blocks of so many sizes together.
        blocks = sorted(self._blocks(places, device), key=lambda block: len(block.audio))
        order = np.empty(len(places), np.int32)
        start = 0
        for block in blocks:
            order[block.group] = start + np.arange(len(block.group))
            start += len(block.audio)
        whole = len(blocks) == 1 and len(blocks[0].audio) == len(places)
        audio = blocks[0].audio if whole else _in_order([block.audio for block in blocks], order)
        if self.annotations:
            for block in blocks:
                for row, known in zip(rows[block.group].tolist(), _rows_of(block.known, len(block.group)), strict=True):
                    annotations[row] = known
        return {"audio": audio, **self._features(audio)}

    def _features(self, audio: jax.Array) -> dict[str, jax.Array]:
        if self.config.representation is AudioRepresentation.RAW_WAVEFORM:
            return {}
        return {self.config.representation_name: self.modality.encode(audio)}

    def _kinds(self, places: np.ndarray) -> np.ndarray:
        """Say of which type each sample is."""
        if self._weights is None:
            return places % len(self.labels)
        drawn = np.flatnonzero(self._weights)
        bounds = np.cumsum(self._weights[drawn])[:-1]
        kinds: np.ndarray = drawn[np.searchsorted(bounds, _uniform(self._draw_words, places), side="right")]
        return kinds

    def _blocks(self, places: np.ndarray, device: jax.Device | None = None) -> list[_Block]:
        """Render each type's samples together; all are under way before the first is waited for."""
        kinds = self._kinds(places)
        blocks = []
        for which, generator in enumerate(self._generators):
            group = np.flatnonzero(kinds == which)
            if not len(group):
                continue
            padded = np.resize(places[group], _padded_size(len(group)))
            audio, known = self._rendered(_render, padded, device, generator=generator, annotate=self.annotations)
            blocks.append(_Block(self.labels[which], group, audio, known))
        return blocks

    def _rendered(self, render: Callable[..., Any], places: np.ndarray, device: jax.Device | None, **how: Any) -> Any:
        places = places.astype(np.uint32)
        return render(
            self._key_words,
            places if device is None else jax.device_put(places, device),
            n_time_steps=self.config.n_time_steps,
            sample_rate=self.config.sample_rate,
            normalize=self.config.normalize,
            **how,
        )

    def _are_whole_turns(self, places: np.ndarray) -> bool:
        """Say whether the types come one after the other, as often as any of them would be rendered alone."""
        turns, rest = divmod(len(places), len(self.labels))
        if self._weights is not None or self.annotations or rest or places[0] % len(self.labels):
            return False
        in_turn = bool((np.diff(places) == 1).all())
        return in_turn and turns == _padded_size(turns) and turns < len(places)

    def _checked(self, spec: Any) -> Any:
        generator = resolve("audio_type", spec)
        expected = (self.config.n_time_steps,)
        made = jax.eval_shape(
            partial(generator, n_time_steps=expected[0], sample_rate=self.config.sample_rate), jax.random.key(0)
        )
        if getattr(made, "shape", None) != expected or not jnp.issubdtype(made.dtype, jnp.floating):
            raise ValueError(f"audio type {_name_of(spec)!r} has to give {expected} floats, it gives {made}")
        return generator

    def _bytes_of_a_sample(self) -> int:
        """Return what the largest sample takes on the device: audio, features and annotations."""
        raw = self.config.representation is AudioRepresentation.RAW_WAVEFORM
        render = partial(self._rendered, _render, np.zeros(1), None, annotate=self.annotations)
        sizes = [
            sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(made))
            for generator in dict.fromkeys(self._generators)
            for made in [jax.eval_shape(partial(render, generator=generator))]
        ]
        return int(max(sizes)) + (0 if raw else 8 * int(np.prod(self.modality.output_shape)))


@partial(jax.jit, static_argnames=("generator", "n_time_steps", "sample_rate", "normalize", "annotate"))
def _render(
    key_words: jax.Array,
    places: jax.Array,
    *,
    generator: Any,
    n_time_steps: int,
    sample_rate: int,
    normalize: bool,
    annotate: bool,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    key = jax.random.wrap_key_data(key_words, impl="threefry2x32")

    def one(place: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        own = jax.random.fold_in(key, place)
        audio, known = with_annotations(generator)(own, n_time_steps=n_time_steps, sample_rate=sample_rate)
        if normalize:
            normalized, gain = normalize_audio(audio), _gain_to_one(audio)
            known = {name: gain * value if _last(name) == "stems" else value for name, value in known.items()}
            known["gain"] = gain
            audio = normalized
        return audio, known if annotate else {}

    rendered: tuple[jax.Array, dict[str, jax.Array]] = jax.vmap(one)(places)
    return rendered


@partial(jax.jit, static_argnames=("generators", "n_rows", "n_time_steps", "sample_rate", "normalize"))
def _render_turns(
    key_words: jax.Array, first: jax.Array, *, generators: tuple[Any, ...], n_rows: int, **options: Any
) -> jax.Array:
    """Render samples whose types take turns, in one program, which writes each where it belongs in one pass."""
    step = len(generators)
    blocks = [
        _render(
            key_words,
            first + np.arange(start, n_rows, step, dtype=np.uint32),
            generator=generator,
            annotate=False,
            **options,
        )[0]
        for start, generator in enumerate(generators)
    ]
    return jnp.stack(blocks, axis=1).reshape(n_rows, -1)


def _gain_to_one(audio: jax.Array) -> jax.Array:
    """Return what ``normalize_audio`` multiplies a clip by."""
    peak = jnp.max(jnp.abs(audio))
    silent = jnp.less(peak, jnp.finfo(audio.dtype).tiny)
    return jnp.where(jnp.isfinite(peak), 1 / jnp.where(silent, 1, peak), jnp.nan)


@jax.jit
def _in_order(blocks: list[jax.Array], order: jax.Array) -> jax.Array:
    """Take rows from blocks; within one program that is one pass over them."""
    ordered: jax.Array = jnp.concatenate(blocks).at[order].get(mode="promise_in_bounds")
    return ordered


def _rows_by_device(sharding: jax.sharding.Sharding, n_rows: int) -> dict[jax.Device, np.ndarray]:
    """Say which rows of a batch each device of this process holds."""
    try:
        sharding.shard_shape((n_rows, 1))
    except ValueError as error:
        raise ValueError(
            f"a batch of {n_rows} samples does not lie on the devices as {sharding} has it: the sharding divides the "
            f"first axis alone, and the number of samples is a multiple of its parts"
        ) from error
    found = sharding.addressable_devices_indices_map((n_rows, 1))
    every = np.arange(n_rows)
    return {device: every if index is None else every[index[0]] for device, index in found.items()}


def _rows_of(known: Mapping[str, jax.Array], count: int) -> list[dict[str, Any]]:
    """Bring annotations to the host and cut them into one dict per sample, without their padding."""
    host = {name: np.asarray(values) for name, values in known.items()}
    return [_trimmed({name: values[row] for name, values in host.items()}) for row in range(count)]


def _trimmed(known: dict[str, Any]) -> dict[str, Any]:
    """Leave out onsets that are NaN, and what stands beside them and is NaN for the same."""
    trimmed = dict(known)
    for name in known:
        if _last(name) != "onsets":
            continue
        absent, beside = np.isnan(known[name]), name.removesuffix("onsets")
        for other, value in known.items():
            is_beside = other.removesuffix(_last(other)) == beside and value.shape[:1] == absent.shape
            if is_beside and np.isnan(value[absent]).all():
                trimmed[other] = value[~absent]
                trimmed[other].flags.writeable = False  # as the others are, which are views
    return trimmed


def _last(name: str) -> str:
    """Return the last part of an annotation's name: those of a mixture begin with the component's number."""
    return name.rpartition(".")[2]


def _described(value: Any) -> Any:
    """Return what a function with options is, without its place in memory."""
    if isinstance(value, partial):
        return _described(value.func), _described(value.args), _described(value.keywords)
    if isinstance(value, Mapping):
        return [(name, _described(each)) for name, each in sorted(value.items())]
    if isinstance(value, list | tuple):
        return [_described(each) for each in value]
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return value


def _checked_weights(weights: Any, labels: Sequence[str]) -> np.ndarray:
    if isinstance(weights, str | Mapping) or not isinstance(weights, Sequence | np.ndarray):
        raise TypeError(f"weights is a list of one number per audio type, got {weights!r}")
    if len(weights) != len(labels):
        raise ValueError(f"weights has one number per audio type, {len(labels)} of them, got {len(weights)}")
    for label, weight in zip(labels, weights, strict=True):
        check_number(f"the weight of {label!r}", weight, minimum=0)
    found: np.ndarray = np.array(weights, np.float64)
    if not found.any():
        raise ValueError("weights are all 0: there is no audio type to draw")
    found = found / found.max()  # so that their sum is finite
    shares: np.ndarray = found / found.sum()
    return shares


def _uniform(words: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Draw a number in [0, 1) for each place, from the place alone: SplitMix64, counted on the host.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
    """
    mixed = np.uint64(int(words[0]) << 32 | int(words[1])) + (places.astype(np.uint64) + 1) * np.uint64(
        0x9E3779B97F4A7C15
    )
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    uniform: np.ndarray = ((mixed ^ mixed >> np.uint64(31)) >> np.uint64(11)) * 2.0**-53
    return uniform


def _padded_size(count: int) -> int:
    """Round up to a power of two or one and a half of it, so that few sizes are compiled whatever was drawn."""
    power = 1 << (count - 1).bit_length()
    return power * 3 // 4 if power >= 4 and count <= power * 3 // 4 else power


def _name_of(spec: Any) -> str:
    if isinstance(spec, str):
        return spec
    if isinstance(spec, Mapping):
        return str(spec.get("name", spec))
    if isinstance(spec, Sequence):
        return str(spec[0]) if spec else repr(spec)
    named = getattr(spec, "func", spec)
    return str(getattr(named, "__name__", named))
