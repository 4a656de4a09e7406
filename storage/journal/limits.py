"""What bounds a journal, and what it counts."""

from dataclasses import dataclass

MEBIBYTE = 2**20
GIBIBYTE = 2**30


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """Bounds of one writer.

    `disk_bytes` bounds the segments of this writer that are not yet consumed, `memory_bytes` what waits for the disk. When either is
    reached, bodies are shed first and records last. A `closed` may wait `group_delay` seconds to share a commit with others; an
    `opened` is committed at once, unless commits come fast and the last one began less than `busy_gap` seconds ago: at thousands of calls
    a second that halves the cost of a call (`bench/journal.py`), and a provider thinks for longer. `ballast_bytes` of disk are set aside
    to be given up when the disk is full; 0 sets nothing aside.
    """

    disk_bytes: int = 10 * GIBIBYTE
    memory_bytes: int = 64 * MEBIBYTE
    segment_bytes: int = 16 * MEBIBYTE
    group_delay: float = 0.005
    reject_when_full: bool = False
    busy_gap: float = 0.001
    ballast_bytes: int = 16 * MEBIBYTE


@dataclass(slots=True)
class JournalCounters:
    """What a writer did since it began.

    `shed_bodies` are records kept without their bodies, `lost_records` those not kept at all. `unsynced_waits` are those who waited for
    a commit and were let go without one, because the disk failed. The gate counts `barrier_timeouts` itself.
    """

    records: int = 0
    bytes: int = 0
    commits: int = 0
    shed_bodies: int = 0
    lost_records: int = 0
    disk_errors: int = 0
    unsynced_waits: int = 0
    barrier_timeouts: int = 0
