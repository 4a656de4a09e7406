"""Recording what a program of ours does to a folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.storage.power_loss.tape import Recording, compiled, load

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Callable[..., Recording]:
    """Run a module, with a folder and what else it is told, and return what it did there."""
    library = compiled(tmp_path_factory.mktemp("recorder"))
    if library is None:
        pytest.skip("there is no C compiler (cc) to build the recorder with")

    def run(*command: str) -> Recording:
        folder = tmp_path_factory.mktemp("recorded") / "root"
        tape = folder.with_name("tape")
        recorded = {"LD_PRELOAD": str(library), "FAREGATE_FOLDER": str(folder), "FAREGATE_TAPE": str(tape)}
        program = [sys.executable, "-m", command[0], str(folder), *command[1:]]
        subprocess.run(program, env=os.environ | recorded, cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL, timeout=120)
        return Recording(folder, load(tape))

    return run
