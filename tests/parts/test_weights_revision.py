"""A part keeps the commit that weights of a hub came from, and asks for them by it."""

import dataclasses
import functools

import huggingface_hub
import pytest
from safetensors.numpy import save

from fastrecon_jax.encoders.families import convnext
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts.engine import open_engine
from tests.encoders import tiny_convnext
from tests.encoders.checkpoints.stand_in_hub import COMMIT, Server
from tests.parts.helpers import recipe

SOURCE = "hf://timm/small"


@pytest.fixture
def server(monkeypatch, tmp_path):
    oracle = tiny_convnext.load_oracle(monkeypatch)
    tiny_convnext.register(monkeypatch, oracle)
    started = Server(save(tiny_convnext.checkpoint(oracle, convnext.TIMM, drawn_as=convnext.TIMM, normed=False)))
    download = functools.partial(
        huggingface_hub.hf_hub_download, endpoint=started.url, cache_dir=tmp_path / "cache", token=False
    )
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    yield started
    started.stop()


def test_the_commit_is_kept_and_asked_for(server):
    asked = recipe(encoder="small_convnext", stages=(), weights=SOURCE, weights_sha256=None)
    engine = open_engine(asked)
    assert (engine.recipe.weights, engine.recipe.weights_revision) == (SOURCE, COMMIT)
    assert engine.encoder.weights == f"{SOURCE}@{COMMIT}"
    server.requests.clear()
    assert open_engine(engine.recipe).encoder.sha256 == engine.encoder.sha256
    assert not server.requests  # a commit never changes, so the cache is enough
    moved = dataclasses.replace(engine.recipe, weights_revision="d" * 40, weights_sha256="0" * 64)
    with pytest.raises(InputError, match=rf"from {SOURCE}@{COMMIT} are not those of the part"):
        open_engine(moved)
    assert server.requests[0][1] == f"/timm/small/resolve/{'d' * 40}/model.safetensors"
