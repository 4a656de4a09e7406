"""Chat completions, OpenAI's and those of the many providers that speak it.

Source: https://platform.openai.com/docs/api-reference/chat.
"""

from domain.calls import Call
from recorder.apis import generic
from recorder.apis.choices import choices_call
from recorder.apis.reading import Api, Reading


def read(reading: Reading) -> Call:
    """Read a chat answer, whole or streamed."""
    return choices_call(reading, "chat.completion")


APIS: tuple[Api, ...] = (
    Api("chat", r"chat/completions", read),
    # stored completions: looking at one again is not a call to the model
    Api("chat.list", r"chat/completions", generic.read, methods=("GET",)),
    Api("chat.retrieve", r"chat/completions/[^/]+", generic.read, methods=("GET",)),
    Api("chat.messages", r"chat/completions/[^/]+/messages", generic.read, methods=("GET",)),
    Api("chat.update", r"chat/completions/[^/]+", generic.read),
    Api("chat.delete", r"chat/completions/[^/]+", generic.read, methods=("DELETE",)),
)
