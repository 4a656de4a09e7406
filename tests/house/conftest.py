"""The wheel, built once, and a fresh environment with nothing but it and what it depends on."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command, **options):
    """Run a program; fail with what it said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=300, **options)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def uv():
    """Return the program that builds; without it these tests cannot be run."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        pytest.skip("uv is not installed: `make test` installs it")
    return found


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("dist")
    run(uv(), "build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """The folder of commands of an environment in which the wheel alone was installed, as somebody without this tree would."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    commands = folder / "bin"
    run(uv(), "pip", "install", "--quiet", "--python", commands / "python", wheel, cwd=folder)
    return commands
