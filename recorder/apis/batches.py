"""OpenAI's batches: the object while it runs, and the file of results.

What a batch used is charged when its results are fetched. The object's own `usage` is not: it is read again and again while the
batch runs, and would be counted each time.

Source: https://platform.openai.com/docs/api-reference/batch.
"""

from dataclasses import replace
from typing import Any

from domain.calls import Call
from pricing.usage.openai import usage_of
from recorder.apis.jsonl import Line, lines_of
from recorder.apis.reading import Api, Reading, text_of

_FIRST_ERROR = 400


def read(reading: Reading) -> Call:
    """Read an answer with one batch or a list of them."""
    answer = reading.answered
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=text_of(answer.get("model")) or reading.model,
        input=reading.input,
        output=reading.response,
        response_id=text_of(answer.get("id")),
    )


def results_of(body: bytes) -> list[Line]:
    """Return the results in the body of a file, an empty list if its first line is none."""
    values = lines_of(body)
    first = next(values, None)
    if not _is_result(first):
        return []
    return [_line(first), *(_line(value) for value in values)]


def _is_result(value: Any) -> bool:
    return isinstance(value, dict) and "custom_id" in value and ("response" in value or "error" in value)


def _line(value: Any) -> Line:
    response = value.get("response") if isinstance(value, dict) else None
    response = response if isinstance(response, dict) else {}
    status, body = response.get("status_code"), response.get("body")
    body = body if isinstance(body, dict) else {}
    usage = usage_of(body.get("usage"))
    good = isinstance(status, int) and status < _FIRST_ERROR
    return Line(
        status="unknown" if value is None else "succeeded" if good else "errored",
        model=text_of(body.get("model")),
        usage=None if usage is None else replace(usage, batch=True),
    )


APIS = (Api("batches", r"batches(?:/[^/]+(?:/cancel)?)?", read, methods=("GET", "POST")),)
