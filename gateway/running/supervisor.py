"""Starts the processes of Faregate, starts again what dies, and stops them in order. It imports little: it lives as long as they do."""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Self

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
# A process that has run for so long did not die of its start.
STEADY = 10.0
KEEPS_DYING = 3
_LOOK = 0.25
_TELL_AGAIN = 1.0


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running.

    `fds` are open files that it inherits. `stage` orders the end: the lowest stops first. `patience` is how long, in seconds, it may take
    to stop. `reloads`: SIGHUP makes it read its settings again (it starts with SIGHUP blocked); others are started anew for that. `done` says whether it has done what it
    must before it is told to stop, which is waited for, at most `done_patience` seconds.
    """

    name: str
    arguments: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    fds: tuple[int, ...] = ()
    stage: int = 0
    patience: float = 10.0
    reloads: bool = False
    done: Callable[[], bool] | None = None
    done_patience: float = 5.0


class Child:
    """A program, the process that runs it, and how often that died of late."""

    def __init__(self, program: Program) -> None:
        """Keep the program; nothing runs yet."""
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.next_start = 0.0
        self.deaths = 0
        self._pause = FIRST_PAUSE
        self._started_at = 0.0
        self._planned = False

    @property
    def running(self) -> bool:
        """Whether its process runs, as far as we have looked."""
        return self.process is not None

    def start(self, now: float) -> None:
        """Start it, in a process group of its own: what Ctrl-C sends to ours must not reach it, since it has its turn."""
        # SIGHUP waits until the program is ready for it (it lets it in then): it would end one that is just starting.
        old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP} if self.program.reloads else ())
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                self.program.arguments,
                stdin=subprocess.DEVNULL,
                env=self.program.environment or None,
                pass_fds=self.program.fds,
                process_group=0,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
        self._started_at = now

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.process is not None:
            self.process.send_signal(number)

    def ended(self, now: float) -> int | None:
        """Return the exit code if it has just ended by itself, and work out when to start it again."""
        code = None if self.process is None else self.process.poll()
        if code is None:
            return None
        self.process = None
        if self._planned:
            self._planned, self.next_start = False, now
            return None
        if now - self._started_at >= STEADY:
            self.deaths, self._pause = 0, FIRST_PAUSE
        self.deaths += 1
        self.next_start = now + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return code

    def start_anew(self) -> None:
        """End it, to be started again at once."""
        self._planned = self.running
        self.send(signal.SIGTERM)


class Signals:
    """Signals as something that can be waited for. While it is entered, they only wake the loop."""

    NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, _only_wake) for number in self.NUMBERS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        self._reader.close()
        self._writer.close()

    def wait(self, seconds: float) -> set[int]:
        """Wait for signals, at most so long, and return those that came."""
        select.select([self._reader], [], [], max(seconds, 0.0))
        try:
            return set(self._reader.recv(4096))
        except BlockingIOError:
            return set()


class Supervisor:
    """Keeps programs running until it is told to stop."""

    def __init__(self, programs: Iterable[Program], say: Callable[[str], None], reload: Callable[[], bool] | None = None) -> None:
        """Keep `programs` running; `say` takes sentences for people, `reload` checks new settings before anything is told to read them."""
        self._children = [Child(program) for program in programs]
        self._say = say
        self._reload = reload

    def run(self, signals: Signals, look: Callable[[], None] = lambda: None) -> int:
        """Start the programs and keep them running until SIGTERM or SIGINT; return the exit code.

        `look` is called now and then, from the beginning on; it must not take long.
        """
        try:
            while True:
                self._start_what_should_run()
                look()
                came = signals.wait(self._until_next_start())
                self._bury()
                if signal.SIGTERM in came or signal.SIGINT in came:
                    return self._stop(signals)
                if signal.SIGHUP in came:
                    self._read_again()
        finally:
            self._kill()

    def _start_what_should_run(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if not child.running and child.next_start <= now:
                child.start(now)

    def _until_next_start(self) -> float:
        now = time.monotonic()
        return min([_LOOK, *(child.next_start - now for child in self._children if not child.running)])

    def _bury(self) -> None:
        now = time.monotonic()
        for child in self._children:
            code = child.ended(now)
            if code is None:
                continue
            if child.deaths == 1:
                self._say(f"The {child.program.name} ended ({_reason(code)}); it is started again.")
            elif child.deaths == KEEPS_DYING:
                self._say(
                    f"The {child.program.name} keeps ending ({_reason(code)}): it is tried again, at most every {LONGEST_PAUSE:g} s. "
                    "What it said is above; `faregate doctor` may know more."
                )

    def _read_again(self) -> None:
        if self._reload is not None and not self._reload():
            return
        for child in self._children:
            if child.program.reloads:
                child.send(signal.SIGHUP)
            else:
                child.start_anew()

    def _stop(self, signals: Signals) -> int:
        """Stop everything, one stage after the other; being told again ends it at once. Return the exit code."""
        for stage in sorted({child.program.stage for child in self._children}):
            if not self._stop_stage([child for child in self._children if child.program.stage == stage], signals):
                self._say("Stopped at once. What was not finished is recorded at the next start.")
                return 1
        return 0

    def _stop_stage(self, children: Sequence[Child], signals: Signals) -> bool:
        """Stop programs together; return False if we were told again meanwhile."""
        patience = max(child.program.done_patience for child in children)
        if not self._wait(signals, patience, lambda: all(_is_done(child) for child in children)):
            return False
        end = time.monotonic() + max(child.program.patience for child in children)
        while any(_runs(child) for child in children) and time.monotonic() < end:
            # Again and again: a program that is just starting may have missed it.
            for child in children:
                child.send(signal.SIGTERM)
            left = min(_TELL_AGAIN, end - time.monotonic())
            if not self._wait(signals, left, lambda: not any(_runs(child) for child in children)):
                return False
        return True

    def _wait(self, signals: Signals, patience: float, holds: Callable[[], bool]) -> bool:
        """Wait until `holds`, at most so many seconds; return False if we were told to stop again."""
        end = time.monotonic() + patience
        while not holds() and time.monotonic() < end:
            if signals.wait(_LOOK) & {signal.SIGINT, signal.SIGTERM}:
                return False
        return True

    def _kill(self) -> None:
        for child in self._children:
            if child.process is not None:
                child.process.kill()
                child.process.wait()


def _runs(child: Child) -> bool:
    child.ended(time.monotonic())
    return child.running


def _is_done(child: Child) -> bool:
    return child.program.done is None or not _runs(child) or child.program.done()


def open_lifeline() -> tuple[int, int]:
    """Return the two ends of a pipe: the one that children inherit, and the one that this process keeps until its end."""
    return os.pipe()


def _only_wake(number: int, frame: FrameType | None) -> None:
    del number, frame


def _reason(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
