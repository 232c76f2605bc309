"""From the command to the first score, piece by piece, each time in a new process."""

import os
import subprocess
import sys

from benchmarks import options, timing

_STEPS = """
import time
begin = time.perf_counter()
def step(name):
    global begin
    now = time.perf_counter()
    print(name, now - begin, flush=True)
    begin = now
import jax
step("import jax")
import fastrecon_jax
from fastrecon_jax.inspection import predict
from fastrecon_jax.parts import engine
from fastrecon_jax.runtime import compiler
step("import fastrecon_jax")
fastrecon_jax.configure()
jax.devices()
step("devices")
from fastrecon_jax import encoders
encoder = encoders.create({encoder!r}, weights={weights!r})
step("weights")
import numpy as np
images = np.zeros((1, 224, 224, 3), np.uint8)
encode = compiler.jit(lambda encoder, images: encoder(images)).lower(encoder, images)
step("trace")
encode = encode.compile()
step("compile")
jax.block_until_ready(encode(encoder, images))
step("first image")
jax.block_until_ready(encode(encoder, images))
step("second image")
"""


def run() -> None:
    """Print seconds of each piece, with the compilation cache filled by the first round, and without it."""
    script = _STEPS.format(encoder=options.ENCODER.value, weights=options.WEIGHTS.value)
    parts: dict[str, dict[str, list[float]]] = {"cache": {}, "no cache": {}}
    for i in range(options.REPEATS.value + 1):
        for kind, found in parts.items():
            for name, seconds in _once(script, cached=kind == "cache").items():
                if i:
                    found.setdefault(name, []).append(seconds)
    medians = {kind: timing.medians(found) for kind, found in parts.items()}
    rows = [[name, *(f"{medians[kind][name]:.3f}" for kind in parts)] for name in [*medians["cache"]]]
    rows.append(["together", *(f"{sum(found.values()):.3f}" for found in medians.values())])
    sys.stdout.write(f"{timing.machine()}; {options.ENCODER.value}, seconds, medians of {options.REPEATS.value}\n\n")
    sys.stdout.write(timing.table(["", "programs from the cache", "programs compiled"], rows))


def _once(script: str, *, cached: bool) -> dict[str, float]:
    environment = {} if cached else {"FASTRECON_COMPILATION_CACHE": "off"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ | environment
    )
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in done.stdout.splitlines()}
