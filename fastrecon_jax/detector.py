"""Encoder and method together: the one place with jit and vmap."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key, PyTree, Real, UInt8

from fastrecon_jax.core import scoring
from fastrecon_jax.encoders.registry import Encoder, normalise
from fastrecon_jax.methods import Method
from fastrecon_jax.runtime import compiler, devices


class Scores(NamedTuple):
    """Scores of a batch of queries against several fitted states.

    Attributes:
        patches: residual at each position, (d, b, h, w).
        images: one number for each image, (d, b).
    """

    patches: Float[Array, "d b h w"]
    images: Float[Array, "d b"]


Stages = tuple[Float[Array, "*_ _ _ _"], ...]


class Programs(NamedTuple):
    """A method, jitted; d support draws, b images, k shots.

    Attributes:
        method: with its settings.
        fit: stages of the supports (d, k, h_i, w_i, c_i), keys (d,), and where the method takes them the stages of n
            defective copies (d, k, n, h_i, w_i, c_i), to the states, stacked over d.
        score: states and stages of the queries (b, h_i, w_i, c_i) to their scores.
    """

    method: Method
    fit: Callable[..., Any]
    score: Callable[[Any, Stages], Scores]


class Detector(NamedTuple):
    """Jitted programs: one encoder for all methods.

    Attributes:
        params: of the encoder.
        encode: params and RGB images (b, H, W, 3), 0 to 255, to the stages (b, h_i, w_i, c_i), float32.
        methods: one or more.
        maps: patch scores (b, h, w) to anomaly maps (b, H, W).
        mesh: of devices over which `encode`, `score` and `maps` split their images, b being a multiple of their number;
            None for one device. See `devices`.
    """

    params: PyTree[Array]
    encode: Callable[[PyTree[Array], UInt8[Array, "b H W 3"]], Stages]
    methods: tuple[Programs, ...]
    maps: Callable[[Float[Array, "b h w"]], Float[Array, "b H W"]]
    mesh: Mesh | None = None


def create(
    encoder: Encoder,
    methods: Sequence[Method],
    *,
    image_score: str = "",
    map_size: int,
    sigma: float = 4.0,
    mesh: Mesh | None = None,
) -> Detector:
    """Put an encoder and methods together.

    Args:
        encoder: frozen.
        methods: with their settings.
        image_score: how patch scores become one number, see `core.scoring.image_score`; each method's own by default.
        map_size: side of the anomaly map, in pixels.
        sigma: of the map's Gaussian blur, in pixels.
        mesh: of devices that share each batch, see `devices`; by default one device computes.

    Returns:
        The programs. A score does not depend on the other queries of the batch.
    """
    to_map = functools.partial(scoring.anomaly_map, height=map_size, width=map_size, sigma=sigma)
    to_stages = functools.partial(encode, encoder)
    return Detector(
        params=devices.put(mesh, encoder.params, devices.COPIED),
        encode=compiler.jit(devices.split(mesh, to_stages, (devices.COPIED, devices.SPLIT), devices.SPLIT)),
        methods=tuple(_programs(method, image_score, mesh) for method in methods),
        maps=compiler.jit(devices.split(mesh, jax.vmap(to_map), (devices.SPLIT,), devices.SPLIT)),
        mesh=mesh,
    )


def _programs(method: Method, image_score: str, mesh: Mesh | None) -> Programs:
    def fit(supports, key, *copies):
        return fit_one(method, supports, key, *copies)

    def score(states, queries):
        embedded = jax.vmap(method.embed)(queries)
        return Scores(*jax.vmap(jax.vmap(score_one, (None, 0)), (0, None))(states, embedded))

    score_one = scorer(method, image_score)
    shared = devices.split(mesh, score, (devices.COPIED, devices.SPLIT), devices.SPLIT_SECOND)
    return Programs(method, fit=compiler.jit(jax.vmap(fit)), score=compiler.jit(shared))


def fit_one(method: Method, support: Stages, key: Key[Array, ""], *copies: Stages) -> Any:
    """The state of one support draw.

    Args:
        method: with its settings.
        support: stages of the k images, (k, h_i, w_i, c_i) each.
        key: of what is random.
        copies: nothing, or where the method takes them the stages of n defective copies, (k, n, h_i, w_i, c_i) each.

    Returns:
        The state.
    """
    embedded = (jax.vmap(jax.vmap(method.embed))(one) for one in copies)
    return method.fit(jax.vmap(method.embed)(support), key, *embedded)


def encode(encoder: Encoder, params: PyTree[Array], images: Real[Array, "b H W 3"]) -> Stages:
    """The stages of images.

    Args:
        encoder: frozen.
        params: its weights.
        images: RGB, (b, H, W, 3), 0 to 255; of a floating type to differentiate in them.

    Returns:
        (b, h_i, w_i, c_i) each, float32.
    """
    return tuple(stage.astype(jnp.float32) for stage in encoder.apply(params, normalise(images)))


def scorer(
    method: Method, image_score: str = ""
) -> Callable[[Any, PyTree[Array]], tuple[Float[Array, "h w"], Float[Array, ""]]]:
    """A method's two scores of one query.

    Args:
        method: with its settings.
        image_score: how patch scores become one number, see `core.scoring.image_score`; the method's own by default.

    Returns:
        (state of one draw, the method's features of one query) to (patch scores, image score).
    """

    def score(state, features):
        patches = method.score(state, features)
        if not image_score and method.image_score:
            return patches, method.image_score(state, features, patches)
        return patches, scoring.image_score(patches, image_score or "max")

    return score


def keys(seeds: Sequence[int | None]) -> Key[Array, " d"]:
    """One random key for each draw.

    Args:
        seeds: of the draws; None counts as 0.

    Returns:
        (d,).
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
    images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
    stages = jax.eval_shape(encoder.apply, encoder.params, images)
    return jax.eval_shape(jax.vmap(method.embed), stages).shape[1:]
