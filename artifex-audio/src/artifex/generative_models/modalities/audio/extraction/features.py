"""The features of an extraction: representations, and features of the extension ``spectral``, with an optional preset."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict

import attrs

from artifex.generative_models.core import MissingDependencyError, UnknownComponentError, create, registry
from artifex.generative_models.core.checks import is_list, is_mapping
from artifex.generative_models.core.configuration import ExtensionConfig
from artifex.generative_models.core.errors import suggest
from artifex.generative_models.modalities.audio.base import AudioModalityConfig, AudioRepresentation
from artifex.generative_models.modalities.audio.shards.reading import is_representation

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
        spectral: All fields of its ``SpectralConfig``, as plain values.
        fields: The values of the fields of ``AudioModalityConfig`` that it determines.
    """

    name: str
    options: dict[str, object]
    spectral: dict[str, Any]
    fields: dict[str, int]


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
        ValueError: For an invalid value, or a configuration that cannot be stored as plain values.

    Example:
        >>> resolve_preset(("whisper", {"n_mels": 128})).fields
        {'sample_rate': 16000, 'n_fft': 400, 'hop_length': 160, 'n_mel_channels': 128}
    """
    name, options = (preset, {}) if isinstance(preset, str) else _name_and_options(preset)
    try:
        registry("preset")
    except UnknownComponentError as error:
        raise MissingDependencyError(
            f"The preset {name!r} needs artifex-spectral, which is not installed: pip install artifex-spectral"
        ) from error
    config: Any = create("preset", name, **options)
    spectral: dict[str, Any] = config.to_dict()
    try:
        options, spectral = json.loads(json.dumps([options, spectral]))
    except TypeError as error:
        raise ValueError(
            f"preset {name!r} has values that cannot be stored: {error}; register its window and give its name"
        ) from error
    fields = {"sample_rate": config.sample_rate, "n_fft": config.n_fft, "hop_length": config.hop}
    return ResolvedPreset(
        name=name, options=options, spectral=spectral, fields=fields | {"n_mel_channels": config.n_mels}
    )


def config_with_preset(config: AudioModalityConfig | None, preset: ResolvedPreset) -> AudioModalityConfig:
    """Return a configuration with the sample rate and the sizes of a preset.

    Args:
        config: The configuration; None means that recordings are not normalized, as in the tool.
        preset: The preset.

    Returns:
        The configuration.

    Raises:
        ValueError: When a field of ``config`` contradicts the preset: it has neither the value of the preset nor its
            default.
    """
    if config is None:
        return AudioModalityConfig(normalize=False).evolve(**preset.fields)
    defaults = AudioModalityConfig()
    for field, expected in preset.fields.items():
        given = getattr(config, field)
        if given not in (expected, getattr(defaults, field)):
            raise ValueError(_contradiction(f"config.{field} = {given}", field, given, preset))
    return config.evolve(**preset.fields)


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


def resolve_features(
    features: str | Sequence[str] | None, config: AudioModalityConfig, preset: ResolvedPreset | None
) -> list[str]:
    """Return the names of the features, checked.

    Args:
        features: The names, or None for the representation of the configuration; with a preset and a raw waveform,
            ``log_mel_spectrogram``.
        config: The configuration.
        preset: The preset, or None.

    Returns:
        The names.

    Raises:
        UnknownComponentError: For an unknown feature; the message lists the available ones.
        ValueError: When there is none, a name is repeated, the representation of the configuration is another one, or a
            representation cannot use the preset.
    """
    if features is None:
        default = config.representation_name
        names = [_DEFAULT_OF_PRESET if preset is not None and default == _RAW_WAVEFORM else default]
    else:
        names = [features] if isinstance(features, str) else list(features)
    if not names:
        raise ValueError("features must contain at least one name, such as 'log_mel_spectrogram', got none")
    if len(set(names)) < len(names):
        raise ValueError(f"features must not repeat a name, got {', '.join(names)}")
    if config.representation_name not in (_RAW_WAVEFORM, *names):
        raise ValueError(
            f"config.representation is {config.representation_name!r}, but features are {', '.join(names)}; omit one of them"
        )
    spectral = spectral_features()
    for name in names:
        if name in registry("representation"):
            if preset is not None and name != _RAW_WAVEFORM and name not in spectral:
                raise ValueError(
                    f"the representation {name!r} does not use presets; omit the preset, or extract one of "
                    f"{', '.join(spectral)}"
                )
        elif name not in spectral:
            known = sorted({*registry("representation"), *spectral})
            hint = "" if spectral else "; more with artifex-spectral, which is not installed"
            raise UnknownComponentError(
                f"no feature {name!r} is installed.{suggest(name, known)} Available: {', '.join(known)}{hint}"
            )
    return names


def spectral_features() -> tuple[str, ...]:
    """Return the names of the features of the extension ``spectral``; none without artifex-spectral.

    Returns:
        The names of its methods ``compute_*``, without this prefix, and ``stft``.

    Example:
        >>> {"chroma", "log_mel_spectrogram", "mfcc", "stft"} <= set(spectral_features())
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
        if is_representation(name, has_preset=preset is not None):
            records.append(_record("representation", name, "representation", name))
        else:
            records.append(_record("feature", name, "extension", "spectral"))
    if preset is not None:
        records.append(_record("preset", preset.name, "preset", preset.name))
    return records


def _record(kind: str, name: str, registered_kind: str, registered_name: str) -> ComponentRecord:
    claim = registry(registered_kind).choice(registered_name).claim
    return ComponentRecord(kind=kind, name=name, distribution=claim.distribution, version=claim.version)


def spectral_frames(spectral: Mapping[str, Any], n_samples: int) -> int:
    """Return the number of frames of a feature of the extension ``spectral``.

    Args:
        spectral: Fields of ``SpectralConfig``.
        n_samples: Length of the waveform.

    Returns:
        The number of frames.

    Raises:
        ValueError: When the waveform is shorter than a frame.
    """
    config = _analysis(spectral).config
    n_frames = int(config.n_frames(n_samples))
    if n_frames < 1:
        raise ValueError(f"a frame needs at least {config.min_length} samples, got {n_samples}")
    return n_frames


def band_frequencies(spectral: Mapping[str, Any]) -> np.ndarray:
    """Return the center frequencies of mel bands in Hz.

    Args:
        spectral: Fields of ``SpectralConfig``.

    Returns:
        Frequencies (n_mels,).
    """
    frequencies: np.ndarray = _analysis(spectral).band_frequencies()
    return frequencies


def spectral_encoder(
    name: str, spectral: Mapping[str, Any], *, normalize: bool
) -> Callable[[np.ndarray, np.ndarray], jax.Array]:
    """Return the compiled function of a feature of the extension ``spectral``, cached per configuration.

    Args:
        name: The feature.
        spectral: Fields of ``SpectralConfig``.
        normalize: Whether each clip is normalized to a peak of 1 first.

    Returns:
        A function from zero-padded waveforms (batch, time) and their lengths (batch,) to features (batch, ..., frames).
        Frames past the length of a waveform are undefined.
    """
    return _spectral_encoder(name, _analysis(spectral), normalize)


@lru_cache(maxsize=64)
def _spectral_encoder(name: str, analysis: Any, normalize: bool) -> Callable[[np.ndarray, np.ndarray], jax.Array]:
    import jax

    from artifex.generative_models.modalities.audio.preprocessing.levels import normalize_audio

    compute = analysis.stft if name == "stft" else getattr(analysis, _METHOD + name)

    def encode(audio: jax.Array, lengths: jax.Array) -> jax.Array:
        features: jax.Array = compute(normalize_audio(audio) if normalize else audio, lengths=lengths)
        return features

    return jax.jit(encode)


def _analysis(spectral: Mapping[str, Any]) -> Any:
    return _create_analysis(registry("extension")["spectral"], json.dumps(spectral))


@lru_cache(maxsize=64)
def _create_analysis(extension: Any, spectral: str) -> Any:
    return extension(config=ExtensionConfig(extensions={"spectral": json.loads(spectral)}), rngs=None)


def _name_and_options(preset: object) -> tuple[str, dict[str, object]]:
    if not (is_list(preset) and len(preset) == 2 and isinstance(preset[0], str) and is_mapping(preset[1])):
        raise TypeError(
            f"preset must be a name, or a name and options such as ('whisper', {{'n_mels': 128}}), got {preset!r}"
        )
    name, options = preset
    return name, dict(options)
