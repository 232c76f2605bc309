"""The console command: every command by its name, its help, its mistakes."""

import subprocess
import sys

import pytest

from fastrecon_jax import __main__, methods
from fastrecon_jax.command_line import commands
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import settings


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_has_its_settings_and_its_main(name):
    module = commands.load(name)
    assert callable(module.main)
    assert commands.flags_of(name)
    assert module.__doc__.endswith(".") or module.__doc__.strip().endswith(".")


def test_the_flags_of_a_command_are_its_fields_and_the_settings_of_the_methods():
    names = commands.flags_of("eval")
    assert {"shots", "method", "lam", "patchcore_reweighting", "fastrecon_plus_soft_length"} <= names
    assert "settings" not in names
    assert set(settings.options()) <= names
    assert "lam" not in commands.flags_of("predict")


def test_an_unknown_command_is_refused():
    with pytest.raises(InputError, match="unknown command 'evaluate': allowed are eval, compare, fit, predict"):
        commands.load("evaluate")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["help"]])
def test_without_a_command_the_list_is_shown(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fastrecon", *arguments])
    __main__.main()
    shown = capsys.readouterr().out
    assert all(name in shown for name in commands.COMMANDS)


def run(*arguments):
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments", [["fastrecon_jax", "fit"], ["fastrecon_jax.fit"]])
def test_help_lists_the_flags_of_the_command_in_both_forms(arguments):
    code, told, _ = run(*arguments, "--help")
    assert code == 1  # absl's code for help
    assert "Fit a part" in told
    for flag in ("--images", "--target_fpr", "--lam", "--patchcore_reweighting"):
        assert f"{flag}:" in told, flag
    assert all(name in told for name in methods.feature_names())
    assert "--shots" not in told


def test_mistakes_are_one_line_and_code_2():
    code, told, error = run("fastrecon_jax", "evaluate")
    assert (code, told, error.count("\n")) == (2, "", 1)
    code, told, error = run("fastrecon_jax", "fit", "--lamb=1")
    assert (code, told) == (2, "")
    assert error.startswith("error: Unknown command line flag 'lamb'")
