import ast
import contextlib
import importlib
import re
import subprocess
import sys

import pytest

from fastrecon_jax import methods
from tests.docs.pages import PAGES, ROOT, anchors, blocks, name, prose
from tests.test_layers import RANK

HEADINGS = ["What it does", "When to use it", "Settings", "Cost and figures", "Source"]
OPTIONAL = ("apache_beam", "ray")
each_page = pytest.mark.parametrize("page", PAGES, ids=name)


@each_page
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{name(page)} links to {target}, which is missing"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{name(page)} links to {target}, but {name(file)} has no such heading"


@each_page
def test_python_in_documents_is_python(page):
    for block in blocks(page, "python"):
        ast.parse(block)


@each_page
def test_python_in_documents_uses_what_there_is(page):
    for block in blocks(page, "python"):
        modules = {}
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("fastrecon_jax"):
                for alias in node.names:
                    with without_what_is_not_installed():
                        modules[alias.asname or alias.name] = getattr(
                            importlib.import_module(node.module), alias.name, None
                        ) or importlib.import_module(f"{node.module}.{alias.name}")
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                assert hasattr(modules[node.value.id], node.attr), f"{name(page)}: {node.value.id} has no {node.attr}"


@contextlib.contextmanager
def without_what_is_not_installed():
    """Beam and the like: a module of ours that needs one is not looked into where it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name.split(".")[0] not in OPTIONAL:
            raise


def test_every_page_is_on_the_site():
    listed = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    assert listed == {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if ROOT / "docs" in page.parents}


def test_site_builds(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("method", methods.names())
def test_every_method_has_a_page_in_the_same_headings(method):
    page = ROOT / "docs" / "reference" / "methods" / f"{method.replace('+', '-plus')}.md"
    assert page.is_file(), f"{name(page)} is missing"
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS
    assert f"<!-- settings: {method} -->" in text


@pytest.mark.parametrize("page", ["README.md", "docs/explanation/architecture.md"])
def test_the_map_is_the_folder_listing_from_top_to_bottom(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    part = text[text.index("## The map") :].split("\n## ")[0]
    outside = {"fastrecon_jax/", "tests/", "datasets/", "docs/", "scripts/", "examples/", "figures/", "checkpoints/"}
    mentioned = dict.fromkeys(re.findall(r"(?<![\w/])\w+(?:\.py|/)", part))
    listed = [entry for entry in mentioned if entry not in outside | {"reference.py", "test_layers.py"}]
    paths = (path for path in (ROOT / "fastrecon_jax").iterdir() if path.name not in ("__init__.py", "__pycache__"))
    assert set(listed) == {f"{path.name}/" if path.is_dir() else path.name for path in paths if path.suffix != ".typed"}
    ranks = [RANK[entry.removesuffix(".py").rstrip("/")] for entry in listed]
    assert ranks == sorted(ranks)
