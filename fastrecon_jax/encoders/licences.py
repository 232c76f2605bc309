"""What licences of pretrained weights ask of who uses them or passes them on, where that is more than naming them."""

from fastrecon_jax.encoders.encoder import Encoder
from fastrecon_jax.encoders.weights import RANDOM

DINOV3 = "DINOv3 License"
_TERMS = {
    DINOV3: (
        "copies and whatever contains the weights, such as exported files, may be passed on only under the same "
        "licence and together with a copy of it (https://ai.meta.com/resources/models-and-libraries/dinov3-license/), "
        "publications must name DINOv3, and some uses are excluded"
    ),
}


def terms(encoder: Encoder) -> str:
    """What the licence of an encoder's weights asks for.

    Args:
        encoder: any that `create` gave.

    Returns:
        A sentence without a full stop; empty for random weights, and for licences that ask for no more than their name.
    """
    return "" if encoder.weights == RANDOM else _TERMS.get(encoder.registration.licence, "")


def notice(encoder: Encoder) -> str:
    """The line that a run which loads the weights begins with.

    Args:
        encoder: any that `create` gave.

    Returns:
        One line with its end; empty where there are no such terms.
    """
    asked = terms(encoder)
    return f"the weights of {encoder.name} are under the {encoder.registration.licence}: {asked}\n" if asked else ""
