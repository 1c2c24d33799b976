"""A batch sharded over devices: the same numbers, and no device computes another's examples."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

PROGRAM = textwrap.dedent(
    """
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
    from artifex.generative_models.extensions.audio_processing.spectral import *

    config = SpectralConfig(sample_rate=8000, n_fft=64, n_mels=10)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,))
    audio = np.random.default_rng(0).standard_normal((4, 200)).astype(np.float32)
    placed = jax.device_put(audio, NamedSharding(mesh, P("data")))

    def forward_and_backward(x):
        levels, back = jax.vjp(lambda x: log_mel_spectrogram(x, config), x)
        return levels, *back(jnp.ones_like(levels)), spectral_rolloff(x, config)

    def round_trip(x):
        return istft(stft(x, config), config, length=200)

    def stretch(x):
        return time_stretch(x, 1.2, config, length=150)

    def invert(x):
        return mel_to_audio(mel_spectrogram(x, config), config, length=200, n_iter=2, key=jax.random.key(0))

    for function in (forward_and_backward, round_trip, stretch, invert):
        compiled = jax.jit(function).lower(placed).compile()
        assert "all-gather" not in compiled.as_text(), function
        for ours, plain in zip(jax.tree.leaves(compiled(placed)), jax.tree.leaves(function(audio))):
            assert ours.sharding.spec[0] == "data", (function, ours.sharding)
            peak = np.abs(plain).max()
            np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-4 * peak, err_msg=str(function))
    assert log_mel_spectrogram(placed, config).sharding.spec[0] == "data"
    mapped = jax.jit(jax.vmap(lambda x: log_mel_spectrogram(x, config)))(placed)
    np.testing.assert_allclose(mapped, log_mel_spectrogram(audio, config), rtol=0, atol=1e-3)
    along = jax.device_put(audio, NamedSharding(mesh, P(None, "data")))
    np.testing.assert_allclose(log_mel_spectrogram(along, config), log_mel_spectrogram(audio, config), rtol=0, atol=1e-3)
    levels, counts = log_mel_spectrogram(placed, config, lengths=np.array([200, 150, 100, 50]))
    plain, same = log_mel_spectrogram(audio, config, lengths=np.array([200, 150, 100, 50]))
    np.testing.assert_allclose(levels, plain, rtol=0, atol=1e-3)
    assert counts.tolist() == same.tolist() == [13, 10, 7, 4]
    print("done")
    """
)


def test_sharded_batch_gives_the_same_and_nothing_is_gathered():
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == "done", done.stderr
