"""The photographs that suites of whole commands run on."""

from benchmarks import options
from fastrecon_jax.data import datasets, samples
from fastrecon_jax.errors import InputError


def category(good: int) -> samples.Category:
    """The category that the flags name; InputError where it has fewer good images to fit on."""
    dataset = datasets.open_dataset(options.DATASET.value, options.DATA_DIR.value)
    found = dataset.open_category(options.CATEGORY.value or dataset.categories[0])
    if good > len(found.train):
        raise InputError(f"--good={good} is not possible: {found.name} has {len(found.train)} good images")
    return found
