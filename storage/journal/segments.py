"""The files of one writer's folder: numbered segments, and the place up to which they are consumed.

A segment is named `<number>-<marker>.segment`. Numbers only grow, also over restarts: a writer begins above every segment there is and above
the consumed place, and a reader writes the place before it deletes.
"""

import os
import secrets
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from storage.journal.frames import HEAD, Payload

PRIVATE: Final = 0o600
IOV_MAX: Final = 1024
SUFFIX: Final = ".segment"
_PLACE = struct.Struct("<IIQ")


@dataclass(frozen=True, slots=True)
class SegmentName:
    """A segment's number and marker, as its file's name says them."""

    path: Path
    number: int
    marker: bytes


class Place(NamedTuple):
    """A place in a folder: everything before `offset` of segment `number`."""

    number: int
    offset: int


def segments_in(folder: Path) -> list[SegmentName]:
    """Return a folder's segments in order."""
    with os.scandir(folder) as entries:
        found = [_parsed(Path(entry.path)) for entry in entries if entry.name.endswith(SUFFIX)]
    return sorted((name for name in found if name is not None), key=lambda name: name.number)


def bytes_in(folder: Path) -> int:
    """Return how many bytes a folder's segments have."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                total += _size(entry)
    return total


def next_number(folder: Path) -> int:
    """Return a number that no segment of this folder has or had."""
    # First the segments, then the place: a reader writes the place before it deletes.
    numbers = [name.number for name in segments_in(folder)]
    return max([*numbers, read_place(folder).number]) + 1


def read_place(folder: Path) -> Place:
    """Return the consumed place; the very beginning if it is not known."""
    try:
        data = (folder / "place").read_bytes()
        crc, number, offset = _PLACE.unpack(data)
    except (OSError, struct.error):
        return Place(0, 0)
    return Place(number, offset) if zlib.crc32(data[4:]) == crc else Place(0, 0)


def write_place(folder: Path, place: Place) -> None:
    """Write the consumed place over the old one.

    It is not synced: an older place, or none, makes a reader give again what the store has already, and nothing else. Written over
    itself, the file needs no new room on a full disk.
    """
    data = _PLACE.pack(0, place.number, place.offset)[4:]
    file = os.open(folder / "place", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        os.pwrite(file, zlib.crc32(data).to_bytes(4, "little") + data, 0)
    finally:
        os.close(file)


def make_place(folder: Path) -> None:
    """Make the file that the consumed place is written over, if it is not there."""
    if not (folder / "place").exists():
        write_place(folder, Place(0, 0))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def make_folder(path: Path) -> None:
    """Make a folder that only its owner can read, durably."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(path.parent)


class Segment:
    """A segment being written. Only the writer's thread touches it."""

    def __init__(self, folder: Path, number: int, room: int) -> None:
        """Make the file, its name durable, with `room` set aside for its bytes: then syncing need not write its size each time.

        Raises:
            OSError: the disk does not take it.
        """
        self.marker = secrets.token_bytes(8)
        self.path = folder / f"{number:010d}-{self.marker.hex()}{SUFFIX}"
        self.number = number
        self.written = 0
        self._synced = 0
        self._room = 0
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        try:
            self._set_aside(room)
            sync_folder(folder)
        except OSError:
            self.retire()
            raise

    @property
    def has_records(self) -> bool:
        """Whether anything in it is durable."""
        return self._synced > 0

    @property
    def file_size(self) -> int:
        """The size of the file, with the room that is set aside."""
        return max(self.written, self._room)

    def append(self, payloads: Sequence[Payload]) -> None:
        """Write records behind each other. They are durable after the next `sync`.

        Raises:
            OSError: the disk does not take them; how much of them is in the file is not known.
        """
        pieces: list[bytes] = []
        for payload in payloads:
            pieces.append(HEAD.pack(self.marker, payload.crc))
            pieces.extend(payload.pieces)
        for start in range(0, len(pieces), IOV_MAX):
            self._write(pieces[start : start + IOV_MAX])

    def sync(self) -> None:
        """Make everything written durable.

        Raises:
            OSError: it may be lost, and a second try would say nothing about it: write it again, to a new segment.
        """
        _sync_data(self._file)
        self._synced = self.written

    def retire(self) -> int:
        """Close the file, without the room that was set aside and without what is not durable; return what is left."""
        with suppress(OSError):  # a reader finds the end anyway
            os.ftruncate(self._file, self._synced)
        with suppress(OSError):
            os.close(self._file)
        return self._synced

    def _set_aside(self, room: int) -> None:
        if not room or not hasattr(os, "posix_fallocate"):
            return
        with suppress(OSError):  # appending to an empty file still works with the room there is
            os.posix_fallocate(self._file, 0, room)
            self._room = room

    def _write(self, pieces: list[bytes]) -> None:
        while pieces:
            done = os.pwritev(self._file, pieces, self.written)
            self.written += done
            pieces = _rest(pieces, done)


def _rest(pieces: list[bytes], done: int) -> list[bytes]:
    """Return what of `pieces` follows their first `done` bytes."""
    for index, piece in enumerate(pieces):
        if done < len(piece):
            return [piece[done:], *pieces[index + 1 :]]
        done -= len(piece)
    return []


def _sync_data(file: int) -> None:
    if hasattr(os, "fdatasync"):
        os.fdatasync(file)
    else:
        os.fsync(file)


def _parsed(path: Path) -> SegmentName | None:
    number, _, marker = path.name.removesuffix(SUFFIX).partition("-")
    try:
        return SegmentName(path, int(number), bytes.fromhex(marker))
    except ValueError:
        return None


def _size(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:
        return 0
