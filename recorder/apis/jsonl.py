"""Results of batches: JSON lines, each an answer of its own, summed up instead of kept."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from domain.calls import SubCall, Usage
from recorder.apis.reading import Reading, described
from recorder.bodies import json_of


@dataclass(frozen=True, slots=True)
class Line:
    """One result: how it ended, which model it was, what it used."""

    status: str
    model: str | None
    usage: Usage | None


def lines_of(body: bytes) -> Iterator[Any]:
    """Yield the JSON value of each line; a line that is none, such as the last one of a cut copy, is None."""
    for line in body.splitlines():
        if line.strip():
            yield json_of(line)


def batch_usage(lines: Sequence[Line], reading: Reading) -> Usage | None:
    """Return the usage of all lines, each as a call inside this one; None if no line names any.

    Where the copy was cut, it is `incomplete`; where the file was not read to its end, the flag is `interrupted`, and nothing is charged yet.

    Reading the same results again costs nothing at the provider. The flag tells whoever charges it to look at the call's
    `response_id`, which is the batch's or the file's.
    """
    sub_calls = tuple(SubCall(line.model, "batch", line.usage) for line in lines if line.usage is not None)
    closing = reading.exchange.closing
    flags = ["batch_results"]
    if closing is None or closing.ending != "complete":
        flags.append("interrupted")
    elif closing.response_cut:
        flags.append("incomplete")
    return Usage(sub_calls=sub_calls, batch=True, flags=tuple(flags)) if sub_calls else None


def summary_of(lines: Sequence[Line], reading: Reading) -> dict[str, Any]:
    """Return what is recorded of the results in their place."""
    return {
        **described(reading.text, reading.media_type),
        "type": "batch_results",
        "lines": len(lines),
        "statuses": dict(Counter(line.status for line in lines)),
        "models": dict(Counter(line.model for line in lines if line.model)),
    }
