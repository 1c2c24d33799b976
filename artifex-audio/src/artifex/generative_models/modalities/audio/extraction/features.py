"""The features of an extraction: representations, and features of the extension ``spectral``, with an optional preset."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict, cast

import attrs

from artifex.generative_models.core import UnknownComponentError, create, registry
from artifex.generative_models.core.checks import is_list, is_mapping
from artifex.generative_models.core.configuration import Configuration
from artifex.generative_models.core.errors import suggest
from artifex.generative_models.modalities.audio.base import AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.spectral_settings import (
    SpectralSettings,
    extension_of,
    spectral_settings,
)

if TYPE_CHECKING:
    import jax
    import numpy as np

Preset = str | tuple[str, Mapping[str, object]]
"""The name of a preset, or its name and fields of ``SpectralConfig`` to change, as in ``("whisper", {"n_mels": 128})``."""

FIELDS = {"sample_rate": "sample_rate", "n_fft": "n_fft", "hop_length": "hop_length", "n_mel_channels": "n_mels"}
"""Fields of ``AudioModalityConfig`` that a preset determines, and their names in ``SpectralConfig``."""

_METHOD = "compute_"
_RAW_WAVEFORM = AudioRepresentation.RAW_WAVEFORM.value
_DEFAULT_OF_PRESET = "log_mel_spectrogram"


class ComponentRecord(TypedDict):
    """The identity of a component in a plan.

    Attributes:
        kind: ``"representation"``, ``"preset"`` or ``"feature"`` of the extension ``spectral``.
        name: Its name.
        distribution: The distribution that provides it.
        version: The version of the distribution; empty for a component registered in the process.
    """

    kind: str
    name: str
    distribution: str
    version: str


@attrs.frozen(kw_only=True)
class ResolvedPreset:
    """A preset with its options.

    Args:
        name: Its name.
        options: The fields of ``SpectralConfig`` that were changed.
        settings: The ``SpectralConfig``.
    """

    name: str
    options: dict[str, object]
    settings: SpectralSettings

    @property
    def fields(self) -> dict[str, int]:
        """The values of the fields of ``AudioModalityConfig`` that it determines."""
        config = AudioModalityConfig(spectral=cast(Configuration, self.settings))
        return {field: getattr(config, field) for field in FIELDS}


def describe_preset(name: str, options: Mapping[str, object]) -> str:
    """Describe a preset and its options.

    Args:
        name: Its name.
        options: The fields of ``SpectralConfig`` that were changed.

    Returns:
        The text.

    Example:
        >>> describe_preset("whisper", {"n_mels": 128})
        'whisper with n_mels = 128'
    """
    changes = ", ".join(f"{option} = {value}" for option, value in options.items())
    return f"{name} with {changes}" if changes else name


def resolve_preset(preset: Preset) -> ResolvedPreset:
    """Find a preset and apply its options.

    Args:
        preset: Its name, or its name and the fields to change.

    Returns:
        The preset.

    Raises:
        MissingDependencyError: Without artifex-spectral.
        UnknownComponentError: When no preset has that name; the message lists the installed ones.
        TypeError: For a field that does not exist.
        ValueError: For an invalid value, or an option that cannot be stored.

    Example:
        >>> resolve_preset(("whisper", {"n_mels": 128})).fields
        {'sample_rate': 16000, 'n_fft': 400, 'hop_length': 160, 'n_mel_channels': 128}
    """
    name, options = (preset, {}) if isinstance(preset, str) else _name_and_options(preset)
    spectral_settings(name)  # raises without artifex-spectral, and for an unknown name
    settings: SpectralSettings = create("preset", name, **options)
    return ResolvedPreset(name=name, options=_plain(f"preset {name!r}", options), settings=settings)


def spectral_table(config: AudioModalityConfig) -> dict[str, Any] | None:
    """Return the fields of the spectral analysis of a configuration, for the plan.

    Args:
        config: The configuration.

    Returns:
        The fields of ``config.spectral`` as plain values, or None without it.

    Raises:
        ValueError: When a value cannot be stored, such as a window that is a function.
    """
    return None if config.spectral is None else _plain("config.spectral", config.analysis.to_dict())


def _plain(subject: str, values: Mapping[str, object]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(values))
    except TypeError as error:
        raise ValueError(
            f"{subject} has values that cannot be stored: {error}; register its window and give its name"
        ) from error
    return plain


def config_with_preset(config: AudioModalityConfig | None, preset: ResolvedPreset) -> AudioModalityConfig:
    """Return a configuration with the analysis of a preset.

    Args:
        config: The configuration; None means that recordings are not normalized, as in the tool.
        preset: The preset.

    Returns:
        The configuration.

    Raises:
        ValueError: When ``config.spectral`` is another analysis, or a field of ``config`` has neither the value of the preset
            nor its default.
    """
    spectral = cast(Configuration, preset.settings)
    if config is None:
        return AudioModalityConfig(spectral=spectral, normalize=False)
    if config.spectral is not None and config.analysis != preset.settings:
        raise ValueError(f"config.spectral and the preset {preset.name!r} are different analyses; omit one of them")
    defaults = AudioModalityConfig()
    for field, expected in preset.fields.items():
        given = getattr(config, field)
        if given not in (expected, getattr(defaults, field)):
            raise ValueError(_contradiction(f"config.{field} = {given}", field, given, preset))
    return config.evolve(spectral=spectral)


def _contradiction(given: str, field: str, value: object, preset: ResolvedPreset) -> str:
    message = f"{given} contradicts the preset {preset.name!r}, whose {FIELDS[field]} is {preset.fields[field]}"
    if field == "sample_rate":
        return f"{message}; omit it: recordings are resampled to the sample rate of the preset"
    change = {**preset.options, FIELDS[field]: value}
    return f"{message}; omit it, or change the preset: preset=({preset.name!r}, {change!r})"


def override_preset(preset: Preset, given: Mapping[str, object]) -> ResolvedPreset:
    """Change a preset to the sizes that were given with it.

    Args:
        preset: The preset.
        given: Values of fields of ``AudioModalityConfig``.

    Returns:
        The changed preset.

    Raises:
        ValueError: For another sample rate than that of the preset.
    """
    found = resolve_preset(preset)
    rate = given.get("sample_rate", found.fields["sample_rate"])
    if rate != found.fields["sample_rate"]:
        raise ValueError(_contradiction(f"--sample-rate {rate}", "sample_rate", rate, found))
    changes = {
        FIELDS[field]: given[field] for field in FIELDS if field in given and given[field] != found.fields[field]
    }
    return resolve_preset((found.name, {**found.options, **changes})) if changes else found


def resolve_features(features: str | Sequence[str] | None, config: AudioModalityConfig) -> list[str]:
    """Return the names of the features, checked.

    Args:
        features: The names, or None for the representation of the configuration; with a spectral analysis and a raw
            waveform, ``log_mel_spectrogram``.
        config: The configuration.

    Returns:
        The names.

    Raises:
        UnknownComponentError: For an unknown feature; the message lists the available ones.
        ValueError: When there is none, a name is repeated, or the representation of the configuration is another one.
    """
    representation = config.representation_name
    if features is None:
        names = [
            _DEFAULT_OF_PRESET if config.spectral is not None and representation == _RAW_WAVEFORM else representation
        ]
    else:
        names = [features] if isinstance(features, str) else list(features)
    if not names:
        raise ValueError("features must contain at least one name, such as 'log_mel_spectrogram', got none")
    if len(set(names)) < len(names):
        raise ValueError(f"features must not repeat a name, got {', '.join(names)}")
    if representation not in (_RAW_WAVEFORM, *names):
        raise ValueError(
            f"config.representation is {representation!r}, but features are {', '.join(names)}; omit one of them"
        )
    known = [*registry("representation"), *spectral_features()]
    for name in names:
        if name not in known:
            available = ", ".join(sorted(set(known)))
            hint = "" if spectral_features() else "; more with artifex-spectral, which is not installed"
            raise UnknownComponentError(
                f"no feature {name!r} is installed.{suggest(name, known)} Available: {available}{hint}"
            )
    return names


def spectral_features() -> tuple[str, ...]:
    """Return the names of the features of the extension ``spectral``; none without artifex-spectral.

    Returns:
        The names of its methods ``compute_*``, without this prefix.

    Example:
        >>> {"chroma", "log_mel_spectrogram", "mfcc"} <= set(spectral_features())
        True
    """
    try:
        extension = registry("extension")["spectral"]
    except UnknownComponentError:
        return ()
    return tuple(name.removeprefix(_METHOD) for name in dir(extension) if name.startswith(_METHOD))


def component_records(features: Sequence[str], preset: ResolvedPreset | None) -> list[ComponentRecord]:
    """Return the identities of the components that compute features.

    Args:
        features: The names of the features.
        preset: The preset, or None.

    Returns:
        One record per component.

    Example:
        >>> [(each["kind"], each["name"], each["distribution"]) for each in component_records(["mfcc"], None)]
        [('feature', 'mfcc', 'artifex-spectral')]
    """
    records: list[ComponentRecord] = []
    for name in features:
        if name in registry("representation"):
            records.append(_record("representation", name, "representation", name))
        else:
            records.append(_record("feature", name, "extension", "spectral"))
    if preset is not None:
        records.append(_record("preset", preset.name, "preset", preset.name))
    return records


def _record(kind: str, name: str, registered_kind: str, registered_name: str) -> ComponentRecord:
    claim = registry(registered_kind).choice(registered_name).claim
    return ComponentRecord(kind=kind, name=name, distribution=claim.distribution, version=claim.version)


def spectral_encoder(name: str, settings: SpectralSettings) -> Callable[[np.ndarray, np.ndarray], jax.Array]:
    """Return the compiled function of a feature of the extension ``spectral``, cached per analysis.

    Args:
        name: The feature.
        settings: The ``SpectralConfig``.

    Returns:
        A function from zero-padded waveforms (batch, time) and their lengths (batch,) to features (batch, ..., frames).
        Frames past those of a waveform equal those of silence.
    """
    extension: Any = extension_of(settings)
    return _spectral_encoder(name, extension)


@lru_cache(maxsize=64)
def _spectral_encoder(name: str, extension: Any) -> Callable[[np.ndarray, np.ndarray], jax.Array]:
    import jax

    compute: Callable[..., jax.Array] = getattr(extension, _METHOD + name)

    def encode(audio: jax.Array, lengths: jax.Array) -> jax.Array:
        return compute(audio, lengths=lengths)

    return jax.jit(encode)


def _name_and_options(preset: object) -> tuple[str, dict[str, object]]:
    if not (is_list(preset) and len(preset) == 2 and isinstance(preset[0], str) and is_mapping(preset[1])):
        raise TypeError(
            f"preset must be a name, or a name and options such as ('whisper', {{'n_mels': 128}}), got {preset!r}"
        )
    name, options = preset
    return name, dict(options)
