"""Time random draws and oscillators compared with jax.random and jnp.sin.

Run ``python benchmarks/numerics.py``. Results are compared before timing. Every round calls each function once, so that
background load affects all of them, and ratios are computed within a round. The table contains the median with the minimum
and the maximum. The reference "one write" writes an array of the same size.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from timing import milliseconds, spread

from artifex.generative_models.core import numerics

SAMPLE_RATE = 48_000


class Comparison(NamedTuple):
    """Two functions of the same arguments, and the maximum absolute difference of their results."""

    ours: Callable[..., jax.Array]
    theirs: Callable[..., jax.Array]
    arguments: tuple[jax.Array, ...]
    tolerance: float


def naive_chirp(f_start: jax.Array, f_end: jax.Array, *, n_time_steps: int) -> jax.Array:
    t = jnp.arange(n_time_steps, dtype=np.float32) / SAMPLE_RATE
    return jnp.sin(2 * np.pi * (f_start * t + (f_end - f_start) * t**2 * (SAMPLE_RATE / n_time_steps / 2)))


def chirp(f_start: jax.Array, f_end: jax.Array, *, n_time_steps: int) -> jax.Array:
    return numerics.sin2pi(numerics.chirp_ramp(f_start, f_end, n_time_steps=n_time_steps, sample_rate=SAMPLE_RATE))


def comparisons(n_rows: int, n_columns: int) -> dict[str, Comparison]:
    """Return the comparisons by name, on arrays of ``n_rows * n_columns`` elements: one draw, and a batch of draws."""
    size = n_rows * n_columns
    key, keys = jax.random.key(0), jax.random.split(jax.random.key(0), n_rows)
    cycles = jax.random.uniform(key, (size,), minval=-1.0, maxval=1.0)
    # At low frequencies the float32 phase of the naive chirp is accurate enough to compare with.
    low = jnp.linspace(1.0, 2.0, n_rows)
    draws: dict[str, Callable[..., Callable[[jax.Array], jax.Array]]] = {
        "bits": lambda module, shape: lambda key: module.bits(key, shape),
        "uniform": lambda module, shape: lambda key: module.uniform(key, shape, minval=-1.0, maxval=1.0),
        "normal": lambda module, shape: lambda key: module.normal(key, shape),
        "randint": lambda module, shape: lambda key: module.randint(key, shape, -1600, 1601),
        "bernoulli": lambda module, shape: lambda key: module.bernoulli(key, 0.3, shape),
    }
    table = {}
    for name, draw in draws.items():
        pair = draw(numerics, (size,)), draw(jax.random, (size,))
        table[f"{name}, one draw"] = Comparison(*pair, (key,), 0.0)
    for name, draw in draws.items():
        pair = jax.vmap(draw(numerics, (n_columns,))), jax.vmap(draw(jax.random, (n_columns,)))
        table[f"{name}, {n_rows} keys"] = Comparison(*pair, (keys,), 0.0)
    table["sin2pi / jnp.sin"] = Comparison(numerics.sin2pi, lambda x: jnp.sin(2 * np.pi * x), (cycles,), 1e-6)
    table["cos2pi / jnp.cos"] = Comparison(numerics.cos2pi, lambda x: jnp.cos(2 * np.pi * x), (cycles,), 1e-6)
    ours, naive = (jax.vmap(partial(f, n_time_steps=n_columns)) for f in (chirp, naive_chirp))
    table[f"{n_rows} chirps / float32 phase"] = Comparison(ours, naive, (low, 2 * low), 1e-4)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="Time random draws and oscillators.")
    parser.add_argument("--rows", type=int, default=256, help="number of draws in a batch")
    parser.add_argument("--length", type=int, default=16_000, help="samples per row")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()

    write = jax.jit(lambda value: jnp.full((options.rows * options.length,), value))
    calls: dict[str, tuple[Callable[[], jax.Array], Callable[[], jax.Array]]] = {}
    for name, comparison in comparisons(options.rows, options.length).items():
        ours, theirs = (
            partial(jax.jit(function), *comparison.arguments) for function in (comparison.ours, comparison.theirs)
        )
        difference = np.abs(np.asarray(ours(), float) - np.asarray(theirs(), float)).max()
        if difference > comparison.tolerance:
            raise SystemExit(f"{name}: results differ by {difference:.3g}, expected at most {comparison.tolerance:.3g}")
        calls[name] = ours, theirs

    def time_call(call: Callable[..., jax.Array], *arguments: jax.Array) -> float:
        return milliseconds(lambda: call(*arguments).block_until_ready())

    one = jnp.float32(1)
    write(one)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    write_times = []
    for _ in range(options.rounds):
        write_times.append(time_call(write, one))
        for name, (ours, theirs) in calls.items():
            times[name].append((time_call(ours), time_call(theirs)))

    print(
        f"JAX {jax.__version__}, {jax.devices()[0].device_kind}, {options.rows} x {options.length} elements, "
        f"{options.rounds} rounds; milliseconds, median (minimum-maximum)"
    )
    print(f"{'':32}{'ours':>24}{'theirs':>24}{'theirs / ours':>24}")
    for name, pairs in times.items():
        columns = ([a for a, _ in pairs], [b for _, b in pairs], [b / a for a, b in pairs])
        print(f"{name:32}" + "".join(f"{spread(column):>24}" for column in columns))
    print(f"{'one write':32}{spread(write_times):>24}")


if __name__ == "__main__":
    main()
