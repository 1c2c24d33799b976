"""Normalization happens once, per clip: encode keeps levels, datasets treat all channels of a clip together."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from artifex.generative_models.modalities.audio import (
    AudioFileDataset,
    AudioModality,
    AudioModalityConfig,
    SyntheticAudioDataset,
    extract,
    normalize_audio,
    random_gain,
    read_features,
    rms_normalize,
    write_audio,
)

RATE = 8000
CONFIG = AudioModalityConfig(
    representation="log_mel_spectrogram", sample_rate=RATE, duration=0.25, n_fft=256, hop_length=64, n_mel_channels=20
)
FEATURES = CONFIG.representation_name


def noise(*shape: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize("gain", [0.1, 2.0])
def test_a_gain_changes_levels_by_its_decibels(gain):
    modality = AudioModality(CONFIG)
    audio = noise(2, 2000)
    change = np.asarray(modality.encode(np.float32(gain) * audio)) - np.asarray(modality.encode(audio))
    np.testing.assert_allclose(change, 20 * np.log10(gain), atol=1e-3)


def test_a_random_gain_of_a_batch_changes_its_levels():
    """The flow of the README: a batch of a dataset, an augmentation, encode."""
    batch = SyntheticAudioDataset(CONFIG, n_samples=4, audio_types=["noise"]).get_batch(2)
    keys = jax.random.split(jax.random.key(0), 2)
    louder = jax.vmap(lambda audio, key: random_gain(audio, key, (0.1, 0.2)))(batch["audio"], keys)
    gains = np.abs(np.asarray(louder)).max(axis=-1)  # clips of the dataset have a peak of 1
    change = np.asarray(AudioModality(CONFIG).encode(louder)) - np.asarray(batch[FEATURES])
    np.testing.assert_allclose(change, np.broadcast_to(20 * np.log10(gains)[:, None, None], change.shape), atol=1e-3)


def test_a_dataset_keeps_the_balance_of_stereo(tmp_path):
    mono = noise(2000)
    stereo = np.stack([mono, 0.1 * mono])
    write_audio(tmp_path / "panned.wav", stereo, RATE, subtype="FLOAT")
    example = AudioFileDataset(CONFIG, paths=[tmp_path], mono=False)[0]
    np.testing.assert_allclose(example["audio"], stereo / np.abs(mono).max(), rtol=1e-6)
    left, right = example[FEATURES]
    np.testing.assert_allclose(left - right, 20, atol=1e-3)


@pytest.mark.parametrize("normalize", [True, False])
def test_dataset_extraction_and_encode_normalize_once(tmp_path, normalize):
    audio, config = noise(2000), CONFIG.evolve(normalize=normalize)
    expected = audio / np.abs(audio).max() if normalize else audio
    write_audio(tmp_path / "clip.wav", audio, RATE, subtype="FLOAT")
    example = AudioFileDataset(config, paths=[tmp_path])[0]
    np.testing.assert_allclose(example["audio"], expected, rtol=1e-6)
    levels = np.asarray(AudioModality(CONFIG).encode(expected))
    np.testing.assert_allclose(example[FEATURES], levels, atol=1e-4)
    extract([tmp_path], tmp_path / "made", config=config, report=False)
    ((_, features),) = read_features(tmp_path / "made")
    np.testing.assert_allclose(features, levels, atol=1e-4)


def test_noise_below_60_dbfs_is_amplified_by_60_db_with_one_warning(tmp_path):
    clips = {"a_loud.wav": 0.5, "b_quiet.wav": 2e-3, "c_noise.wav": 1e-4, "d_noise.wav": 1e-5, "e_silence.wav": 0.0}
    for name, peak in clips.items():
        write_audio(
            tmp_path / name, np.float32(peak) * np.cos(np.arange(2000, dtype=np.float32)), RATE, subtype="FLOAT"
        )
    dataset = AudioFileDataset(CONFIG.evolve(representation="raw_waveform"), paths=[tmp_path])
    with pytest.warns(
        UserWarning, match=r"c_noise.wav: a clip with a peak of -80 dBFS is normalized by 60 dB only"
    ) as caught:
        peaks = [np.abs(example["audio"]).max() for example in dataset]
    assert len(caught) == 1
    np.testing.assert_allclose(peaks, [1, 1, 0.1, 0.01, 0], rtol=1e-6)


def test_levels_are_kept_without_a_warning_if_normalize_is_false(tmp_path):
    write_audio(tmp_path / "noise.wav", np.float32(1e-5) * noise(2000), RATE, subtype="FLOAT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        example = AudioFileDataset(CONFIG.evolve(normalize=False), paths=[tmp_path])[0]
    np.testing.assert_array_equal(example["audio"], np.float32(1e-5) * noise(2000))


def panned() -> np.ndarray:
    """Three stereo clips: panned to the left, panned to the right, silent."""
    return noise(3, 2, 500) * np.array([[1.0, 0.1], [0.01, 0.5], [0.0, 0.0]], np.float32)[..., None]


@pytest.mark.parametrize("axis", [-2, 1, -3])
@pytest.mark.parametrize("function", [normalize_audio, rms_normalize])
def test_channels_of_a_clip_have_a_common_gain(function, axis):
    audio = panned().astype(np.float64)
    level = (
        np.abs(audio).max(axis=(1, 2), keepdims=True)
        if function is normalize_audio
        else 10 * np.sqrt(np.mean(audio**2, axis=(1, 2), keepdims=True))
    )
    expected = audio / np.where(level > 0, level, 1)
    layout = (lambda array: np.moveaxis(array, 1, 0)) if axis == -3 else np.asarray
    result = np.asarray(function(layout(panned()), channel_axis=axis))
    np.testing.assert_allclose(result, layout(expected), rtol=2e-6, atol=1e-9)


def test_options_of_joined_channels_are_one_per_clip():
    audio = panned()
    targets = np.array([0.1, 0.2, 0.3], np.float32)
    result = np.asarray(jax.jit(lambda a, t: rms_normalize(a, t, channel_axis=-2))(audio, targets))
    np.testing.assert_allclose(np.sqrt(np.mean(result**2, axis=(1, 2))), [0.1, 0.2, 0.0], rtol=1e-5)
    peak = float(np.abs(audio[1]).max())
    kept = np.asarray(normalize_audio(audio, threshold=np.array([0.0, peak, 0.0]), channel_axis=-2))
    np.testing.assert_array_equal(kept[1], audio[1])
    assert np.abs(kept[0]).max() == 1


@pytest.mark.parametrize("function", [normalize_audio, rms_normalize])
def test_joined_channels_work_under_vmap_and_grad_and_of_integers(function):
    audio = jnp.asarray(panned())
    batched = jax.vmap(lambda clip: function(clip, channel_axis=-2))(audio)
    np.testing.assert_allclose(batched, function(audio, channel_axis=-2), rtol=1e-6)
    gradient = jax.grad(lambda a: jnp.sum(jnp.abs(function(a, channel_axis=-2))))(audio)
    assert np.isfinite(gradient).all()
    integers = np.array([[-16384, 0], [0, 8192]], np.int16)
    np.testing.assert_allclose(
        function(integers, channel_axis=0)[1, 1] / function(integers, channel_axis=0)[0, 0], -0.5
    )


@pytest.mark.parametrize("function", [normalize_audio, rms_normalize])
@pytest.mark.parametrize("axis", [-1, 1, 2, -3])
def test_a_channel_axis_that_is_time_or_does_not_exist_raises(function, axis):
    with pytest.raises(ValueError, match=r"channel_axis other than the last, got shape \(2, 8\) and channel_axis="):
        function(np.ones((2, 8), np.float32), channel_axis=axis)
