"""A recording, or a segment of one, as a manifest describes it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from artifex.generative_models.modalities.audio.datasets.manifests.labels import Label


@attrs.frozen(kw_only=True)
class Recording:
    """A recording, or a segment of one, as a manifest describes it.

    Args:
        path: The file.
        name: Path relative to the manifest or to the searched folder, with forward slashes; an absolute path without the
            leading slash where the file is elsewhere.
        label: Class label, a tuple of several, or None.
        start: Start of the segment in seconds.
        end: End of the segment in seconds; None means the end of the file.
        split: Split that it belongs to, such as ``"train"``, or None.
        sample_rate: Sample rate of the file in Hz, if known. It is compared with the file when the file is read, as are
            ``n_channels`` and ``n_samples``.
        n_channels: Channels of the file, if known.
        n_samples: Samples per channel of the whole file, if known.
        annotations: The other columns of the manifest, such as ``text`` and ``speaker``, where they have a value.

    Example:
        >>> Recording(path="a.wav", start=1.0).end is None
        True
    """

    path: str
    name: str = ""
    label: Label | None = None
    start: float = 0.0
    end: float | None = None
    split: str | None = None
    sample_rate: int | None = None
    n_channels: int | None = None
    n_samples: int | None = None
    annotations: Mapping[str, object] = attrs.field(factory=dict[str, object])

    @property
    def is_segment(self) -> bool:
        """Whether it is a segment rather than a whole file."""
        return self.start > 0 or self.end is not None
