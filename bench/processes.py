"""Processes under measurement: started on a CPU of their own, their CPU time to the nanosecond, their memory, their end."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

QUIET_LOOK = 0.2
# What a tree may use beyond its idle rate in one look and still count as quiet.
QUIET_SLACK = 0.003
REAL_TIME_PRIORITY = 5
_SCHEDULED_CPU = 2


class Gone(Exception):
    """A process that should be running is not."""


@contextlib.contextmanager
def on_cpu(number: int) -> Iterator[None]:
    """Have what is started meanwhile run on one CPU (on any, if the machine has not so many)."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number} & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(  # noqa: PLR0913 - what a process is started with
    arguments: Sequence[str],
    cpu: int,
    *,
    log: Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    output: int | IO[bytes] = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a program on a CPU; its errors go to `log`."""
    with on_cpu(cpu), log.open("ab") as errors:
        return subprocess.Popen(
            arguments, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, process_group=0
        )


def stop(process: subprocess.Popen[bytes], patience: float = 30) -> None:
    """Ask a process of ours to end, and end it if it does not."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def children(pid: int) -> list[int]:
    """Return the processes that `pid` started and that still run."""
    with contextlib.suppress(FileNotFoundError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def arguments_of(pid: int) -> list[str]:
    """Return the command line of a process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


def threads_of(pid: int) -> list[int]:
    """Return the threads of a process."""
    try:
        return [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError as error:
        raise Gone(f"process {pid} has ended") from error


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, of all threads that a process has or had."""
    try:
        # The clock of a process is found by its id, as clock_getcpuclockid(3) does it.
        return time.clock_gettime_ns((~pid << 3) | _SCHEDULED_CPU) / 1e9
    except OSError as error:
        raise Gone(f"process {pid} has ended") from error


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process holds, in MiB. `pss` shares what several processes have mapped among them."""

    rss: float
    pss: float


def memory(pid: int) -> Memory:
    """Return the memory of a process."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError as error:
        raise Gone(f"process {pid} has ended") from error
    found = dict(re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE))
    return Memory(int(found["Rss"]) / 1024, int(found["Pss"]) / 1024)


def real_time(pids: Sequence[int], *, on: bool) -> bool:
    """Let processes run before everything else on their CPU, so that neighbours do not show in latency; return whether it worked."""
    policy, priority = (os.SCHED_RR, REAL_TIME_PRIORITY) if on else (os.SCHED_OTHER, 0)
    try:
        for pid in pids:
            for thread in threads_of(pid):
                os.sched_setscheduler(thread, policy, os.sched_param(priority))
    except PermissionError:
        return False
    return True


class Tree:
    """The processes of one program, by the part that each plays."""

    def __init__(self, parts: Mapping[str, int], idle: float = 0.0) -> None:
        """`parts` has their ids; `idle` is the CPU time that they use in a second of doing nothing."""
        self.parts = dict(parts)
        self.idle = idle
        self.idle_parts = dict.fromkeys(self.parts, 0.0)

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds of each part so far."""
        return {name: cpu_seconds(pid) for name, pid in self.parts.items()}

    def measure_idle(self, seconds: float) -> None:
        """Find out what it uses when nothing is asked of it."""
        before = self.cpu()
        time.sleep(seconds)
        after = self.cpu()
        self.idle_parts = {name: (after[name] - before[name]) / seconds for name in before}
        self.idle = sum(self.idle_parts.values())

    def wait_until_quiet(self, patience: float = 90) -> bool:
        """Wait until what the last calls left to do is done; return False if that does not end."""
        end, calm = time.monotonic() + patience, 0
        last = sum(self.cpu().values())
        while calm < 2:
            if time.monotonic() > end:
                return False
            time.sleep(QUIET_LOOK)
            now = sum(self.cpu().values())
            calm = calm + 1 if now - last <= 1.5 * self.idle * QUIET_LOOK + QUIET_SLACK else 0
            last = now
        return True


def interrupt_quietly() -> None:
    """Let SIGTERM end us as Ctrl-C does, so that what we started is stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
