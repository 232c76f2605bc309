"""Numbers in lines for people."""


def count(number: int, singular: str, plural: str = "") -> str:
    """Such as `1 category` and `8 images`; the plural is the singular with an s unless it is given."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def percent(share: float) -> str:
    """A fraction as `1 %`, with two digits that count; tiny ones as `under 0.01 %`."""
    return f"{100 * share:.2g} %" if share >= 1e-4 else "under 0.01 %"
