"""What is done for a destination while it is down: deliveries that may go elsewhere go there, and what has become too old is buried."""

from collections.abc import Sequence

from domain.deliveries import Dead, Lane, Outcome
from recorder.courier.books import Books
from recorder.courier.clock import NANOSECONDS, Clock
from recorder.courier.configured import Configured
from recorder.courier.expiry import expired

DIVERT_AFTER = 300.0
_DIVERT_AT_ONCE = 500
_BURY_AT_ONCE, _BURY_BYTES, _MOST_BURIALS = 100, 4 * 1024 * 1024, 100
_LANES: tuple[Lane, ...] = ("live", "replay")


async def divert(books: Books, name: str, others: Sequence[str], now: int) -> None:
    """Owe to `others`, which are well, what is pending here and may go there.

    Raises:
        StoreUnavailable: the store is away.

    """
    moved = _DIVERT_AT_ONCE
    while others and moved >= _DIVERT_AT_ONCE:
        moved = await books.divert(name, others, now, _DIVERT_AT_ONCE)


async def buried(books: Books, configured: Configured, clock: Clock, oldest: int | None) -> list[Outcome]:
    """Bury what has become too old while nothing could be sent, and return it. `oldest`: when the oldest pending one was owed (Unix nanoseconds).

    Raises:
        StoreUnavailable: the store is away.

    """
    shortest = min(configured.retry_for, configured.limits.max_age or configured.retry_for)
    now = clock.now()
    if oldest is None or not clock.trusted() or now - oldest <= shortest * NANOSECONDS:
        return []
    dead: list[Outcome] = []
    for lane in _LANES:
        for _ in range(_MOST_BURIALS):
            some, more = await _bury_some(books, configured, lane, now)
            dead += some
            if not more:
                break
    return dead


async def _bury_some(books: Books, configured: Configured, lane: Lane, now: int) -> tuple[list[Outcome], bool]:
    """Bury what is too old of the oldest that wait; return it, and whether there may be more."""
    limits = configured.limits
    claims = await books.claim(
        configured.name, lane, now=now, most=_BURY_AT_ONCE, most_bytes=_BURY_BYTES, keep_batches=limits.keeps_batches, batch=""
    )
    reasons = [expired(claim, now, max_age=limits.max_age, retry_for=configured.retry_for) for claim in claims]
    pairs = list(zip(claims, reasons, strict=True))
    dead: list[Outcome] = [Dead(claim, now, why.kind, None, why.error) for claim, why in pairs if why is not None]
    left = [claim for claim, why in pairs if why is None]
    for claim in left:
        # It was in no batch before, and is in none afterwards.
        claim.batch = claim.batch or None
    try:
        await books.finish(dead)
    finally:
        await books.put_back(left)
    return dead, bool(dead) and len(dead) == len(claims)
