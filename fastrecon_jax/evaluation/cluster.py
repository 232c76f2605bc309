"""Whether this process is one of several, as its flags or the cluster that started it say."""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from fastrecon_jax.evaluation.config import EvalConfig

_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")  # set by `srun`


def several(config: EvalConfig) -> bool:
    """Whether other processes take part, so that `jax.distributed.initialize` is to be called."""
    if config.distributed == "off":
        return False
    return config.num_processes > 1 if config.coordinator_address else on_cluster(os.environ)


def on_cluster(environment: Mapping[str, str]) -> bool:
    """Whether this is one of several tasks of SLURM, Open MPI, Kubernetes or a TPU pod.

    `jax.distributed.initialize` finds out the rest. It offers no question of its own whether there is a cluster, and
    fails where there is none; these are the variables that it reads.
    """
    if "JAX_COORDINATOR_ADDRESS" in environment:
        return True
    if all(name in environment for name in _SLURM):  # those of a step: a batch script has only some of them
        return _number(environment, "SLURM_NTASKS") > 1
    if _number(environment, "OMPI_COMM_WORLD_SIZE") > 1:
        return True
    if "KUBERNETES_SERVICE_HOST" in environment and "JOB_COMPLETION_INDEX" in environment:
        return importlib.util.find_spec("kubernetes") is not None  # installed by jax[k8s], without it jax finds nothing
    hosts = environment.get("TPU_PROCESS_ADDRESSES") or environment.get("TPU_WORKER_HOSTNAMES")
    if hosts is not None:
        return "," in hosts
    # A TPU machine of Google's cloud, which jax asks over the network how many hosts there are.
    has_tpu = Path("/dev/accel0").exists() or Path("/dev/vfio/0").exists()
    return has_tpu and "TPU_SKIP_MDS_QUERY" not in environment and importlib.util.find_spec("libtpu") is not None


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    return int(text) if text.isdigit() else 0
