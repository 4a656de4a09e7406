"""The JSON objects that a stream's events carry."""

from collections.abc import Iterable, Iterator
from typing import Any

from recorder.bodies import json_of
from recorder.streams import Event


def objects_of(events: Iterable[Event]) -> Iterator[dict[str, Any]]:
    """Yield the JSON object of each event; an event that carries none, such as `[DONE]`, is passed over."""
    for event in events:
        value = json_of(event.data)
        if isinstance(value, dict):
            yield value
