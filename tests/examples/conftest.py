"""The examples are imported as their commands import them, with their shapes checked."""

from pathlib import Path

import jaxtyping
import pytest

from tests.data.parts import write_category

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALL = {"image_size": 64, "crop_size": 64, "shots": 2, "stages": ("stage1", "stage2")}
jaxtyping.install_import_hook(["common", "saliency", "adversarial", "meta_learn"], "beartype.beartype")


@pytest.fixture(scope="session")
def examples():
    """Makes `import saliency` and the others work."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(EXAMPLES))
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Two categories of grey noise whose defects are white squares."""
    root = tmp_path_factory.mktemp("data")
    for name in ("part", "other"):
        write_category(root, name, size=64)
    return root


@pytest.fixture(scope="session")
def part(examples, data):
    """FastRecon fitted on one of them."""
    import common

    return common.open_part(common.ExampleConfig(data_dir=str(data), **SMALL), "part")
