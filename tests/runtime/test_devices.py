"""Batches over devices; eight of them are in evaluation/test_hosts.py, in a process of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from fastrecon_jax import detector, encoders, methods
from fastrecon_jax.evaluation import programs
from fastrecon_jax.runtime import devices


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((1,), (devices.IMAGES,), axis_types=(AxisType.Auto,), devices=jax.local_devices()[:1])


def test_one_device_is_no_mesh():
    assert len(jax.local_devices()) == 1
    assert devices.mesh("auto") is devices.mesh("none") is None
    assert devices.split(None, len, (devices.SPLIT,), devices.SPLIT) is len
    assert devices.rounded(None, 7) == 7
    images = jnp.ones((2, 3))
    assert devices.put(None, images, devices.SPLIT) is devices.first(None, images) is images


def test_a_mesh_gives_the_scores_of_a_program_without(mesh):
    encoder = encoders.create("resnet18", weights="random")
    chosen = [methods.create(name) for name in ("fastrecon", "padim")]
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    results = []
    for over in (None, mesh):
        compiled = programs.create(encoder, chosen, map_size=64, mesh=over)
        stages = compiled.encode(compiled.encoder, devices.put(over, images, devices.SPLIT))
        supports = tuple(stage[None, :2] for stage in devices.first(over, stages))
        for method in compiled.methods:
            states = devices.put(over, method.fit(supports, detector.keys([0])), devices.COPIED)
            scores = method.score(states, stages)
            maps = compiled.maps(devices.put(over, scores.patches[0], devices.SPLIT))
            results.append([np.asarray(x) for x in (*scores, maps)])
    for alone, meshed in zip(results[:2], results[2:], strict=True):
        for a, b in zip(alone, meshed, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
