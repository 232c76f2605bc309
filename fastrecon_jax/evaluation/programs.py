"""The compiled programs of an evaluation: one encoder for all methods, many support draws at once, over devices."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, UInt8

from fastrecon_jax.core import scoring, sizes
from fastrecon_jax.core.sizes import Size
from fastrecon_jax.detector import Detector, Scores, Stages
from fastrecon_jax.encoders import Encoder
from fastrecon_jax.methods import Method, OnImages
from fastrecon_jax.runtime import compiler, devices


class MethodPrograms(NamedTuple):
    """The programs of one method; d support draws, k shots, b queries.

    Attributes:
        method: with its settings.
        fit: stages of the supports (d, k, h_i, w_i, c_i), keys (d,), and for a method that asks for copies of them
            the stages of these (d, k, n, h_i, w_i, c_i), to the states, stacked over d.
        score: states and stages of the queries (b, h_i, w_i, c_i) to patch scores (d, b, h, w) and image scores (d, b).

    Of a method that works on images, `fit` is `OnImages.fit`, for one draw and not compiled, and `score` takes encoder,
    states and images (b, H, W, 3) and gives maps (d, b, H, W) in place of patch scores.
    """

    method: Method
    fit: Callable[..., Any]
    score: Callable[..., Scores]


class Programs(NamedTuple):
    """The programs of an evaluation.

    Attributes:
        encoder: frozen, on every device of the mesh.
        encode: encoder and RGB images (b, H, W, 3), 0 to 255, to their stages (b, h_i, w_i, c_i), float32.
        methods: one or more.
        maps: patch scores (b, h, w) to anomaly maps (b, H, W).
        mesh: devices over which `encode`, `score` and `maps` split their b images, b being a multiple of their number;
            None for one device.
    """

    encoder: Encoder
    encode: Callable[[Encoder, UInt8[Array, "b H W 3"]], Stages]
    methods: tuple[MethodPrograms, ...]
    maps: Callable[[Float[Array, "b h w"]], Float[Array, "b H W"]]
    mesh: Mesh | None = None


def create(
    encoder: Encoder,
    methods: Sequence[Method],
    *,
    map_size: Size,
    image_score: str = "",
    sigma: float = 4.0,
    mesh: Mesh | None = None,
) -> Programs:
    """Compose the programs of an encoder and its methods; nothing is compiled yet. Arguments as `Detector` has them."""
    detectors = [Detector(method, map_size, image_score, sigma) for method in methods]
    height, width = sizes.height_and_width(map_size)
    maps = jax.vmap(functools.partial(scoring.anomaly_map, height=height, width=width, sigma=sigma))

    return Programs(
        encoder=devices.put(mesh, encoder, devices.COPIED),
        encode=compiler.jit(
            devices.split(mesh, lambda encoder, images: encoder(images), (devices.COPIED, devices.SPLIT), devices.SPLIT)
        ),
        methods=tuple(_programs(detector, mesh) for detector in detectors),
        maps=compiler.jit(devices.split(mesh, maps, (devices.SPLIT,), devices.SPLIT)),
        mesh=mesh,
    )


def _programs(detector: Detector, mesh: Mesh | None) -> MethodPrograms:
    if detector.method.images is not None:
        return _image_programs(detector, detector.method.images, mesh)

    def score(states, queries):
        # Features are embedded once for all draws, then every state scores every query.
        of_queries = jax.vmap(detector.score, (None, 0))
        return jax.vmap(of_queries, (0, None))(states, queries)

    shared = devices.split(mesh, score, (devices.COPIED, devices.SPLIT), devices.SPLIT_SECOND)
    return MethodPrograms(detector.method, fit=compiler.jit(jax.vmap(detector.fit)), score=compiler.jit(shared))


def _image_programs(detector: Detector, images: OnImages, mesh: Mesh | None) -> MethodPrograms:
    def of_image(encoder, state, image):
        values, score = images.score(encoder, state, image)
        if detector.image_score:
            score = scoring.image_score(values, detector.image_score)
        return Scores(values, score)

    def score(encoder, states, queries):
        # One draw and one image after the other: each takes the encoder's intermediate results of many rotations.
        def of_state(state):
            return jax.lax.map(lambda image: of_image(encoder, state, image.astype(jnp.float32)), queries)

        return jax.lax.map(of_state, states)

    how = (devices.COPIED, devices.COPIED, devices.SPLIT)
    shared = devices.split(mesh, score, how, devices.SPLIT_SECOND)
    return MethodPrograms(detector.method, fit=images.fit, score=compiler.jit(shared))
