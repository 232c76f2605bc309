"""The training loop: steps in segments of one jitted scan, with checkpoints, and a stop where a loss diverges."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree, Scalar
from tqdm import tqdm

from fastrecon_jax.errors import InputError
from fastrecon_jax.runtime import compiler
from fastrecon_jax.training import checkpoints
from fastrecon_jax.training.checkpoints import Checkpoint

if TYPE_CHECKING:
    import optax

SEGMENT = 16  # steps between two signs of life

# (state, key of the step, number of the step, data) -> (state, loss); the loss may have axes, one entry per draw.
Step: TypeAlias = Callable[[Any, Key[Array, ""], Scalar, Any], tuple[Any, Float[Array, "..."]]]


class NotFiniteError(InputError):
    """A loss or a weight that is not a finite number: at which step, counted from 1."""

    def __init__(self, message: str, step: int):
        super().__init__(message)
        self.step = step


class Trained(NamedTuple):
    """The state after the last step, the loss before each step, (steps, ...), and the steps of an earlier start."""

    state: Any
    losses: Float[np.ndarray, "steps *_"]
    resumed: int = 0


class Fit(NamedTuple):
    """The state of a plain run: what is trained, the optimiser's, and what changes along, such as running means."""

    parameters: PyTree
    optimiser: PyTree
    extra: PyTree = ()


def start(parameters: PyTree, optimiser: "optax.GradientTransformation", extra: PyTree = ()) -> Fit:
    """The state before the first step."""
    return Fit(parameters, optimiser.init(parameters), extra)


def gradient_step(
    loss: Callable[[PyTree, PyTree, Key[Array, ""], Any], tuple[Scalar, PyTree]],
    optimiser: "optax.GradientTransformation",
) -> Step:
    """The step along the gradient of `loss`: (parameters, extra, key, data) -> (loss, extra).

    Methods with two networks that are trained against each other write their own step.
    """

    def step(state: Fit, key: Key[Array, ""], number: Scalar, data: Any) -> tuple[Fit, Scalar]:
        del number  # learning rates that change count in the optimiser's state
        (value, extra), gradients = jax.value_and_grad(loss, has_aux=True)(state.parameters, state.extra, key, data)
        import optax  # not above: it takes a while to import

        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to the number of the step
            updates, optimiser_state = optimiser.update(gradients, state.optimiser, state.parameters)
        return Fit(optax.apply_updates(state.parameters, updates), optimiser_state, extra), value

    return step


def train(
    step: Step,
    state: Any,
    key: Key[Array, ""],
    steps: int,
    *,
    data: Any = (),
    name: str = "training",
    segment: int = SEGMENT,
    save_every: int = 1,
    directory: Path | None = None,
    identity: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Trained:
    """Take `steps` steps from `state`.

    Step i has the key `fold_in(key, i)`, so that a run that was interrupted goes on, from its last checkpoint, to the
    same digits on the same machine.

    Args:
        step: pure function (state, key, number of the step from 0, data) -> (state, loss); `jax.vmap` of one trains
            several draws at once. It must not choose its own way by the loss.
        state: pytree of arrays, without random keys.
        key: random key of the run.
        steps: number of steps, at least 1.
        data: pytree of arrays that every step is given: arguments of the program rather than constants in it.
        name: what is trained, for the terminal and for messages.
        segment: steps of one compiled scan, at least 1; between segments progress is shown, the loss is checked and a
            checkpoint is written. On a CPU XLA computes the gradients of convolutions inside of a loop 50 times slower
            than outside (jax 0.10.2): 1 makes no loop.
        save_every: segments between two checkpoints; the last one is always written.
        directory: where checkpoints are kept; None for none. A run that finds its own there goes on from it.
        identity: what else decides the result, as JSON holds it: settings, and a digest of the data.
        progress: show progress and loss on a terminal.

    Returns:
        The state after the last step, all losses, those before an interruption too, and how many steps were taken then.

    Raises:
        NotFiniteError: a loss or a weight is not finite. The last checkpoint before it is kept.
        InputError: the directory holds the checkpoints of another run, or cannot be read or written.
    """
    identity = dict(identity or {}) | {
        "name": name,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "steps": steps,
        "segment": segment,
    }
    found = checkpoints.latest(directory, identity, state) if directory else None
    done, state, losses = (found.step, found.state, [found.losses]) if found else (0, state, [])
    resumed, saved, segments = done, done, 0
    with tqdm(
        total=steps, initial=done, desc=name, unit="step", disable=None if progress else True, leave=False
    ) as bar:
        while done < steps:
            length = min(segment, steps - done)
            after, new, finite = _program(step, length)(state, key, jnp.asarray(done), data)
            new = np.asarray(new)
            _check(new, bool(finite), name, done, directory, saved=saved)
            state, done, losses, segments = after, done + length, [*losses, new], segments + 1
            bar.update(length)
            bar.set_postfix(loss=f"{new[-1].mean():.4g}", refresh=False)
            if directory and (segments % save_every == 0 or done == steps):
                checkpoints.save(directory, identity, Checkpoint(done, state, np.concatenate(losses)))
                saved = done
    return Trained(state, np.concatenate(losses), resumed)


@functools.lru_cache(maxsize=4)  # several draws are trained one after the other
def _program(step: Step, length: int) -> compiler.Program:
    return compiler.jit(_segment(step, length))


def _segment(step: Step, length: int) -> Callable[..., tuple[Any, Float[Array, "length *_"], Bool[Array, ""]]]:
    """So many steps as one scan; the new state, the losses, and whether all of the new state is finite."""

    def run(state, key, first, data):
        def body(state, number):
            return step(state, jax.random.fold_in(key, number), number, data)

        if length == 1:  # JAX makes a loop of a scan of one step too, see `segment` of `train`
            state, loss = body(state, first)
            losses = loss[None]
        else:
            state, losses = jax.lax.scan(body, state, first + jnp.arange(length))
        floats = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
        return state, losses, jnp.all(jnp.stack([jnp.isfinite(x).all() for x in floats])) if floats else True

    return run


def _check(
    losses: Float[np.ndarray, "steps *_"], finite: bool, name: str, done: int, directory: Path | None, *, saved: int
) -> None:
    """NotFiniteError where a loss of the segment is not finite, or else the state after it."""
    bad = ~np.isfinite(losses).reshape(len(losses), -1).all(axis=1)
    if finite and not bad.any():
        return
    first = int(bad.argmax()) if bad.any() else len(losses) - 1
    what = "the loss" if bad.any() else "a weight"
    kept = (
        f"the last good checkpoint, of step {saved}, is in {directory}" if directory and saved else "nothing was saved"
    )
    raise NotFiniteError(
        f"{name}: {what} is not finite at step {done + first + 1}; {kept}. A lower learning rate or float32 may help",
        done + first + 1,
    )
