"""The journal as the gate writes it: a few hundred nanoseconds on the loop, everything else in a thread."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from domain.exchange import Closing, Opening
from storage.journal.committer import Committer, Waiting
from storage.journal.frames import Kind
from storage.journal.limits import JournalCounters, JournalLimits
from storage.journal.slots import take_slot
from storage.journal.space import LOOK_EVERY, META_SHARE, Space

log = logging.getLogger(__name__)

OPENED_BYTES, PROGRESS_BYTES, CLOSED_BYTES = 1024, 256, 4096
"""About what a record takes in memory without its bodies."""

EARLY_BYTES = 2**20
MOST_RECORDS = 4096
BUSY_WITHIN = 0.004
"""Commits come fast when they begin less than so many seconds after each other."""

CLOSE_SECONDS = 5.0
NOTHING_FITS = -1
_OPENED, _PROGRESS, _CLOSED = Kind.OPENED, Kind.PROGRESS, Kind.CLOSED


class Waiter(Protocol):
    """Waits for the disk; a future, or something like one."""

    def done(self) -> bool:
        """Whether it waits no more."""

    def set_result(self, result: None, /) -> None:
        """Tell it."""


class JournalWriter:
    """One gate's journal. Its methods belong to the loop's thread; none of them blocks but the first and the last, and none raises.

    Records go to a queue that the thread empties in groups. A ticket is a record's place in that queue; `synced` is the highest ticket whose
    record, and all before it, are on disk.

    What the two threads share: the queue (appended here, emptied there), `_came` (written here) and `_gone` (written there), whose difference
    is what waits in memory, and the flags `_urgent` and `_idle`. A flag is set before what it speaks of is looked at, on both sides, so a
    wake-up can come twice but never be missed.
    """

    def __init__(self, root: Path, loop: asyncio.AbstractEventLoop, limits: JournalLimits, *, boot: str) -> None:
        """Take a folder under `root` and begin a new segment in it.

        Raises:
            OSError: the folder cannot be made or written to.
        """
        self.counters = JournalCounters()
        self.synced = 0
        self._loop = loop
        self._limits = limits
        self._most_bodies = limits.memory_bytes - limits.memory_bytes // META_SHARE
        self._most_records = limits.memory_bytes
        self._queue: deque[Waiting] = deque()
        self._came = self._gone = 0
        self._ticket = 0
        self._urgent = self._idle = self._degraded = False
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: list[tuple[int, Waiter]] = []
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._stopping = threading.Event()
        self._slot = take_slot(root)
        self._space = Space(root, self._slot.folder, limits)
        self._committer = Committer(
            self._slot, self._space, limits, self.counters, stopping=self._stopping, troubled=self._troubled, boot=boot
        )
        self._writing = threading.Thread(target=self._run, name="journal", daemon=True)
        self._writing.start()

    # What the gate says

    def opened(self, opening: Opening) -> int:
        """Write down that a call goes upstream; return its ticket."""
        if self._came - self._gone > self._most_records:
            return self._lost()
        self._came += OPENED_BYTES
        self._queue.append((_OPENED, opening, None, (), (), OPENED_BYTES))
        self._ticket = ticket = self._ticket + 1
        if not self._urgent:
            self._urgent = True
            # Behind what the loop does now: the call goes upstream first, and one waking serves all calls of this turn.
            self._loop.call_soon(self._rouse)
        return ticket

    def progress(self, call_id: str, response: Sequence[bytes], request: Sequence[bytes] = ()) -> None:
        """Write down the bytes that came since the last time; they may be forgotten now."""
        size = PROGRESS_BYTES + sum(map(len, response)) + sum(map(len, request))
        waiting = self._came - self._gone
        if waiting > self._most_records:
            self._lost()
        elif waiting + size > self._most_bodies:
            self._put((_PROGRESS, call_id, None, None, None, PROGRESS_BYTES))
        else:
            self._put((_PROGRESS, call_id, None, tuple(request), tuple(response), size))

    def closed(self, opening: Opening, closing: Closing, request: Sequence[bytes], response: Sequence[bytes]) -> int:
        """Write down how a call ended, with the bytes that came since the last progress; return its ticket."""
        bare = CLOSED_BYTES + len(closing.marks)
        size = bare + sum(map(len, request)) + sum(map(len, response))
        waiting = self._came - self._gone
        if waiting > self._most_records:
            return self._lost()
        if waiting + size > self._most_bodies:
            return self._put((_CLOSED, opening, closing, None, None, bare))
        return self._put((_CLOSED, opening, closing, tuple(request), tuple(response), size))

    def when_synced(self, ticket: int, waiter: Waiter) -> None:
        """Set `waiter`'s result once `ticket` is on disk, or as soon as it is clear that the disk is in trouble."""
        self._waiters.append((ticket, waiter))
        if self._degraded:
            self._let_go()
        elif self.synced >= ticket:
            self._resolve()

    def close(self) -> None:
        """Write and sync all that waits, and end. Takes a few seconds at most, also when the disk fails."""
        self._most_records = NOTHING_FITS
        self._most_bodies = NOTHING_FITS
        if self._timer is not None:
            self._timer.cancel()
        self._stopping.set()
        self._wake.put(None)
        self._writing.join(CLOSE_SECONDS)
        if self._writing.is_alive():
            log.error("The journal's disk did not answer in %s seconds; %d records may be lost.", CLOSE_SECONDS, len(self._queue))
        else:
            self._slot.release()
        self._let_go()

    # What the gate asks

    @property
    def full(self) -> bool:
        """Whether bodies are shed now, for want of disk, and calls should rather be refused."""
        return self._limits.reject_when_full and self._space.full

    @property
    def pending_bytes(self) -> int:
        """Bytes on disk that are not consumed, as far as is known: the folder is measured once a second."""
        return self._space.used

    @property
    def waiting_bytes(self) -> int:
        """Bytes in memory that are not on disk."""
        return self._came - self._gone

    @property
    def folder(self) -> Path:
        """Where this writer writes."""
        return self._slot.folder

    # The loop's side

    def _put(self, waiting: Waiting) -> int:
        self._came += waiting[5]
        self._queue.append(waiting)
        self._ticket += 1
        if self._came - self._gone > EARLY_BYTES:
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._limits.group_delay, self._timed_out)
        return self._ticket

    def _lost(self) -> int:
        self.counters.lost_records += 1
        return self._ticket

    def _timed_out(self) -> None:
        self._timer = None
        if self._queue:
            self._flush()

    def _flush(self) -> None:
        self._urgent = True
        self._rouse()

    def _rouse(self) -> None:
        """Wake the thread if it sleeps."""
        if self._idle:
            self._idle = False
            self._wake.put(None)

    def _resolve(self) -> None:
        """Wake everybody whose ticket is on disk."""
        synced, waiters = self.synced, self._waiters
        # Never empty while somebody waits: the thread looks there to know whether a commit, which may end just now, is to be told.
        self._waiters = [waiting for waiting in waiters if waiting[0] > synced]
        for ticket, waiter in waiters:
            if ticket <= synced and not waiter.done():
                waiter.set_result(None)

    def _let_go(self) -> None:
        """Wake everybody: the disk cannot be waited for now."""
        waiters, self._waiters = self._waiters, []
        for ticket, waiter in waiters:
            if not waiter.done():
                self.counters.unsynced_waits += ticket > self.synced
                waiter.set_result(None)

    # The thread's side

    def _run(self) -> None:
        self._guarded(self._committer.begin)
        last = 0.0
        while not (self._stopping.is_set() and not self._queue):
            started = time.monotonic()
            self._guarded(self._write_group)
            # Where few come, a pause would only wake this thread once more for each.
            busy = started - last < BUSY_WITHIN
            self._wait(started + self._limits.busy_gap if busy else started)
            last = started
        self._guarded(self._committer.end)

    def _wait(self, not_before: float) -> None:
        """Wait until `not_before`, and then for something urgent; now and then look how much room there is.

        In this order nobody has to wake the thread while calls come fast: what came meanwhile is seen when the pause is over.
        """
        pause = not_before - time.monotonic()
        if pause > 0 and not self._stopping.is_set():
            time.sleep(pause)
        self._idle = True
        if not self._urgent and not self._stopping.is_set():
            try:
                self._wake.get(timeout=LOOK_EVERY)
            except Empty:
                self._guarded(self._committer.look)
        self._idle = False

    def _write_group(self) -> None:
        self._urgent = False
        group, size = self._taken()
        if not group:
            return
        try:
            self._committer.commit(group)
        except Exception:
            self.counters.lost_records += len(group)
            raise
        finally:
            self._degraded = False
            self._gone += size
            self.synced += len(group)
            if self._waiters:
                self._tell(self._resolve)

    def _taken(self) -> tuple[list[Waiting], int]:
        queue, size = self._queue, 0
        group: list[Waiting] = []
        while queue and size < self._limits.segment_bytes and len(group) < MOST_RECORDS:
            waiting = queue.popleft()
            group.append(waiting)
            size += waiting[5]
        if queue:
            self._urgent = True
        return group, size

    def _troubled(self) -> None:
        self._degraded = True
        self._tell(self._let_go)

    def _tell(self, what: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended; nobody waits any more
            self._loop.call_soon_threadsafe(what)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do a step of the thread, which must go on whatever happens."""
        try:
            step()
        except Exception:
            log.exception("The journal met an error of its own.")
