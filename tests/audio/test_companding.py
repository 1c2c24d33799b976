import sys
import warnings

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from artifex.generative_models.modalities.audio import a_law_decode, a_law_encode, mu_law_decode, mu_law_encode

INT16 = np.arange(-(2**15), 2**15).astype(np.int16)


def mu_law_position(audio, n_values):
    """Position of a sample on the axis of codes."""
    mu = n_values - 1
    return (np.sign(audio) * np.log1p(mu * np.abs(audio)) / np.log1p(mu) + 1) / 2 * mu


@pytest.mark.parametrize("n_values", [2, 16, 255, 256, 1024])
def test_mu_law_codes_are_the_nearest_to_the_closed_form(n_values):
    audio = np.linspace(-1, 1, 20001).astype(np.float32)
    position = mu_law_position(audio.astype(np.float64), n_values)
    clear = np.abs(position % 1 - 0.5) > 1e-3  # where float32 rounds to the same code
    assert clear.mean() > 0.98
    codes = np.asarray(mu_law_encode(audio, n_values))
    np.testing.assert_array_equal(codes[clear], np.floor(position + 0.5)[clear])
    assert (codes.min(), codes.max()) == (0, n_values - 1)


@pytest.mark.parametrize("n_values", [16, 256])
def test_mu_law_codes_equal_librosa_up_to_rounding(n_values):
    audio = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    theirs = librosa.mu_compress(audio, mu=n_values - 1, quantize=True) + n_values // 2
    ours = np.asarray(mu_law_encode(audio, n_values))
    fraction = mu_law_position(audio.astype(np.float64), n_values) % 1
    above, below = (fraction > 0.501) & (fraction < 0.999), (fraction < 0.499) & (fraction > 0.001)
    np.testing.assert_array_equal(ours[above], theirs[above])
    np.testing.assert_array_equal(ours[below], theirs[below] - 1)


@pytest.mark.parametrize("n_values", [2, 16, 256])
def test_mu_law_decoding_equals_the_closed_form_and_encoding_inverts_it(n_values):
    codes = np.arange(n_values)
    decoded = mu_law_decode(codes, n_values)
    expected = librosa.mu_expand(2 * codes / (n_values - 1) - 1, mu=n_values - 1, quantize=False)
    np.testing.assert_allclose(decoded, expected, rtol=2e-6, atol=1e-8)
    np.testing.assert_array_equal(mu_law_encode(decoded, n_values), codes)
    assert decoded.dtype == jnp.float32


def g711_positive():
    """Table 1a of the recommendation: decision values and decoded values of the 128 steps in units of 1 / 4096."""
    widths = np.repeat([2, 2, 4, 8, 16, 32, 64, 128], 16)
    decision_values = np.cumsum(widths) - widths
    return decision_values, decision_values + widths / 2


def test_a_law_codes_are_those_of_the_recommendations_table():
    decision_values, _ = g711_positive()
    linear = INT16.astype(int) >> 3
    step = np.searchsorted(decision_values, np.where(linear < 0, -1 - linear, linear), side="right") - 1
    expected = (step + np.where(linear < 0, 0, 128)) ^ 0x55
    np.testing.assert_array_equal(a_law_encode(INT16), expected)
    np.testing.assert_array_equal(a_law_encode(INT16 / np.float32(2**15)), expected)


def test_a_law_is_decoded_to_the_middle_of_the_step():
    codes = np.arange(256, dtype=np.uint8)
    _, decoded_values = g711_positive()
    inverted = codes ^ 0x55
    expected = np.where(inverted & 128, 1, -1) * decoded_values[inverted & 127] / 4096
    decoded = a_law_decode(codes)
    np.testing.assert_array_equal(decoded, expected)
    np.testing.assert_array_equal(a_law_encode(decoded), codes)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="audioop was removed in Python 3.13")
def test_a_law_equals_the_standard_library():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import audioop
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(a_law_encode(INT16), np.frombuffer(audioop.lin2alaw(INT16.tobytes(), 2), np.uint8))
    decoded = np.frombuffer(audioop.alaw2lin(codes.tobytes(), 2), np.int16)
    np.testing.assert_array_equal(a_law_decode(codes), decoded / 2**15)


@pytest.mark.parametrize(
    ("encode", "silence", "ends"), [(mu_law_encode, 128, (0, 255)), (a_law_encode, 0xD5, (42, 170))]
)
def test_values_beyond_full_scale_are_clipped_and_nan_is_silence(encode, silence, ends):
    codes = jax.jit(encode)(jnp.array([[0.0, np.nan], [-np.inf, 7.0]]))
    assert codes.tolist() == [[silence, silence], [*ends]]
    assert codes.dtype == jnp.int32
    assert jax.vmap(encode)(jnp.zeros((2, 3))).tolist() == [[silence] * 3] * 2


@pytest.mark.parametrize("decode", [mu_law_decode, a_law_decode])
def test_codes_out_of_range_are_clipped(decode):
    ends = decode(np.array([-1000, 0, 255, 1000], np.int16)).tolist()
    assert ends[0] == ends[1]
    assert ends[2] == ends[3]


@pytest.mark.parametrize("decode", [mu_law_decode, a_law_decode])
def test_codes_are_integers(decode):
    with pytest.raises(TypeError, match=f"{decode.__name__} takes integer codes, got float64"):
        decode(np.zeros(3))


@pytest.mark.parametrize("function", [lambda n: mu_law_encode(np.zeros(3), n), lambda n: mu_law_decode([0], n)])
def test_the_number_of_values_is_checked(function):
    with pytest.raises(ValueError, match="n_values must be an integer from 2 to 65536, got 1"):
        function(1)
    with pytest.raises(TypeError, match="n_values"):
        function(256.0)
