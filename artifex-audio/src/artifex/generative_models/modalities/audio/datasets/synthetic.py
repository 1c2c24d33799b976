"""Synthetic audio: every sample a pure function of (seed, split, index), rendered when asked for."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from artifex.generative_models.core import resolve
from artifex.generative_models.core.checks import check_integer
from artifex.generative_models.modalities.audio.base import AudioModality, AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.preprocessing import normalize_audio
from artifex.generative_models.modalities.base import BaseDataset, position

_BLOCK = 32  # samples rendered at once while iterating: enough to hide the dispatch, few megabytes


class SyntheticAudioDataset(BaseDataset):
    """Sounds made by registered audio types, which take turns: sample i is of type ``i % len(audio_types)``.

    A sample depends on (seed, split, index) alone, whatever is asked for around it, and no two splits share one.

    Args:
        config: What the audio is like; None means the defaults.
        n_samples: How many samples there are, at most 2**32.
        audio_types: Names of registered audio types, ``(name, options)`` pairs, mappings with ``name`` and options, or
            functions ``f(key, *, n_time_steps, sample_rate)``.
        name: What the dataset is called.
        split: Which part of the data; another name gives other samples.
        seed: Another number gives other samples.
        rngs: Where ``get_batch`` draws indices from; None draws the same sequence of batches every time.

    Raises:
        UnknownComponentError: For an unknown audio type; the message names those that are installed.
        TypeError: For an audio type that is none, or an option that it does not take.
        ValueError: For sizes out of range, or an audio type that does not give ``(n_time_steps,)`` floats.

    Example:
        >>> config = AudioModalityConfig(duration=0.5)
        >>> data = SyntheticAudioDataset(config, n_samples=6, audio_types=["sine", ("noise", {"amplitude": 0.1})])
        >>> sample = data[1]
        >>> sample["audio"].shape, sample["audio_type"], sample["sample_rate"], sample["duration"]
        ((8000,), 'noise', 16000, 0.5)
        >>> data[2:6]["audio"].shape
        (4, 8000)
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
        rngs: nnx.Rngs | None = None,
    ) -> None:
        if config is not None and not isinstance(config, AudioModalityConfig):
            raise TypeError(f"SyntheticAudioDataset takes config=AudioModalityConfig(…), got {type(config).__name__}")
        self.modality = AudioModality(config, rngs=rngs)
        super().__init__(self.modality.config, split, rngs=rngs)
        check_integer("n_samples", n_samples, minimum=1, maximum=2**32)
        check_integer("seed", seed)
        if isinstance(audio_types, str | Mapping) or not isinstance(audio_types, Sequence) or not audio_types:
            raise TypeError(
                f"audio_types is a list of at least one audio type, such as ['sine', 'noise'], got {audio_types!r}"
            )
        self.name = name
        self.n_samples = int(n_samples)
        self.audio_types = tuple(_name_of(spec) for spec in audio_types)
        self._generators = tuple(self._checked(spec) for spec in audio_types)
        self._key = jax.random.fold_in(jax.random.key(int(seed)), np.uint32(zlib.crc32(split.encode())))

    def __len__(self) -> int:
        return self.n_samples

    def __getitem__(self, index: Any) -> dict[str, Any]:
        """Return a sample, or a batch for a slice or a sequence of indices.

        Args:
            index: An integer, a slice, or a sequence of integers; negative ones count from the end.

        Returns:
            For an integer ``audio`` (n_time_steps,), ``audio_type``, ``sample_rate`` and ``duration``, and the features
            under the representation's name where it is not the waveform; otherwise what ``collate_fn`` makes of such
            samples.

        Raises:
            IndexError: When there is no such sample.
        """
        if isinstance(index, slice):
            return self._batch(np.arange(*index.indices(len(self))))
        if isinstance(index, Sequence | np.ndarray | jax.Array) and np.ndim(index) == 1:
            return self._batch(np.array([position(i, len(self), self.name) for i in np.asarray(index)]))
        place = position(index, len(self), self.name)
        return self._sample(place, self._render(np.array([place]))[0])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self), _BLOCK):
            places = range(start, min(start + _BLOCK, len(self)))
            audio = self._render(np.array(places))
            for place, clip in zip(places, audio, strict=True):
                yield self._sample(place, clip)

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

    def _sample(self, place: int, audio: jax.Array) -> dict[str, Any]:
        return {
            "audio": audio,
            "audio_type": self.audio_types[place % len(self.audio_types)],
            "sample_rate": self.config.sample_rate,
            "duration": self.config.duration,
            **self._features(audio),
        }

    def _batch(self, places: np.ndarray) -> dict[str, Any]:
        if not len(places):
            raise IndexError(f"{self.name}: the slice or list of indices is empty; a batch has at least one sample")
        audio = self._render(places)
        return {
            "audio": audio,
            "audio_type": [self.audio_types[place % len(self.audio_types)] for place in places.tolist()],
            "sample_rate": [self.config.sample_rate] * len(places),
            "duration": [self.config.duration] * len(places),
            **self._features(audio),
        }

    def _features(self, audio: jax.Array) -> dict[str, jax.Array]:
        if self.config.representation is AudioRepresentation.RAW_WAVEFORM:
            return {}
        return {self.config.representation_name: self.modality.encode(audio)}

    def _render(self, places: np.ndarray) -> jax.Array:
        """Render each type's samples together and put them back in order."""
        n_types = len(self._generators)
        groups = [np.flatnonzero(places % n_types == which) for which in range(n_types)]
        rendered = [
            self._render_type(generator, places[group])
            for generator, group in zip(self._generators, groups, strict=True)
            if len(group)
        ]
        if len(rendered) == 1:
            return rendered[0]
        return jnp.concatenate(rendered)[np.argsort(np.concatenate(groups), kind="stable")]

    def _render_type(self, generator: Any, places: np.ndarray) -> jax.Array:
        padded = np.resize(places, _padded_size(len(places))).astype(np.uint32)
        audio: jax.Array = _render(
            self._key,
            padded,
            generator=generator,
            n_time_steps=self.config.n_time_steps,
            sample_rate=self.config.sample_rate,
            normalize=self.config.normalize,
        )
        return audio if len(padded) == len(places) else audio[: len(places)]

    def _checked(self, spec: Any) -> Any:
        generator = resolve("audio_type", spec)
        expected = (self.config.n_time_steps,)
        made = jax.eval_shape(
            partial(generator, n_time_steps=expected[0], sample_rate=self.config.sample_rate), jax.random.key(0)
        )
        if getattr(made, "shape", None) != expected or not jnp.issubdtype(made.dtype, jnp.floating):
            raise ValueError(f"audio type {_name_of(spec)!r} has to give {expected} floats, it gives {made}")
        return generator


@partial(jax.jit, static_argnames=("generator", "n_time_steps", "sample_rate", "normalize"))
def _render(
    key: jax.Array,
    places: jax.Array,
    *,
    generator: Any,
    n_time_steps: int,
    sample_rate: int,
    normalize: bool,
) -> jax.Array:
    def one(place: jax.Array) -> jax.Array:
        own = jax.random.fold_in(key, place)
        audio: jax.Array = generator(own, n_time_steps=n_time_steps, sample_rate=sample_rate)
        return normalize_audio(audio) if normalize else audio

    return jax.vmap(one)(places)


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
