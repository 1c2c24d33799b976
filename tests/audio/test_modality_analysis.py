"""A modality with a spectral analysis: presets, SpectralConfig, agreement of fields, variable lengths."""

import pickle

import jax
import numpy as np
import pytest

from artifex.generative_models.core import MissingDependencyError, UnknownComponentError, create, registry
from artifex.generative_models.extensions.audio_processing.spectral import (
    SpectralConfig,
    log_mel_spectrogram,
    mel_spectrogram,
    plot,
    stft,
)
from artifex.generative_models.modalities.audio import (
    AudioModality,
    AudioModalityConfig,
    extract,
    read_features,
    write_audio,
)
from artifex.generative_models.modalities.audio import base as audio_base

LOG_MEL = "log_mel_spectrogram"
FUNCTIONS = {LOG_MEL: log_mel_spectrogram, "mel_spectrogram": mel_spectrogram, "stft": stft}
FRAMINGS = ("whisper", "kaldi", "lhotse", "hifigan")  # dropped, uncovered, rounded and padded frames


def noise(*shape: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


def log_mel(spectral: object, duration: float = 0.25, **fields: object) -> AudioModality:
    return AudioModality(AudioModalityConfig(representation=LOG_MEL, spectral=spectral, duration=duration, **fields))


@pytest.mark.parametrize("preset", sorted(registry("preset")))
def test_features_are_those_of_the_preset(preset):
    modality, expected = log_mel(preset), registry("preset")[preset]
    audio = noise(2, modality.n_time_steps)
    features = modality.encode(audio)
    assert features.shape[1:] == modality.output_shape == (expected.n_mels, modality.n_time_frames)
    np.testing.assert_array_equal(features, log_mel_spectrogram(audio, expected))


@pytest.mark.parametrize("representation", FUNCTIONS)
def test_all_representations_use_the_analysis(representation):
    config = AudioModalityConfig(representation=representation, spectral="kaldi", duration=0.1)
    audio = noise(config.n_time_steps)
    features = AudioModality(config).encode(audio)
    np.testing.assert_array_equal(features, FUNCTIONS[representation](audio, registry("preset")["kaldi"]))
    assert features.shape == AudioModality(config).output_shape == (features.shape[0], 8)  # 1 + (1600 - 400) // 160


def test_fields_follow_the_analysis():
    config = AudioModalityConfig(spectral="vocos")
    assert (config.sample_rate, config.n_mel_channels, config.hop_length, config.n_fft) == (24000, 100, 256, 1024)
    assert AudioModalityConfig(spectral="vocos", sample_rate=24000) == config
    changed = config.evolve(spectral="whisper", duration=1.0)
    assert (changed.sample_rate, changed.hop_length, changed.duration) == (16000, 160, 1.0)
    assert changed.evolve(duration=2.0) == AudioModalityConfig(spectral="whisper")
    assert changed.evolve(spectral=None).hop_length == 160


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("sample_rate", 44100, r'16000; leave out sample_rate.*create\("preset", "whisper", sample_rate=44100\)'),
        ("n_mel_channels", 128, r'n_mels is 80; .*create\("preset", "whisper", n_mels=128\)'),
        ("hop_length", 256, "hop_length is 160"),
        ("n_fft", 1024, "n_fft is 400"),
    ],
)
def test_a_field_that_contradicts_the_analysis_raises(field, value, remedy):
    with pytest.raises(ValueError, match=f"{field} = {value} contradicts spectral = 'whisper', whose .*{remedy}"):
        AudioModalityConfig(spectral="whisper", **{field: value})
    with pytest.raises(ValueError, match=f"{field} = {value} contradicts spectral, whose"):
        AudioModalityConfig(spectral=create("preset", "whisper")).evolve(**{field: value})


def test_an_invalid_analysis_raises():
    with pytest.raises(UnknownComponentError, match="Did you mean 'whisper'"):
        AudioModalityConfig(spectral="wisper")
    with pytest.raises(ValueError, match="unknown key 'n_mel'. Did you mean 'n_mels'"):
        AudioModalityConfig(spectral={"n_mel": 80})
    with pytest.raises(TypeError, match="name of a preset, a SpectralConfig or a mapping of its fields, got 80"):
        AudioModalityConfig(spectral=80)
    with pytest.raises(TypeError, match="name of a preset, a SpectralConfig"):
        AudioModalityConfig(spectral=AudioModalityConfig())


def test_without_artifex_spectral_the_error_names_it(monkeypatch):
    monkeypatch.setattr("artifex.generative_models.modalities.audio.spectral_settings.kinds", dict)
    with pytest.raises(MissingDependencyError, match="pip install artifex-spectral"):
        AudioModalityConfig(spectral="whisper")


def test_a_preset_equals_its_spectral_config():
    by_name, by_value = (
        AudioModalityConfig(spectral="whisper"),
        AudioModalityConfig(spectral=create("preset", "whisper")),
    )
    assert by_name == by_value
    assert hash(by_name) == hash(by_value)
    assert by_name != AudioModalityConfig(spectral=create("preset", "whisper", f_min=20.0))
    assert pickle.loads(pickle.dumps(by_value)) == by_name
    assert {by_name: 1}[pickle.loads(pickle.dumps(by_name))] == 1


def test_a_preset_that_is_replaced_changes_the_configuration():
    presets = registry("preset")
    presets.register("mine", SpectralConfig(n_mels=40))
    config = AudioModalityConfig(spectral="mine")
    before = hash(config)
    presets.register("mine", SpectralConfig(n_mels=40, f_min=50.0), replace=True)
    assert hash(config) != before
    presets.unregister("mine")


@pytest.mark.parametrize("spectral", ["kaldi", SpectralConfig(n_fft=512, window_type=("kaiser", {"beta": 8.0}))])
@pytest.mark.parametrize("name", ["config.toml", "config.yaml"])
def test_the_analysis_is_written_to_and_read_from_files(tmp_path, spectral, name):
    config = AudioModalityConfig(representation=LOG_MEL, spectral=spectral)
    assert AudioModalityConfig.from_dict(config.to_dict()) == config
    config.to_file(tmp_path / name)
    assert AudioModalityConfig.from_file(tmp_path / name) == config


def test_an_analysis_is_a_table_of_a_file(tmp_path):
    (tmp_path / "config.toml").write_text('representation = "stft"\n[spectral]\nn_fft = 512\nwindow_type = "hamming"\n')
    config = AudioModalityConfig.from_file(tmp_path / "config.toml")
    assert config.spectral == SpectralConfig(n_fft=512, window_type="hamming")
    assert config.sample_rate == 22050
    assert config.n_fft == 512


@pytest.mark.parametrize("spectral", [None, *FRAMINGS])
@pytest.mark.parametrize("representation", FUNCTIONS)
def test_valid_frames_equal_those_of_the_clip_alone(spectral, representation):
    config = AudioModalityConfig(representation=representation, spectral=spectral, duration=0.25)
    modality = AudioModality(config)
    audio, lengths = noise(3, modality.n_time_steps), np.array([modality.n_time_steps, 2999, 1700])
    features = np.asarray(modality.encode(audio, lengths=lengths))
    silence = np.asarray(modality.encode(audio, lengths=np.zeros(3, np.int64)))
    counts = modality.n_frames(lengths)
    assert features.shape[1:] == modality.output_shape
    assert counts[0] == modality.n_time_frames
    for clip, row, length, count in zip(audio, features, lengths, counts, strict=True):
        alone = AudioModality(config.evolve(duration=length / config.sample_rate))
        expected = np.asarray(alone.encode(clip[:length]))
        assert alone.output_shape[-1] == count == expected.shape[-1]
        np.testing.assert_allclose(row[:, :count], expected, atol=2e-5 * np.abs(expected).max())
        if representation != LOG_MEL:  # the floor of levels depends on the maximum of the clip
            np.testing.assert_array_equal(row[:, count:], silence[0][:, count:])


def test_lengths_of_waveforms_and_of_one_clip():
    modality = AudioModality(AudioModalityConfig(duration=0.25))
    audio = noise(2, 4000)
    encoded = np.asarray(modality.encode(audio, lengths=[4000, 100]))
    np.testing.assert_array_equal(encoded, np.where(np.arange(4000) < np.array([[4000], [100]]), audio, 0))
    np.testing.assert_array_equal(modality.encode(audio, lengths=7)[:, 7:], 0)
    with pytest.raises(TypeError, match="lengths must be integers, numbers of samples, got float32"):
        modality.encode(audio, lengths=np.ones(2, np.float32))
    for representation in ("raw_waveform", LOG_MEL):
        with pytest.raises(ValueError, match="lengths must be from 0 to 4000 samples, got 4001"):
            AudioModality(modality.config.evolve(representation=representation)).encode(audio, lengths=[1000, 4001])


@pytest.mark.parametrize("representation", ["raw_waveform", LOG_MEL])
def test_batches_of_any_length_are_encoded_with_lengths(representation):
    modality = AudioModality(AudioModalityConfig(representation=representation, duration=0.25))
    audio, lengths = noise(2, 6000), np.array([6000, 4000])
    features = np.asarray(modality.encode(audio, lengths=lengths))
    expected = np.asarray(modality.encode(audio[1, :4000]))
    np.testing.assert_allclose(features[1][..., : expected.shape[-1]], expected, atol=1e-5 * np.abs(expected).max())
    assert features.shape[-1] == (6000 if representation == "raw_waveform" else modality.n_frames(6000))
    with pytest.raises(ValueError, match="pass the lengths of a padded batch"):
        modality.encode(audio)


def test_lengths_and_n_frames_are_traced():
    modality = log_mel("whisper")
    audio, lengths = noise(2, 4000), np.array([4000, 1600], np.int32)
    encode = jax.jit(lambda audio, lengths: (modality.encode(audio, lengths=lengths), modality.n_frames(lengths)))
    features, counts = encode(audio, lengths)
    np.testing.assert_allclose(features, modality.encode(audio, lengths=lengths), atol=1e-5)
    assert counts.tolist() == [25, 10]


@pytest.mark.parametrize("preset", FRAMINGS)
def test_decode_inverts_the_preset(preset):
    """Reconstructed phases: the mel power of the reconstruction is close to the original."""
    config = AudioModalityConfig(representation="mel_spectrogram", spectral=preset, duration=0.5)
    mel, levels = AudioModality(config), AudioModality(config.evolve(representation=LOG_MEL))
    t = np.arange(mel.n_time_steps) / config.sample_rate
    audio = (0.3 * np.sin(2 * np.pi * 300 * t) + 0.2 * np.sin(2 * np.pi * 1100 * t)).astype(np.float32)
    target = np.asarray(mel.encode(audio))
    for modality in (mel, levels):
        decoded = modality.decode(modality.encode(audio))
        assert decoded.shape == audio.shape
        again = np.asarray(mel.encode(decoded))
        inner = (slice(None), slice(4, -4))  # without padding, the ends are covered by the edge of one window
        assert np.linalg.norm((again - target)[inner]) / np.linalg.norm(target[inner]) < 0.2


def test_an_stft_is_inverted_exactly():
    modality = AudioModality(AudioModalityConfig(representation="stft", spectral="hifigan", duration=0.25))
    audio = noise(modality.n_time_steps)
    decoded = np.asarray(modality.decode(modality.encode(audio)))
    np.testing.assert_allclose(decoded[512:-1024], audio[512:-1024], atol=1e-5)


def test_an_analysis_without_inverse_raises_in_decode():
    modality = log_mel(SpectralConfig(n_fft=512, hop_length=512, n_mels=40))
    with pytest.raises(ValueError, match=r"cannot be inverted: some samples are not covered .* lower hop_length"):
        modality.decode(np.zeros(modality.output_shape, np.float32))


@pytest.mark.parametrize("preset", ["whisper", "kaldi"])
def test_extraction_of_variable_lengths_has_the_features_of_each_clip(tmp_path, preset):
    config = AudioModalityConfig(representation=LOG_MEL, spectral=preset)
    clips = [noise(length) for length in (1700, 16000, 17001)]
    for index, clip in enumerate(clips):
        write_audio(tmp_path / f"{index}.wav", clip, config.sample_rate, subtype="FLOAT")
    extract([tmp_path], tmp_path / "made", config=config, report=False)
    for clip, (_, features) in zip(clips, read_features(tmp_path / "made"), strict=True):
        expected = np.asarray(log_mel_spectrogram(clip / np.abs(clip).max(), registry("preset")[preset]))
        np.testing.assert_allclose(features, expected, atol=1e-4 * np.abs(expected).max())


def test_clips_shorter_than_a_frame_raise():
    with pytest.raises(ValueError, match="at least 400 samples for one frame .* got 160"):
        log_mel("kaldi", duration=0.01)


def test_the_analysis_of_a_configuration_without_one():
    config = AudioModalityConfig(n_mel_channels=40, duration=0.5)
    expected = SpectralConfig(sample_rate=16000, n_fft=1024, hop_length=256, n_mels=40, frame_count="drop_last")
    assert config.analysis == expected
    for n_fft in (1023, 1024):
        for duration in (0.1, 0.112, 0.128, 0.5):
            config = AudioModalityConfig(n_fft=n_fft, n_mel_channels=40, duration=duration)
            assert config.n_time_frames == config.analysis.n_frames(config.n_time_steps)


@pytest.mark.parametrize("spectral", [None, "kaldi", "hifigan"])
def test_plots_take_the_configuration_of_a_modality(spectral):
    """A tone of 1 kHz from 0.2 s on: its band and its onset are where the axes say."""
    pytest.importorskip("matplotlib")
    config = AudioModalityConfig(representation="mel_spectrogram", spectral=spectral, duration=0.5)
    t = np.arange(config.n_time_steps) / config.sample_rate
    mel = np.asarray(AudioModality(config).encode((np.sin(2 * np.pi * 1000 * t) * (t >= 0.2)).astype(np.float32)))
    axes = plot.mel(mel, config)
    expected = plot.mel(mel, config.analysis)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [t.get_text() for t in expected.get_yticklabels()]
    left, right = axes.images[0].get_extent()[:2]
    hop = config.hop_length / config.sample_rate
    assert right - left == pytest.approx(config.n_time_frames * hop)
    onset = np.argmax(mel.sum(axis=0) > 0.5 * mel.sum(axis=0).max())
    assert left + (onset + 0.5) * hop == pytest.approx(0.2, abs=hop)
    levels = plot.mel(10 * np.log10(mel + 1e-9), config.evolve(representation=LOG_MEL))
    assert levels.images[0].get_array().min() < -50
    waveform = plot.waveform(np.zeros(config.n_time_steps), config)
    assert waveform.get_xlim()[1] == pytest.approx(0.5, abs=1e-4)


def test_plots_raise_for_another_configuration():
    with pytest.raises(TypeError, match="config must be a SpectralConfig or an AudioModalityConfig, got dict"):
        plot.mel(np.ones((80, 4)), {"n_mels": 80})


def test_features_name_the_analysis_of_a_configuration():
    with pytest.raises(TypeError, match="got AudioModalityConfig; pass config.analysis"):
        log_mel_spectrogram(noise(4000), AudioModalityConfig())


def test_the_module_of_the_configuration_imports_no_jax():
    assert "jax" not in vars(audio_base)
