"""Scripts as modules, in one process."""

import functools
import importlib
from pathlib import Path

import pytest
from absl import flags

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def load(monkeypatch):
    """Imports a script by name. Each has its flags for itself, at their defaults: two scripts may have the same."""

    def imported(name):
        own = flags.FlagValues()
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(SCRIPTS))
            for define in [each for each in dir(flags) if each.startswith("DEFINE_")]:
                patch.setattr(flags, define, functools.partial(getattr(flags, define), flag_values=own))
            module = importlib.import_module(name)
        own.mark_as_parsed()
        return module

    return imported
