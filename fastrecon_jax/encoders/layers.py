"""What the layers of all encoders have in common: parameters that stay precise, and forms that are chosen once."""

from collections.abc import Iterator

import jax
from flax import nnx

FORMS = ("fast", "portable", "single")


class Precise(nnx.Param):
    """A parameter that stays float32 in an encoder of another dtype: few numbers on which much depends."""


class Layer(nnx.Module):
    """A layer with products: its form and their precision are chosen when the encoder is built, see `choose`.

    A layer of one form alone ignores `form`; one without products has no need of this class.

    Attributes:
        form: `fast` on a CPU, `portable` in a program for several platforms, or `single`, each convolution as one
            operation: fastest on accelerators, and in other runtimes than XLA's.
        precision: that products ask for: HIGHEST, which is float32 in full, or the platform's own.
    """

    form: str = "portable"
    precision: jax.lax.Precision = jax.lax.Precision.HIGHEST

    def prepare(self) -> None:
        """Compute from float32 weights, once, what the form `fast` takes beside them; by default nothing."""


def layers(module: nnx.Module) -> Iterator[Layer]:
    """Every `Layer` of a module."""
    return (part for _, part in nnx.iter_modules(module) if isinstance(part, Layer))


def choose(module: nnx.Module, form: str, precision: jax.lax.Precision) -> None:
    """Set form and precision of every layer of a module."""
    for layer in layers(module):
        layer.form, layer.precision = form, precision
