"""The container image and the Makefile: what can be known of them where no container engine runs."""

import ast
import json
import os
import re
import shutil
import subprocess
import tomllib

import pytest

from tests.docs.gate import running
from tests.house.conftest import ROOT, run


def instructions():
    """Return the Dockerfile's instructions as (name, arguments), continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line and not line.startswith("#")]


def only(name):
    """Return the arguments of the last instruction of this name: those of the image that runs."""
    return [arguments for found, arguments in instructions() if found == name][-1]


def test_the_image_runs_as_an_ordinary_user_and_writes_to_data_alone():
    assert only("USER") == "10001:10001"
    assert json.loads(only("VOLUME")) == ["/data"]
    assert "FAREGATE_STORAGE__DATA=/data" in only("ENV")
    names = [name for name, _ in instructions()]
    assert "RUN" not in names[len(names) - names[::-1].index("FROM") :]


def test_no_shell_is_needed_to_build_or_run():
    for name, arguments in instructions():
        if name in ("RUN", "CMD", "ENTRYPOINT"):
            assert all(isinstance(part, str) for part in json.loads(arguments)), arguments


def test_the_image_sees_every_package_and_nothing_that_is_not_named():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["only-include"]) <= kept
    assert {name for name in kept if not (ROOT / name).exists()} == set()


def test_the_images_health_check_tells_alive_from_dead(tmp_path):
    command = json.loads(only("HEALTHCHECK").split("CMD ")[1])
    assert command[0] == "python"
    ast.parse(command[-1])
    with running(tmp_path) as address:
        alive = [part.replace("http://127.0.0.1:8080", address) for part in command]
        assert subprocess.run(alive, check=False, timeout=30).returncode == 0
    assert subprocess.run(alive, check=False, timeout=30, stderr=subprocess.DEVNULL).returncode != 0


def test_compose_names_no_secret_and_runs_on_a_read_only_root():
    text = (ROOT / "compose.yaml").read_text()
    assert "read_only: true" in text
    for name in re.findall(r"^\s+\w*(?:PASSWORD|SECRET|API_KEY)\w*: (.+)$", text, re.MULTILINE):
        assert name.startswith('"${'), name


@pytest.fixture
def make(tmp_path):
    program = shutil.which("make")
    assert program is not None
    # What the make that runs these tests was told is not for the one that they ask.
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "ARGS"}
    return lambda *arguments: run(program, "-n", "--no-print-directory", "-C", ROOT, *arguments, env=surroundings)


def test_make_alone_sets_up_and_runs(make, tmp_path):
    said = make(f"VENV={tmp_path / 'venv'}")
    assert "uv sync" in said
    assert said.strip().endswith("faregate up")


def test_make_test_sets_up_and_tests(make, tmp_path):
    said = make("test", f"VENV={tmp_path / 'venv'}")
    assert "-m venv" in said
    program, *_ = said.splitlines()[-1].split()
    assert program == str(tmp_path / "venv" / "bin" / "pytest")


def test_without_a_python_make_says_what_is_missing(tmp_path):
    """A path with the tools that the Makefile uses, and no Python on it."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "make", "test", "echo"):
        (tools / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        [tools / "make", "-C", ROOT, f"VENV={tmp_path / 'venv'}"],
        env={"PATH": str(tools), "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "needs Python 3.11" in done.stdout
    assert not os.path.lexists(tmp_path / "venv")
