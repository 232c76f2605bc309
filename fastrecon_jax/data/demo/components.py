"""Electronic components from above, drawn twice as fine as they are photographed."""

from typing import NamedTuple

from PIL import Image, ImageDraw

from fastrecon_jax.data.demo import canvas

OVER = 2  # drawn pixels for one of the photograph
SOLDER = (178, 182, 186)

_MARGIN = 10  # pixels of the photograph around a component, for its pins

Rgb = tuple[int, int, int]
Pixels = int | float


class Component(NamedTuple):
    """A component: its middle and size in pixels of the photograph, and its look."""

    kind: str
    x: Pixels
    y: Pixels
    width: Pixels
    height: Pixels
    colour: Rgb
    label: str = ""


def face(part: Component, *, tone: float, lot: int) -> Image.Image:
    """A component in the middle of a transparent RGBA image, `tone` times as bright as usual.

    Integrated circuits are stamped with the four digits of their lot.
    """
    size = (round((part.width + 2 * _MARGIN) * OVER), round((part.height + 2 * _MARGIN) * OVER))
    ground = Image.new("RGBA", size)
    here = part._replace(x=size[0] / 2 / OVER, y=size[1] / 2 / OVER, colour=shaded(part.colour, tone))
    draw = ImageDraw.Draw(ground)
    match part.kind:
        case "ic":
            _circuit(draw, here, lot)
        case "can":
            _can(draw, here)
        case "round":
            _electrolytic(draw, here)
        case _:
            _two_terminal(draw, here)
    return ground


def pins(part: Component) -> list[tuple[float, float]]:
    """Middle of each pin of a circuit in pixels: left and right in turn, from the top down."""
    side, step = part.width / 2 + 3.0, pin_step(part)
    rows = [part.y - part.height / 2 + (i + 0.5) * step for i in range(round(part.height / step))]
    return [(part.x + sign * side, row) for row in rows for sign in (-1.0, 1.0)]


def pin_step(part: Component) -> float:
    """Pixels from one pin of a circuit to the next."""
    return part.height / (part.height // 8)


def shaded(colour: Rgb, tone: float) -> Rgb:
    """`colour`, `tone` times as bright."""
    red, green, blue = (min(round(level * tone), 255) for level in colour)
    return red, green, blue


def box(draw: ImageDraw.ImageDraw, x: Pixels, y: Pixels, half_width: Pixels, half_height: Pixels, colour: Rgb) -> None:
    """A filled rectangle around x, y, in pixels of the photograph."""
    draw.rectangle(corners(x, y, half_width, half_height), fill=colour)


def corners(x: Pixels, y: Pixels, half_width: Pixels, half_height: Pixels) -> list[float]:
    """Corners of a rectangle around x, y, from pixels of the photograph to drawn pixels."""
    left, top = (x - half_width) * OVER, (y - half_height) * OVER
    return [left, top, left + 2 * half_width * OVER - 1, top + 2 * half_height * OVER - 1]


def _body(draw: ImageDraw.ImageDraw, part: Component, half_width: Pixels, half_height: Pixels) -> None:
    """A block with a lit upper left and a dark lower right edge."""
    x, y = part.x, part.y
    box(draw, x, y, half_width, half_height, shaded(part.colour, 0.6))
    box(draw, x - 0.5, y - 0.5, half_width - 0.5, half_height - 0.5, shaded(part.colour, 1.5))
    box(draw, x, y, half_width - 1.0, half_height - 1.0, part.colour)


def _circuit(draw: ImageDraw.ImageDraw, part: Component, lot: int) -> None:
    for x, y in pins(part):
        box(draw, x, y, 4.5, 1.5, SOLDER)
        outer = x + (3.0 if x > part.x else -3.0)
        box(draw, outer, y, 1.2, 1.5, (224, 226, 228))
    _body(draw, part, part.width / 2, part.height / 2)
    draw.ellipse(corners(part.x - part.width / 2 + 6, part.y - part.height / 2 + 6, 2.2, 2.2), fill=(22, 22, 24))
    grey, font = (150, 152, 152), canvas.font(22)
    draw.text((part.x * OVER, (part.y - 3) * OVER), part.label, grey, font, anchor="mm")
    draw.text((part.x * OVER, (part.y + 10) * OVER), str(lot), grey, font, anchor="mm")


def _can(draw: ImageDraw.ImageDraw, part: Component) -> None:
    shape = corners(part.x, part.y, part.width / 2, part.height / 2)
    radius = part.height / 2 * OVER
    draw.rounded_rectangle(shape, radius, fill=shaded(part.colour, 0.7))
    inner = corners(part.x, part.y, part.width / 2 - 2, part.height / 2 - 2)
    draw.rounded_rectangle(inner, radius - 2 * OVER, fill=shaded(part.colour, 1.2))
    inner = corners(part.x + 0.5, part.y + 0.5, part.width / 2 - 2.5, part.height / 2 - 2.5)
    draw.rounded_rectangle(inner, radius - 2 * OVER, fill=part.colour)
    font = canvas.font(22)
    draw.text((part.x * OVER, part.y * OVER), part.label, (96, 96, 94), font, anchor="mm")


def _electrolytic(draw: ImageDraw.ImageDraw, part: Component) -> None:
    radius = part.width / 2
    draw.ellipse(corners(part.x, part.y, radius, radius), fill=shaded(part.colour, 0.55))
    draw.ellipse(corners(part.x - 0.6, part.y - 0.6, radius - 1.5, radius - 1.5), fill=shaded(part.colour, 1.25))
    top = corners(part.x, part.y, radius - 3, radius - 3)
    draw.ellipse(top, fill=part.colour)
    draw.chord(top, -50, 50, fill=(44, 44, 48))
    for dx, dy in ((0.45, 0.0), (0.0, 0.45)):
        reach = corners(part.x, part.y, dx * radius, dy * radius)
        draw.line(reach, fill=shaded(part.colour, 0.75), width=OVER)


def _two_terminal(draw: ImageDraw.ImageDraw, part: Component) -> None:
    """A resistor, capacitor or diode with a metal cap and a fillet of solder at each end."""
    w, h = part.width / 2, part.height / 2
    wide = w > h
    for sign in (-1.0, 1.0):
        x, y = (part.x + sign * (w + 0.5), part.y) if wide else (part.x, part.y + sign * (h + 0.5))
        draw.ellipse(corners(x, y, 4.0 if wide else w, h if wide else 4.0), fill=SOLDER)
    box(draw, part.x, part.y, w, h, (206, 208, 210))
    _body(draw, part, w - 4 if wide else w, h if wide else h - 4)
    if part.label:
        font = canvas.font(20)
        draw.text((part.x * OVER, part.y * OVER), part.label, (208, 208, 204), font, anchor="mm")
