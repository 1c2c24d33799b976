"""Identity of the components that examples depend on, for fingerprints. Imports no jax."""

from __future__ import annotations

from artifex.generative_models.core import registry
from artifex.generative_models.modalities.audio.base import AudioModalityConfig, AudioRepresentation


def config_identity(config: AudioModalityConfig) -> tuple[AudioModalityConfig, str]:
    """Return a configuration, and the distribution that provides its representation, for the fingerprint of a dataset.

    Args:
        config: The configuration.

    Returns:
        The configuration, and the distribution with its version; ``""`` for raw waveforms, which no component encodes.

    Example:
        >>> config_identity(AudioModalityConfig())[1], config_identity(AudioModalityConfig(representation="stft"))[1][:13]
        ('', 'artifex-audio')
    """
    if config.representation is AudioRepresentation.RAW_WAVEFORM:
        return config, ""
    return config, registry("representation").choice(config.representation_name).claim.provider
