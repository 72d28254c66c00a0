"""Whole numbers of channels from widths that were multiplied."""


def nearest_multiple(width: float, of: int) -> int:
    """Return the nearest multiple of `of` that does not lose more than a tenth of `width`.

    Args:
        width: Channels, a positive number that need not be whole.
        of: What must divide the result, 1 or more; the result is at least that.
    """
    nearest = max(of, int(width + of / 2) // of * of)
    return nearest + of if nearest < 0.9 * width else nearest
