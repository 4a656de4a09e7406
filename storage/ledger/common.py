"""What the ledgers have in common: how parts make a standing, when a hold may be forgotten, and what answers a top-up that comes too late."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from domain.ledger import PARTS, Claim, Refused, Standing, Tally

LONGEST_MEMORY = 90 * 86_400  # of a charged hold on a counter that is never forgotten
STAYS_OUT = 3_600  # how long a hold that was released before it came is kept out


def forget_at(claims: Sequence[Claim], now: float) -> int:
    """Return when a hold on these counters may be forgotten, should it be charged and never settled (Unix seconds)."""
    known = [int(now) + LONGEST_MEMORY if claim.forget_at is None else claim.forget_at for claim in claims]
    return max(known, default=int(now))


def closed(claims: Sequence[Claim]) -> Refused:
    """Return the refusal of a top-up to a hold that is not open."""
    claim = claims[0] if claims else Claim("", 0, None)
    return Refused(replace(claim, amount=0), Standing(0, 0))


def summed(parts: Iterable[tuple[str, int, int, Tally]], now: float) -> dict[str, Standing]:
    """Return the standings of counters from their parts, each `(counter, part, rolling, tally)`."""
    found: dict[str, Standing] = {}
    for counter, part, rolling, tally in parts:
        before = found.setdefault(counter, Standing(0, 0))
        if not rolling or part >= now // max(-(-rolling // PARTS), 1) - PARTS:
            found[counter] = Standing(before.spent + tally.settled + tally.charged, before.held + tally.held)
    return found
