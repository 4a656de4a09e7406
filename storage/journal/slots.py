"""Which writer has which folder: a lock on `gate-N/lock`, held for life. The kernel frees it when the process ends, however it ends."""

import fcntl
import os
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from storage.journal.segments import PRIVATE, make_folder, make_place

TRIES, PAUSE = 3, 0.001


class JournalInUse(RuntimeError):
    """Another office reads this journal; two would each record half of it."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A writer's own folder and the lock on it."""

    folder: Path
    lock: int

    def release(self) -> None:
        """Give the folder up."""
        os.close(self.lock)


def take_slot(root: Path) -> Slot:
    """Take the first folder under `root` that no living writer has.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    make_folder(root)
    for number in count():
        folder = root / f"gate-{number}"
        make_folder(folder)
        lock = _locked(folder / "lock", TRIES)
        if lock is not None:
            # While there is room: on a full disk the reader could not, and without it nothing may be deleted.
            make_place(folder)
            return Slot(folder, lock)
    raise AssertionError  # pragma: no cover - `count` does not end


def writer_lives(folder: Path) -> bool:
    """Return whether some process writes to this folder now."""
    try:
        file = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def lock_for_reading(root: Path) -> int:
    """Return the lock that keeps other readers away; closing it gives it up.

    Raises:
        JournalInUse: somebody else has it.
    """
    make_folder(root)
    lock = _locked(root / "reader.lock", 1)
    if lock is None:
        raise JournalInUse(f"Another office already reads the journal in {root}. Stop it first, or use another data folder.")
    return lock


def _locked(path: Path, tries: int) -> int | None:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    for left in reversed(range(tries)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # A reader that looks whether we live holds the lock for a moment.
            time.sleep(PAUSE if left else 0)
        else:
            return file
    os.close(file)
    return None
