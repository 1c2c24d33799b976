"""Rules of the conformance kit for functions of waveforms: jit, vmap, gradients, dtypes, independent examples."""

from functools import partial

import attrs
import jax
import numpy as np
import pytest

from artifex.generative_models.core.testing import Subject, check_function, signals
from artifex.generative_models.modalities import audio as library


def stereo(length):
    waves = signals(length)
    return {name: np.stack([wave, waves["noise"]]) for name, wave in waves.items()}


def frames(length):
    return {name: wave.reshape(-1, 8) for name, wave in signals(length).items()}


def as_floats(function):
    """Convert integer results to floats, for the rules."""
    return lambda audio: function(audio).astype(audio.dtype)


FRAMING = {"frame_length": 64, "hop_length": 16}
SUBJECTS = {
    "a_law_encode": Subject(function=as_floats(library.a_law_encode), example=signals, differentiable=False),
    "de_emphasis": Subject(function=library.de_emphasis, example=signals),
    "fade": Subject(at=lambda length: partial(library.fade, fade_in=length // 4, fade_out=1), example=signals),
    "frame": Subject(function=partial(library.frame, frame_length=8, hop_length=3), example=signals, lengths=(8, 400)),
    "from_mid_side": Subject(function=library.from_mid_side, example=stereo),
    "integrated_loudness": Subject(
        function=partial(library.integrated_loudness, sample_rate=4000, channel_axis=-2),
        example=stereo,
        lengths=(1, 2100),
    ),
    "loudness_normalize": Subject(
        function=partial(library.loudness_normalize, sample_rate=4000), example=signals, lengths=(1, 2100)
    ),
    "mid_side": Subject(function=library.mid_side, example=stereo),
    "mu_law_encode": Subject(function=as_floats(library.mu_law_encode), example=signals, differentiable=False),
    "normalize_audio": Subject(function=partial(library.normalize_audio, threshold=0.1), example=signals),
    "overlap_add": Subject(function=partial(library.overlap_add, hop_length=3), example=frames, lengths=(8, 400)),
    "pad_to_bucket": Subject(function=lambda audio: library.pad_to_bucket(audio, (8, 512))[0], example=signals),
    "pre_emphasis": Subject(function=library.pre_emphasis, example=signals),
    "remove_dc": Subject(function=library.remove_dc, example=signals),
    "rms_normalize": Subject(function=library.rms_normalize, example=signals),
    "split": Subject(
        function=as_floats(lambda audio: library.split(audio, max_intervals=3, **FRAMING)[0]),
        example=signals,
        differentiable=False,
    ),
    "to_float": Subject(function=library.to_float, example=signals),
    "to_mono": Subject(function=library.to_mono, example=stereo),
    "trim": Subject(function=lambda audio: library.trim(audio, 3.0, **FRAMING)[0], example=signals),
    "trim_or_pad": Subject(function=partial(library.trim_or_pad, target_length=300), example=signals),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", SUBJECTS)
def test_the_rules_hold_on_batches(name):
    report = check_function(name, attrs.evolve(SUBJECTS[name], batched=True))
    assert report.passed, str(report)


def test_a_batch_equals_vmap_over_its_clips():
    length = {name: subject.lengths[-1] for name, subject in SUBJECTS.items()}
    functions = {name: subject.function_for(length[name]) for name, subject in SUBJECTS.items()}
    batches = {name: np.stack([*subject.examples(length[name]).values()]) for name, subject in SUBJECTS.items()}
    mapped = jax.jit(lambda given: {name: jax.vmap(functions[name])(batch) for name, batch in given.items()})(batches)
    for name, batch in batches.items():
        np.testing.assert_allclose(mapped[name], functions[name](batch), rtol=1e-5, atol=1e-6, err_msg=name)
