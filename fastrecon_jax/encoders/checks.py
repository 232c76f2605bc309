"""What every encoder must hold to, as checks that run: on the registered ones in the tests, on a user's by `testing`.

Each check takes a `Case` and raises an AssertionError with a sentence. Weights are random unless an encoder is given.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from fastrecon_jax.encoders import encoder as encoding
from fastrecon_jax.encoders.encoder import Encoder, Outputs
from fastrecon_jax.encoders.kept import create
from fastrecon_jax.encoders.registry import names, registration
from fastrecon_jax.encoders.weights import RANDOM, Tensors
from fastrecon_jax.errors import InputError

_ROUNDING = 2e-5  # of the largest value, between other orders of the same sums
_HALF = 0.1  # bfloat16 through all layers


@dataclasses.dataclass(frozen=True)
class Case:
    """An encoder and the size of the images that it is checked on.

    Attributes:
        encoder: the encoder.
        image_size: side in pixels, which the encoder must accept.
    """

    encoder: Encoder
    image_size: int

    @functools.cached_property
    def images(self) -> UInt8[np.ndarray, "b H W 3"]:
        """Coarse random blocks under fine noise, neither flat nor noise alone; more than a CPU computes together."""
        rng, side, count = np.random.default_rng(0), self.image_size, 1 + max(2, self.encoder.registration.at_once)
        blocks, where = rng.integers(0, 200, (count, 4, 4, 3)), np.arange(side) * 4 // side
        return (blocks[:, where][:, :, where] + rng.integers(0, 56, (count, side, side, 3))).astype(np.uint8)

    @functools.cached_property
    def run(self) -> Callable[[Encoder, Any], Outputs]:
        """The compiled encoder."""
        return jax.jit(lambda encoder, images: encoder(images))

    @functools.cached_property
    def random(self) -> Encoder:
        """The encoder itself if its weights are random, otherwise one of these stages whose weights are."""
        own = self.encoder.weights == RANDOM and self.encoder.dtype == "float32"
        return self.encoder if own else self.create()

    def create(self, **changes: Any) -> Encoder:
        """Another encoder of the same name with random weights; arguments as `kept.create` has them."""
        settings = {"stages": self.encoder.stages, "weights": RANDOM} | changes
        return create(self.encoder.name, **settings)

    @functools.cached_property
    def outputs(self) -> Outputs:
        """Stages of the images."""
        return self.run(self.encoder, self.images)


def check_encoder(encoder: str | Encoder, *, image_size: int = 64) -> None:
    """Run every check of the contract on an encoder; see `registry.register` for the contract.

    The checks cover the names, order and strides of stages, float32 outputs, batches against single images, jit against
    eager, determinism, gradients in images and weights, integer and floating images, the pytree, the forms for other
    platforms, dtypes, unknown stages, and strict reading of weights. They are `CHECKS`, for running each as a test.

    Args:
        encoder: a registered name, which is built with random weights, or an encoder.
        image_size: side in pixels of the images it is checked on, which it must accept: a small multiple of its largest
            stride.

    Raises:
        AssertionError: the first check that fails, in a sentence.
        InputError: the name is not registered.
    """
    tested = case(encoder, image_size=image_size)
    for check in CHECKS:
        try:
            check(tested)
        except AssertionError as error:
            raise AssertionError(f"{tested.encoder.name}, {check.__name__}: {error}") from error


def case(encoder: str | Encoder, *, image_size: int = 64) -> Case:
    """What the checks take; arguments as `check_encoder` has them."""
    built = create(encoder, weights=RANDOM) if isinstance(encoder, str) else encoder
    return Case(built, image_size)


def _close(actual: Any, expected: Any, what: str, tolerance: float = _ROUNDING) -> None:
    for a, b in zip(actual, expected, strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert a.shape == b.shape, f"{what}: shapes {a.shape} and {b.shape} differ"
        error = np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)
        assert error <= tolerance, f"{what} differ by {error:.1e} of the largest value, more than {tolerance:.0e}"


def _equal(actual: Any, expected: Any, what: str) -> None:
    equal = all(np.array_equal(a, b) for a, b in zip(actual, expected, strict=True))
    assert equal, f"{what} differ"


def check_registration(tested: Case) -> None:
    """The encoder is registered: stages from fine to coarse, mean and standard deviation that make sense."""
    name = tested.encoder.name
    assert name in names(), f"{name!r} is not registered"
    entry = registration(name)
    assert len(entry.mean) == len(entry.std) == 3, "mean and std must have three numbers, for red, green and blue"
    assert all(0 <= mean <= 1 for mean in entry.mean), f"mean {entry.mean} must lie in 0..1: images are divided by 255"
    assert all(0 < std <= 1 for std in entry.std), f"std {entry.std} must lie above 0 and at most at 1"
    assert entry.at_once >= 0, f"at_once is {entry.at_once}, expected 0 for all images or a number of them"
    own = entry.ordered(tested.encoder.stages)
    assert tested.encoder.stages == own, f"stages {tested.encoder.stages} are not in the order of {own}"


def check_stages(tested: Case) -> None:
    """Outputs are (b, h, w, c), float32, finite, not constant, with the registered strides."""
    entry, side, count = registration(tested.encoder.name), tested.image_size, len(tested.images)
    assert len(tested.outputs) == len(tested.encoder.stages), (
        f"{len(tested.outputs)} outputs for the stages {', '.join(tested.encoder.stages)}"
    )
    for name, stage in zip(tested.encoder.stages, tested.outputs, strict=True):
        assert stage.ndim == 4, f"stage {name} has {stage.ndim} axes, expected (b, h, w, c)"
        assert stage.dtype == jnp.float32, f"stage {name} is {stage.dtype}, expected float32"
        stride = entry.stride(name)
        expected = {side // stride, -(-side // stride)}  # rounded down or up
        if entry.inside:
            expected.add(side // stride - 1)
        assert stage.shape[0] == count and set(stage.shape[1:3]) <= expected, (
            f"stage {name} of {count} images of {side} pixels has shape {stage.shape}: a stride of "
            f"{stride} is registered"
        )
        assert np.isfinite(stage).all(), f"stage {name} is not finite"
        assert np.ptp(stage) > 0, f"stage {name} is constant"


def check_batch_equals_single_images(tested: Case) -> None:
    """Images in a batch, which a CPU may compute in parts, have the stages that each has alone."""
    alone = [tested.run(tested.encoder, tested.images[i : i + 1]) for i in range(len(tested.images))]
    joined = [np.concatenate(stages) for stages in zip(*alone, strict=True)]
    _close(tested.outputs, joined, "stages of images in a batch and alone")


def check_jit_equals_eager(tested: Case) -> None:
    """Compiled and uncompiled stages agree."""
    images = tested.images[:1]
    _close(tested.run(tested.encoder, images), tested.encoder(images), "stages with jit and without")


def check_determinism(tested: Case) -> None:
    """The same images give the same stages, in every bit."""
    _equal(tested.run(tested.encoder, tested.images), tested.outputs, "two runs on the same images")


def check_floating_images_and_gradients(tested: Case) -> None:
    """Floating images have the stages of uint8 ones; gradients in them and in weights are finite, some not zero."""

    def total(encoder: Encoder, images: Float[Array, "b H W 3"]) -> tuple[Float[Array, ""], Outputs]:
        stages = encoder(images)
        return jnp.stack([jnp.square(stage).mean() for stage in stages]).sum(), stages

    images = jnp.asarray(tested.images[:1], jnp.float32)
    (of_encoder, of_images), stages = jax.jit(jax.grad(total, (0, 1), has_aux=True))(tested.encoder, images)
    _close(stages, [stage[:1] for stage in tested.outputs], "stages of float32 and of uint8 images")
    finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((of_encoder, of_images)))
    assert finite, "gradients in images or weights are not finite"
    assert np.any(of_images), "gradients in images are zero: a layer does not pass them on"


def check_pytree(tested: Case) -> None:
    """The encoder is a pytree of arrays that is the same after a round trip, and whose structure can be hashed."""
    leaves, structure = jax.tree.flatten(tested.encoder)
    assert leaves and all(isinstance(leaf, jax.Array) for leaf in leaves), "leaves of the encoder must be jax arrays"
    again = jax.tree.unflatten(structure, leaves)
    equal = jax.tree.structure(again) == structure  # type: ignore[operator]
    assert equal, "the structure changes in a round trip through jax.tree"
    assert hash(jax.tree.structure(again)) == hash(structure), "equal structures must have equal hashes"
    _equal(tested.run(again, tested.images), tested.outputs, "stages before and after a round trip through jax.tree")


def check_forms(tested: Case) -> None:
    """The forms for several platforms and for other runtimes change nothing but rounding."""
    for form in (encoding.portable, encoding.single_operations):
        outputs = tested.run(form(tested.encoder), tested.images)
        _close(outputs, tested.outputs, f"stages of {form.__name__} and of the encoder")


def check_random_weights(tested: Case) -> None:
    """Two encoders with random weights are equal, so that tests mean the same everywhere."""
    _equal(tested.create().params, tested.random.params, "random weights of two encoders")


def check_dtypes(tested: Case) -> None:
    """tfloat32 and bfloat16 give float32 stages; bfloat16 takes less memory and is near float32."""
    memory = {}
    for dtype in encoding.DTYPES:
        encoder = tested.create(dtype=dtype, platform="gpu")
        stages = jax.eval_shape(encoder, tested.images)
        assert all(stage.dtype == jnp.float32 for stage in stages), f"stages of {dtype} must be given as float32"
        memory[dtype] = sum(leaf.nbytes for leaf in encoder.params)
    assert memory["bfloat16"] < memory["float32"], "weights in bfloat16 take no less memory: none is an nnx.Param"
    half = tested.run(tested.create(dtype="bfloat16"), tested.images)
    _close(half, tested.run(tested.random, tested.images), "stages of bfloat16 and of float32", _HALF)


def check_stages_alone(tested: Case) -> None:
    """A stage can be asked for alone, and is then what it is beside others; an unknown stage is refused."""
    first = tested.encoder.stages[0]
    alone = tested.run(tested.create(stages=(first,)), tested.images)
    expected = tested.run(tested.random, tested.images)[:1]
    _close(alone, expected, f"stage {first} alone and beside others")
    try:
        tested.create(stages=("no such stage",))
    except InputError as error:
        assert "no such stage" in str(error), f"the message names not the unknown stage: {error}"
    else:
        raise AssertionError("an unknown stage is not refused")


class _Recorder:
    """A source that remembers which tensors were asked for."""

    def __init__(self, *, everything: bool):
        self.everything = everything
        self.tensors: dict[str, np.ndarray] = {}

    def has(self, name: str) -> bool:
        return self.everything or name in self.tensors

    def tensor(self, name: str, shape: tuple[int, ...], **_: Any) -> Float[np.ndarray, "..."]:
        rng = np.random.default_rng(len(self.tensors))
        self.tensors[name] = rng.uniform(0.5, 1, shape).astype(np.float32)
        return self.tensors[name]


def check_strict_weights(tested: Case) -> None:
    """A checkpoint is read whole by names and shapes; what is missing, misshapen or strange is refused, all at once."""
    entry, stages = registration(tested.encoder.name), tested.encoder.stages
    for everything in (False, True):  # with few of the tensors that may be there, and with all
        recorder = _Recorder(everything=everything)
        entry.build(recorder, stages)
        assert recorder.tensors, "the encoder asks its source for no tensor"
        _finish(entry.build, recorder.tensors, stages)
        name, tensor = next(iter(recorder.tensors.items()))
        other = list(recorder.tensors)[-1]
        changed = recorder.tensors | {name: tensor[..., None], "no such tensor": np.zeros(1, np.float32)}
        del changed[other]
        try:
            _finish(entry.build, changed, stages)
        except InputError as error:
            for word in (f"of the wrong shape 1: {name}", "unexpected 1: no such tensor"):
                assert word in str(error), f"{word!r} is missing in what is said of a wrong checkpoint: {error}"
        else:
            raise AssertionError(f"a checkpoint without {other}, with a misshapen {name} and a stranger is accepted")


def _finish(build: Callable[..., Any], tensors: dict[str, np.ndarray], stages: tuple[str, ...]) -> None:
    source = Tensors(tensors)
    build(source, stages)
    source.finish(source="a checkpoint", encoder="the encoder", may_be_unread=lambda name: False)


CHECKS: tuple[Callable[[Case], None], ...] = (
    check_registration,
    check_stages,
    check_batch_equals_single_images,
    check_jit_equals_eager,
    check_determinism,
    check_floating_images_and_gradients,
    check_pytree,
    check_forms,
    check_random_weights,
    check_dtypes,
    check_stages_alone,
    check_strict_weights,
)
