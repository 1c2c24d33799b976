"""Padded lengths of variable-length recordings: few, so that few programs are compiled."""

from __future__ import annotations

from collections.abc import Mapping

MAX_EXTRA_PADDING = 1 << 25
"""Total padding, in samples, above which a compiled program of its own is cheaper: log-mel spectrograms of half an hour of
audio take about as long as one compilation."""

_SHORTEST = 16_384


def padded_length(n_samples: int, hop_length: int) -> int:
    """Return the length that a recording is padded to: a power of two or 1.5 times one, in whole hops.

    Args:
        n_samples: Length of the recording in samples.
        hop_length: Hop length in samples.

    Returns:
        The padded length in samples, at least 16384. Above that, it is less than 1.5 times ``n_samples`` plus one hop.

    Example:
        >>> [padded_length(n, 256) for n in (1, 16_384, 16_385, 25_000, 100_000)]
        [16384, 16384, 24576, 32768, 131072]
    """
    length = _SHORTEST
    power_of_two = True
    while length < n_samples:
        length = length * 3 // 2 if power_of_two else length * 4 // 3
        power_of_two = not power_of_two
    return -(-length // hop_length) * hop_length


def merge_lengths(counts: Mapping[int, int], max_extra_padding: int) -> dict[int, int]:
    """Replace rare padded lengths by longer ones, so that a few recordings do not need a compiled program of their own.

    Args:
        counts: Number of recordings of each padded length.
        max_extra_padding: Maximum padding, in samples over all recordings, that replaces one compiled program.

    Returns:
        The same or a longer length for each length.

    Example:
        >>> merge_lengths({16_384: 300, 24_576: 20, 1_000_000: 1}, 10_000_000)
        {16384: 24576, 24576: 24576, 1000000: 1000000}
    """
    merged: dict[int, int] = {}
    group: list[int] = []
    lengths = sorted(counts)
    for length, longer in zip(lengths, [*lengths[1:], None], strict=True):
        group.append(length)
        if longer is None or (longer - length) * sum(counts[each] for each in group) > max_extra_padding:
            merged |= dict.fromkeys(group, length)
            group = []
    return merged
