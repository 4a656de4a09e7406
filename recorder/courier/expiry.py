"""Expiry: what a destination would refuse as too old, and what was tried for long enough."""

from dataclasses import dataclass

from domain.deliveries import Claimed
from recorder.courier.clock import NANOSECONDS


@dataclass(frozen=True, slots=True)
class Expired:
    """Why a delivery is dead without having been sent."""

    kind: str
    error: str


def expired(claim: Claimed, now: int, *, max_age: float | None, retry_for: float) -> Expired | None:
    """Return why a delivery is too old, None if it is not. `max_age` is about the call, `retry_for` about how long it has been owed (seconds)."""
    began = _began(claim)
    if max_age is not None and began is not None and now - began > max_age * NANOSECONDS:
        return Expired("expired", f"older than the {max_age:g} s that the destination takes")
    if now - claim.owed_at > retry_for * NANOSECONDS:
        return Expired("gave_up", f"owed for longer than {retry_for:g} s")
    return None


def _began(claim: Claimed) -> int | None:
    if claim.span is not None:
        return claim.span.started_at
    return None if claim.event is None else claim.event.at
