"""Settings that all model extensions share."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import attrs

from artifex.generative_models.core.checks import check_flag, check_number, field_check, plain_float
from artifex.generative_models.core.configuration.base import Configuration


def _copy_options(extensions: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Copy the options; return anything but nested mappings unchanged, for the validator to reject."""
    return cast("dict[str, dict[str, Any]]", _copy_nested(extensions))


def _copy_nested(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy_nested(item) for key, item in value.items()}
    return copy.deepcopy(value)


def _check_extensions(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, dict) or not all(isinstance(k, str) and isinstance(v, dict) for k, v in value.items()):
        raise TypeError(
            f"ExtensionConfig.extensions must map extension names to mappings of options, "
            f'such as {{"spectral": {{"n_fft": 1024}}}}, got {value!r}'
        )


@attrs.frozen(kw_only=True)
class ExtensionConfig(Configuration):
    """Settings of a model extension: loss weight, whether it is enabled, and options by extension name.

    Args:
        weight: Factor that scales the extension's loss.
        enabled: Whether the extension is used.
        extensions: Options by extension name, such as ``{"spectral": {"n_fft": 1024}}``. Each extension reads the
            options under its own name and raises for unknown ones.

    Raises:
        TypeError: When a value has the wrong type.
        ValueError: When the weight is not finite.

    Example:
        >>> ExtensionConfig(extensions={"spectral": {"n_fft": 1024}}).extensions["spectral"]["n_fft"]
        1024
    """

    weight: float = attrs.field(default=1.0, converter=plain_float, validator=field_check(check_number))
    enabled: bool = attrs.field(default=True, validator=field_check(check_flag))
    extensions: dict[str, dict[str, Any]] = attrs.field(
        factory=dict[str, dict[str, Any]], converter=_copy_options, validator=_check_extensions
    )
