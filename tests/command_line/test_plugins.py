"""A user's own module, named on the command line, by an entry point or in the settings."""

import sys
from importlib import metadata

import pytest

from fastrecon_jax import methods
from fastrecon_jax.command_line import plugins
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.methods import registry

SOURCE = """
import dataclasses
from fastrecon_jax.command_line.fields import setting
from fastrecon_jax.methods import nearest, register

@dataclasses.dataclass(frozen=True)
class Settings:
    colour: int = setting(3, "a number")

@register("mine", settings=Settings)
def method(settings, *, map_size):
    return nearest.method(nearest.Settings(), map_size=map_size)._replace(name="mine", settings=settings)
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A module in the working directory; gone from the registry afterwards."""
    (tmp_path / "plugin_of_mine.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield "plugin_of_mine"
    registry._REGISTRY.pop("mine", None)
    sys.modules.pop("plugin_of_mine", None)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--plugin=a,b", "--shots=2", "--plugin", "c"], ["a", "b", "c"]),
        (["-plugin=a"], ["a"]),
        (["--plugin"], []),
        (["--", "--plugin=a"], []),
        (["--plugins=a"], []),
    ],
)
def test_plugins_are_found_before_the_flags_are_parsed(arguments, named):
    assert plugins.named(arguments) == named


def test_a_module_in_the_working_directory_registers_its_method(plugin):
    plugins.load([f"--plugin={plugin}"])
    assert "mine" in methods.names()


def test_a_file_by_its_path_and_twice(plugin, tmp_path):
    for _ in range(2):
        plugins.load_one(str(tmp_path / f"{plugin}.py"))
    assert methods.create("mine", {"colour": 4}).settings.colour == 4


def test_settings_from_python_load_it_too(plugin):
    config = EvalConfig(plugin=(plugin,), method=("mine",), settings={"colour": 5, "mine_colour": 6})
    assert config.method_settings()["mine"].colour == 6


def test_an_entry_point_is_loaded(plugin, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    entry = metadata.EntryPoint("own", plugin, plugins.GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry] if group == plugins.GROUP else [])
    plugins.load([])
    assert "mine" in methods.names()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_plugin", r"--plugin=no_such_plugin cannot be imported: ModuleNotFoundError"),
        ("missing.py", r"--plugin=missing\.py cannot be imported: FileNotFoundError"),
    ],
)
def test_what_cannot_be_imported_is_said(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        plugins.load_one(name)


def test_a_plugin_that_fails_is_said_with_its_error(tmp_path):
    (tmp_path / "broken_plugin.py").write_text("1 / 0")
    with pytest.raises(InputError, match=r"broken_plugin\.py cannot be imported: ZeroDivisionError: division by zero"):
        plugins.load_one(str(tmp_path / "broken_plugin.py"))
    assert "broken_plugin" not in sys.modules
