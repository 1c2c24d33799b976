"""Statistics of features against NumPy in float64, and normalization by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.modalities.audio import (
    AudioFileDataset,
    AudioModality,
    AudioModalityConfig,
    FeatureDataset,
    Statistics,
    compute_statistics,
    dataset_statistics,
    extract,
    make_loader,
    merge_statistics,
    read_features,
    write_audio,
)
from artifex.generative_models.modalities.audio.extraction.verification import verify

NAMES = ("mean", "standard_deviation", "minimum", "maximum")
OF_NUMPY = (np.mean, np.std, np.min, np.max)


def assert_equals_numpy(statistics: Statistics, frames: np.ndarray) -> None:
    """Compare statistics with those of frames (n_bands, time), relative to the largest value."""
    assert statistics.count == frames.shape[1]
    wide = frames.astype(np.float64)
    for name, function in zip(NAMES, OF_NUMPY, strict=True):
        expected = function(wide, axis=1)
        np.testing.assert_allclose(getattr(statistics, name), expected, rtol=1e-6, atol=1e-9, err_msg=name)
        overall = getattr(statistics.overall, name)
        np.testing.assert_allclose(overall, [function(wide)], rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1.0), (1e4, 1e-2), (-300.0, 8.0)])
def test_merged_parts_equal_numpy_in_any_order(offset: float, scale: float) -> None:
    rng = np.random.default_rng(0)
    parts = [offset + scale * rng.standard_normal((3, n)) * [[1], [5], [0]] for n in (1, 40, 7, 0, 300)]
    statistics = [compute_statistics(part) for part in parts]
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 0, 4, 2, 1]):
        merged = merge_statistics([statistics[number] for number in order])
        assert_equals_numpy(merged, np.concatenate(parts, axis=1))
        nested = merge_statistics(
            [merge_statistics([statistics[n] for n in order[:2]]), *[statistics[n] for n in order[2:]]]
        )
        assert_equals_numpy(nested, np.concatenate(parts, axis=1))


def test_only_valid_frames_count() -> None:
    features = np.random.default_rng(1).standard_normal((4, 2, 9)).astype(np.float32)
    lengths = np.array([9, 0, 4, 1])
    padded = np.where(np.arange(9) < lengths[:, None, None], features, np.nan)
    valid = np.concatenate([row[:, :n] for row, n in zip(features, lengths, strict=True)], axis=1)
    assert_equals_numpy(compute_statistics(padded, lengths=lengths), valid)


def test_statistics_survive_json() -> None:
    statistics = compute_statistics(np.random.default_rng(2).standard_normal((3, 50)))
    copied = Statistics.from_dict(json.loads(json.dumps(statistics.to_dict())))
    assert copied.to_dict() == statistics.to_dict()
    with pytest.raises(ValueError, match="must have the keys count, mean"):
        Statistics.from_dict({"mean": [0.0]})


def test_normalized_features_have_mean_0_and_deviation_1_and_the_inverse_restores_them() -> None:
    features = (np.random.default_rng(3).standard_normal((5, 3, 40)) * [[4], [0.5], [0]] - [[60], [1], [7]]).astype(
        np.float32
    )
    statistics = compute_statistics(features)
    normalized = np.asarray(jax.jit(statistics.normalize)(features))
    np.testing.assert_allclose(normalized.mean(axis=(0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(normalized.std(axis=(0, 2)), [1, 1, 0], atol=1e-4)
    np.testing.assert_allclose(statistics.denormalize(normalized), features, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(jax.vmap(statistics.normalize)(features), normalized, atol=1e-6)
    gradient = jax.grad(lambda x: jnp.sum(statistics.normalize(x)))(jnp.asarray(features[0]))
    np.testing.assert_allclose(
        gradient[:, 0], 1 / np.where(statistics.standard_deviation > 0, statistics.standard_deviation, 1), rtol=1e-5
    )
    overall = np.asarray(statistics.normalize(features, per_band=False))
    assert overall.mean() == pytest.approx(0, abs=1e-4)
    assert overall.std() == pytest.approx(1, abs=1e-4)
    assert statistics.normalize(features.astype(jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("value", [np.log(1e-10), 13.610137939453125, -0.1])
def test_a_constant_band_is_not_divided_after_any_merges(value: float) -> None:
    rng = np.random.default_rng(6)
    parts = [np.stack([np.full(n, value), rng.standard_normal(n)]).astype(np.float32) for n in rng.integers(1, 500, 40)]
    for statistics in (
        compute_statistics(np.concatenate(parts, axis=1)),
        merge_statistics(map(compute_statistics, parts)),
        dataset_statistics([{"mel": part} for part in parts], key="mel"),
    ):
        assert (statistics.mean[0], statistics.standard_deviation[0]) == (np.float32(value), 0)
        above = np.float32(value) + np.float32(1)
        assert np.asarray(statistics.normalize(np.array([[above], [0]], np.float32)))[0, 0] == pytest.approx(
            1, abs=1e-5
        )


def test_statistics_of_nan_or_infinity_cannot_normalize() -> None:
    for values in ([1.0, np.nan], [1.0, np.inf], [np.inf, np.inf]):
        statistics = merge_statistics([compute_statistics(np.array([[0.0, 1.0], values]))] * 2)
        for function in (statistics.normalize, statistics.denormalize):
            with pytest.raises(ValueError, match=r"NaN or infinite in the bands \[1\]"):
                function(np.ones((2, 3), np.float32))


def test_frames_past_the_length_become_0() -> None:
    statistics = compute_statistics(np.array([[1.0, 3.0], [0.0, 4.0]]))
    features = np.full((2, 2, 4), 7, np.float32)
    found = np.asarray(jax.jit(lambda x, lengths: statistics.normalize(x, lengths=lengths))(features, np.array([3, 0])))
    assert found.tolist() == [[[5, 5, 5, 0], [2.5, 2.5, 2.5, 0]], [[0] * 4] * 2]
    wave = compute_statistics(np.array([1.0, 3.0]))
    assert np.asarray(wave.normalize(np.full((2, 3), 4, np.float32), lengths=np.array([1, 2]))).tolist() == [
        [2, 0, 0],
        [2, 2, 0],
    ]


@pytest.mark.parametrize("shape", [(2, 3), (2, 1, 3), (2, 5, 1, 3)])
def test_lengths_of_a_batch_fit_any_axes_of_one_band(shape: tuple[int, ...]) -> None:
    found = compute_statistics(np.array([1.0, 3.0])).normalize(np.full(shape, 4, np.float32), lengths=np.array([1, 3]))
    np.testing.assert_array_equal(found[0], np.broadcast_to([2, 0, 0], shape[1:]))
    np.testing.assert_array_equal(found[1], 2)


def test_wrong_shapes_raise() -> None:
    statistics = compute_statistics(np.ones((3, 5)))
    with pytest.raises(ValueError, match=r"features must have shape \(..., 3, time\), as the statistics, got \(5, 4\)"):
        statistics.normalize(np.ones((5, 4)))
    with pytest.raises(ValueError, match="the same number of bands, got \\[2, 3\\]"):
        merge_statistics([statistics, compute_statistics(np.ones((2, 5)))])
    with pytest.raises(ValueError, match="got no statistics"):
        merge_statistics([])
    with pytest.raises(TypeError, match="features must be real, got complex64"):
        compute_statistics(np.ones((2, 5), np.complex64))
    with pytest.raises(ValueError, match="statistics of no frames"):
        compute_statistics(np.ones((2, 0))).normalize(np.ones((2, 3)))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a manifest of 5 recordings of 0.2 to 0.6 s in two splits."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(5)
    lines = ["path,split"]
    for number in range(5):
        write_audio(folder / f"{number}.wav", rng.uniform(-0.5, 0.5, 1600 * (number + 1)), 8000)
        lines.append(f"{number}.wav,{'test' if number == 4 else 'train'}")
    folder.joinpath("list.csv").write_text("\n".join(lines))
    return folder


def test_an_extraction_stores_the_statistics_of_each_split(recordings: Path, tmp_path: Path) -> None:
    config = AudioModalityConfig(
        representation="log_mel_spectrogram", sample_rate=8000, n_mel_channels=8, n_fft=256, hop_length=128
    )
    out = tmp_path / "features"
    options: dict[str, Any] = {"config": config, "report": False}
    extract(recordings / "list.csv", out, shard_size=2, **options)
    extract(recordings / "list.csv", tmp_path / "whole", **options)
    by_split: dict[str, list[np.ndarray]] = {}
    for record, features in read_features(out):
        by_split.setdefault(record["split"], []).append(features)
    for split, features in by_split.items():
        data = FeatureDataset(out, split=split)
        frames = np.concatenate(features, axis=1)
        assert_equals_numpy(data.statistics["log_mel_spectrogram"], frames)
        assert_equals_numpy(FeatureDataset(tmp_path / "whole", split=split).statistics["log_mel_spectrogram"], frames)
        assert_equals_numpy(dataset_statistics(data), frames)
        loader = make_loader(data, 2, drop_remainder=False, bucket_lengths=3, shuffle=True)
        next(loader)
        assert_equals_numpy(dataset_statistics(loader), frames)
        assert loader.progress.step == 0
    assert not verify(out).problems
    stored = out / "statistics.json"
    stored.write_bytes((tmp_path / "whole" / "statistics.json").read_bytes().replace(b'"count": ', b'"count": 1'))
    assert [problem.source for problem in verify(out).problems] == ["statistics.json"]
    with pytest.raises(OSError, match="statistics.json is missing or damaged"):
        _ = FeatureDataset(out).statistics


def test_a_dataset_of_padded_recordings_counts_valid_samples_and_frames(recordings: Path) -> None:
    config = AudioModalityConfig(
        representation="mel_spectrogram", sample_rate=8000, duration=0.5, n_mel_channels=8, n_fft=256, hop_length=128
    )
    data = AudioFileDataset(config, recordings, crop="start")
    lengths = [1600, 3200, 4000, 4000, 4000]
    waves = [data[index]["audio"][:length] for index, length in enumerate(lengths)]
    assert_equals_numpy(dataset_statistics(data), np.concatenate(waves)[None])
    modality = AudioModality(config)
    mels = [np.asarray(data[i]["mel_spectrogram"])[:, : int(modality.n_frames(n))] for i, n in enumerate(lengths)]
    assert_equals_numpy(dataset_statistics(data, key="mel_spectrogram"), np.concatenate(mels, axis=1))
    loader = make_loader(data, 2, drop_remainder=False)
    assert_equals_numpy(dataset_statistics(loader, key="audio"), np.concatenate(waves)[None])


def test_what_would_miss_examples_or_never_end_raises() -> None:
    examples = [{"audio": np.ones(4), "level": np.ones((2, 4))}] * 5
    with pytest.raises(ValueError, match="the loader drops 1 of 5 examples"):
        dataset_statistics(make_loader(examples, 2))
    with pytest.raises(ValueError, match=r"shard=\(1, 5\) .* pass the dataset"):
        dataset_statistics(make_loader(examples, 5, shard=(1, 5)))
    with pytest.raises(TypeError, match="epochs=None"):
        dataset_statistics(make_loader(examples, 5, epochs=None))
    with pytest.raises(KeyError, match="key must be one of 'audio', 'level', got 'mel'"):
        dataset_statistics(examples, key="mel")
    with pytest.raises(ValueError, match=r"NaN or infinite values in the bands \[1\]"):
        dataset_statistics([{"level": np.array([[1.0], [np.nan]])}], key="level")
    with pytest.raises(TypeError, match="'name' must be an array of real numbers"):
        dataset_statistics([{"name": "a", "audio": np.ones(3)}], key="name")
