"""The conformance-kit subjects of the kinds of artifex-audio."""

import jax
import numpy as np
import pytest

from artifex.generative_models.modalities.audio import contracts


def needs_rate(audio, key, *, sample_rate):
    """Scale by the sample rate, as an augmentation in seconds or Hz would use it."""
    return audio * (sample_rate / 16000)


def defaults_rate(audio, key, *, sample_rate=8000):
    """Scale by the sample rate, with a default."""
    return audio * (sample_rate / 16000)


@pytest.mark.parametrize(("component", "factor"), [(needs_rate, 1.0), (defaults_rate, 0.5)])
def test_an_augmentation_that_requires_a_sample_rate_is_run_at_16_khz(component, factor):
    [subject] = contracts.augmentation(component)
    augmented = subject.function(np.ones(4, np.float32), jax.random.key(0))
    np.testing.assert_allclose(augmented, factor, rtol=1e-6)
