"""Playing a tape of `recorder.c`: what a disk holds after the power went at a given moment.

What was synced is there. What was not may be there, or not, or in part: bytes of a file until the file is synced, names until their folder is.
"""

import os
import random
import shutil
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ENTRY = struct.Struct("<cHHQQ")
SECTOR = 512

Mode = Literal["kept", "drop", "prefix", "random"]
"""What becomes of what was not synced: all is kept (the process was killed), none, the first so many, any of it (also torn)."""


@dataclass(frozen=True, slots=True)
class Entry:
    kind: str
    path: str
    second: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Recording:
    """What a process did to a folder."""

    folder: Path
    entries: list[Entry]


@dataclass(slots=True)
class File:
    """One file's bytes on the disk, and what was done since the last sync."""

    data: bytearray = field(default_factory=bytearray)
    pending: list[Entry] = field(default_factory=list)

    def apply(self, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.kind == "W":
                self._grow(entry.offset + len(entry.data))
                self.data[entry.offset : entry.offset + len(entry.data)] = entry.data
            elif entry.kind == "T":
                self._grow(entry.offset)
                del self.data[entry.offset :]
            else:
                self._grow(entry.offset)

    def _grow(self, size: int) -> None:
        if len(self.data) < size:
            self.data.extend(bytes(size - len(self.data)))


class Disk:
    """Files and names as the process saw them, and as the disk is sure to have them."""

    def __init__(self) -> None:
        self.seen: dict[str, File] = {}
        self.sure: dict[str, File] = {}
        self.names: dict[str, list[tuple[Entry, File]]] = {}
        self.said: list[str] = []

    def play(self, entry: Entry) -> None:
        if entry.kind == "A":
            self.said += entry.data.decode().splitlines()
        elif entry.kind == "O":
            self._name(entry, self.seen.setdefault(entry.path, File()))
        elif entry.kind == "R":
            file = self.seen[entry.second] = self.seen.pop(entry.path)
            self._name(entry, file)
        elif entry.kind == "U":
            self._name(entry, self.seen.pop(entry.path))
        elif entry.kind == "S":
            self._sync(entry.path)
        else:
            self.seen[entry.path].pending.append(entry)

    def after_power_loss(self, mode: Mode, chance: random.Random) -> dict[str, bytes]:
        """Return the files there are, by path. The disk itself is used up by this."""
        for entries in self.names.values():
            for entry, file in _left([*entries], mode, chance):
                _rename(self.sure, entry, file)
        found = {}
        for path, file in self.sure.items():
            file.apply([_torn(entry, chance) if mode == "random" else entry for entry in _left(file.pending, mode, chance)])
            found[path] = bytes(file.data)
        return found

    def _name(self, entry: Entry, file: File) -> None:
        self.names.setdefault(str(Path(entry.second or entry.path).parent), []).append((entry, file))

    def _sync(self, path: str) -> None:
        file = self.seen.get(path)
        if file is not None:
            file.apply(file.pending)
            file.pending = []
        for entry, named in self.names.pop(path, []):
            _rename(self.sure, entry, named)


def _rename(names: dict[str, File], entry: Entry, file: File) -> None:
    if entry.kind == "U":
        if names.get(entry.path) is file:
            del names[entry.path]
        return
    if entry.kind == "R":
        names.pop(entry.path, None)
    names[entry.second or entry.path] = file


def _left(pending: list, mode: Mode, chance: random.Random) -> list:
    if mode == "drop":
        return []
    if mode == "prefix":
        return pending[: chance.randint(0, len(pending))]
    if mode == "random":
        return [entry for entry in pending if chance.random() < 0.5]
    return pending


def _torn(entry: Entry, chance: random.Random) -> Entry:
    if entry.kind != "W" or len(entry.data) <= SECTOR or chance.random() > 0.2:
        return entry
    sectors = chance.randint(0, len(entry.data) // SECTOR)
    if chance.random() < 0.5:
        return Entry("W", entry.path, "", entry.offset, entry.data[: sectors * SECTOR])
    return Entry("W", entry.path, "", entry.offset + sectors * SECTOR, entry.data[sectors * SECTOR :])


def load(tape: Path) -> list[Entry]:
    data = tape.read_bytes()
    entries = []
    at = 0
    while at + ENTRY.size <= len(data):
        kind, path, second, offset, size = ENTRY.unpack_from(data, at)
        at += ENTRY.size
        names = data[at : at + path].decode(), data[at + path : at + path + second].decode()
        at += path + second
        entries.append(Entry(kind.decode(), *names, offset, data[at : at + size]))
        at += size
    return entries


def disk_after(entries: list[Entry]) -> Disk:
    disk = Disk()
    for entry in entries:
        disk.play(entry)
    return disk


def write_files(files: dict[str, bytes], folder: str, target: Path) -> None:
    """Write files that were under `folder` anew, under `target`."""
    for path, data in files.items():
        place = target / os.path.relpath(path, folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def compiled(target: Path) -> Path | None:
    """Compile the recorder; None where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = target / "recorder.so"
    source = Path(__file__).with_name("recorder.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl", "-lpthread"], check=True)
    return library
