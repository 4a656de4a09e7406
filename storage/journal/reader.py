"""The journal as the office reads it: the finished exchanges of all writers, and the interrupted ones."""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from domain.exchange import Exchange, Opening
from storage.journal.folder import FolderReader, Room
from storage.journal.slots import lock_for_reading

log = logging.getLogger(__name__)

GARBAGE_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class JournalLag:
    """How far the reader is behind: bytes of records that are not safe in the store, calls that run, records that could not be read."""

    pending_bytes: int
    open_calls: int
    damaged_records: int


class JournalReader:
    """Reads every `gate-*` folder under a root, each strictly in order. Belongs to one thread; `running` and `lag` may be asked from any.

    What was returned and not yet `saved` is returned again after a crash or a `rewind`; the store knows calls by their ids.
    """

    def __init__(self, root: Path, *, garbage_bytes: int = GARBAGE_BYTES) -> None:
        """Begin where the last reader left off.

        `garbage_bytes`: calls still open are carried out of old segments when so many bytes there are needed by nobody.

        Raises:
            JournalInUse: another reader has this root.
            OSError: the folder cannot be read.
        """
        self._root = root
        self._garbage_bytes = garbage_bytes
        self._lock = lock_for_reading(root)
        self._folders: dict[str, FolderReader] = {}
        self._failing: set[str] = set()
        self._turn = 0

    def read(self, most: int = 256, most_bytes: int = 16 * 2**20) -> list[Exchange]:
        """Return the next finished or interrupted exchanges, none if there are none now."""
        room = Room(most, most_bytes)
        found: list[Exchange] = []
        for folder in self._in_turn():
            if not room.left:
                break
            try:
                found += folder.read(room)
            except OSError as error:
                self._failed(folder.path.name, error)
            else:
                self._failing.discard(folder.path.name)
        return found

    def saved(self) -> None:
        """Put behind us what was returned so far: it is safe in the store."""
        for folder in list(self._folders.values()):
            try:
                folder.saved()
            except OSError as error:
                self._failed(folder.path.name, error)

    def rewind(self) -> None:
        """Return again what was returned since the last `saved`: the store did not take it."""
        for folder in self._folders.values():
            folder.rewind()

    def running(self) -> list[Opening]:
        """Return the calls that were opened and have not ended, as far as was read."""
        calls = [call for folder in list(self._folders.values()) for call in list(folder.calls.values())]
        return [call.opening for call in calls if call.opening is not None and not call.ended and not call.given]

    @property
    def lag(self) -> JournalLag:
        """How far the reader is behind."""
        folders = list(self._folders.values())
        pending = 0
        for folder in folders:
            with suppress(OSError):
                pending += folder.unread_bytes
        damaged = sum(folder.damaged for folder in folders)
        return JournalLag(pending, len(self.running()), damaged)

    @property
    def pending_bytes(self) -> int:
        """Bytes of records that are not known to be safe in the store."""
        return self.lag.pending_bytes

    def close(self) -> None:
        """Let another reader have the root."""
        for folder in self._folders.values():
            folder.close()
        os.close(self._lock)

    def _in_turn(self) -> Iterator[FolderReader]:
        """Yield the folders, another one first each time, so that none waits for ever behind a busy one."""
        self._find_folders()
        folders = list(self._folders.values())
        self._turn += 1
        start = self._turn % len(folders) if folders else 0
        yield from folders[start:]
        yield from folders[:start]

    def _find_folders(self) -> None:
        with os.scandir(self._root) as entries:
            names = sorted(entry.name for entry in entries if entry.name.startswith("gate-") and entry.name not in self._folders)
        for name in names:
            try:
                self._folders[name] = FolderReader(self._root / name, self._garbage_bytes)
            except OSError as error:
                self._failed(name, error)

    def _failed(self, name: str, error: OSError) -> None:
        if name not in self._failing:
            self._failing.add(name)
            log.error("The journal's folder %s cannot be read: %s", name, error.strerror)
