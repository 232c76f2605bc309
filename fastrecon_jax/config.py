"""The settings of each command: frozen dataclasses, one comment a field, which `flags` turns into flags one to one."""

import dataclasses
from typing import Any

from fastrecon_jax.core.scoring import IMAGE_SCORES
from fastrecon_jax.errors import InputError


def setting(default: Any, comment: str) -> Any:
    """A field with its default and its comment, which is also the flag's help.

    Args:
        default: of the field; its type is the flag's, a tuple's first element tells the type of the list.
        comment: what the field means, with unit and range.

    Returns:
        The dataclass field.
    """
    return dataclasses.field(default=default, metadata={"help": comment})


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """Settings of `python -m fastrecon_jax.eval`."""

    dataset: str = setting(
        "",
        "demo (built in), folder (MVTec layout), or a published set: mvtec_ad, mpdd, visa, btad, kolektor_sdd, "
        "magnetic_tile, elpv; by default folder with --data_dir, else demo",
    )
    data_dir: str = setting(
        "",
        "directory that holds the categories; of a published set, what scripts/prepare_data.py made or the publisher's "
        "folder or archive; for demo, where to keep it",
    )
    category: tuple[str, ...] = setting(("all",), "categories, or all")
    shots: tuple[int, ...] = setting((8,), "numbers of support images, each at least 1")
    support: str = setting("first", "first (by name), random (one draw a seed), or a file that lists training images")
    seeds: tuple[int, ...] = setting((0,), "seeds of the random draws")
    method: str = setting("fastrecon", "fastrecon")
    encoder: str = setting(
        "efficientnet_lite0",
        "encoder: efficientnet_lite0/1/2, resnet18, resnet50, resnet50_v1, wide_resnet50_2 (the paper's)",
    )
    weights: str = setting(
        "",
        "a .safetensors or .pth file, package://NAME, hf://OWNER/REPOSITORY, or random (tests); "
        "by default the encoder's pretrained ones",
    )
    stages: tuple[str, ...] = setting((), "encoder stages; by default those of strides 8 and 16")
    image_size: int = setting(256, "side in pixels to which images are resized")
    crop_size: int = setting(224, "side in pixels of the centre that is kept")
    coreset_ratio: float = setting(0.01, "share of the support features to keep, above 0 and at most 1")
    coreset_projection: int = setting(0, "dimensions of a random projection for choosing the coreset; 0 for none")
    lam: float = setting(2.0, "weight of the distribution term, at least 0")
    image_score: str = setting("max", "image score: max of the patch scores, or top1p, the mean of the largest 1 %")
    batch_size: int = setting(8, "images in a batch of the encoder")
    dtype: str = setting("float32", "of the encoder: float32 or bfloat16")
    feature_cache: str = setting("", "directory that keeps features, so that another method or setting encodes nothing")
    output_dir: str = setting("", "where results go; by default results/DATASET_ENCODER_ID, the ID from the settings")
    save_maps: bool = setting(False, "write a contact sheet for each category and number of shots")
    max_queries: int = setting(
        0, "at most this many test images a category, spread evenly; 0 for all, otherwise from 2"
    )

    def __post_init__(self):
        """Refuse values out of their range, naming the flag."""
        for name in ("category", "shots", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise InputError(f"--{name}={','.join(map(str, values))} must name at least one, none of them twice")
        if min(self.shots) < 1:
            raise InputError(f"--shots={','.join(map(str, self.shots))} is not allowed: each must be at least 1")
        if min(self.seeds) < 0:
            raise InputError(f"--seeds={','.join(map(str, self.seeds))} is not allowed: each must be at least 0")
        for name in ("image_size", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name}={getattr(self, name)} is not allowed: it must be at least 1")
        if not 32 <= self.crop_size <= self.image_size:
            raise InputError(
                f"--crop_size={self.crop_size} is not allowed: it must be from 32 to --image_size={self.image_size}"
            )
        if self.image_score not in IMAGE_SCORES:
            raise InputError(
                f"--image_score={self.image_score} is not allowed: it must be one of {', '.join(IMAGE_SCORES)}"
            )
        if self.max_queries < 0 or self.max_queries == 1:
            raise InputError(f"--max_queries={self.max_queries} is not allowed: it must be 0 (all) or at least 2")


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """Settings of `scripts/prepare_data.py`."""

    dataset: str = setting(
        "", "mvtec_ad, mpdd, visa, btad, kolektor_sdd, magnetic_tile, elpv, demo, or all that are there"
    )
    manual_dir: str = setting(
        "", "the publisher's folder or archive, or a folder that holds it; not needed for demo and the package of elpv"
    )
    data_dir: str = setting("~/tensorflow_datasets", "where the prepared data go, TFDS's directory")
    category: tuple[str, ...] = setting(("all",), "categories, or all")
    allow_partial: bool = setting(False, "prepare what is there though images or categories are missing")

    def __post_init__(self):
        """Refuse what cannot be meant, naming the flag."""
        if not self.dataset:
            raise InputError("--dataset is missing: pass the name of a data set, or all")
        if not self.data_dir:
            raise InputError("--data_dir is empty: pass the directory for the prepared data")
        if not self.category:
            raise InputError("--category is empty: pass categories, or all")
        if self.dataset == "all" and self.category != ("all",):
            raise InputError("--category goes with one data set, not with --dataset=all")
