"""Documents read by Mistral: billed by the page.

Source: https://docs.mistral.ai/api/endpoint/ocr.
"""

from domain.calls import Call, Usage
from pricing.usage.numbers import ANOMALOUS, Numbers
from recorder.apis.binary import without_binary
from recorder.apis.reading import Api, Reading, text_of


def read(reading: Reading) -> Call:
    """Read an answer of `/v1/ocr`."""
    answer = reading.answered
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=reading.model,
        served_model=text_of(answer.get("model")),
        usage=_usage(answer.get("usage_info")),
        input=without_binary(reading.input),
        output=without_binary(answer) or None,
    )


def _usage(raw: object) -> Usage | None:
    if not isinstance(raw, dict) or not raw:
        return None
    numbers = Numbers(raw)
    pages = numbers.whole("pages_processed")
    return Usage(pages=pages, flags=(ANOMALOUS,) if numbers.impossible else (), raw=raw)


APIS: tuple[Api, ...] = (Api("ocr", r"ocr", read),)
