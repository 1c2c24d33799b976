"""Numerical building blocks: random draws, oscillators, dtypes, framing, batching and compilation."""

from artifex.generative_models.core.numerics.compilation import jit, platform_dependent
from artifex.generative_models.core.numerics.dtypes import rms, safe_abs, safe_sqrt, working_dtype
from artifex.generative_models.core.numerics.oscillators import chirp_ramp, cos2pi, high_word, phase_ramp, sin2pi
from artifex.generative_models.core.numerics.random import bernoulli, bits, check_key, normal, randint, uniform

__all__ = [
    "bernoulli",
    "bits",
    "check_key",
    "chirp_ramp",
    "cos2pi",
    "high_word",
    "jit",
    "normal",
    "phase_ramp",
    "platform_dependent",
    "randint",
    "rms",
    "safe_abs",
    "safe_sqrt",
    "sin2pi",
    "uniform",
    "working_dtype",
]
