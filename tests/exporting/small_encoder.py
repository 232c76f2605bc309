"""A convolutional encoder of three stages, small enough that exporting every method with it is quick."""

import jax
from flax import nnx

from fastrecon_jax import encoders
from fastrecon_jax.encoders.convolution import Convolution, folded

STAGES = {"fine": 4, "middle": 8, "coarse": 16}
CHANNELS = (16, 24, 32)


class Small(nnx.Module):
    """A dense and a depthwise convolution for each stage."""

    def __init__(self, source, stages):
        self.stages = tuple(stages)
        self.stem = self._convolution(source, "stem", (8, 3, 3, 3), stride=2)
        layers, inputs = [], 8
        for name, channels in zip(STAGES, CHANNELS, strict=True):
            down = self._convolution(source, f"{name}.down", (channels, inputs, 3, 3), stride=2)
            mix = self._convolution(source, f"{name}.mix", (channels, 1, 3, 3), depthwise=True, padding="same")
            layers.append(nnx.List([down, mix]))
            inputs = channels
        self.layers = nnx.List(layers)

    @staticmethod
    def _convolution(source, name, shape, **settings):
        return Convolution(folded(source, f"{name}.conv", f"{name}.norm", shape, epsilon=1e-5), **settings)

    def __call__(self, images):
        x, outputs = jax.nn.relu(self.stem(images)), {}
        for name, (down, mix) in zip(STAGES, self.layers, strict=True):
            x = jax.nn.relu(mix(jax.nn.relu(down(x))))
            outputs[name] = x
        return {name: outputs[name] for name in self.stages}


@encoders.register("small", stages=STAGES, at_once=2)
def build(source, stages):
    """The encoder with its weights."""
    return Small(source, stages)
