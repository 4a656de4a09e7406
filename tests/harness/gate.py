"""Start real gates on ports of their own, and read what they recorded."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness.client import RawClient
from tests.harness.messages import Ended
from tests.harness.wire import until

ROOT = Path(__file__).resolve().parents[2]
START = 60.0
NOWHERE = "http://127.0.0.1:9"


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def environment(home: Path, extra: dict[str, str] | None = None) -> dict[str, str]:
    """Return an environment full of what a gate must not use: proxies, a .netrc, keys of a client."""
    (home / ".netrc").write_text("machine 127.0.0.1 login somebody password from-netrc\n")
    (home / ".netrc").chmod(0o600)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "COVERAGE_PROCESS_START") if name in os.environ}
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"), NOWHERE)
    return {**kept, **proxies, "HOME": str(home), "NETRC": str(home / ".netrc"), "PYTHONUNBUFFERED": "1", **(extra or {})}


@dataclass(slots=True)
class Gate:
    """A running gate."""

    process: subprocess.Popen[bytes]
    port: int
    data: Path
    log: Path
    asgi: bool = False

    @property
    def address(self) -> tuple[str, int]:
        """Return where it listens."""
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        """Return its base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """Return whether its process runs."""
        return self.process.poll() is None

    def rss(self) -> int:
        """Return its resident memory in bytes, with that of its children."""
        return sum(resident(pid) for pid in (self.process.pid, *children_of(self.process.pid)))

    def terminate(self) -> None:
        """Ask it to stop."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and everything that it started, without a warning."""
        for pid in (*children_of(self.process.pid), self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(10)

    def stop(self) -> None:
        """Stop it, gently at first."""
        if self.alive:
            self.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def said(self) -> str:
        """Return what it wrote to its output."""
        return self.log.read_text(errors="replace")


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 if there is none."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started, and those that they started."""
    try:
        direct = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*direct, *(grandchild for child in direct for grandchild in children_of(child))]


def run_gate(
    config: str,
    *,
    asgi: bool = False,
    data: Path | None = None,
    extra_environment: dict[str, str] | None = None,
    port: int | None = None,
    command: Sequence[str] | None = None,
) -> Gate:
    """Start a gate with this configuration, and wait until it answers."""
    folder = data or Path(tempfile.mkdtemp(prefix="faregate-test-"))
    folder.mkdir(exist_ok=True)
    (folder / "faregate.toml").write_text(config)
    port = port or free_port()
    arguments = [
        *(command or ("-m", "tests.harness.launch_gate")),
        "--config",
        str(folder / "faregate.toml"),
        "--data",
        str(folder / "data"),
    ]
    arguments += ["--port", str(port), *(["--asgi"] if asgi else [])]
    log = folder / "gate.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment(folder, extra_environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    gate = Gate(process, port, folder / "data", log, asgi)
    try:
        until(lambda: _answers(gate), "the gate does not answer", START)
    except (TimeoutError, RuntimeError) as error:
        gate.kill()
        raise RuntimeError(f"{error}: {gate.said()[-4000:]}") from error
    return gate


def _answers(gate: Gate) -> bool:
    if not gate.alive:
        raise RuntimeError("the gate stopped at its start")
    try:
        with RawClient(gate.address) as client:
            client.send(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            return client.answer(b"GET").status == 200
    except (OSError, Ended):
        return False
