import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from artifex.generative_models.modalities.audio import fade, pad_to_bucket, split, trim

OPTIONS = [
    {"top_db": 30.0, "frame_length": 256, "hop_length": 64},
    {"top_db": 20.0, "frame_length": 300, "hop_length": 70},
    {"top_db": 25.0, "ref": 0.1, "frame_length": 255, "hop_length": 100},
    {},
]


@pytest.fixture(scope="module")
def clips():
    """Noise with level changes of up to 100 dB every 500 samples."""
    draws = np.random.default_rng(0)
    levels = np.repeat(10.0 ** draws.uniform(-5, 0, (6, 9)), 500, axis=1)
    return (draws.normal(size=levels.shape) * levels).astype(np.float32)


def librosa_options(options):
    return {"ref": np.max, **options}


@pytest.mark.parametrize("options", OPTIONS)
def test_clips_are_trimmed_where_librosa_trims_them(options, clips):
    trimmed, length = trim(clips, **options)
    assert trimmed.shape == clips.shape
    for clip, ours, kept in zip(clips, np.asarray(trimmed), np.asarray(length), strict=True):
        theirs, _ = librosa.effects.trim(clip, **librosa_options(options))
        np.testing.assert_array_equal(ours[:kept], theirs)
        assert not ours[kept:].any()


@pytest.mark.parametrize("options", OPTIONS)
def test_clips_are_split_where_librosa_splits_them(options, clips):
    intervals, count = split(clips, max_intervals=70, **options)
    for clip, ours, n_intervals in zip(clips, np.asarray(intervals), np.asarray(count), strict=True):
        np.testing.assert_array_equal(ours[:n_intervals], librosa.effects.split(clip, **librosa_options(options)))
        assert (ours[n_intervals:] == clips.shape[-1]).all()


def test_channels_are_trimmed_together(clips):
    options = OPTIONS[0]
    theirs, _ = librosa.effects.trim(clips, **librosa_options(options))
    trimmed, length = trim(clips.reshape(3, 2, 1, -1).swapaxes(0, 1), channel_axis=1, **options)
    assert trimmed.shape == (2, 3, 1, clips.shape[-1])
    assert length.shape == (2, 1)
    np.testing.assert_array_equal(trim(clips, channel_axis=0, **options)[0][:, : theirs.shape[-1]], theirs)
    intervals, count = split(clips, max_intervals=20, channel_axis=0, **options)
    np.testing.assert_array_equal(intervals[: int(count)], librosa.effects.split(clips, **librosa_options(options)))


def test_intervals_beyond_the_maximum_are_counted(clips):
    all_of_them, count = split(clips, max_intervals=30, **OPTIONS[1])
    few, same = split(clips, max_intervals=2, **OPTIONS[1])
    assert int(count.max()) > 2
    np.testing.assert_array_equal(few, all_of_them[:, :2])
    np.testing.assert_array_equal(same, count)


def test_silence_is_trimmed_only_against_a_reference_level(clips):
    options = {"frame_length": 64, "hop_length": 16}
    silence = np.zeros(300, np.float32)
    assert int(trim(silence, **options)[1]) == 300
    assert split(silence, max_intervals=1, **options)[0].tolist() == [[0, 300]]
    assert int(trim(silence, ref=1.0, **options)[1]) == 0
    assert split(silence, max_intervals=1, ref=1.0, **options)[0].tolist() == [[300, 300]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_clip_with_nan_is_not_trimmed_and_does_not_affect_others(bad, clips):
    invalid = clips.copy()
    invalid[1, 7] = bad
    (trimmed, length), (_, expected) = trim(invalid, **OPTIONS[0]), trim(clips, **OPTIONS[0])
    np.testing.assert_array_equal(trimmed[1], invalid[1])
    np.testing.assert_array_equal(length, expected.at[1].set(clips.shape[-1]))


def test_ref_and_top_db_may_be_traced_and_differ_by_clip(clips):
    depths, refs = jnp.linspace(10, 60, 6), jnp.geomspace(0.01, 1, 6)
    _, length = jax.jit(lambda a, d, r: trim(a, d, ref=r, frame_length=256, hop_length=64))(clips, depths, refs)
    for clip, depth, ref, kept in zip(clips, depths, refs, length, strict=True):
        theirs, _ = librosa.effects.trim(clip, top_db=float(depth), ref=float(ref), frame_length=256, hop_length=64)
        assert int(kept) == len(theirs)


# The formulas of torchaudio.transforms.Fade for the fade-in and the fade-out.
SHAPES = {
    "linear": (lambda x: x, lambda x: 1 - x),
    "exponential": (lambda x: 2 ** (x - 1) * x, lambda x: 2**-x * (1 - x)),
    "logarithmic": (lambda x: np.log10(0.1 + x) + 1, lambda x: np.log10(1.1 - x) + 1),
    "quarter_sine": (lambda x: np.sin(x * np.pi / 2), lambda x: np.sin(x * np.pi / 2 + np.pi / 2)),
    "half_sine": (
        lambda x: np.sin(x * np.pi - np.pi / 2) / 2 + 0.5,
        lambda x: np.sin(x * np.pi + np.pi / 2) / 2 + 0.5,
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("fade_in", "fade_out"), [(7, 12), (40, 1)])
def test_fades_equal_torchaudio(shape, fade_in, fade_out):
    audio = np.random.default_rng(0).normal(size=(2, 40)).astype(np.float32)
    rise, fall = SHAPES[shape]
    gain = np.ones(40)
    gain[:fade_in] *= np.clip(rise(np.linspace(0, 1, fade_in)), 0, 1)
    gain[40 - fade_out :] *= np.clip(fall(np.linspace(0, 1, fade_out)), 0, 1)
    np.testing.assert_allclose(fade(audio, fade_in, fade_out, shape), audio * gain, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray])
def test_the_shortest_bucket_that_holds_a_clip_is_selected(convert):
    audio = convert(np.ones((2, 3, 5), np.uint8))
    padded, length = pad_to_bucket(audio, (16, 4, 8), pad_value=128)
    assert (padded.shape, padded.dtype) == ((2, 3, 8), jnp.uint8)
    assert (np.asarray(padded)[..., 5:] == 128).all()
    assert length.tolist() == [[5] * 3] * 2
    assert pad_to_bucket(np.ones(8), [8, 4])[0].shape == (8,)
    assert pad_to_bucket(np.ones((2, 0)), [4])[0].tolist() == [[0] * 4] * 2


def test_given_valid_lengths_are_returned():
    _, length = jax.jit(lambda a, n: pad_to_bucket(a, (8,), n))(np.ones((2, 3, 5)), jnp.array([5, 4, 0]))
    assert length.tolist() == [[5, 4, 0]] * 2


def test_many_lengths_give_few_shapes_without_new_compilations():
    buckets, compiles = (250, 500, 1000), []
    for bucket in buckets:
        pad_to_bucket(np.zeros(bucket, np.int16), buckets)

    def count(event, duration_secs, **attributes):
        compiles.extend([event] * event.endswith("backend_compile_duration"))

    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        lengths = np.random.default_rng(0).integers(1, 1001, 200)
        shapes = {pad_to_bucket(np.zeros(n, np.int16), buckets)[0].shape for n in lengths}
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert shapes == {(250,), (500,), (1000,)}
    assert not compiles


def test_a_fade_in_seconds_equals_the_fade_in_samples():
    audio = np.random.default_rng(0).normal(size=100).astype(np.float32)
    in_seconds = fade(audio, fade_in_seconds=0.025, fade_out_seconds=0.05, sample_rate=800)
    np.testing.assert_array_equal(in_seconds, fade(audio, 20, 40))


@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray])
def test_a_pad_value_that_the_dtype_cannot_represent_raises(convert):
    with pytest.raises(ValueError, match="pad_value must be an integer from 0 to 255 for uint8 audio, got -1"):
        pad_to_bucket(convert(np.ones(3, np.uint8)), (4,), pad_value=-1)
    with pytest.raises(TypeError, match="silence"):
        pad_to_bucket(convert(np.ones(3, np.float32)), (4,), pad_value="silence")


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: pad_to_bucket(np.ones(9), (4, 8)),
            ValueError,
            "at least 9 samples, the length of the clips, got a maximum of 8",
        ),
        (lambda: pad_to_bucket(np.ones(9), ()), ValueError, "bucket_lengths must be one or more lengths"),
        (lambda: pad_to_bucket(np.ones(9), 16), ValueError, "bucket_lengths must be one or more lengths .* got 16"),
        (lambda: pad_to_bucket(np.ones(9), (0, 16)), ValueError, "bucket_lengths must be .* at least 1 sample, got 0"),
        (lambda: pad_to_bucket(np.ones(9), (16.0,)), TypeError, "bucket_lengths must be an integer"),
        (lambda: pad_to_bucket(1.0, (16,)), ValueError, "got a scalar"),
        (lambda: pad_to_bucket(np.ones(9), (16,), 0.5), TypeError, "length must be integers, in samples"),
        (
            lambda: pad_to_bucket(np.ones((2, 9)), (16,), [1, 2, 3]),
            ValueError,
            r"leading axes \(2,\) of the audio, got shape \(3,\)",
        ),
        (lambda: fade(np.ones(9), 10), ValueError, "fade_in must be an integer from 0 to 9 samples, got 10"),
        (lambda: fade(np.ones(9), 0, -1), ValueError, "fade_out must be an integer from 0 to 9 samples, got -1"),
        (lambda: fade(np.ones(9), 2.0), TypeError, "fade_in must be an integer"),
        (lambda: fade(np.ones(9), shape="liner"), ValueError, "linear"),
        (lambda: fade(np.ones(9), fade_in_seconds=0.1), TypeError, "fade_in_seconds requires sample_rate"),
        (lambda: fade(np.ones(9), 1, fade_in_seconds=0.1, sample_rate=10), TypeError, "not both"),
        (lambda: trim(np.ones(9), 0), ValueError, "top_db must be a finite number above 0 dB, got 0"),
        (lambda: trim(np.ones(9), "60"), TypeError, "top_db"),
        (lambda: trim(np.ones(9), ref=0.0), ValueError, "ref must be a finite number above 0"),
        (lambda: trim(np.ones(9), frame_length=0), ValueError, "frame_length must be"),
        (lambda: trim(np.ones(9), channel_axis=0), ValueError, "trim takes waveforms .* other than the last"),
        (lambda: split(np.ones(9), max_intervals=0), ValueError, "max_intervals must be an integer of at least 1"),
        (lambda: split(np.ones(9), max_intervals=3, hop_length=0), ValueError, "hop_length must be"),
    ],
)
def test_invalid_arguments_raise(call, error, match):
    with pytest.raises(error, match=match):
        call()
