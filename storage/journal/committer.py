"""The disk side of a writer: turns what waits into records, and commits them in groups. It lives in the writer's thread."""

import errno
import logging
import threading
import time
from collections.abc import Callable, Sequence

from domain.exchange import Closing, Opening
from storage.journal.frames import NO_CALL, Kind, Payload, closed_payload, opened_payload, payload_of, without_bodies
from storage.journal.limits import JournalCounters, JournalLimits
from storage.journal.scan import trim_last
from storage.journal.segments import Segment, next_number
from storage.journal.slots import Slot
from storage.journal.space import Space

log = logging.getLogger(__name__)

Bodies = tuple[bytes, ...] | None
Waiting = tuple[Kind, Opening | str, Closing | None, Bodies, Bodies, int]
"""What waits for the disk: kind; opening, or the call's id; closing; request and response (None: shed already); size."""

FIRST_BACKOFF, LONGEST_BACKOFF = 0.01, 1.0
LAST_BACKOFF = 0.1
SPLIT_AFTER = 3
SHED_AFTER = 6
STOP_SECONDS = 3.0
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Committer:
    """Writes groups of records, one sync for each, until the disk has taken them.

    After a failed write or sync nothing is known about what that segment holds behind its last sync, so the whole group is written again,
    to a new segment. A group that the disk refuses again and again is written in halves, and a record in the end without its bodies.
    """

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        slot: Slot,
        space: Space,
        limits: JournalLimits,
        counters: JournalCounters,
        *,
        stopping: threading.Event,
        troubled: Callable[[], None],
        boot: str,
    ) -> None:
        """Take what it works with. `troubled` is called when a group has to be tried again."""
        self._folder = slot.folder
        self._space = space
        self._limits = limits
        self._counters = counters
        self._stopping = stopping
        self._troubled = troubled
        self._boot = boot
        self._life = self._number = next_number(slot.folder)
        self._segment: Segment | None = None
        self._parts: dict[str, int] = {}
        self._failing = False
        self._last_try: float | None = None

    def begin(self) -> None:
        """Say on disk that a new life begins: what earlier ones left open is interrupted."""
        trim_last(self._folder)
        self._commit_all([], [])

    def commit(self, group: Sequence[Waiting]) -> None:
        """Write and sync a group. Returns when it is durable, or when the writer stops and the disk still fails."""
        self._space.look_if_due(self._segment.file_size if self._segment else 0)
        self._commit_all(group, [self._part(waiting) for waiting in group])

    def look(self) -> None:
        """See how much room there is."""
        self._space.look(self._segment.file_size if self._segment else 0)

    def end(self) -> None:
        """Close the segment."""
        self._retire()

    def _commit_all(self, group: Sequence[Waiting], parts: Sequence[int]) -> None:
        backoff = FIRST_BACKOFF
        failures = 0
        while True:
            try:
                self._attempt(group, parts, shed=failures >= SHED_AFTER)
            except OSError as error:
                failures += 1
                self._failed(error)
                if self._gives_up():
                    self._counters.lost_records += len(group)
                    return
                if failures >= SPLIT_AFTER and len(group) > 1:
                    self._commit_halves(group, parts)
                    return
                # A disk that was full may take what is left without the bodies at once.
                if failures > 1:
                    self._pause(backoff)
                    backoff = min(backoff * 2, LONGEST_BACKOFF)
            else:
                self._recovered()
                return

    def _commit_halves(self, group: Sequence[Waiting], parts: Sequence[int]) -> None:
        """Write a group in two: perhaps only one of its records is too large for this disk."""
        middle = len(group) // 2
        self._commit_all(group[:middle], parts[:middle])
        self._commit_all(group[middle:], parts[middle:])

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            time.sleep(min(seconds, LAST_BACKOFF))
        self.look()

    def _gives_up(self) -> bool:
        """Return whether the writer has been stopping for too long to try again."""
        if not self._stopping.is_set():
            return False
        if self._last_try is None:
            self._last_try = time.monotonic() + STOP_SECONDS
        return time.monotonic() > self._last_try

    def _attempt(self, group: Sequence[Waiting], parts: Sequence[int], *, shed: bool) -> None:
        payloads, shed_bodies, lost = self._payloads(group, parts, shed=shed)
        size = sum(payload.size for payload in payloads)
        segment = self._segment_for(size)
        segment.append(payloads)
        segment.sync()
        self._space.count(segment.written)
        counters = self._counters
        counters.records += len(payloads)
        counters.bytes += size
        counters.commits += 1
        counters.shed_bodies += shed_bodies
        counters.lost_records += lost

    def _failed(self, error: OSError) -> None:
        self._counters.disk_errors += 1
        if error.errno in NO_ROOM:
            self._space.ran_out()
        self._retire()
        self._troubled()
        if not self._failing:
            self._failing = True
            log.error("The journal could not be written: %s. It is tried again, in a new segment.", error.strerror)

    def _recovered(self) -> None:
        if self._failing and not self._space.disk_full:
            self._failing = False
            log.warning("The journal is written again.")

    # Records

    def _part(self, waiting: Waiting) -> int:
        """Return the number of this piece of the call's bodies, once, however often it is written."""
        kind, subject, *_ = waiting
        if kind is Kind.PROGRESS:
            part = self._parts.get(str(subject), 0)
            self._parts[str(subject)] = part + 1
            return part
        if kind is Kind.CLOSED and self._parts and isinstance(subject, Opening):
            return self._parts.pop(subject.id, 0)
        return 0

    def _payloads(self, group: Sequence[Waiting], parts: Sequence[int], *, shed: bool) -> tuple[list[Payload], int, int]:
        """Return the records that fit, and how many were shed of their bodies, and how many lost."""
        payloads: list[Payload] = []
        size = shed_bodies = lost = 0
        space = self._space
        for waiting, part in zip(group, parts, strict=True):
            bodies = not shed and waiting[3] is not None and space.bodies_fit(size + waiting[5])
            if not bodies and (waiting[3] is None or waiting[3] or waiting[4]):
                waiting = _shed(waiting)  # noqa: PLW2901 - what is written is what is counted
                shed_bodies += 1
                if waiting[0] is Kind.PROGRESS:
                    continue  # the gap in the numbers tells the reader to end the body here
            payload = self._payload(waiting, part)
            if payload is not None and (bodies or space.records_fit(size + payload.size)):
                payloads.append(payload)
                size += payload.size
            else:
                lost += 1
        return payloads, shed_bodies, lost

    def _payload(self, waiting: Waiting, part: int) -> Payload | None:
        """Return a record, or None if it cannot be written."""
        kind, subject, closing, request, response, _ = waiting
        try:
            if isinstance(subject, str):
                return payload_of(
                    kind, self._life, part, bytes.fromhex(subject), b"", request=request or (), response=response or ()
                )
            if closing is None:
                return opened_payload(subject, self._life)
            return closed_payload(subject, closing, self._life, part, request=request or (), response=response or ())
        except Exception:  # one record that cannot be written must not stop the others
            log.exception("A record could not be written down.")
            return None

    # Segments

    def _segment_for(self, size: int) -> Segment:
        segment = self._segment
        if segment is not None and segment.written + size > self._limits.segment_bytes and segment.has_records:
            self._retire()
            segment = None
        if segment is None:
            segment = self._begin_segment()
        return segment

    def _begin_segment(self) -> Segment:
        number = self._number
        self._number += 1  # also if this one fails: no two segments have one number
        segment = self._segment = Segment(self._folder, number, self._limits.segment_bytes)
        boot = payload_of(Kind.BOOT, self._life, 0, NO_CALL, self._boot.encode())
        segment.append([boot])
        return segment

    def _retire(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            self._space.retired(segment.retire())


def _shed(waiting: Waiting) -> Waiting:
    """Return a record without its bodies, which says so."""
    kind, subject, closing, _, _, size = waiting
    return kind, subject, None if closing is None else without_bodies(closing), (), (), size
