"""Samples and shares: which sessions a rule takes, by their ids alone, so that every office decides the same, today and tomorrow."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal

from domain.spans import Span

SampleBy = Literal["session", "trace", "call"]
_BYTES = 8
_WHOLE = float(1 << (8 * _BYTES))


def unit_of(span: Span, by: SampleBy) -> str:
    """Return what is whole or absent in a sample: the id of the call's session, trace, or its own. Without a session, it is the trace."""
    if by == "call":
        return span.id
    return (span.labels.session or span.trace_id) if by == "session" else span.trace_id


def share_of(*parts: str) -> float:
    """Return where what has these names stands between 0 and 1, evenly spread; 0 itself is nobody's place.

    Where one of them is another one, such as a rule's name, it stands somewhere else, wherever it stood before.
    A sample of `rate` is what stands below `rate`; so a larger sample holds all of a smaller one.
    """
    text = "\0".join(parts).encode(errors="surrogatepass")
    return (int.from_bytes(blake2b(text, digest_size=_BYTES).digest(), "big") + 0.5) / _WHOLE


def chosen(weights: Mapping[str, float], share: float) -> str:
    """Return which of several, by their weights, a place between 0 and 1 falls to."""
    left = share * sum(weights.values())
    name = ""
    for name, weight in weights.items():  # noqa: B007 - rounding may leave the last one
        left -= weight
        if left < 0:
            break
    return name
