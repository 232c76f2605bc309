"""What a file of meta-trained weights says of itself: which categories it has seen, and how it was made."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastrecon_jax.encoders.encoder import Encoder
from fastrecon_jax.errors import InputError

CATEGORY = "{category}"  # in a path, where the name of the category that is tested stands
_KEY = "meta_training"  # of the file's metadata


class MetaTraining(NamedTuple):
    """How weights were meta-trained.

    Attributes:
        method: what they were trained for.
        left_out: category that was left out.
        trained_on: categories that were trained on.
        settings: settings that decide the result, `preset` among them, as JSON holds them.
        images_sha256: hash of the images that were trained on, as the network saw them.
        began_with: where the weights that training began with came from, for people.
        began_with_sha256: hash of that file; empty for random weights.
        seconds: how long the training took; None where that is not known.
    """

    method: str
    left_out: str
    trained_on: tuple[str, ...]
    settings: Mapping[str, Any]
    images_sha256: str
    began_with: str
    began_with_sha256: str
    seconds: float | None = None


def deciding(facts: MetaTraining) -> MetaTraining:
    """What decides the weights.

    Args:
        facts: how weights were meta-trained.

    Returns:
        The same without where the first weights lay and how long the training took.
    """
    return facts._replace(began_with="", seconds=None)


def written(facts: MetaTraining) -> dict[str, str]:
    """The metadata of a safetensors file.

    Args:
        facts: how its weights were meta-trained.

    Returns:
        Texts by name.
    """
    return {_KEY: json.dumps(facts._asdict())}


def read(metadata: Mapping[str, str], source: str) -> MetaTraining | None:
    """How weights were meta-trained.

    Args:
        metadata: what a safetensors file says of itself.
        source: what the file is called in messages.

    Returns:
        What `written` was given; None for weights that were not meta-trained here.

    Raises:
        InputError: it is another version's, or damaged.
    """
    if _KEY not in metadata:
        return None
    try:
        values = json.loads(metadata[_KEY])
        return MetaTraining(**values | {"trained_on": tuple(values["trained_on"])})
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{source}: what it says of its meta-training cannot be read; train it again") from None


def check_unseen(encoder: Encoder, category: str) -> None:
    """Refuse to test a category with weights that were trained on it.

    Args:
        encoder: any.
        category: name of the category that is tested.

    Raises:
        InputError: the weights were meta-trained with this category.
    """
    facts = read(dict(encoder.metadata), encoder.weights)
    if facts is not None and category in facts.trained_on:
        raise InputError(
            f"{encoder.weights} was meta-trained with {category}, so that nothing can be measured on it: name weights "
            f"trained with --leave_out={category} (these left out {facts.left_out})"
        )
