"""A call or an event in a few words for people: what channels (chat, mail, pagers) are sent. Never a word of a request or an answer."""

from collections.abc import Sequence

from destinations.genai import error_type_of
from destinations.jsontext import clean
from destinations.providers import name_of
from domain.destinations import Parcel
from domain.events import Event
from domain.spans import usd

MOST_LINES = 20
LONGEST_LINE = 300
LONGEST_TEXT = 3_000


def one_line(text: str, most: int = LONGEST_LINE) -> str:
    """Return `text` on one line, without anything that does not print, cut where it is longer than `most`."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in clean(text[: 4 * most])).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def title_of(event: Event) -> str:
    """Return what an event is, and about what."""
    return one_line(f"[{event.severity}] {event.type}: {event.subject}")


def text_of(event: Event) -> str:
    """Return what happened, in the event's own sentence."""
    return one_line(event.message, LONGEST_TEXT)


def call_line(parcel: Parcel) -> str:
    """Return a call: what it was, how it ended, what it cost, whose it is, and its id in Faregate."""
    span = parcel.span
    parts = [
        name_of(span),
        span.outcome if span.status is None else f"{span.outcome} {span.status}",
        error_type_of(span),
        None if span.cost is None else f"${usd(span.cost)}",
        None if span.latency_ms is None else f"{span.latency_ms / 1000:.1f} s",
        f"key {span.key_name}",
        None if span.labels.customer is None else f"customer {span.labels.customer}",
        *(f"{name} {value}" for name, value in parcel.extra.items()),
    ]
    return f"{one_line(' · '.join(part for part in parts if part))} · call {span.id}"


def calls_title(parcels: Sequence[Parcel]) -> str:
    """Return what a message about calls is headed with."""
    return "1 call" if len(parcels) == 1 else f"{len(parcels)} calls"


def calls_text(parcels: Sequence[Parcel]) -> str:
    """Return a line for each call."""
    return "\n".join(call_line(parcel) for parcel in parcels)
