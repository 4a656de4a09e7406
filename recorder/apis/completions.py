"""Legacy text completions.

Source: https://platform.openai.com/docs/api-reference/completions.
"""

from domain.calls import Call
from recorder.apis.choices import choices_call
from recorder.apis.reading import Api, Reading


def read(reading: Reading) -> Call:
    """Read a completion, whole or streamed."""
    return choices_call(reading, "text_completion")


APIS: tuple[Api, ...] = (Api("text_completion", r"completions", read),)
