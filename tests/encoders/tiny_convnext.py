"""ConvNeXts of the references' size under names of their own, and checkpoints of them in any naming."""

import functools
import sys
from pathlib import Path

from fastrecon_jax import encoders
from fastrecon_jax.encoders import licences, registry
from fastrecon_jax.encoders.families import convnext

ORACLES = Path(__file__).resolve().parents[2] / "scripts" / "oracles"


def load_oracle(monkeypatch):
    """The script that made the references: its seeded weights, its images, and the size of its network."""
    monkeypatch.syspath_prepend(str(ORACLES))
    monkeypatch.delitem(sys.modules, "convnext", raising=False)
    import convnext as script

    monkeypatch.delitem(sys.modules, "convnext")
    return script


def register(monkeypatch, oracle, blocks=None):
    """The networks of the references, `small_convnext` and `small_dinov3`, until the test ends."""
    monkeypatch.setattr(registry, "_REGISTRY", {name: registry.registration(name) for name in registry.names()})
    for name, normed, licence in (("small_convnext", False, "Apache-2.0"), ("small_dinov3", True, licences.DINOV3)):
        variant = convnext.Variant(blocks or oracle.BLOCKS, oracle.CHANNELS, normed=normed)
        encoders.register(name, stages=convnext.STRIDES, may_be_unread=convnext.beyond, licence=licence)(
            functools.partial(convnext.build, variant=variant)
        )


class Recorder:
    """A source in one naming that notes what is asked for."""

    def __init__(self, naming, draw):
        self.naming, self.draw, self.tensors = naming, draw, {}

    def has(self, name):
        first = self.naming.block.format(i=0, j=0)
        return name == f"{first}.{self.naming.expand}.weight"

    def tensor(self, name, shape, **_):
        self.tensors[name] = self.draw(name, shape)
        return self.tensors[name]


def checkpoint(oracle, naming, *, drawn_as, normed, blocks=None):
    """The whole network's tensors in one naming, with the values that the names of another give."""
    variant, recorders = convnext.Variant(blocks or oracle.BLOCKS, oracle.CHANNELS, normed=normed), []
    for each in (drawn_as, naming):
        recorder = Recorder(each, oracle.tensor)
        convnext.build(recorder, convnext.STAGES, variant=variant)
        recorders.append(recorder.tensors)
    values, names = recorders
    return dict(zip(names, values.values(), strict=True))
