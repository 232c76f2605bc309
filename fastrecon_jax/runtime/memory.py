"""How much memory this process has taken at most."""

import sys

import jax


def peak() -> dict[str, int]:
    """Peak bytes so far by kind: `resident`, of the process, and `device`, of its first accelerator; where known."""
    found = {}
    try:
        import resource  # not on Windows
    except ImportError:
        pass
    else:
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found["resident"] = size if sys.platform == "darwin" else 1024 * size
    device = jax.local_devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "peak_bytes_in_use" in stats:
        found["device"] = int(stats["peak_bytes_in_use"])
    return found
