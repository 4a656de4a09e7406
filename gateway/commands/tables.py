"""Text for people: tables, numbers and times."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

# What may not reach a terminal: a model's name or a label could hold sequences that rewrite the screen.
_CONTROL = dict.fromkeys((*range(32), 127, *range(128, 160)), "�")
NOTHING = "–"  # noqa: RUF001 - a dash, as it is typeset
_KILO = 1024


def clean(text: Any) -> str:
    """Return `text` in one line, without anything that a terminal would obey."""
    return str(text).translate(_CONTROL)


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows under headings, in columns; numbers stand at the right."""
    cells = [[clean(NOTHING if cell is None or cell == "" else cell) for cell in row] for row in rows]
    widths = [max([len(heading), *(len(row[index]) for row in cells)]) for index, heading in enumerate(headings)]
    right = [bool(rows) and all(isinstance(row[index], int | float | None) for row in rows) for index in range(len(headings))]
    lines = [_line(list(headings), widths, right), *(_line(row, widths, right) for row in cells)]
    return "\n".join(lines)


CALL_HEADINGS = ("time", "status", "model", "section", "in", "out", "cost", "first", "ms", "id")
CALL_WIDTHS = (8, 11, 24, 20, 7, 6, 10, 6, 7, 32)


def call_row(call: Mapping[str, Any]) -> list[Any]:
    """Return one call as a row under `CALL_HEADINGS`."""
    usage = call["usage"] or {}
    return [
        local_time(call["started_at"]),
        status_of(call),
        call["model"] or call["path"],
        call["labels"]["section"] or call["labels"]["session"],
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        cost_of(call),
        rounded(call["time_to_first_chunk_ms"]),
        rounded(call["latency_ms"]),
        call["id"],
    ]


def live_line(cells: Sequence[Any]) -> str:
    """Return one row of a table that never ends: columns of a fixed width, what is too long cut."""
    texts = [clean(NOTHING if cell is None or cell == "" else cell) for cell in cells]
    fitted = [text if len(text) <= width else f"{text[: width - 1]}…" for text, width in zip(texts, CALL_WIDTHS, strict=True)]
    return "  ".join(text.ljust(width) for text, width in zip(fitted, CALL_WIDTHS, strict=True)).rstrip()


def status_of(call: Mapping[str, Any]) -> str:
    """Return how a call ended: its status, and the outcome where that says more."""
    status = str(call["status"] or NOTHING)
    return status if call["outcome"] in {"ok", "error"} else f"{status} {call['outcome'][:7]}"


def cost_of(call: Mapping[str, Any]) -> str:
    """Return the cost of a call; unknown is not free."""
    if call["cost_usd"] is None:
        return "unknown" if call["cost_status"] == "unknown" else NOTHING
    return "free" if call["cost_status"] == "free" else f"${call['cost_usd']}"


def local_time(text: str) -> str:
    """Return a time in this machine's zone; the day too, where it is not today."""
    at = datetime.fromisoformat(text).astimezone()
    return at.strftime("%H:%M:%S") if at.date() == datetime.now(at.tzinfo).date() else at.strftime("%m-%d %H:%M")


def size_text(count: int) -> str:
    """Return a number of bytes as people read it."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < _KILO:
            return f"{size:.0f} {unit}"
        size /= _KILO
    return f"{size:.1f} GiB"


def rounded(number: float | None) -> int | None:
    """Return a number of milliseconds as people read it."""
    return None if number is None else round(number)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    aligned = [
        cell.rjust(width) if at_right else cell.ljust(width) for cell, width, at_right in zip(cells, widths, right, strict=True)
    ]
    return "  ".join(aligned).rstrip()
