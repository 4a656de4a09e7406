"""Faregate as its users start it: `faregate up`, with a settings file, on a data folder of its own."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.processes import Gone, Tree, arguments_of, children, start, stop
from bench.tools import PROXY_CPU, Address, free_port

ROOT = Path(__file__).resolve().parents[1]
# Where the packages are that are measured: those of this checkout, or compiled ones.
APP = Path(os.environ.get("BENCH_APP") or ROOT)
KEY = "fg-" + "bench0" * 8
# Of a key with a budget that is never spent.
CAPPED = "fg-" + "capped" * 8
_PATIENCE = 60.0


def command() -> list[str]:
    """Return how this environment starts `faregate`."""
    installed = Path(sys.executable).parent / "faregate"
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "gateway"]


def environment() -> dict[str, str]:
    """Return the environment without what would change the settings."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("FAREGATE_") and not name.endswith("_API_KEY")
    }
    path = os.pathsep.join([str(APP), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **kept,
        "PYTHONPATH": path,
        "BENCH_KEY": KEY,
        "BENCH_CAPPED": CAPPED,
        "BENCH_UPSTREAM_SECRET": "of-the-simulated-provider",
    }


def settings_text(mock_port: int, *, secure: tuple[int, Path] | None, barrier: str = "begin") -> str:
    """Return a settings file: the mock as `openai`, again with usage asked for, and again over TLS."""

    def upstream(name: str, url: str, more: str) -> str:
        return f'[upstreams.{name}]\nbase_url = "{url}/v1"\napi_key = "${{BENCH_UPSTREAM_SECRET}}"\n{more}\n'

    plain = f"http://127.0.0.1:{mock_port}"
    return "\n".join(
        [
            f'[record]\nbarrier = "{barrier}"\n[keys.bench]\nsecret = "${{BENCH_KEY}}"\n[keys.capped]\nsecret = "${{BENCH_CAPPED}}"\n',
            '[[budgets]]\nscope = "key:capped"\nlimit_usd = "1000000"\nwindow = "month"\nmode = "strict"\n',
            upstream("openai", plain, 'usage_in_streams = "leave"'),
            upstream("asking", plain, 'usage_in_streams = "ask"'),
            upstream("secure", f"https://127.0.0.1:{secure[0]}", f'usage_in_streams = "leave"\nca_file = "{secure[1]}"')
            if secure
            else "",
        ]
    )


class Faregate:
    """Gate, office and supervisor, running."""

    def __init__(self, folder: Path, settings: str) -> None:
        """Start them on a new folder, and wait until a call came back and the office is up."""
        folder.mkdir()
        self.data = folder / "data"
        self.log = folder / "stderr.log"
        (folder / "faregate.toml").write_text(settings)
        options = ["up", "--port", "0", "--json", "--data", str(self.data), "--config", str(folder / "faregate.toml")]
        self._process = start(
            [*command(), *options], PROXY_CPU, log=self.log, folder=folder, environment=environment(), output=subprocess.PIPE
        )
        self._port = int(self._heard("ready")["url"].rpartition(":")[2])
        self._heard("dashboard")
        self.tree = Tree(self._parts())

    def _heard(self, event: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["event"] == event:
                return told
        raise Gone(f"faregate up ended before it said {event!r}: {self.said()}")

    def _parts(self) -> dict[str, int]:
        found: dict[str, int] = {
            part: pid for pid in children(self._process.pid) for part in ("gate", "office") if part in arguments_of(pid)
        }
        if found.keys() != {"gate", "office"}:
            raise Gone(f"gate and office should run, but: {found}")
        return {**found, "supervisor": self._process.pid}

    def address(self, upstream: str | None = None, key: str = KEY) -> Address:
        """Return where to call: `/v1`, or one upstream by name."""
        return Address(self._port, (f"/{upstream}" if upstream else "") + "/v1/chat/completions", key)

    def check(self) -> None:
        """Raise Gone if a process was started anew: what was measured then means nothing."""
        if self._process.poll() is not None or self._parts() != self.tree.parts:
            raise Gone(f"a process of Faregate died: {self.said()}")

    def said(self) -> str:
        """Return the last thing that it complained about."""
        return self.log.read_text()[-2000:]

    def find_again(self) -> None:
        """Know the processes by their ids of now, should one have been started anew."""
        for _ in range(100):
            with contextlib.suppress(Gone):
                self.tree.parts = self._parts()
                return
            time.sleep(0.1)
        raise Gone("gate or office does not come back")

    def recorded(self) -> int:
        """Return how many calls are in the store."""
        import sqlite3  # noqa: PLC0415 - here only

        with sqlite3.connect(f"file:{self.data}/faregate.db?mode=ro", uri=True) as store:
            (count,) = store.execute("SELECT count(*) FROM calls").fetchone()
            return int(count)

    def close(self) -> None:
        """Stop them."""
        stop(self._process)


@contextmanager
def running(folder: Path, settings: str) -> Iterator[Faregate]:
    """Have Faregate run meanwhile."""
    faregate = Faregate(folder, settings)
    try:
        yield faregate
    finally:
        faregate.close()


def start_seconds(folder: Path, settings: str, *commands: str) -> float:
    """Return how long it takes from starting `faregate COMMANDS` to the whole answer of a first call."""
    folder.mkdir()
    (folder / "faregate.toml").write_text(settings)
    port = free_port()
    options = ["--port", f"{port}", "--data", str(folder / "data"), "--config", str(folder / "faregate.toml")]
    began = time.perf_counter()
    process = start(
        [*command(), *commands, *options], PROXY_CPU, log=folder / "stderr.log", folder=folder, environment=environment()
    )
    try:
        while not _answered(port):
            if process.poll() is not None or time.perf_counter() - began > _PATIENCE:
                raise Gone(f"faregate {commands[0]} does not answer: {(folder / 'stderr.log').read_text()[-2000:]}")
            time.sleep(0.003)
        return time.perf_counter() - began
    finally:
        stop(process)


def _answered(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    try:
        connection.request("POST", "/v1/chat/completions", b'{"model":"gpt-4o-mini","messages":[]}', headers)
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def help_cpu_seconds() -> float:
    """Return the CPU time of `faregate --help`."""
    process = subprocess.Popen([*command(), "--help"], env=environment(), cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Gone(f"faregate --help ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime
