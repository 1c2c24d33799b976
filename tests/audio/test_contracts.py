"""The conformance-kit subjects of the kinds of artifex-audio."""

import jax
import numpy as np

from artifex.generative_models.modalities.audio import contracts


def test_an_augmentation_that_takes_a_sample_rate_is_run_at_16_khz():
    def scale(audio, key, *, sample_rate):
        return audio * (sample_rate / 16000)

    [subject] = contracts.augmentation(scale)
    np.testing.assert_array_equal(subject.function(np.ones(4, np.float32), jax.random.key(0)), 1.0)
