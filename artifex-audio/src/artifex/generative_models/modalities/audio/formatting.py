"""Formatting of quantities for people, shared by commands and reports."""


def format_duration(seconds: float) -> str:
    """Format a duration in seconds, minutes or hours.

    Args:
        seconds: The duration in seconds, at least 0.

    Returns:
        The text.

    Example:
        >>> format_duration(1.5), format_duration(121.0), format_duration(7500.0)
        ('1.50 s', '2 min 01 s', '2 h 05 min')
    """
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"
