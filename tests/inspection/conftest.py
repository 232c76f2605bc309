"""Parts that several tests inspect by."""

import pytest

from tests.inspection import line


@pytest.fixture(scope="session")
def disc(tmp_path_factory):
    """The file of a part."""
    return line.fit(tmp_path_factory.mktemp("disc"))


@pytest.fixture(scope="session")
def bar(tmp_path_factory):
    """The file of another part of the same recipe."""
    return line.fit(tmp_path_factory.mktemp("bar"), "bar")
