import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Archives are unpacked here, not in the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fastrecon_jax"
