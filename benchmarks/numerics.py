"""Time the numeric core against jax.random and jnp.sin, and check that they agree.

Run it as ``python benchmarks/numerics.py``. Every round runs each function once, one after the other, so that
what else the machine does falls on all of them alike; a ratio is taken within a round. The table gives the
median over the rounds with the lowest and the highest. The floor is a write of as many bytes.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from artifex.generative_models.core import numerics

SAMPLE_RATE = 48_000


class Contest(NamedTuple):
    """What is timed against what, and how far apart the two may be."""

    ours: Callable[..., jax.Array]
    theirs: Callable[..., jax.Array]
    arguments: tuple[jax.Array, ...]
    tolerance: float


def naive_chirp(f_start: jax.Array, f_end: jax.Array, *, n_time_steps: int) -> jax.Array:
    t = jnp.arange(n_time_steps, dtype=np.float32) / SAMPLE_RATE
    return jnp.sin(2 * np.pi * (f_start * t + (f_end - f_start) * t**2 * (SAMPLE_RATE / n_time_steps / 2)))


def chirp(f_start: jax.Array, f_end: jax.Array, *, n_time_steps: int) -> jax.Array:
    return numerics.sin2pi(numerics.chirp_ramp(f_start, f_end, n_time_steps=n_time_steps, sample_rate=SAMPLE_RATE))


def contests(rows: int, length: int) -> dict[str, Contest]:
    """Table of contests over ``rows`` times ``length`` elements, as one draw and as a batch of rows."""
    size = rows * length
    key, keys = jax.random.key(0), jax.random.split(jax.random.key(0), rows)
    cycles = jax.random.uniform(key, (size,), minval=-1.0, maxval=1.0)
    # Slow and low, so that the float32 phase of the naive sweep is still right enough to compare with.
    low = jnp.linspace(1.0, 2.0, rows)
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
        table[f"{name}, one draw"] = Contest(*pair, (key,), 0.0)
    for name, draw in draws.items():
        pair = jax.vmap(draw(numerics, (length,))), jax.vmap(draw(jax.random, (length,)))
        table[f"{name}, {rows} keys"] = Contest(*pair, (keys,), 0.0)
    table["sin2pi / jnp.sin"] = Contest(numerics.sin2pi, lambda x: jnp.sin(2 * np.pi * x), (cycles,), 1e-6)
    table["cos2pi / jnp.cos"] = Contest(numerics.cos2pi, lambda x: jnp.cos(2 * np.pi * x), (cycles,), 1e-6)
    sweep, naive = (jax.vmap(partial(f, n_time_steps=length)) for f in (chirp, naive_chirp))
    table[f"{rows} sweeps / float32 phase"] = Contest(sweep, naive, (low, 2 * low), 1e-4)
    return table


def milliseconds(function: Callable[..., jax.Array], arguments: tuple[jax.Array, ...]) -> float:
    begin = time.perf_counter()
    function(*arguments).block_until_ready()
    return 1e3 * (time.perf_counter() - begin)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):7.2f} ({min(values):.2f}-{max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the numeric core.")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--length", type=int, default=16_000, help="samples in a row")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()

    floor = jax.jit(lambda value: jnp.full((options.rows * options.length,), value))
    value = jnp.float32(1)
    floor(value)
    table = {}
    for name, contest in contests(options.rows, options.length).items():
        ours, theirs = jax.jit(contest.ours), jax.jit(contest.theirs)
        difference = np.abs(
            np.asarray(ours(*contest.arguments), float) - np.asarray(theirs(*contest.arguments), float)
        ).max()
        if difference > contest.tolerance:
            raise SystemExit(f"{name}: off by {difference:.3g}, {contest.tolerance:.3g} allowed")
        table[name] = (ours, theirs, contest.arguments)

    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in table}
    floors = []
    for _ in range(options.rounds):
        floors.append(milliseconds(floor, (value,)))
        for name, (ours, theirs, arguments) in table.items():
            rounds[name].append((milliseconds(ours, arguments), milliseconds(theirs, arguments)))

    print(
        f"JAX {jax.__version__}, {jax.devices()[0].device_kind}, {options.rows} x {options.length} elements, "
        f"{options.rounds} rounds; milliseconds, median (lowest-highest)"
    )
    print(f"{'':32}{'ours':>24}{'theirs':>24}{'theirs / ours':>24}")
    for name, times in rounds.items():
        columns = ([a for a, _ in times], [b for _, b in times], [b / a for a, b in times])
        print(f"{name:32}" + "".join(f"{spread(column):>24}" for column in columns))
    print(f"{'floor: one write':32}{spread(floors):>24}")


if __name__ == "__main__":
    main()
