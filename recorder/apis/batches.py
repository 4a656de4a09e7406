"""OpenAI's batches: the object while it runs and when it is done, and the file of results.

What a batch used is in its results, one by one, and summed up in the object once it has ended. Whichever is read first is charged, and only
that: both go by the id of the output file, and are flagged as `batch_results` (see `storage.charged`).

Source: https://platform.openai.com/docs/api-reference/batch.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.calls import Call, SubCall, Usage
from pricing.usage.openai import usage_of
from recorder.apis.jsonl import Line, lines_of
from recorder.apis.reading import Api, Reading, text_of

_FIRST_ERROR = 400
_ENDED = frozenset({"completed", "expired", "cancelled"})
# The usage of many requests in one sum.
TOTAL = "batch_total"


def read(reading: Reading) -> Call:
    """Read an answer with one batch or a list of them."""
    answer = reading.answered
    usage = _usage(answer)
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=text_of(answer.get("model")) or reading.model,
        usage=usage,
        input=reading.input,
        output=reading.response,
        response_id=text_of(answer.get("output_file_id" if usage is not None else "id")),
    )


def _usage(answer: Mapping[str, Any]) -> Usage | None:
    """Return what a batch that has ended used, None while it runs, or where it does not say enough to be charged."""
    model, file = text_of(answer.get("model")), text_of(answer.get("output_file_id"))
    usage = usage_of(answer.get("usage")) if answer.get("status") in _ENDED and model and file else None
    if usage is None or not (usage.input_tokens or usage.output_tokens):
        return None
    return Usage(sub_calls=(SubCall(model, TOTAL, replace(usage, batch=True)),), batch=True, flags=("batch_results",))


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


APIS: tuple[Api, ...] = (Api("batches", r"batches(?:/[^/]+(?:/cancel)?)?", read, methods=("GET", "POST")),)
