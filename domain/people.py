"""People and customers by name, where they are named beside calls: in events, and in texts that somebody wrote."""

import re
from collections.abc import Collection

from domain.events import Event

# A budget of one customer is called `customer:acme`, and one of a tag's value `tag:team=acme`.
_BETWEEN = re.compile(r"[:=]|, ")


def is_named(event: Event, names: Collection[str]) -> bool:
    """Return whether an event is about one of `names`: whose budget it is, or who of its members is meant."""
    said = (event.subject, event.data.get("member"), event.data.get("name"))
    return any(isinstance(text, str) and not {text, *_BETWEEN.split(text)}.isdisjoint(names) for text in said)


def has_name(text: str, names: Collection[str]) -> bool:
    """Return whether one of `names` stands in a text as a word or as several, whatever their case."""
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) for name in names if name)
