"""From an image to its scores: pixels -> stages -> features -> patch scores -> anomaly map and image score.

Everything here is pure and unjitted. Programs are compiled in two places: `evaluation.programs` for many draws and
devices, `parts.engine` for one fitted part.
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

Stages = tuple[Float[Array, "*_ _ _ _"], ...]  # of images, (b, h_i, w_i, c_i) each, the finest first


class Scores(NamedTuple):
    """Scores of one image before its anomaly map is drawn.

    Attributes:
        patches: patch scores, (h, w), in the method's unit.
        image: the image score, a scalar.
    """

    patches: Float[Array, "*_ h w"]
    image: Float[Array, "*_"]


class Inspection(NamedTuple):
    """What an inspection gives for b images.

    Attributes:
        score: image scores, (b,).
        map: anomaly maps, (b, H, W), in the unit of the patch scores.
    """

    score: Float[Array, "*b"]
    map: Float[Array, "*b H W"]


@dataclasses.dataclass(frozen=True)
class Detector:
    """A method, and how its patch scores become an image score and an anomaly map.

    Attributes:
        method: with its settings.
        map_size: side of the anomaly map, which is that of the encoder's images, in pixels.
        image_score: how patch scores become one number, see `core.scoring.image_score`; empty for the method's own.
        sigma: of the Gaussian blur of the map, in pixels.
    """

    method: Method
    map_size: int
    image_score: str = ""
    sigma: float = 4.0

    def fit(self, support: Stages, key: Key[Array, ""], defective: Stages = ()) -> Any:
        """Fit the method on one support draw.

        Args:
            support: stages of the k support images, (k, h_i, w_i, c_i) each.
            key: random key for methods that draw.
            defective: for a method that chooses settings itself, stages of n defective copies of each support image,
                (k, n, h_i, w_i, c_i) each; otherwise empty.

        Returns:
            The method's state.
        """
        features = jax.vmap(self.method.embed)(support)
        if not defective:
            return self.method.fit(features, key)
        return self.method.fit(features, key, jax.vmap(jax.vmap(self.method.embed))(defective))

    def score(self, state: Any, stages: Sequence[Float[Array, "_ _ _"]]) -> Scores:
        """Score one image.

        Args:
            state: from `fit`.
            stages: of the image, (h_i, w_i, c_i) each.

        Returns:
            Patch scores (h, w) and the image score.
        """
        features = self.method.embed(stages)
        patches = self.method.score(state, features)
        if not self.image_score and self.method.image_score:
            return Scores(patches, self.method.image_score(state, features, patches))
        return Scores(patches, scoring.image_score(patches, self.image_score or "max"))

    def anomaly_map(self, patches: Float[Array, "h w"]) -> Float[Array, "H W"]:
        """Resize patch scores bilinearly to the image and blur them.

        Args:
            patches: patch scores of one image, (h, w).

        Returns:
            The anomaly map, (map_size, map_size).
        """
        return scoring.anomaly_map(patches, height=self.map_size, width=self.map_size, sigma=self.sigma)

    def inspect(self, state: Any, stages: Stages) -> Inspection:
        """Scores and maps from stages.

        Args:
            state: from `fit`.
            stages: of b images, (b, h_i, w_i, c_i) each.

        Returns:
            The inspection of the b images; none depends on the others.
        """

        def one(stages):
            scores = self.score(state, stages)
            return Inspection(scores.image, self.anomaly_map(scores.patches))

        return jax.vmap(one)(stages)

    def inspect_images(self, encoder: Encoder, state: Any, images: Real[Array, "b H W 3"]) -> Inspection:
        """Scores and maps from preprocessed images.

        Args:
            encoder: frozen.
            state: from `fit`.
            images: RGB, (b, map_size, map_size, 3), 0 to 255; of a floating type to differentiate in them.

        Returns:
            The inspection of the b images.
        """
        return self.inspect(state, encoder(images))

    def inspect_photographs(
        self, encoder: Encoder, state: Any, photographs: UInt8[Array, "b height width 3"], *, image_size: int
    ) -> Inspection:
        """Scores and maps from photographs of any one size, preprocessed as `data.images.preprocess` does it.

        Args:
            encoder: frozen.
            state: from `fit`.
            photographs: RGB, (b, height, width, 3), 0 to 255.
            image_size: side of the square to which they are resized before the centre is cut out, in pixels.

        Returns:
            The inspection of the b photographs.
        """
        images = resample.resize_and_crop(photographs, image_size=image_size, crop_size=self.map_size)
        return self.inspect_images(encoder, state, images)


def keys(seeds: Sequence[int | None]) -> Key[Array, " d"]:
    """One random key for each support draw.

    Args:
        seeds: of the d draws; None counts as 0.

    Returns:
        Keys, (d,).
    """
    return jnp.stack([jax.random.key(seed or 0) for seed in seeds])


def feature_shape(encoder: Encoder, method: Method, image_size: int) -> tuple[int, ...]:
    """Shape of a method's features of one image, without computing them.

    Args:
        encoder: of the images.
        method: whose features are a single array.
        image_size: side of the images, in pixels.

    Returns:
        (h, w, c).
    """
    images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.uint8)
    stages = jax.eval_shape(encoder, images)
    return jax.eval_shape(jax.vmap(method.embed), stages).shape[1:]
