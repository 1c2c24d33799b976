"""The conformance kit: check that components work under JAX, and report the failing input and the likely cause.

The distribution that declares a kind provides its contract (hook ``artifex_contracts``): a function that describes how
its components are called. The rules are the same for all kinds.
"""

from artifex.generative_models.core.testing.compilation import quick_compilation
from artifex.generative_models.core.testing.kit import check, check_function, components, contract_locations
from artifex.generative_models.core.testing.report import Failure, Report
from artifex.generative_models.core.testing.subject import Rule, Skipped, Subject, Violation, signals

__all__ = [
    "Failure",
    "Report",
    "Rule",
    "Skipped",
    "Subject",
    "Violation",
    "check",
    "check_function",
    "components",
    "contract_locations",
    "quick_compilation",
    "signals",
]
