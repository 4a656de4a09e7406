"""Files: what is said about them, and what they hold if they are a batch's results.

Source: https://platform.openai.com/docs/api-reference/files.
"""

from dataclasses import replace
from typing import Any

from domain.calls import Call
from recorder.apis.batches import results_of
from recorder.apis.generic import output_of
from recorder.apis.jsonl import batch_usage, summary_of
from recorder.apis.reading import Api, Reading, described, text_of


def read(reading: Reading) -> Call:
    """Read an answer about files: an upload, a list, one file, a deletion, a part of a large upload."""
    return _call(reading, reading.response if reading.response is not None else output_of(reading))


def read_content(reading: Reading) -> Call:
    """Read a file that passes: results of a batch are summed up, everything else is described."""
    lines = results_of(reading.text)
    closing = reading.exchange.closing
    if not lines:
        size = len(reading.text) if closing is None or not closing.response_cut else closing.response_bytes
        return _call(reading, described(b"", reading.media_type, size=size))
    call = _call(reading, summary_of(lines, reading))
    file = reading.path.removesuffix("/content").rpartition("/")[2]
    return replace(call, usage=batch_usage(lines, reading), response_id=file)


def _call(reading: Reading, output: Any) -> Call:
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=reading.model,
        input=reading.input,
        output=output,
        response_id=text_of(reading.answered.get("id")),
    )


_EVERY = ("GET", "POST", "DELETE")

APIS: tuple[Api, ...] = (
    Api("files", "files/[^/]+/content", read_content, methods=("GET",), dialects=("openai", "anthropic")),
    Api("files", "files(?:/[^/]+)?", read, methods=_EVERY, dialects=("openai", "anthropic", "gemini")),
    Api("files", "uploads(?:/[^/]+(?:/(?:parts|complete|cancel))?)?", read, methods=_EVERY),
)
