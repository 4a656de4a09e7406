"""Real servers of platforms, which need a minute or two to start: they begin in the background, and are waited for when they are needed."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.harness.gate import free_port

# Where `make test` installs them, each into a place of its own.
INSTALLED = Path(sys.prefix) / "receivers"
LEASH = Path(__file__).with_name("leash.py")
# From the beginning, in seconds. They took up to 134 s on a machine with two busy cores.
PATIENCE = 360.0


class NotThere(Exception):
    """A server cannot be had here; says why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a server is started. In `command` and `environment`, `{port}`, `{other}` and `{folder}` are two free ports and a folder of its own."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready: str


PHOENIX = Kind(
    "phoenix",
    ("-m", "phoenix.server.main", "serve"),
    {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": "{port}",
        "PHOENIX_GRPC_PORT": "{other}",
        "PHOENIX_WORKING_DIR": "{folder}",
        "PHOENIX_TELEMETRY_ENABLED": "false",
    },
    "/healthz",
)
MLFLOW = Kind(
    "mlflow",
    (
        *("-m", "mlflow", "server", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
        *("--backend-store-uri", "sqlite:///{folder}/mlflow.db", "--default-artifact-root", "{folder}/artifacts"),
    ),
    # Jobs are eight processes more, for what nothing here asks for.
    {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    "/health",
)


class Server:
    """One server, started once. `url` is where it is."""

    def __init__(self, kind: Kind) -> None:
        self.name = kind.name
        self.url = ""
        self._kind = kind
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._began = 0.0
        self._client = httpx.Client(trust_env=False, timeout=60)

    def begin(self) -> None:
        """Start it, where it is installed and does not run; wait for nothing."""
        python = INSTALLED / self.name / "bin" / "python"
        if self._process is not None or not python.exists():
            return
        self._folder = Path(tempfile.mkdtemp(prefix=f"faregate-{self.name}-"))
        port = free_port()
        places = {"port": port, "other": free_port(), "folder": self._folder}
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        told = {name: value.format(**places) for name, value in self._kind.environment.items()}
        self.url, self._began = f"http://127.0.0.1:{port}", time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(LEASH), str(python), *(part.format(**places) for part in self._kind.command)],
                cwd=self._folder,
                env={**kept, **told, "HOME": str(self._folder), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            NotThere: it is not installed, ended, or did not answer in time.

        """
        if self._process is None:
            raise NotThere(f"no {self.name} server: not installed; `make test` installs it")
        pause = threading.Event()
        while not self._answers():
            if self._process.poll() is not None:
                raise NotThere(f"the {self.name} server ended by itself: {self._said()}")
            if time.monotonic() > self._began + PATIENCE:
                raise NotThere(f"the {self.name} server did not answer within {PATIENCE:.0f} s: {self._said()}")
            pause.wait(0.5)

    def end(self) -> None:
        """Let it go, and forget what it kept."""
        self._client.close()
        if self._process is None or self._process.stdin is None or self._folder is None:
            return
        self._process.stdin.close()
        self._process.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._process = None

    @property
    def _log(self) -> Path:
        assert self._folder is not None
        return self._folder / "said.log"

    def _answers(self) -> bool:
        try:
            return self._client.get(self.url + self._kind.ready).status_code == 200
        except httpx.HTTPError:
            return False

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-1500:]
