"""What the gate and the office have counted, for Prometheus; the workers of one machine together.

Each worker writes its counters to a small file now and then, and so does the office; whichever worker is asked adds them up. Label values come
from closed sets.
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the office, which tells its counters too, has no use for the gate's parts
    from gateway.gate import Gate
    from storage.journal import JournalWriter

Sample = tuple[str, tuple[tuple[str, str], ...], float]
OFFICE_FILE = "office.json"

HELP = {
    "faregate_calls_total": ("counter", "Calls that ended, by how they ended and the answer's class."),
    "faregate_refused_requests_total": ("counter", "Requests refused before they were calls, by error code."),
    "faregate_calls_running": ("gauge", "Calls that run now."),
    "faregate_connections": ("gauge", "Open connections of callers."),
    "faregate_record_barrier_timeouts_total": (
        "counter",
        "Answers passed on before their record was safe, because the disk was slow.",
    ),
    "faregate_record_unsynced_waits_total": (
        "counter",
        "Answers passed on before their record was safe, because the disk failed.",
    ),
    "faregate_journal_records_total": ("counter", "Records written to the journal."),
    "faregate_journal_commits_total": ("counter", "Groups of records synced to disk."),
    "faregate_journal_written_bytes_total": ("counter", "Bytes written to the journal."),
    "faregate_journal_shed_bodies_total": ("counter", "Bodies not kept because the journal was at its bound."),
    "faregate_journal_lost_records_total": ("counter", "Records that could not be kept."),
    "faregate_journal_disk_errors_total": ("counter", "Failed writes and syncs of the journal."),
    "faregate_journal_pending_bytes": ("gauge", "Bytes that wait on disk for the office."),
    "faregate_journal_waiting_bytes": ("gauge", "Bytes in memory that wait for the disk."),
    "faregate_deliveries_total": (
        "counter",
        "Deliveries that came to an end well, by destination: delivered; and of those refused, which it did not keep, without saying which.",
    ),
    "faregate_deliveries_accepted": (
        "gauge",
        "Deliveries that were ever owed to a destination and not sent to another one instead.",
    ),
    "faregate_deliveries_pending": ("gauge", "Deliveries that wait for their destination or are on their way."),
    "faregate_deliveries_dead": (
        "gauge",
        "Deliveries that will not be tried again by themselves. Accepted is delivered, pending and dead together, always.",
    ),
    "faregate_delivery_oldest_age_seconds": ("gauge", "How long the oldest pending delivery has been owed."),
    "faregate_delivery_attempts_total": (
        "counter",
        "Requests to destinations, by what came of them, since the office was started.",
    ),
    "faregate_delivery_sent_bytes_total": ("counter", "Bytes sent to destinations, since the office was started."),
    "faregate_delivery_in_flight": ("gauge", "Requests to destinations that are on their way."),
    "faregate_delivery_breaker_open": (
        "gauge",
        "Whether nothing but single tries goes to a destination, since it failed too often: 1, or 0.",
    ),
    "faregate_delivery_lag_seconds": (
        "histogram",
        "How long live deliveries took from when they were owed until they were taken.",
    ),
    "faregate_destination_state": ("gauge", "The state that a destination is in: 1 for the one that it is."),
}
# What a histogram is made of, by the ends of the names.
_PARTS = ("_bucket", "_sum", "_count")


def samples(gate: "Gate", journal: "JournalWriter") -> list[Sample]:
    """Return this worker's counters."""
    counters = journal.counters
    ended: Counter[tuple[str, str]] = Counter()
    for (ending, status), count in gate.ended.items():
        ended[ending, f"{status // 100}xx" if status else "none"] += count
    found: list[Sample] = [
        ("faregate_calls_total", (("ending", ending), ("status", status)), count) for (ending, status), count in ended.items()
    ]
    found += [("faregate_refused_requests_total", (("code", code),), count) for code, count in gate.refused.items()]
    found += [
        ("faregate_calls_running", (), gate.running),
        ("faregate_connections", (), gate.open_connections()),
        ("faregate_record_barrier_timeouts_total", (), counters.barrier_timeouts),
        ("faregate_record_unsynced_waits_total", (), counters.unsynced_waits),
        ("faregate_journal_records_total", (), counters.records),
        ("faregate_journal_commits_total", (), counters.commits),
        ("faregate_journal_written_bytes_total", (), counters.bytes),
        ("faregate_journal_shed_bodies_total", (), counters.shed_bodies),
        ("faregate_journal_lost_records_total", (), counters.lost_records),
        ("faregate_journal_disk_errors_total", (), counters.disk_errors),
        ("faregate_journal_pending_bytes", (), journal.pending_bytes),
        ("faregate_journal_waiting_bytes", (), journal.waiting_bytes),
    ]
    return found


class SharedCounters:
    """The counters of all workers, through files in one folder."""

    def __init__(self, folder: Path, worker: int, own: Callable[[], list[Sample]]) -> None:
        """Write this worker's file as `gate-<worker>.json` in `folder`."""
        self._folder = folder
        self._path = folder / f"gate-{worker}.json"
        self._own = own
        self._written = ""

    def write(self) -> None:
        """Write this worker's counters, if they have changed."""
        self._written = write_samples(self._path, self._own(), self._written)

    def text(self) -> str:
        """Return all workers' counters in Prometheus' text format."""
        total: dict[tuple[str, tuple[tuple[str, str], ...]], float] = defaultdict(float)
        for name, labels, value in self._all():
            total[name, labels] += value
        return exposition(total)

    def _all(self) -> Iterable[Sample]:
        yield from self._own()
        for path in (*self._folder.glob("gate-*.json"), self._folder / OFFICE_FILE):
            if path != self._path:
                yield from _read(path)


def write_samples(path: Path, samples: list[Sample], written: str) -> str:
    """Write a process's samples to its file, unless they are what was `written` there before; return what is there now."""
    text = json.dumps({"pid": os.getpid(), "samples": samples})
    if text != written:
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(path)
    return text


def _read(path: Path) -> list[Sample]:
    try:
        found = json.loads(path.read_text())
        alive = Path(f"/proc/{int(found['pid'])}").exists() or not Path("/proc/self").exists()
        own = [
            (str(name), tuple((str(key), str(text)) for key, text in labels), float(value))
            for name, labels, value in found["samples"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    # A worker that died keeps what it counted, but not what it had open.
    return own if alive else [sample for sample in own if HELP.get(family_of(sample[0]), ("",))[0] in {"counter", "histogram"}]


def family_of(name: str) -> str:
    """Return the family that a sample belongs to: its own name, or that of the histogram that it is a part of."""
    for part in _PARTS:
        family = name.removesuffix(part)
        if family != name and HELP.get(family, ("",))[0] == "histogram":
            return family
    return name


def exposition(total: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]) -> str:
    """Return samples in Prometheus' text format, version 0.0.4."""
    lines: list[str] = []
    families = defaultdict(list)
    for (sample, labels), value in sorted(total.items(), key=_order):
        families[family_of(sample)].append((sample, labels, value))
    for name, (kind, text) in HELP.items():
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        for sample, labels, value in families[name]:
            if kind != "histogram" or sample != name:
                shown = ",".join(f'{key}="{_escaped(value_of)}"' for key, value_of in labels)
                lines.append(f"{sample}{{{shown}}} {_number(value)}" if shown else f"{sample} {_number(value)}")
    return "\n".join(lines) + "\n"


def _order(item: tuple[tuple[str, tuple[tuple[str, str], ...]], float]) -> tuple[Any, ...]:
    """Order samples by name and labels; the buckets of a histogram by their bounds, as Prometheus demands."""
    (sample, labels), _ = item
    return sample, [(name, float(text) if name == "le" else 0.0, text) for name, text in labels]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
