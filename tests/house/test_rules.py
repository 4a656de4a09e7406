"""The rules of the house that a machine can check."""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from tests.house.conftest import ROOT, run

PACKAGES = ("config", "dashboard", "destinations", "domain", "faregate", "gateway", "pricing", "recorder", "routing", "storage")
LONGEST = 500


def test_the_layers_hold(tmp_path):
    checker = Path(sys.executable).parent / "lint-imports"
    said = run(checker, "--no-cache", cwd=ROOT)
    assert "0 broken" in said


def test_every_folder_of_tests_is_a_package():
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_has_two_subjects(package):
    """A module over the bound has become two; generated migrations are not written by hand."""
    modules = [path for path in (ROOT / package).rglob("*.py") if "versions" not in path.parts]
    assert [str(path) for path in modules if len(path.read_text("utf-8").splitlines()) > LONGEST] == []


def test_nothing_names_a_place_of_one_machine():
    ours = [path for name in (*PACKAGES, "docs", "tests") for path in (ROOT / name).rglob("*.py")]
    ours += [
        ROOT / "Makefile",
        ROOT / "Dockerfile",
        ROOT / "compose.yaml",
        ROOT / ".ci" / "run",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("*.md"),
    ]
    places = re.compile("/" + "work/|/" + "root/|py" + "pi" + r"\.org|registry\." + "npmjs")
    assert [str(path) for path in ours if places.search(path.read_text("utf-8"))] == []


def test_ci_runs_what_developers_run():
    script = (ROOT / ".ci" / "run").read_text()
    assert "make check" in script
    assert "make test" in script
    bash = shutil.which("bash")
    assert bash is not None
    run(bash, "-n", ROOT / ".ci" / "run")


def test_every_exception_from_the_linter_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    ignored = text.split("\nignore = [\n")[1].split("\n]\n")[0].splitlines()
    assert len(ignored) == len(tomllib.loads(text)["tool"]["ruff"]["lint"]["ignore"])
    assert [line for line in ignored if not re.search(r'",\s+# \w+', line)] == []
    assert tomllib.loads(text)["tool"]["ruff"]["lint"]["select"] == ["ALL"]
