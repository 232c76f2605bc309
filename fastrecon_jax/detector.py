"""From an image to its scores: pixels -> stages -> features -> patch scores -> anomaly map and image score.

Everything here is pure and not jitted. Programs are compiled in two places: in `evaluation.programs` for many draws and
devices, in `parts.engine` for one fitted part.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, Real, UInt8

from fastrecon_jax.core import resample, scoring, sizes
from fastrecon_jax.core.sizes import Size
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


@dataclasses.dataclass(frozen=True, eq=False)
class Detector:
    """A method, and how its patch scores become an image score and an anomaly map.

    Attributes:
        method: method with its settings bound.
        map_size: side of the anomaly map and of the encoder's input images, or their height and width, in pixels.
        image_score: kind of image score, see `core.scoring.image_score`; empty for the method's own.
        sigma: standard deviation of the Gaussian blur of the map, in pixels, at least 0; 0 for none.
        ignore: true for pixels of the map that are never scored, (H, W); None if all are. Positions of patch scores
            that hold such a pixel score 0, and so do these pixels of the map.
        at_once: number of images of a batch that are scored at the same time, the others after them; 0 for all.
    """

    method: Method
    map_size: Size
    image_score: str = ""
    sigma: float = 4.0
    ignore: Bool[np.ndarray, "H W"] | None = None
    at_once: int = 0

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
        return self._scores(state, self.method.embed(stages))[0]

    def missing(self, state: Any, stages: Sequence[Float[Array, "_ _ _"]]) -> Float[Array, ""] | None:
        """How far one image is from having all that good ones have.

        Args:
            state: what `fit` returned.
            stages: stages of the image, the finest first, (h_i, w_i, c_i) each.

        Returns:
            A logarithm, a scalar; None where the method cannot tell.
        """
        return self._scores(state, self.method.embed(stages))[1]

    def _scores(self, state: Any, features: Any) -> tuple[Scores, Float[Array, ""] | None]:
        """Scores of one image, and what it lacks."""
        patches, missing = self._patches(state, features)
        # The detector's image score goes before the method's own; `max` is used where neither is given.
        if not self.image_score and self.method.image_score:
            return Scores(patches, self.method.image_score(state, features, patches)), missing
        return Scores(patches, scoring.image_score(patches, self.image_score or "max")), missing

    def _patches(self, state: Any, features: Any) -> tuple[Float[Array, "h w"], Float[Array, ""] | None]:
        """Patch scores, 0 at positions that are not scored, and what is missing."""
        left_out, missing = self._left_out(state, features), None
        if self.method.score_and_missing is not None:
            patches, missing = self.method.score_and_missing(state, features, left_out)
        elif left_out is None or self.method.score_rest is None:
            patches = self.method.score(state, features)
        else:
            patches = self.method.score_rest(state, features, left_out)
        return patches if left_out is None else patches * (~left_out).astype(patches.dtype), missing

    def _left_out(self, state: Any, features: Any) -> Bool[Array, "h w"] | None:
        """The positions of patch scores that hold pixels to be ignored; None if there are no such pixels."""
        if self.ignore is None:
            return None
        height, width = jax.eval_shape(self.method.score, state, features).shape
        return scoring.covered(jnp.asarray(self.ignore), height, width)

    def anomaly_map(self, patches: Float[Array, "h w"]) -> Float[Array, "H W"]:
        """Resize patch scores bilinearly to the size of the image and blur them.

        Args:
            patches: patch scores of one image, (h, w).

        Returns:
            The anomaly map, (H, W) as `map_size` says, in units of the patch scores.
        """
        height, width = sizes.height_and_width(self.map_size)
        values = scoring.anomaly_map(patches, height=height, width=width, sigma=self.sigma)
        return values if self.ignore is None else values * jnp.asarray(~self.ignore, values.dtype)

    def inspect(self, state: Any, stages: Stages) -> Inspection:
        """Image scores and anomaly maps from the stages of a batch.

        Args:
            state: what `fit` returned.
            stages: stages of b images, the finest first, (b, h_i, w_i, c_i) each.

        Returns:
            Scores and maps of the b images; each image is scored independently of the others.
        """
        # What depends on the state alone is computed before the loop over images, and once.
        state = self.method.prepare(state) if self.method.prepare else state

        def score_image(stages):
            return self._scores(state, self.method.embed(stages))

        if self.at_once:
            scores, missing = jax.lax.map(score_image, stages, batch_size=self.at_once if self.at_once > 1 else None)
        else:
            scores, missing = jax.vmap(score_image)(stages)
        return Inspection(scores.image, jax.vmap(self.anomaly_map)(scores.patches), missing)

    def inspect_images(self, encoder: Encoder, state: Any, images: Real[Array, "b H W 3"]) -> Inspection:
        """Image scores and anomaly maps from preprocessed images.

        Args:
            encoder: encoder with frozen weights, the one that the support was encoded with.
            state: what `fit` returned.
            images: preprocessed RGB images, (b, H, W, 3) as `map_size` says, 0 to 255, of a floating type if gradients
                with respect to them are wanted.

        Returns:
            Scores and maps of the b images.
        """
        return self.inspect(state, encoder(images))

    def inspect_photographs(
        self,
        encoder: Encoder,
        state: Any,
        photographs: UInt8[Array, "b height width 3"],
        *,
        image_size: Size,
        box: tuple[int, int, int, int] | None = None,
    ) -> Inspection:
        """Image scores and anomaly maps from photographs of equal size, preprocessed as by `data.geometry.preprocess`.

        Args:
            encoder: encoder with frozen weights, the one that the support was encoded with.
            state: what `fit` returned.
            photographs: RGB photographs of any size, the same for all, (b, height, width, 3), 0 to 255.
            image_size: side of the square, or height and width, to which they are resized before the centre is cut out,
                in pixels.
            box: left, upper, right and lower edge of the part that is resized, in pixels; None for the whole of them.

        Returns:
            Scores and maps of the b photographs.
        """
        images = resample.resize_and_crop(photographs, image_size=image_size, crop_size=self.map_size, box=box)
        return self.inspect_images(encoder, state, images)


def keys(seeds: Sequence[int | None]) -> Key[Array, " d"]:
    """One random key for each support draw.

    Args:
        seeds: seeds of the d draws; None counts as 0.

    Returns:
        One key for each draw, (d,).
    """
    return jnp.stack([jax.random.key(seed or 0) for seed in seeds])


def feature_shape(encoder: Encoder, method: Method, image_size: Size) -> tuple[int, ...]:
    """Shape of a method's features of one image, found without computing them.

    Args:
        encoder: encoder of the images; its weights are not used.
        method: method whose features are a single array rather than a tuple.
        image_size: side of the images, or their height and width, in pixels.

    Returns:
        Height and width in positions and number of channels, (h, w, c).
    """
    images = jax.ShapeDtypeStruct((1, *sizes.height_and_width(image_size), 3), jnp.uint8)
    stages = jax.eval_shape(encoder, images)
    return jax.eval_shape(jax.vmap(method.embed), stages).shape[1:]
