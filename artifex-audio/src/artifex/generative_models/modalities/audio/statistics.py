"""Statistics of features, and normalization by them. Imports no jax at module level."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from artifex.generative_models.modalities.audio.datasets.loader.batches import time_axis_keys
from artifex.generative_models.modalities.audio.datasets.loader.loader import Loader
from artifex.generative_models.modalities.audio.datasets.loader.plan import IndexedDataset, dataset_name
from artifex.generative_models.modalities.base import current_epoch, read_examples

if TYPE_CHECKING:
    import jax
    from jax.typing import ArrayLike


@attrs.frozen(eq=False)
class Statistics:
    """Count, mean, standard deviation, minimum and maximum of features, for each band.

    Args:
        count: Number of frames, or of samples for waveforms.
        mean: Mean of each band, shape (n_bands,), float64; one band for waveforms.
        standard_deviation: Standard deviation of each band, with divisor ``count``.
        minimum: Minimum of each band.
        maximum: Maximum of each band.

    Example:
        >>> statistics = compute_statistics(np.array([[0.0, 2.0], [5.0, 5.0]]))
        >>> statistics.mean, statistics.standard_deviation
        (array([1., 5.]), array([1., 0.]))
        >>> statistics.overall.mean
        array([3.])
        >>> statistics.normalize(np.array([[2.0], [5.0]], np.float32)).tolist()
        [[1.0], [0.0]]
    """

    count: int
    mean: np.ndarray
    standard_deviation: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray

    @property
    def overall(self) -> Statistics:
        """The statistics of all bands together, as those of one band."""
        columns = zip(*(getattr(self, name)[:, None] for name in _NAMES), strict=True)
        rows = [Statistics(self.count, *values) for values in columns]
        return merge_statistics(rows)

    def normalize(self, features: ArrayLike, *, lengths: ArrayLike | None = None, per_band: bool = True) -> jax.Array:
        """Subtract the mean and divide by the standard deviation. Works under every JAX transform.

        Args:
            features: Features (..., n_bands, time), or (..., time) with one band.
            lengths: Number of valid frames, integers that broadcast against the leading axes; frames past them become 0,
                the mean. By default all are valid.
            per_band: Whether to use the statistics of each band, or those of all bands together.

        Returns:
            The normalized features, in the dtype of ``features``. A band that is constant in the statistics is not divided.

        Raises:
            TypeError: When the features are not real floating-point numbers.
            ValueError: When they have another number of bands, or the statistics are of no frames, NaN or infinite.

        Reference:
            The rule for constant bands is that of scikit-learn's ``StandardScaler``.
        """
        import jax.numpy as jnp

        values = jnp.asarray(features)
        dtype, mean, scale = self._mean_and_scale(values, per_band)
        normalized = ((values.astype(dtype) - mean) / scale).astype(values.dtype)
        if lengths is None:
            return normalized
        counts = jnp.asarray(lengths)
        valid = jnp.arange(values.shape[-1]).reshape(*[1] * counts.ndim, -1) < jnp.expand_dims(counts, -1)
        while 1 < valid.ndim < values.ndim:
            valid = jnp.expand_dims(valid, -2)
        return jnp.where(jnp.broadcast_to(valid, values.shape), normalized, jnp.zeros_like(normalized))

    def denormalize(self, features: ArrayLike, *, per_band: bool = True) -> jax.Array:
        """Multiply by the standard deviation and add the mean: the inverse of ``normalize``.

        Args:
            features: Normalized features (..., n_bands, time), or (..., time) with one band.
            per_band: As in ``normalize``.

        Returns:
            The features, such as those that ``AudioModality.decode`` expects.

        Raises:
            TypeError: As in ``normalize``.
            ValueError: As in ``normalize``.
        """
        import jax.numpy as jnp

        values = jnp.asarray(features)
        dtype, mean, scale = self._mean_and_scale(values, per_band)
        return (values.astype(dtype) * scale + mean).astype(values.dtype)

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics as values that JSON supports; None for NaN and infinity."""
        return {
            "count": self.count,
            **{
                name: [value if math.isfinite(value) else None for value in getattr(self, name).tolist()]
                for name in _NAMES
            },
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Statistics:
        """Create statistics from the result of ``to_dict``.

        Args:
            table: The result of ``to_dict``.

        Raises:
            ValueError: When a key is missing or unknown.
        """
        if set(table) != {"count", *_NAMES}:
            raise ValueError(f"statistics must have the keys count, {', '.join(_NAMES)}; got {', '.join(table)}")
        return cls(
            int(table["count"]),
            *(np.array([math.nan if value is None else value for value in table[name]], np.float64) for name in _NAMES),
        )

    def _mean_and_scale(self, features: jax.Array, per_band: bool) -> tuple[np.dtype, np.ndarray, np.ndarray]:
        """Return the dtype to compute in, and the mean and the divisor in the rank of the features."""
        from artifex.generative_models.core.numerics.dtypes import real_working_dtype

        dtype = real_working_dtype("Statistics", features.dtype)
        if not self.count:
            raise ValueError("statistics of no frames cannot normalize features")
        if bands := _not_finite(self):
            raise ValueError(
                f"statistics are NaN or infinite in the bands {bands}; compute them without these examples"
            )
        n_bands, shape = len(self.mean), features.shape
        if n_bands > 1 and (len(shape) < 2 or shape[-2] != n_bands):
            raise ValueError(f"features must have shape (..., {n_bands}, time), as the statistics, got {shape}")
        used = self if per_band else self.overall
        scale = np.where(used.standard_deviation > 0, used.standard_deviation, 1.0)
        column = [1] * len(shape)
        if len(used.mean) > 1:
            column[-2] = n_bands
        return dtype, used.mean.reshape(column).astype(dtype), scale.reshape(column).astype(dtype)


_NAMES = ("mean", "standard_deviation", "minimum", "maximum")


def compute_statistics(features: np.ndarray, *, lengths: np.ndarray | None = None) -> Statistics:
    """Compute the statistics of features, in float64.

    Args:
        features: Real features (..., n_bands, time), or (time,).
        lengths: Number of valid frames, integers of the shape of the leading axes; frames past them are ignored. By default
            all are valid.

    Returns:
        The statistics. NaN and infinity in a band give NaN or infinity there.

    Raises:
        TypeError: When the features are complex.

    Example:
        >>> compute_statistics(np.array([[[1.0, 3.0, 9.0]]]), lengths=np.array([2])).maximum
        array([3.])
    """
    values = np.asarray(features)
    if np.iscomplexobj(values):
        raise TypeError(f"features must be real, got {values.dtype}; compute the statistics of np.abs(features)")
    if values.ndim < 2:
        values = values.reshape(1, -1)
    if lengths is None:
        rows = np.moveaxis(values, -2, 0).reshape(values.shape[-2], -1)
    else:
        is_valid = np.arange(values.shape[-1]) < np.asarray(lengths)[..., None]
        rows = np.moveaxis(values, -2, 0)[:, np.broadcast_to(is_valid, values.shape[:-2] + values.shape[-1:])]
    rows = rows.astype(np.float64)
    n_bands, count = rows.shape
    if not count:
        nothing = np.zeros(n_bands)
        return Statistics(0, nothing, nothing, nothing + math.inf, nothing - math.inf)
    with np.errstate(invalid="ignore"):
        return _create(count, rows.mean(axis=1), rows.std(axis=1), rows.min(axis=1), rows.max(axis=1))


def merge_statistics(parts: Iterable[Statistics]) -> Statistics:
    """Merge the statistics of parts, such as shards or hosts, into those of the whole.

    Args:
        parts: The statistics of each part, at least one.

    Returns:
        The statistics of all frames.

    Raises:
        ValueError: When there are no parts, or they have different numbers of bands.

    Example:
        >>> values = np.arange(10.0)
        >>> merged = merge_statistics([compute_statistics(values[:3]), compute_statistics(values[3:])])
        >>> merged.count, merged.mean, np.allclose(merged.standard_deviation, values.std())
        (10, array([4.5]), True)

    Reference:
        T. F. Chan, G. H. Golub and R. J. LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances, 1979.
    """
    given = list(parts)
    n_bands = {len(each.mean) for each in given}
    if len(n_bands) != 1:
        raise ValueError(
            f"statistics to merge must have the same number of bands, got {sorted(n_bands) or 'no statistics'}"
        )
    given = [each for each in given if each.count] or given[:1]
    if len(given) == 1:
        return given[0]
    counts = np.array([each.count for each in given], np.float64)
    total = counts.sum()
    weights = (counts / total)[:, None]
    means, deviations, minima, maxima = (np.stack([getattr(each, name) for each in given]) for name in _NAMES)
    with np.errstate(invalid="ignore"):
        mean = (weights * means).sum(axis=0)
        variance = (weights * (deviations**2 + (means - mean) ** 2)).sum(axis=0)
    return _create(int(total), mean, np.sqrt(variance), minima.min(axis=0), maxima.max(axis=0))


def _create(
    count: int, mean: np.ndarray, deviation: np.ndarray, minimum: np.ndarray, maximum: np.ndarray
) -> Statistics:
    """Return statistics in which constant bands have deviation 0: rounding leaves about 1e-15, which must not divide."""
    is_constant = (minimum == maximum) & np.isfinite(minimum)
    return Statistics(
        count, np.where(is_constant, minimum, mean), np.where(is_constant, 0.0, deviation), minimum, maximum
    )


def dataset_statistics(data: Loader | IndexedDataset, *, key: str | None = None) -> Statistics:
    """Compute the statistics of a dataset or of the batches of a loader, in one pass.

    Padding and invalid examples are ignored. Statistics of the features that ``artifex extract`` wrote are in
    ``FeatureDataset.statistics``, without a pass.

    Args:
        data: A dataset, of which epoch 0 is read; or a loader, whose batches are read from the first to the last and which
            is rewound afterwards. Every example must be in a batch.
        key: Key of the array, (time,) or (..., n_bands, time) in an example. By default the only key with a time axis.

    Returns:
        The statistics.

    Raises:
        KeyError: When there is no such key; the message lists those that exist.
        TypeError: When the loader has infinitely many epochs, or the array is not of real numbers with a time axis.
        ValueError: When the loader drops examples or reads those of one shard, or when values are NaN or infinite.

    Example:
        >>> dataset_statistics([{"audio": np.array([1.0, 3.0])}, {"audio": np.array([5.0])}]).mean
        array([3.])
    """
    if isinstance(data, Loader):
        loader: Loader = data
        if loader.shard[1] > 1:
            raise ValueError(f"the loader with shard={loader.shard} reads a part of every batch; pass the dataset")
        if loader.n_dropped:
            raise ValueError(
                f"the loader drops {loader.n_dropped} of {loader.n_examples} examples in every epoch; pass the dataset, or "
                f"drop_remainder=False to make_loader"
            )
        len(loader)  # raises with epochs=None
        examples: Iterator[Mapping[str, Any]] = iter(loader.rewind())
        dataset = loader.dataset
    else:
        dataset = data
        examples = (read_examples(dataset, [index], epoch=current_epoch())[0] for index in range(len(dataset)))
    merged: Statistics | None = None
    for example in examples:
        found = _statistics_of(example, dataset, key, batched=isinstance(data, Loader))
        merged = found if merged is None else merge_statistics([merged, found])
    if isinstance(data, Loader):
        data.rewind()
    if merged is None:
        raise ValueError(f"{dataset_name(dataset)} has no examples to compute statistics of")
    if bands := _not_finite(merged):
        raise ValueError(
            f"{dataset_name(dataset)} has NaN or infinite values in the bands {bands}; remove these examples"
        )
    return merged


def _not_finite(statistics: Statistics) -> list[int]:
    return np.flatnonzero(~np.isfinite(statistics.standard_deviation)).tolist()


def _statistics_of(
    example: Mapping[str, Any], dataset: IndexedDataset, key: str | None, *, batched: bool
) -> Statistics:
    """Return the statistics of an example or a batch."""
    time_keys = [name for name in time_axis_keys(dataset) if name in example]
    if key is None:
        if len(time_keys) != 1:
            known = ", ".join(map(repr, time_keys or example))
            raise KeyError(
                f"key must be one of {known}: {dataset_name(dataset)} has {len(time_keys)} keys with a time axis"
            )
        key = time_keys[0]
    if key not in example:
        raise KeyError(f"key must be one of {', '.join(map(repr, example))}, got {key!r}")
    values = np.asarray(example[key])
    if not batched:
        values = values[None]
    if values.ndim < 2 or values.dtype.kind not in "fiu":
        raise TypeError(
            f"{key!r} must be an array of real numbers with a time axis, got {values.dtype} {values.shape[1:]}"
        )
    count = values.shape[-1]
    lengths = np.full(len(values), count)
    if "length" in example:
        lengths = np.broadcast_to(np.asarray(example["length"]), len(values))
        if key not in time_keys:
            lengths = _frames_of(dataset, key, lengths, count)
    lengths = lengths * np.broadcast_to(np.asarray(example.get("valid", True), bool), len(values))
    if values.ndim == 2:  # (batch, time): one band
        values = values[:, None]
    return compute_statistics(values, lengths=lengths.reshape(len(values), *[1] * (values.ndim - 3)))


def _frames_of(dataset: IndexedDataset, key: str, lengths: np.ndarray, count: int) -> np.ndarray:
    """Return the valid frames of features that a dataset computes from waveforms of the given lengths."""
    from artifex.generative_models.modalities.audio.base import AudioModality, AudioModalityConfig

    config = getattr(dataset, "config", None)
    if isinstance(config, AudioModalityConfig) and key == config.representation_name:
        return np.asarray(np.minimum(AudioModality(config).n_frames(lengths), count))
    raise ValueError(
        f"the number of valid frames of {key!r} is unknown: 'length' belongs to {', '.join(time_axis_keys(dataset))}; "
        f"compute {key!r} in a transform that sets 'length' and drops the waveform"
    )
