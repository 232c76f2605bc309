"""Apache Beam: an `Inspector` as the model of `RunInference`, on any runner."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from fastrecon_jax.batch.inspector import Inspector


class PartHandler(ModelHandler):
    """From pictures, mostly their paths, to rows: `paths | RunInference(PartHandler(Inspector("part.safetensors")))`.

    Each process of a worker opens the part once. A picture that cannot be used gives a row with its error.

    Args:
        inspector: the part; its file, and the pictures, must be where all workers can read them.
        images: number of pictures that a worker is handed at once, at most; several batches of the part, so that
            reading and inspecting overlap.
    """

    def __init__(self, inspector: Inspector, *, images: int = 64):
        super().__init__()
        self._inspector, self._images = inspector, images

    def load_model(self) -> Inspector:
        """The part, opened; InputError if it, or its weights, cannot be used."""
        self._inspector([])
        return self._inspector

    def run_inference(
        self, batch: Sequence[Any], model: Inspector, inference_args: Mapping[str, Any] | None = None
    ) -> Iterable[dict[str, Any]]:
        """A row, a dictionary of `COLUMNS`, for each picture in their order."""
        columns = model(batch)
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """How many pictures Beam is to gather."""
        return {"min_batch_size": min(self._inspector.batch_size, self._images), "max_batch_size": self._images}

    def get_metrics_namespace(self) -> str:
        """What Beam's counters of these pictures begin with."""
        return "fastrecon_jax"
