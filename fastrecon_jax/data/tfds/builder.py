"""What the TFDS builders in `datasets/` share: published files stored byte for byte, in order, without TensorFlow."""

import functools
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tqdm import tqdm

from fastrecon_jax import files
from fastrecon_jax.data import images, publishers
from fastrecon_jax.data.publishers import Publisher
from fastrecon_jax.data.samples import UNKNOWN, Category, Sample
from fastrecon_jax.errors import InputError

_SHARD = 256  # images in a file


class AnomalyBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """A published data set, one config a category, splits `train` and `test`.

    Shards are written one image after the other: memory stays at one image, whatever the size of the set, and the order
    is that of the names. The default format is array_record, which needs no TensorFlow.
    """

    PUBLISHER: Publisher

    def __init__(
        self,
        *,
        source: str | Path | None = None,
        allow_partial: bool = False,
        file_format: Any = "array_record",
        **kwargs: Any,
    ):
        """Set the source beside TFDS's own arguments.

        Args:
            source: the publisher's folder or archive; by default TFDS's `manual_dir`.
            allow_partial: prepare what is there though it is not what was published.
            file_format: how records are stored; any but array_record needs TensorFlow.
            **kwargs: see `tfds.core.ShardBasedBuilder`.
        """
        self._source = None if source is None else Path(source)
        self._allow_partial = allow_partial
        super().__init__(file_format=file_format, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        metadata = self.get_metadata()
        return tfds.core.DatasetInfo(
            builder=self,
            description=metadata.description,
            citation=metadata.citation,
            features=_features(
                1 if self.builder_config.name in self.PUBLISHER.grey else 3, separate=self.PUBLISHER.separate_masks
            ),
            homepage=self.PUBLISHER.homepage or None,
            license=self.PUBLISHER.licence,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, list[Callable[[], Iterator[tuple[int, dict[str, Any]]]]]]:
        place = self._place(dl_manager)
        category = publishers.open_category(self.PUBLISHER, place, self.builder_config.name)
        if not self._allow_partial:
            publishers.check_complete(self.PUBLISHER, place, category)
        if not category.train or not category.test:
            raise InputError(f"{category.name} of {self.PUBLISHER.title} in {place} has no training or no test images")
        self.info.metadata.update(_index(category))
        return {split: _shards(category, split) for split in _splits(category)}

    def _place(self, dl_manager: tfds.download.DownloadManager) -> Path:
        if self._source is not None:
            return self._source
        return self.PUBLISHER.default() if self.PUBLISHER.default else Path(dl_manager.manual_dir)


def configs(publisher: Publisher) -> list[tfds.core.BuilderConfig]:
    """One config for each category."""
    return [tfds.core.BuilderConfig(name=name, description=f"{publisher.title}, {name}.") for name in publisher.counts]


def instructions(publisher: Publisher) -> str:
    """What to put into `manual_dir`, for people."""
    return f"Get {publisher.title} from {publisher.homepage}; manual_dir holds {publisher.layout}."


def _features(channels: int, *, separate: bool) -> tfds.features.FeaturesDict:
    masks = tfds.features.Sequence(tfds.features.Text(), doc="the published masks of its defects one by one, encoded")
    return tfds.features.FeaturesDict(
        ({"masks": masks} if separate else {})
        | {
            "image": tfds.features.Image(shape=(None, None, channels), doc="the published file"),
            "mask": tfds.features.Image(
                shape=(None, None, 1), doc="above 0 where defective; all zero where has_mask is not"
            ),
            "has_mask": tfds.features.Scalar(np.bool_, doc="whether the mask was published"),
            "label": tfds.features.ClassLabel(names=["good", "defective"], doc="-1 where it is not published"),
            "defect": tfds.features.Text(doc="kind of defect; good for none"),
            "name": tfds.features.Text(doc="of the file, relative to its category"),
            "size": tfds.features.Tensor(shape=(2,), dtype=np.int32, doc="height and width in pixels"),
        }
    )


def _index(category: Category) -> dict[str, Any]:
    """What a reader wants to know before it reads an image."""
    index = {
        "category": category.name,
        "has_masks": category.has_masks,
        "partial": category.partial,
        "splits": {
            split: [[sample.name, sample.defect] for sample in getattr(category, split)] for split in _splits(category)
        },
    }
    groups = {split: [sample.group for sample in getattr(category, split)] for split in _splits(category)}
    more = {
        "groups": groups if any(map(any, groups.values())) else None,
        "figures": category.figures,
        "saturation": category.saturation,
    }
    return index | {name: value for name, value in more.items() if value}


def _splits(category: Category) -> list[str]:
    """Training and test images, and of the others those that there are."""
    return ["train", "test", *(split for split in ("validation", "private") if getattr(category, split))]


def _shards(category: Category, split: str) -> list[Callable[[], Iterator[tuple[int, dict[str, Any]]]]]:
    samples = getattr(category, split)
    return [
        functools.partial(_examples, samples[start : start + _SHARD], start, f"{category.name} {split} {start}")
        for start in range(0, len(samples), _SHARD)
    ]


def _examples(samples: Sequence[Sample], start: int, title: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for i, sample in enumerate(tqdm(samples, desc=title, unit="image", disable=None, leave=False)):
        yield start + i, _example(sample)


def _example(sample: Sample) -> dict[str, Any]:
    image = _read(sample.read, sample.path)
    width, height = images.size(image, sample.path)
    mask = _zeros(width, height)
    if sample.read_mask is not None:
        title = f"the mask of {sample.path}"
        mask = _read(sample.read_mask, title)
        if images.size(mask, title) != (width, height):
            raise InputError(f"{title} has another size than the image, {width}x{height}")
    separate = {} if sample.read_defects is None else {"masks": _read(sample.read_defects, f"a mask of {sample.path}")}
    return separate | {
        "image": image,
        "mask": mask,
        "has_mask": sample.read_mask is not None,
        "label": -1 if sample.defect == UNKNOWN else "defective" if sample.defective else "good",
        "defect": sample.defect,
        "name": sample.name,
        "size": np.array((height, width), np.int32),
    }


def _read(read: Callable[[], Any], name: str) -> Any:
    try:
        return read()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {files.reason(error)}") from None


@functools.lru_cache(maxsize=16)
def _zeros(width: int, height: int) -> bytes:
    data = io.BytesIO()
    Image.new("L", (width, height)).save(data, "PNG")
    return data.getvalue()
