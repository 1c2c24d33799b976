"""Identity of the components that examples depend on, for fingerprints. Imports no jax."""

from __future__ import annotations

from artifex.generative_models.core import registry
from artifex.generative_models.modalities.audio.base import AudioModalityConfig, AudioRepresentation


def config_identity(config: AudioModalityConfig) -> tuple[AudioModalityConfig, tuple[str, ...]]:
    """Return a configuration and the distributions of its representation and preset, for the fingerprint of a dataset.

    Args:
        config: The configuration.

    Returns:
        The configuration, and the distributions with their versions; none for raw waveforms, which no component encodes.

    Example:
        >>> config_identity(AudioModalityConfig())[1]
        ()
        >>> [provider.split()[0] for provider in config_identity(AudioModalityConfig(representation="stft"))[1]]
        ['artifex-audio']
    """
    if config.representation is AudioRepresentation.RAW_WAVEFORM:
        return config, ()
    choices = [registry("representation").choice(config.representation_name)]
    if isinstance(config.spectral, str):
        choices.append(registry("preset").choice(config.spectral))
    return config, tuple(choice.claim.provider for choice in choices)
