"""From an image to its scores: pixels -> stages -> features -> patch scores -> anomaly map and image score.

Everything here is pure and not jitted. Programs are compiled in two places: in `evaluation.programs` for many draws and
devices, in `parts.engine` for one fitted part.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Real, UInt8

from fastrecon_jax.core import resample, scoring
from fastrecon_jax.encoders import Encoder
from fastrecon_jax.methods import Method

Stages = tuple[Float[Array, "*_ _ _ _"], ...]  # stages of b images, the finest first, (b, h_i, w_i, c_i) each


class Scores(NamedTuple):
    """Scores of one image, before the anomaly map is made.

    Attributes:
        patches: patch scores, (h, w), in the method's unit, at least 0.
        image: image score, a scalar.
    """

    patches: Float[Array, "*_ h w"]
    image: Float[Array, "*_"]


class Inspection(NamedTuple):
    """Image scores and anomaly maps of b images.

    Attributes:
        score: image scores, (b,); higher is more anomalous.
        map: anomaly maps, (b, H, W), in units of the patch scores.
        missing: logarithms of how far each image is from having all that good ones have, (b,); None where the method
            cannot tell.
    """

    score: Float[Array, "*b"]
    map: Float[Array, "*b H W"]
    missing: Float[Array, "*b"] | None = None


@dataclasses.dataclass(frozen=True)
class Detector:
    """A method, and how its patch scores become an image score and an anomaly map.

    Attributes:
        method: method with its settings bound.
        map_size: side of the anomaly map, and of the encoder's input images, in pixels.
        image_score: kind of image score, see `core.scoring.image_score`; empty for the method's own.
        sigma: standard deviation of the Gaussian blur of the map, in pixels, at least 0; 0 for none.
    """

    method: Method
    map_size: int
    image_score: str = ""
    sigma: float = 4.0

    def fit(self, support: Stages, key: Key[Array, ""], copies: Stages = ()) -> Any:
        """Fit the method on one support draw.

        Args:
            support: stages of the k support images, (k, h_i, w_i, c_i) each.
            key: random key, for methods that draw channels, rows or a projection.
            copies: stages of the n copies of each support image that the method asks for, (k, n, h_i, w_i, c_i) each;
                empty if it asks for none.

        Returns:
            The state of the method, to pass to `score` and the inspections.
        """
        features = jax.vmap(self.method.embed)(support)
        if not self.method.copies:
            return self.method.fit(features, key)
        return self.method.fit(features, key, jax.vmap(jax.vmap(self.method.embed))(copies))

    def score(self, state: Any, stages: Sequence[Float[Array, "_ _ _"]]) -> Scores:
        """Score one image.

        Args:
            state: what `fit` returned.
            stages: stages of the image, the finest first, (h_i, w_i, c_i) each.

        Returns:
            The patch scores and the image score.
        """
        features = self.method.embed(stages)
        patches = self.method.score(state, features)
        # The detector's image score goes before the method's own; `max` is used where neither is given.
        if not self.image_score and self.method.image_score:
            return Scores(patches, self.method.image_score(state, features, patches))
        return Scores(patches, scoring.image_score(patches, self.image_score or "max"))

    def missing(self, state: Any, stages: Sequence[Float[Array, "_ _ _"]]) -> Float[Array, ""] | None:
        """How far one image is from having all that good ones have.

        Args:
            state: what `fit` returned.
            stages: stages of the image, the finest first, (h_i, w_i, c_i) each.

        Returns:
            A logarithm, a scalar; None where the method cannot tell.
        """
        return self.method.missing(state, self.method.embed(stages)) if self.method.missing else None

    def anomaly_map(self, patches: Float[Array, "h w"]) -> Float[Array, "H W"]:
        """Resize patch scores bilinearly to the size of the image and blur them.

        Args:
            patches: patch scores of one image, (h, w).

        Returns:
            The anomaly map, (map_size, map_size), in units of the patch scores.
        """
        return scoring.anomaly_map(patches, height=self.map_size, width=self.map_size, sigma=self.sigma)

    def inspect(self, state: Any, stages: Stages) -> Inspection:
        """Image scores and anomaly maps from the stages of a batch.

        Args:
            state: what `fit` returned.
            stages: stages of b images, the finest first, (b, h_i, w_i, c_i) each.

        Returns:
            Scores and maps of the b images; each image is scored independently of the others.
        """

        def inspect_image(stages):
            scores = self.score(state, stages)
            return Inspection(scores.image, self.anomaly_map(scores.patches), self.missing(state, stages))

        return jax.vmap(inspect_image)(stages)

    def inspect_images(self, encoder: Encoder, state: Any, images: Real[Array, "b H W 3"]) -> Inspection:
        """Image scores and anomaly maps from preprocessed images.

        Args:
            encoder: encoder with frozen weights, the one that the support was encoded with.
            state: what `fit` returned.
            images: preprocessed RGB images, (b, map_size, map_size, 3), 0 to 255, of a floating type if gradients with
                respect to them are wanted.

        Returns:
            Scores and maps of the b images.
        """
        return self.inspect(state, encoder(images))

    def inspect_photographs(
        self, encoder: Encoder, state: Any, photographs: UInt8[Array, "b height width 3"], *, image_size: int
    ) -> Inspection:
        """Image scores and anomaly maps from photographs of equal size, preprocessed as by `data.geometry.preprocess`.

        Args:
            encoder: encoder with frozen weights, the one that the support was encoded with.
            state: what `fit` returned.
            photographs: RGB photographs of any size, the same for all, (b, height, width, 3), 0 to 255.
            image_size: side of the square to which they are resized before the centre is cut out, in pixels.

        Returns:
            Scores and maps of the b photographs.
        """
        images = resample.resize_and_crop(photographs, image_size=image_size, crop_size=self.map_size)
        return self.inspect_images(encoder, state, images)


def keys(seeds: Sequence[int | None]) -> Key[Array, " d"]:
    """One random key for each support draw.

    Args:
        seeds: seeds of the d draws; None counts as 0.

    Returns:
        One key for each draw, (d,).
    """
    return jnp.stack([jax.random.key(seed or 0) for seed in seeds])


def feature_shape(encoder: Encoder, method: Method, image_size: int) -> tuple[int, ...]:
    """Shape of a method's features of one image, found without computing them.

    Args:
        encoder: encoder of the images; its weights are not used.
        method: method whose features are a single array rather than a tuple.
        image_size: side of the images, in pixels.

    Returns:
        Height and width in positions and number of channels, (h, w, c).
    """
    images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.uint8)
    stages = jax.eval_shape(encoder, images)
    return jax.eval_shape(jax.vmap(method.embed), stages).shape[1:]
