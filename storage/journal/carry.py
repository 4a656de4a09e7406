"""Carrying calls that are still open out of old segments, so that a stream of hours does not keep everything that passed beside it.

The calls go to a new file, which takes the place of the newest of the old segments in one step (a rename) and says that it supersedes all
before it; only then are those deleted. Cut off before the rename, nothing happened; cut off after it, the next reader deletes them.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from storage.journal.calls import Bodies, OpenCall, Part
from storage.journal.frames import HEAD, NO_CALL, Kind, Payload, encoded_opening, payload_of
from storage.journal.scan import SegmentFile
from storage.journal.segments import PRIVATE, SegmentName, sync_folder

UNFINISHED = ".carrying"


def supersedes(name: SegmentName) -> bool:
    """Return whether this segment stands for all before it. One that cannot be read does not say so."""
    try:
        file = SegmentFile(name)
        try:
            frame = file.frame_at(0)
        finally:
            file.close()
    except OSError:
        return False
    return frame is not None and frame.kind == Kind.SUPERSEDES


def drop_unfinished(folder: Path) -> None:
    """Delete what a carrying that was cut off left behind."""
    for path in folder.glob(f"*{UNFINISHED}"):
        path.unlink(missing_ok=True)


def carry_over(target: SegmentName, names: Mapping[int, SegmentName], calls: Iterable[OpenCall]) -> None:
    """Replace segment `target` by one that holds what `calls` need of it and of all before it. Those before it may be deleted then.

    Raises:
        OSError: the disk does not take it; everything is as before.
    """
    temporary = target.path.with_suffix(UNFINISHED)
    carried: list[tuple[OpenCall, Part]] = []
    try:
        with Bodies(names) as bodies, open(temporary, "wb", opener=_private) as file:
            _write(file, target.marker, payload_of(Kind.SUPERSEDES, 0, 0, NO_CALL, b""))
            carried.extend((call, _carry(file, target, call, bodies)) for call in calls)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    temporary.replace(target.path)
    sync_folder(target.path.parent)
    for call, part in carried:
        _moved(call, part, target.number)


def _carry(file: BinaryIO, target: SegmentName, call: OpenCall, bodies: Bodies) -> Part:
    """Write one call, its pieces joined; return where."""
    parts = [part for part in call.whole_parts()[0] if part.segment <= target.number]
    request, response, _ = bodies.sections(parts)
    pieces = parts[len(request) - 1].next if request else 0
    payload = payload_of(
        Kind.CARRIED, call.life, pieces, call.call, encoded_opening(call.opening), request=request, response=response
    )
    offset = file.tell()
    return Part(0, pieces, target.number, offset, _write(file, target.marker, payload))


def _moved(call: OpenCall, carried: Part, number: int) -> None:
    later = {first: part for first, part in call.parts.items() if part.segment > number}
    call.parts = {0: carried, **later} if carried.next else later
    call.segment = number


def _write(file: BinaryIO, marker: bytes, payload: Payload) -> int:
    file.write(HEAD.pack(marker, payload.crc))
    file.writelines(payload.pieces)
    return HEAD.size + payload.size


def live_bytes(calls: Sequence[OpenCall], before: int) -> int:
    """Return how many bytes of bodies `calls` need of the segments below number `before`."""
    return sum(part.size for call in calls for part in call.parts.values() if part.segment < before)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)
