"""Heights and widths, of which one number means both."""

from typing import TypeAlias

Size: TypeAlias = int | tuple[int, int]  # the side of a square, or height and width


def height_and_width(size: Size) -> tuple[int, int]:
    """Both sides of a size.

    Args:
        size: side of a square, or height and width, in pixels or positions.

    Returns:
        Height and width.
    """
    return (size, size) if isinstance(size, int) else size
