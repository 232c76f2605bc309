"""One program that runs an encoder, in a process of its own: `python -m benchmarks.engine ENGINE FOLDER ENCODER`.

It reads a command a line and answers with a line: `turn SECONDS` is the mean time of a call, `memory` what the process
has grown by at most since its libraries were imported, in MiB, and `save` writes the stages into the folder.
"""

import os
import pathlib
import pickle
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

OURS = "fastrecon_jax"
_STATUS, _RESET = pathlib.Path("/proc/self/status"), pathlib.Path("/proc/self/clear_refs")
Call = Callable[[], Sequence[np.ndarray]]
Steps = Iterator[Call | None]  # after the imports, and what is called


def _ours(folder: pathlib.Path, name: str) -> Steps:
    import jax

    from fastrecon_jax import encoders
    from fastrecon_jax.encoders import weights
    from fastrecon_jax.runtime import compiler

    compiler.keep_memory()
    images = np.load(folder / "images.npy")
    jax.block_until_ready(jax.numpy.zeros(1))
    yield
    encoder = encoders.create(name, weights=weights.RANDOM)
    placed = jax.device_put(images)
    encode = compiler.jit(lambda encoder, images: encoder(images)).lower(encoder, placed).compile()
    yield lambda: jax.block_until_ready(encode(encoder, placed))


def _torch(folder: pathlib.Path, layout: str, *, compiled: bool = False) -> Steps:
    import torch

    from benchmarks import torch_network

    torch.set_num_threads(os.cpu_count())
    images = torch.from_numpy(np.load(folder / "normalised.npy"))
    yield
    layout = getattr(torch, layout)
    module = torch_network.network(pickle.loads((folder / "graph.pkl").read_bytes())).to(memory_format=layout)
    placed, module = images.to(memory_format=layout), torch.compile(module) if compiled else module

    def call():
        with torch.inference_mode():
            return module(placed)

    yield call


def _onnxruntime(folder: pathlib.Path, name: str) -> Steps:
    import onnxruntime

    del name
    images = np.load(folder / "normalised.npy")
    yield
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level, settings.intra_op_num_threads = 3, os.cpu_count()
    session = onnxruntime.InferenceSession(
        str(folder / "encoder.onnx"), sess_options=settings, providers=["CPUExecutionProvider"]
    )
    yield lambda: session.run(None, {"x0": images})


def _openvino(folder: pathlib.Path, name: str) -> Steps:
    import openvino

    del name
    images = np.load(folder / "normalised.npy")
    core = openvino.Core()
    yield
    model = core.read_model(folder / "encoder.onnx")
    model.reshape(images.shape)
    # By itself it may choose bfloat16 where the processor has it.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(images, shared_memory=True))

    def call():
        request.infer()
        return [request.get_output_tensor(i).data for i in range(len(model.outputs))]

    yield call


ENGINES = {
    OURS: _ours,
    "PyTorch": lambda folder, name: _torch(folder, "contiguous_format"),
    "PyTorch channels_last": lambda folder, name: _torch(folder, "channels_last"),
    "torch.compile": lambda folder, name: _torch(folder, "channels_last", compiled=True),
    "ONNX Runtime": _onnxruntime,
    "OpenVINO": _openvino,
}
PACKAGES = {
    "PyTorch": ("torch",),
    "PyTorch channels_last": ("torch",),
    "torch.compile": ("torch",),
    "ONNX Runtime": ("onnx", "onnxruntime"),
    "OpenVINO": ("onnx", "openvino"),
}


def _turn(call: Call, at_least: float) -> float:
    """Mean time of a call: the first does not count, unless it alone is as long as a turn."""
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    if first >= at_least:
        return first
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < at_least:
        call()
        calls += 1
    return (time.perf_counter() - start) / calls


def _memory(field: str) -> float:
    """MiB in memory, now (VmRSS) or at most since the last reset (VmHWM); nan where the system does not say."""
    found = re.search(rf"{field}:\s+(\d+)", _STATUS.read_text()) if _STATUS.exists() else None
    return int(found[1]) / 1024 if found else float("nan")


def main(engine: str, folder: str, name: str) -> None:
    """Prepare, and answer until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    steps = ENGINES[engine](pathlib.Path(folder), name)
    next(steps)
    if _RESET.exists():
        _RESET.write_text("5")
    before = _memory("VmRSS")
    call = next(steps)
    call()
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "turn":
            answer = _turn(call, float(arguments[0]))
        elif command == "memory":
            answer = _memory("VmHWM") - before
        else:
            answer = pathlib.Path(folder) / f"{engine}.npz"
            np.savez(answer, *(np.asarray(stage) for stage in call()))
        answers.write(f"{answer}\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
