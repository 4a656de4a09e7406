"""What the gate has counted, for Prometheus; the workers of one machine together.

Each worker writes its counters to a small file now and then; whichever worker is asked adds them up. Label values come from closed sets.
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from gateway.gate import Gate
from storage.journal import JournalWriter

Sample = tuple[str, tuple[tuple[str, str], ...], float]

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
}


def samples(gate: Gate, journal: JournalWriter) -> list[Sample]:
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
        text = json.dumps({"pid": os.getpid(), "samples": self._own()})
        if text != self._written:
            temporary = self._path.with_suffix(".tmp")
            temporary.write_text(text)
            temporary.replace(self._path)
            self._written = text

    def text(self) -> str:
        """Return all workers' counters in Prometheus' text format."""
        total: dict[tuple[str, tuple[tuple[str, str], ...]], float] = defaultdict(float)
        for name, labels, value in self._all():
            total[name, labels] += value
        return exposition(total)

    def _all(self) -> Iterable[Sample]:
        yield from self._own()
        for path in self._folder.glob("gate-*.json"):
            if path != self._path:
                yield from _read(path)


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
    return own if alive else [sample for sample in own if HELP.get(sample[0], ("",))[0] == "counter"]


def exposition(total: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]) -> str:
    """Return samples in Prometheus' text format, version 0.0.4."""
    lines: list[str] = []
    for name, (kind, text) in HELP.items():
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        for (sample, labels), value in sorted(total.items()):
            if sample == name:
                shown = ",".join(f'{key}="{_escaped(value_of)}"' for key, value_of in labels)
                lines.append(f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
