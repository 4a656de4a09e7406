"""Moderations: free, and without usage.

Source: https://platform.openai.com/docs/api-reference/moderations.
"""

from domain.calls import Call
from pricing.usage.openai import usage_of
from recorder.apis.choices import input_of
from recorder.apis.generic import output_of
from recorder.apis.reading import Api, Reading, text_of


def read(reading: Reading) -> Call:
    """Read a verdict; providers other than OpenAI may count tokens for it."""
    answer = reading.answered
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=reading.model,
        served_model=text_of(answer.get("model")),
        usage=usage_of(answer.get("usage")),
        input=input_of(reading),
        output=answer or output_of(reading),
        response_id=text_of(answer.get("id")),
    )


APIS: tuple[Api, ...] = (Api("moderation", r"moderations", read),)
