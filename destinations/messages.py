"""What was asked and answered, in every API's shape, as messages of the OpenTelemetry GenAI conventions.

Known by their shape rather than by the call's operation, since gateways serve foreign APIs too. Nothing here raises, whatever a body holds.
Source: ../shared/reference/destinations.md section 3.5.
"""

from dataclasses import dataclass, field
from typing import Any

from destinations.answered import answered_in
from destinations.asked import Message, asked_in, instructions_in
from destinations.media import Part
from destinations.tools import tools_in
from domain.spans import Content

__all__ = ["Message", "Messages", "Part", "messages_of"]


@dataclass(slots=True)
class Messages:
    """A request and its answer. `system` are parts, where the API has instructions apart from the messages; `tools` are flat definitions."""

    input: list[Message] = field(default_factory=list)
    output: list[Message] = field(default_factory=list)
    system: list[Part] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)


def messages_of(content: Content | None) -> Messages:
    """Return the messages of a call's content; without one there are none."""
    if content is None:
        return Messages()
    asked = content.input if isinstance(content.input, dict) else {}
    return Messages(
        input=asked_in(content.input),
        output=answered_in(content.output),
        system=instructions_in(asked),
        tools=tools_in(asked),
    )
