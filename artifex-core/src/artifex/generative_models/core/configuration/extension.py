"""Settings that all model extensions share."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import attrs

from artifex.generative_models.core.checks import check_flag, check_number, field_check, is_mapping, plain_float
from artifex.generative_models.core.configuration.base import Configuration


def _copy_options(options: Mapping[str, Mapping[str, Any]]) -> Any:
    """Copy nested mappings as dicts, and other values as they are."""
    return (
        {key: _copy_options(item) for key, item in options.items()} if is_mapping(options) else copy.deepcopy(options)
    )


def _check_extensions(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not is_mapping(value) or not all(isinstance(k, str) and is_mapping(v) for k, v in value.items()):
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
