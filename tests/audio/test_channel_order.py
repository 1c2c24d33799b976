"""Arrays of shape (time, channels) where (channels, time) is expected."""

import warnings

import jax
import numpy as np
import pytest

from artifex.generative_models.core.checks import warn_if_time_is_not_last
from artifex.generative_models.modalities.audio import (
    AudioModality,
    AudioModalityConfig,
    TableAudioDataset,
    apply_batch,
    augment_audio,
    normalize_audio,
    random_gain,
    to_mono,
    write_audio,
)
from artifex.generative_models.modalities.audio.io import AudioReadError

STEREO = np.zeros((1000, 2), np.float32)
HINT = r"audio of shape \(1000, 2\) is 1000 clips of 2 samples, since time is the last axis; transpose"


@pytest.mark.parametrize(
    "call",
    [
        normalize_audio,
        to_mono,
        jax.jit(lambda audio: normalize_audio(audio)),
        lambda audio: random_gain(audio, jax.random.key(0)),
        lambda audio: augment_audio(audio, jax.random.key(0)),
        lambda audio: apply_batch("random_gain", audio[None], jax.random.key(0)),
    ],
    ids=["preprocessing", "to_mono", "jit", "augmentation", "augment_audio", "apply_batch"],
)
def test_waveforms_with_time_first_warn(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(STEREO)
    messages = [str(each.message) for each in caught if issubclass(each.category, UserWarning)]
    assert any("audio of shape (1000, 2) is 1000 clips of 2 samples" in each for each in messages)


def test_waveforms_with_time_last_do_not_warn():
    normalize_audio(STEREO.T)
    for shape in ((2, 16000), (256, 16000), (99, 2), (4000,), (1000, 9), ()):
        warn_if_time_is_not_last("encode", shape)
    with pytest.warns(UserWarning, match=f"encode: {HINT}"):
        warn_if_time_is_not_last("encode", STEREO.shape)


def test_encode_suggests_to_transpose():
    modality = AudioModality(AudioModalityConfig(sample_rate=8000, duration=0.125, representation="raw_waveform"))
    with pytest.raises(ValueError, match=r"got \(1000, 2\); transpose it"):
        modality.encode(STEREO)
    with pytest.raises(ValueError, match=r"got \(500, 2\); use trim_or_pad\(audio, 1000\)"):
        modality.encode(STEREO[:500])


def test_files_and_tables_refuse_time_first(tmp_path):
    with pytest.raises(
        ValueError, match=r"audio must be \(time,\) or \(channels, time\), got shape \(1000, 2\); transpose"
    ):
        write_audio(tmp_path / "a.wav", STEREO, 8000)
    data = TableAudioDataset(table=[{"array": STEREO, "sampling_rate": 16000}])
    with pytest.raises(AudioReadError, match=r"must be \(channels, time\), got shape \(1000, 2\); transpose the array"):
        data[0]
