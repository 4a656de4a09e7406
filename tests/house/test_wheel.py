"""The wheel: one importable name, everything it needs, and nothing else."""

import ast
import importlib.metadata
import itertools
import re
import sys
import time
import tomllib
import zipfile

from tests.docs.gate import running
from tests.house.conftest import ROOT, run

PACKAGES = ("config", "dashboard", "destinations", "domain", "gateway", "pricing", "recorder", "routing", "storage")


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_has_one_importable_name(wheel):
    tops = {name.split("/")[0] for name in names_in(wheel)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"faregate"}
    assert not [name for name in names_in(wheel) if name.endswith(".pth")]


def test_the_wheel_has_every_file_of_every_package(wheel):
    found = set(names_in(wheel))
    for package in PACKAGES:
        files = [path for path in (ROOT / package).rglob("*") if path.is_file() and not {"__pycache__", "web"} & set(path.parts)]
        missing = [path for path in files if f"faregate/_app/{path.relative_to(ROOT)}" not in found]
        assert files
        assert not missing


def test_the_wheel_has_its_licence_and_says_which(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read("faregate-0.1.0.dist-info/METADATA").decode()
        licence = archive.read("faregate-0.1.0.dist-info/licenses/LICENSE").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Version 2.0, January 2004" in licence


def test_the_wheel_has_no_tests_and_no_leftovers(wheel):
    assert not [name for name in names_in(wheel) if re.search(r"(^|/)(tests?|__pycache__|node_modules)/|\.pyc$", name)]


def test_an_installed_faregate_hides_no_name_of_an_app(installed, tmp_path):
    script = "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n)])"
    assert run(installed / "python", "-c", script, *PACKAGES, cwd=tmp_path).strip() == "[]"
    assert run(installed / "python", "-c", script, "faregate", cwd=tmp_path).strip() == "['faregate']"


def test_an_installed_faregate_has_its_command_and_is_a_module(installed, tmp_path):
    by_command = run(installed / "faregate", "--help", cwd=tmp_path)
    as_module = run(installed / "python", "-m", "faregate", "--help", cwd=tmp_path)
    for said in (by_command, as_module):
        assert "up" in said
        assert "doctor" in said


def test_an_installed_faregate_serves(installed, tmp_path):
    """The whole of it: gate and office start from the wheel, and a call is answered."""
    import httpx  # noqa: PLC0415 - only this test speaks HTTP

    with running(tmp_path, str(installed / "faregate")) as address, httpx.Client() as client:
        asked = {"model": "sim/echo", "messages": [{"role": "user", "content": "from the wheel"}]}
        answer = client.post(f"{address}/v1/chat/completions", json=asked)
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"] == "from the wheel"
        assert client.get(f"{address}/healthz").status_code == 200
        assert office_answers(client, address), client.get(address).text


def office_answers(client, address):
    """Whether the page that the office serves is there within half a minute: it starts after the gate."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if client.get(f"{address}/").status_code < 500:
            return True
        time.sleep(0.1)
    return False


def test_a_checkout_starts_as_a_module_too():
    assert "doctor" in run(sys.executable, "-m", "gateway", "--help", cwd=ROOT)


def test_whatever_is_imported_is_declared():
    """What is there by chance, because something else brought it, is not there for our users."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        re.match(r"[\w-]+", one)[0].lower()
        for one in [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    }
    # SQLModel is a face of SQLAlchemy, and pydantic of pydantic-core: neither can be had without the other.
    declared |= {"sqlalchemy", "pydantic-core"}
    distributions = importlib.metadata.packages_distributions()
    imported = {name for package in PACKAGES for name in imports_below(ROOT / package)}
    foreign = imported - set(sys.stdlib_module_names) - {*PACKAGES, "faregate"}
    assert {"click", "pydantic"} <= foreign
    undeclared = {
        name for name in foreign if not {found.lower().replace("_", "-") for found in distributions.get(name, [name])} & declared
    }
    assert undeclared == set()


def imports_below(folder):
    """Yield the top name of every absolute import in a folder, wherever it stands."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0]


def test_every_dependency_has_an_upper_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    loose = [one for one in project["dependencies"] if "<" not in one.split(";")[0]]
    assert not loose
