"""Reading the records of one segment, whatever is in the file."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from storage.journal.frame import Frame
from storage.journal.frames import SMALLEST, frame_in, size_in
from storage.journal.segments import SegmentName, segments_in

# How much is read at once: little at first, since mostly a few new records are looked for, and the room behind them is empty.
FIRST_WINDOW, WINDOW = 16 * 1024, 256 * 1024
SEARCH = 2**20
_NOTHING = memoryview(b"")


class SegmentFile:
    """One segment, open for reading. It may still grow, or become shorter, while it is read."""

    def __init__(self, name: SegmentName) -> None:
        """Open it.

        Raises:
            OSError: it is not there or cannot be read.
        """
        self.name = name
        self._file = os.open(name.path, os.O_RDONLY | os.O_CLOEXEC)
        self._start = 0
        self._window = _NOTHING
        self._wanted = FIRST_WINDOW

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def refresh(self) -> None:
        """Forget what was read of it: there may be more now."""
        self._window = _NOTHING
        self._wanted = FIRST_WINDOW

    @property
    def size(self) -> int:
        """Its size now, with the room that is set aside."""
        return os.fstat(self._file).st_size

    def size_at(self, offset: int) -> int | None:
        """Return the size of the record that begins at `offset`, whole or not, or None if none begins there."""
        return size_in(self._bytes(offset, SMALLEST), self.name.marker)

    def frame_at(self, offset: int) -> Frame | None:
        """Return the record at `offset`, or None if there is no whole one."""
        at = offset - self._start
        if at >= 0 and at + SMALLEST <= len(self._window):  # nearly always
            frame = frame_in(self._window[at:], self.name.marker)
            if frame is not None:
                return frame
        size = self.size_at(offset)
        if size is None:
            return None
        return frame_in(self._bytes(offset, size), self.name.marker)

    def next_frame(self, offset: int) -> int | None:
        """Return where the first whole record at or after `offset` is, or None if there is none: the search behind a damaged one."""
        for place in self._markers(offset):
            if self.frame_at(place) is not None:
                return place
        return None

    def _markers(self, offset: int) -> Iterator[int]:
        """Yield every place from `offset` on where a record may begin."""
        marker = self.name.marker
        while True:
            data = os.pread(self._file, SEARCH, offset)
            found = data.find(marker)
            while found >= 0:
                yield offset + found
                found = data.find(marker, found + 1)
            if len(data) < SEARCH:
                return
            offset += len(data) - len(marker) + 1

    def _bytes(self, offset: int, size: int) -> memoryview:
        """Return `size` bytes at `offset`, fewer if the file ends before."""
        at = offset - self._start
        if at < 0 or at + size > len(self._window):
            # A damaged length may ask for gigabytes; never make room for more than there is.
            wanted = min(max(size, self._wanted), max(0, self.size - offset))
            self._wanted = min(4 * self._wanted, WINDOW)
            self._window = memoryview(os.pread(self._file, wanted, offset)) if wanted > 0 else _NOTHING
            self._start, at = offset, 0
        return self._window[at : at + size]


def written_end(name: SegmentName, start: int) -> int:
    """Return where the records of a segment end that follow each other from `start` on: what is set aside behind them is no record.

    Only their heads are looked at. A damaged record that hides others ends the count before it.

    Raises:
        OSError: the segment is not there or cannot be read.
    """
    file = SegmentFile(name)
    try:
        end = start
        while (size := file.size_at(end)) is not None:
            end += size
        return end
    finally:
        file.close()


def trim_last(folder: Path) -> None:
    """Give back the room that a killed writer had set aside in its last segment."""
    with suppress(OSError):  # then it stays until the segment is consumed
        for name in segments_in(folder)[-1:]:
            os.truncate(name.path, _end_of_records(name))


def _end_of_records(name: SegmentName) -> int:
    file = SegmentFile(name)
    try:
        end: int | None = 0
        found = 0
        while end is not None:
            while (frame := file.frame_at(end)) is not None:
                end += frame.size
            found = end
            end = file.next_frame(end + 1)
        return found
    finally:
        file.close()
