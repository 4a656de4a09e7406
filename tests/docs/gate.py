"""A whole Faregate in a process of its own, as its users start it."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
_PATIENCE = 30.0
ROOT = Path(__file__).parents[2]


@contextmanager
def running(folder: Path, *command: str) -> Iterator[str]:
    """Start `faregate up` with its data in `folder`; give the address it prints, without a path; stop it at the end."""
    surroundings = {
        name: value for name, value in os.environ.items() if not name.endswith("_API_KEY") and not name.startswith("FAREGATE_")
    }
    if not command:
        command = (sys.executable, "-m", "faregate")
        surroundings["PYTHONPATH"] = str(ROOT)
    arguments = [*command, "up", "--port", "0", "--data", str(folder / "data")]
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        env=surroundings | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said: list[str] = []
    reader = threading.Thread(target=_listen, args=(process, said), daemon=True)
    reader.start()
    try:
        yield _address(process, said)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(5)
        process.stdout.close()


def _listen(process: subprocess.Popen, said: list[str]) -> None:
    said.extend(iter(process.stdout.readline, ""))


def _address(process: subprocess.Popen, said: list[str]) -> str:
    """Wait for the line that has the address in it; its port is never 0."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        found = _ADDRESS.search("".join(said))
        if found and found[1] != "0" and "".join(said).endswith("\n"):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"faregate up did not say where it listens (exit {process.poll()}):\n{''.join(said)}")
