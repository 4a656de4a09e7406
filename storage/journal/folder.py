"""Reading one writer's folder, strictly in order, and putting behind us what is safe in the store."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from domain.exchange import Exchange, Opening
from storage.journal.calls import Bodies, OpenCall, Part, finished, interrupted
from storage.journal.carry import carry_over, drop_unfinished, live_bytes, supersedes
from storage.journal.frame import Frame
from storage.journal.frames import Kind, decoded_closed, decoded_opening
from storage.journal.scan import SegmentFile, written_end
from storage.journal.segments import Place, SegmentName, read_place, segments_in, sync_folder, write_place
from storage.journal.slots import writer_lives

log = logging.getLogger(__name__)

# Looked up once, not for every record.
_OPENED, _PROGRESS, _CLOSED, _CARRIED = int(Kind.OPENED), int(Kind.PROGRESS), int(Kind.CLOSED), int(Kind.CARRIED)
_BY_WRITER = frozenset({int(Kind.BOOT), _OPENED, _PROGRESS, _CLOSED})


@dataclass(slots=True)
class Room:
    """How much more one `read` may return."""

    exchanges: int
    size: int

    def take(self, exchange: Exchange) -> None:
        """Take note of one more."""
        self.exchanges -= 1
        self.size -= len(exchange.request) + len(exchange.response)

    @property
    def left(self) -> bool:
        """Whether another may be returned."""
        return self.exchanges > 0 and self.size > 0


class FolderReader:
    """The reader's view of one `gate-N`.

    `_place` is how far it was read, `_saved` how far everything is safe. After a start, what lies before the consumed place is read again,
    for the calls that it opened and did not end; what ended there is not given again.
    """

    def __init__(self, path: Path, garbage_bytes: int) -> None:
        """Find the segments; clear up what an interrupted clearing left.

        Raises:
            OSError: the folder cannot be read.
        """
        self.path = path
        self.damaged = 0
        self.calls: dict[bytes, OpenCall] = {}
        self._garbage_bytes = garbage_bytes
        self._names: dict[int, SegmentName] = {}
        self._file: SegmentFile | None = None
        self._final = self._exhausted = self._dead = False
        self._life = 0
        self._look_for_interrupted = self._owing = False
        self._consumed = read_place(path)
        self._place_owed = False
        drop_unfinished(path)
        self._list()
        self._drop_superseded()
        self._place = self._saved = Place(min(self._names, default=self._consumed.number), 0)

    def close(self) -> None:
        """Close the file that is being read."""
        if self._file is not None:
            self._file.close()
            self._file = None

    # Reading

    def read(self, room: Room) -> list[Exchange]:
        """Return the next exchanges, as many as there is room for.

        Raises:
            OSError: the folder cannot be read on from here; what was read before was returned.
        """
        found: list[Exchange] = []
        if self._file is not None:
            self._file.refresh()
        with Bodies(self._names) as bodies:
            while room.left:
                if self._look_for_interrupted:
                    found += self._interrupted(room, bodies)
                    continue
                try:
                    frame = self._next()
                except OSError:
                    if found:
                        break
                    raise
                if frame is None:
                    if self._look_for_interrupted:
                        continue
                    break
                exchange = self._taken(frame, bodies)
                self._owing = self._owing or exchange is not None
                self._place = Place(self._place.number, self._place.offset + frame.size)
                if exchange is not None:
                    found.append(exchange)
                    room.take(exchange)
        return found

    def _next(self) -> Frame | None:
        """Return the record at the place, after going on past damaged records and to the next segment; None if there is nothing now."""
        while (file := self._current()) is not None:
            frame = file.frame_at(self._place.offset)
            if frame is not None:
                return frame
            if not self._final:
                self._final = self._is_final(file.name.number)
                if not self._final:
                    return None
                file.refresh()  # what was written before it became final
            elif not self._skipped_damage(file) and not self._went_on():
                return None
        return None

    def _current(self) -> SegmentFile | None:
        while self._file is None:
            number = self._first_from(self._place.number)
            if number is None:
                return None
            if number != self._place.number:
                self._place = Place(number, 0)
            try:
                self._file = SegmentFile(self._names[number])
            except FileNotFoundError:
                del self._names[number]  # somebody else deleted it; there is nothing to wait for
            self._final = self._exhausted = False
        return self._file

    def _is_final(self, number: int) -> bool:
        """Return whether nothing more will be written to this segment: there is a newer one, or its writer is dead."""
        # First the lock, then the list, then the file: so everything that the dead writer wrote is found.
        self._dead = not writer_lives(self.path)
        return self._first_from(number + 1) is not None or self._dead

    def _skipped_damage(self, file: SegmentFile) -> bool:
        """Go on to the next whole record of this segment, if there is one."""
        if self._exhausted:
            return False
        found = file.next_frame(self._place.offset + 1)
        if found is None:
            self._exhausted = True
            return False
        self.damaged += 1
        log.warning("%s is damaged at byte %d; going on at byte %d.", file.name.path.name, self._place.offset, found)
        self._place = Place(self._place.number, found)
        return True

    def _went_on(self) -> bool:
        """Go on to the next segment; where there is none, what a dead writer left open is interrupted."""
        number = self._first_from(self._place.number + 1)
        if number is None:
            self._look_for_interrupted = self._dead and any(map(self._was_interrupted, self.calls.values()))
            return False
        self.close()
        self._place = Place(number, 0)
        self._dead = False
        return True

    # Records

    def _taken(self, frame: Frame, bodies: Bodies) -> Exchange | None:
        """Take note of a record; return an exchange if that was its end."""
        kind = frame.kind
        if frame.life > self._life and kind in _BY_WRITER:
            self._life = frame.life
            self._look_for_interrupted = bool(self.calls)
        if kind == _CLOSED:
            return self._closed(frame, bodies)
        if kind == _OPENED:
            self._opened(frame)
        elif kind == _PROGRESS:
            call = self.calls.get(frame.call) or self._began(frame, None)
            call.add(self._part(frame, frame.part, frame.part + 1))
        elif kind == _CARRIED:
            call = self._began(frame, decoded_opening(frame.meta))
            if frame.part:
                call.add(self._part(frame, 0, frame.part))
        return None

    def _opened(self, frame: Frame) -> None:
        opening = decoded_opening(frame.meta)
        if opening is None:
            self._unreadable(frame)
        elif (call := self.calls.get(frame.call)) is None:
            self._began(frame, opening)
        elif call.opening is None:
            call.opening = opening

    def _closed(self, frame: Frame, bodies: Bodies) -> Exchange | None:
        meta = decoded_closed(frame.meta)
        if meta is None:
            self._unreadable(frame)
            return None
        if self._place < self._consumed:
            self.calls.pop(frame.call, None)
            return None
        earlier = self.calls.get(frame.call)
        exchange = finished(*meta, frame, earlier, bodies)
        if earlier is not None:
            earlier.ended = earlier.given = True
        return exchange

    def _began(self, frame: Frame, opening: Opening | None) -> OpenCall:
        call = self.calls[frame.call] = OpenCall(frame.call, opening, frame.life, self._place.number)
        return call

    def _part(self, frame: Frame, first: int, following: int) -> Part:
        return Part(first, following, self._place.number, self._place.offset, frame.size)

    def _unreadable(self, frame: Frame) -> None:
        self.damaged += 1
        log.warning("A record of call %s is whole but says nothing this version understands.", frame.call.hex())

    def _interrupted(self, room: Room, bodies: Bodies) -> list[Exchange]:
        """Return calls whose writer died before their end, as many as there is room for."""
        found: list[Exchange] = []
        for call in list(self.calls.values()):
            if not room.left:
                return found
            if self._was_interrupted(call):
                call.given = True
                exchange = interrupted(call, bodies)
                if exchange is not None:
                    self._owing = True
                    found.append(exchange)
                    room.take(exchange)
        self._look_for_interrupted = False
        return found

    def _was_interrupted(self, call: OpenCall) -> bool:
        dead = self._dead and self._exhausted
        return not call.ended and not call.given and (dead or call.life < self._life)

    # Putting behind us

    def saved(self) -> None:
        """Forget what was returned, and delete what nothing needs any more."""
        for call in [call for call in self.calls.values() if call.given]:
            del self.calls[call.call]
        if self._place != self._saved or self._place_owed:
            self._note_place()
            self._saved = self._place
        self._owing = False
        if not self._place_owed:
            self._clear()

    def _note_place(self) -> None:
        """Write down how far everything is safe. Where that fails, nothing is deleted, and nothing is given again before the next start."""
        try:
            write_place(self.path, max(self._place, self._consumed))
        except OSError as error:
            if not self._place_owed:
                log.warning("The place in %s cannot be written, so nothing there is deleted: %s", self.path.name, error)
            self._place_owed = True
        else:
            self._place_owed = False

    def rewind(self) -> None:
        """Return again what was returned since the last `saved`."""
        for call in self.calls.values():
            if call.given:
                call.given = False
                self._look_for_interrupted = True
        if self._place.number != self._saved.number:
            self.close()
        self._place = self._saved
        self._exhausted = self._owing = False

    def _clear(self) -> None:
        number = self._place.number
        calls = list(self.calls.values())
        if self._dead and self._exhausted and not calls:
            self.close()
            self._delete(number + 1)
            return
        consumed = [name for name in self._names if name < number]
        if not consumed:
            return
        pinned = [call for call in calls if call.segment < number]
        self._delete(min((call.segment for call in pinned), default=number))
        consumed = [name for name in consumed if name in self._names]
        live = live_bytes(pinned, number)
        if len(consumed) > 1 and sum(map(self._size, consumed)) - live >= max(live, self._garbage_bytes):
            self._carry(max(consumed), pinned)

    def _carry(self, target: int, pinned: list[OpenCall]) -> None:
        try:
            carry_over(self._names[target], self._names, pinned)
        except OSError as error:
            log.warning("Old segments of the journal could not be cleared up: %s", error.strerror)
            return
        self._delete(target)

    def _delete(self, before: int) -> None:
        """Delete the segments below number `before`, the oldest first."""
        for number in [number for number in self._names if number < before]:
            with suppress(FileNotFoundError):
                self._names[number].path.unlink()
            del self._names[number]

    # Segments

    @property
    def unread_bytes(self) -> int:
        """Bytes of records that were not read, or were returned and are not known to be safe in the store.

        The room that is set aside in the newest segment does not count.
        """
        start = self._saved if self._owing else self._place
        names = [name for name in segments_in(self.path) if name.number >= start.number]
        total = 0
        for name in names:
            begin = start.offset if name.number == start.number else 0
            with suppress(FileNotFoundError):
                end = written_end(name, begin) if name is names[-1] else name.path.stat().st_size
                total += max(0, end - begin)
        return total

    def _first_from(self, number: int) -> int | None:
        """Return the first segment's number from `number` on, looking for new ones if none is known."""
        found = min((known for known in self._names if known >= number), default=None)
        if found is None:
            self._list()
            found = min((known for known in self._names if known >= number), default=None)
        return found

    def _list(self) -> None:
        # The dictionary stays the same one: `Bodies` looks into it while it changes.
        for name in segments_in(self.path):
            self._names.setdefault(name.number, name)

    def _drop_superseded(self) -> None:
        for number in sorted(self._names, reverse=True):
            if supersedes(self._names[number]):
                sync_folder(self.path)  # the rename first, then the deletes
                self._delete(number)
                return

    def _size(self, number: int) -> int:
        try:
            return self._names[number].path.stat().st_size
        except FileNotFoundError:
            return 0
