"""Rows of results for tests."""

from fastrecon_jax.evaluation import results, tables


def row(category, shots, seed, value, method="fastrecon"):
    """A row whose metrics all have one value, without a pixel AP."""
    facts = dict.fromkeys(results.COLUMNS, 1) | dict.fromkeys(tables.METRICS, value)
    facts |= dict.fromkeys(("dataset", "support", "encoder", "weights"), "x")
    return facts | {"category": category, "shots": shots, "seed": seed, "method": method, "pixel_ap": None}
