"""The settings of each command: frozen dataclasses, one comment a field, which `flags` turns into flags one to one."""

import dataclasses
from typing import Any

from fastrecon_jax.core.scoring import IMAGE_SCORES
from fastrecon_jax.data.support import FIRST, RANDOM
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
    support: str = setting(
        "",
        "first (by name), random (one draw a seed), or the path of a list, see docs/protocol.md; by default first, or "
        "random where --seeds are given",
    )
    seeds: tuple[int, ...] = setting((), "seeds of the random draws; by default 0 with --support=random")
    method: tuple[str, ...] = setting(
        ("fastrecon",), "methods, of fastrecon, patchcore, padim, spade, subspace, nearest, or all"
    )
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
    coreset_ratio: float | None = setting(
        None, "share of the support features to keep, above 0 and at most 1; by default fastrecon 0.01, patchcore 0.1"
    )
    coreset_projection: int | None = setting(
        None,
        "dimensions of a random projection for choosing the coreset, 0 for none; by default fastrecon 0, patchcore 128",
    )
    lam: float = setting(2.0, "fastrecon: weight of the distribution term, at least 0")
    patchcore_approximate: bool = setting(
        True, "patchcore: begin the coreset with distances to 10 random rows, not to all"
    )
    patchcore_reweighting: int = setting(
        0, "patchcore: neighbours in the paper's re-weighted image score; 0 for the maximum"
    )
    padim_channels: int = setting(0, "padim: channels drawn; 0 for 100, or 550 where there are more than 448")
    explained_variance: float = setting(0.99, "subspace: share of the variance that the directions explain")
    neighbours: int = setting(0, "patchcore: nearest rows to average; spade: nearest images; 0 for 1 and 50")
    image_score: str = setting(
        "", "image score: max of the patch scores, or top1p, the mean of the largest 1 %; by default the method's own"
    )
    batch_size: int = setting(8, "images in a batch of the encoder")
    dtype: str = setting("float32", "of the encoder: float32 or bfloat16")
    feature_cache: str = setting("", "directory that keeps features, so that another method or setting encodes nothing")
    output_dir: str = setting("", "where results go; by default results/DATASET_ENCODER_ID, the ID from the settings")
    save_maps: bool = setting(False, "write a contact sheet for each category and number of shots")
    max_queries: int = setting(
        0, "at most this many test images a category, spread evenly; 0 for all, otherwise from 2"
    )

    def __post_init__(self):
        """Refuse values out of their range, naming the flag, and settle what depends on other fields."""
        for name in ("category", "shots", "method"):
            self._require(name, bool(getattr(self, name)), "it must name at least one")
        for name in ("category", "shots", "seeds", "method"):
            values = getattr(self, name)
            self._require(name, len(set(values)) == len(values), "nothing may be named twice")
        self._require("shots", min(self.shots) >= 1, "each must be at least 1")
        self._require("seeds", min(self.seeds, default=0) >= 0, "each must be at least 0")
        self._require("seeds", not self.seeds or self.support in ("", RANDOM), "seeds belong to --support=random")
        for name in ("image_size", "batch_size"):
            self._require(name, getattr(self, name) >= 1, "it must be at least 1")
        allowed = f"it must be from 32 to --image_size={self.image_size}"
        self._require("crop_size", 32 <= self.crop_size <= self.image_size, allowed)
        known = self.image_score in ("", *IMAGE_SCORES)
        self._require("image_score", known, f"it must be one of {', '.join(IMAGE_SCORES)}")
        self._require("max_queries", self.max_queries == 0 or self.max_queries > 1, "it must be 0 (all) or at least 2")
        support = self.support or (RANDOM if self.seeds else FIRST)
        object.__setattr__(self, "support", support)
        object.__setattr__(self, "seeds", self.seeds or ((0,) if support == RANDOM else ()))

    def _require(self, name: str, allowed: bool, rule: str) -> None:
        if not allowed:
            value = getattr(self, name)
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            raise InputError(f"--{name}={shown} is not allowed: {rule}")


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
