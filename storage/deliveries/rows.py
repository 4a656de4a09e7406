"""A delivery as a row of `deliveries`: its numbers and words, and what rules said of it as bytes."""

from collections.abc import Mapping
from typing import Any

from domain.deliveries import Lane, Owed
from domain.events import Event
from storage.packing import CannotPack, packed, unpacked

# States of a row: what is below DELIVERED is pending.
DUE, WAITING, CLAIMED, DELIVERED, DEAD = range(5)
LANES: Mapping[Lane, int] = {"live": 0, "replay": 1}
LANE_NAMES: tuple[Lane, Lane] = ("live", "replay")
# Events are numbered from here on, below any call: what happened to the gateway goes ahead of calls, in the order in which it happened.
FIRST_EVENT = -(2**62)
LONGEST_TEXT = 1000
_MOST_TERMS = 500


def is_event(number: int) -> bool:
    """Return whether what is owed under this number is an event."""
    return number < 0


def text(value: str, most: int = LONGEST_TEXT) -> str:
    """Return `value` as a database takes it: without NUL and halves of surrogates, and cut."""
    if len(value) > most:
        value = f"{value[: most - 1]}…"
    if value.isascii() and "\0" not in value:
        return value
    return value.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def options_of(owed: Owed) -> bytes | None:
    """Return what rules said of a delivery as bytes, None where they said nothing. Attributes that cannot be stored at all are left out.

    `Owed.otherwise` is not in it: it has a column.
    """
    if owed.content is None and owed.redact is None and not owed.extra:
        return None
    redact = None if owed.redact is None else list(owed.redact)
    try:
        return packed((owed.content, redact, dict(owed.extra)))
    except CannotPack:
        return packed((owed.content, redact, {}))


class OwedReader:
    """Makes `Owed` of rows. Most deliveries of a destination are owed on the same terms, so those are read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes | None, str | None], Owed] = {}

    def owed(self, destination: str, options: bytes | None, otherwise: str | None) -> Owed:
        """Return what is owed on the terms that `options_of` was given.

        Raises:
            ValueError: these are not bytes that it made.
        """
        at = destination, options, otherwise
        if at not in self._known:
            if len(self._known) >= _MOST_TERMS:
                self._known.clear()
            self._known[at] = _owed(destination, options, otherwise)
        return self._known[at]


def _owed(destination: str, options: bytes | None, otherwise: str | None) -> Owed:
    if options is None:
        return Owed(destination, otherwise=otherwise)
    content, redact, extra = unpacked(options)
    return Owed(destination, content, None if redact is None else tuple(redact), extra, otherwise)


def document_of(event: Event) -> bytes:
    """Return an event as bytes. Data that cannot be stored at all is left out."""
    head = (event.id, event.type, event.at, event.severity, event.subject, event.message)
    try:
        return packed((*head, dict(event.data)))
    except CannotPack:
        return packed((*head, {}))


def event_of(document: bytes) -> Event:
    """Return the event that `document_of` was given.

    Raises:
        ValueError: these are not bytes that it made.
    """
    id_, type_, at, severity, subject, message, data = unpacked(document)
    return Event(id_, type_, at, severity, subject, message, data)


def log_of(entries: list[list[Any]], most: int) -> bytes | None:
    """Return the last attempts as bytes: time, status and error of each."""
    return packed(entries[-most:]) if entries else None
