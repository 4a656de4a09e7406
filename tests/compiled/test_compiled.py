"""The gate as the image runs it, with what every call goes through compiled, passes the tests that go through real sockets and real files.

They are the same tests, of the same files, in a Python that takes the compiled modules instead of those.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.house.conftest import ROOT, run, uv
from tools.compiling import GROUP, MODULES

# Those that give compiled classes only what these get in life: mypyc checks types when it runs, so that it takes no stand-ins.
RECORDER = (
    "bodies",
    "fitting",
    "frames",
    "golden",
    "hostile_answers",
    "interpret",
    "interpret_anything",
    "pricing",
    "recorder",
    "repeats",
)
PASSED_BY_IT = ("tests/wire", "tests/sdk", "tests/storage/journal", *(f"tests/recorder/test_{name}.py" for name in RECORDER))
MOST_OF_THEM = 1500


@pytest.fixture(scope="module")
def compiled_wheel(tmp_path_factory):
    """The wheel with compiled modules."""
    if not os.environ.get("CC") and not any(map(shutil.which, ("cc", "gcc", "clang"))):
        pytest.skip("no C compiler: `CC` names none, and there is no cc, gcc or clang")
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        pytest.skip("this Python has no headers to compile against")
    folder = tmp_path_factory.mktemp("compiled-wheel")
    surroundings = {**os.environ, "FAREGATE_COMPILE": "1"}
    done = subprocess.run(
        [uv(), "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", folder, ROOT],
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def compiled(compiled_wheel, tmp_path_factory):
    """A folder with the compiled packages and the tests, as a checkout has them."""
    folder = tmp_path_factory.mktemp("compiled")
    with zipfile.ZipFile(compiled_wheel) as archive:
        archive.extractall(folder)
    app = folder / "faregate" / "_app"
    shutil.copytree(ROOT / "tests", app / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", app)
    return app


def test_such_a_wheel_is_for_one_platform_and_has_each_module_both_ways(compiled_wheel):
    assert not compiled_wheel.name.endswith("-py3-none-any.whl")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    with zipfile.ZipFile(compiled_wheel) as archive:
        names = set(archive.namelist())
    for module in MODULES:
        stem = f"faregate/_app/{module.replace('.', '/')}"
        assert {f"{stem}{suffix}", f"{stem}.py"} <= names
    assert {name for name in names if name.endswith(".so")} == {
        f"faregate/_app/{name}{suffix}" for name in (*(module.replace(".", "/") for module in MODULES), f"{GROUP}__mypyc")
    }


def test_compiled_modules_are_those_that_are_taken(compiled):
    script = f"import importlib; print(*(importlib.import_module(name).__file__ for name in {MODULES!r}), sep='\\n')"
    found = run(sys.executable, "-c", script, cwd=compiled, env={**os.environ, "PYTHONPATH": str(compiled)}).split()
    assert len(found) == len(MODULES)
    assert all(path.startswith(str(compiled)) and path.endswith(".so") for path in found), found


def test_calls_are_passed_and_recorded_as_ever(compiled):
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *PASSED_BY_IT],
        cwd=compiled,
        env={**surroundings, "PYTHONPATH": str(compiled)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-10000:]
    # Tests that are all skipped would end well, too.
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > MOST_OF_THEM
