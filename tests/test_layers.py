"""Imports point downwards only, folder by folder."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "fastrecon_jax"

# From top to bottom: a module may import those of its own line and of the lines below it.
LAYERS = (
    ("eval", "compare", "pretrain", "fit", "extend", "predict", "report", "export", "demo", "doctor", "__main__"),
    ("api", "testing"),
    ("comparing",),
    ("evaluation", "serving", "exporting", "reporting", "pretraining", "batch"),
    ("inspection",),
    ("parts",),
    ("overlay", "metrics"),
    ("data",),
    ("detector",),
    ("methods", "encoders"),
    ("training",),
    ("core",),
    ("command_line",),
    ("runtime",),
    ("locks",),
    ("files", "patterns"),
    ("remote",),
    ("errors", "version"),
)
RANK = {name: i for i, layer in enumerate(LAYERS) for name in layer}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
# `jit` is written where programs are made, and where the contracts are checked.
JIT = {
    "runtime/compiler.py",
    "evaluation/programs.py",
    "parts/engine.py",
    "exporting/stablehlo.py",
    "methods/checks.py",
    "encoders/checks.py",
    "encoders/sizes.py",
    "methods/differnet.py",  # whose fit trains, outside of any program
    "methods/tdg_training.py",
    "training/loop.py",
}


def part(module):
    """The part of the package that a dotted name belongs to."""
    return module.split(".")[1]


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield from (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "fastrecon_jax"
                else [node.module]
            )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_downwards(file):
    own = part(".".join(file.relative_to(ROOT).with_suffix("").parts))
    for module in imports(file):
        if module.startswith("fastrecon_jax."):
            assert RANK[part(module)] >= RANK[own], f"{own} imports {module}"


def test_every_module_has_its_layer():
    entries = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir()}
    assert entries - {"__init__", "__pycache__", "py"} == set(RANK)  # py.typed is a marker


def test_no_private_name_of_jax_is_used():
    for file in FILES:
        assert not [module for module in imports(file) if module.startswith(("jax._src", "jaxlib."))], file


@pytest.mark.parametrize("file", sorted((PACKAGE / "core").glob("*.py")), ids=lambda file: file.name)
def test_the_core_is_jax_alone(file):
    allowed = {"jax", "jaxtyping", "collections", "typing", "functools", "fastrecon_jax", "math"}
    assert {module.split(".")[0] for module in imports(file)} <= allowed


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_compilation_is_said_where_programs_are_made(file):
    if file.relative_to(PACKAGE).as_posix() not in JIT:
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)]
        assert not [node for node in calls if node.attr in ("jit", "pmap")]
