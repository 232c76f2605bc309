"""A part that engines inspect by, and images of it."""

import pytest

from tests.inspection import line


@pytest.fixture(scope="session")
def disc(tmp_path_factory):
    """The file of a part."""
    return line.fit(tmp_path_factory.mktemp("disc"))


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Three good discs, two defective ones, and a file that is none."""
    folder = line.write(tmp_path_factory.mktemp("images"))
    line.write(folder, 2, start=200, defective=True)
    (folder / "broken.png").write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="session")
def bar(tmp_path_factory):
    """The file of another part."""
    return line.fit(tmp_path_factory.mktemp("bar"), "bar")
