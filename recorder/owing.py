"""What a finished call owes to the budgets it was held on: the true amount in each budget's unit, or the hold where nobody knows the truth."""

import logging
from collections.abc import Sequence

from domain.exchange import Attempt, Exchange
from domain.holds import HeldClaim, Owed, Settlement, read_hold
from domain.prices import nano_usd
from domain.spans import Span

log = logging.getLogger(__name__)

FIRST_ERROR = 400


def settlement_of(exchange: Exchange, span: Span) -> Settlement | None:
    """Return what a call owes; None if it was held on no budget.

    A call that was cut short with its gate owes its hold. So does one whose cost or tokens are unknown: unknown is not free.
    """
    text = exchange.opening.hold
    if text is None:
        return None
    try:
        hold = read_hold(text)
    except ValueError:
        log.warning("the hold of call %s cannot be read; the reconciler will find what it spent missing", span.id)
        return None
    return Settlement(hold.id, tuple(_owed(exchange, span, claim, place) for place, claim in enumerate(hold.claims)))


def _owed(exchange: Exchange, span: Span, claim: HeldClaim, place: int) -> Owed:
    closing = exchange.closing
    if closing is None:
        return Owed(claim, claim.amount, at_hold=True)
    never_sent = closing.ending == "refused" or (closing.ending in {"failed", "client_gone"} and closing.sent_us is None)
    if never_sent:
        return Owed(claim, 0)
    if claim.unit == "requests":
        return Owed(claim, 1)
    if closing.ending == "failed":
        # What was sent and never answered may be billed; what was answered with an error is not.
        silent = any(_is_unanswered(attempt) for attempt in closing.attempts)
        return Owed(claim, claim.amount, at_hold=True) if silent else Owed(claim, 0)
    beside = _unanswered(closing.attempts[:-1], claim, place)
    priced = claim.unit == "usd"
    amount = _nano_usd(span) if priced else _tokens(span)
    if amount is None:
        return Owed(claim, claim.amount, at_hold=True, priced=priced, beside=beside)
    return Owed(claim, amount + beside, priced=priced, beside=beside)


def _unanswered(attempts: Sequence[Attempt], claim: HeldClaim, place: int) -> int:
    """Return what the tries held that were sent and never answered: each of them may have cost that, at its own upstream's price."""
    return sum(
        attempt.held[place] if place < len(attempt.held) else claim.amount for attempt in attempts if _is_unanswered(attempt)
    )


def _is_unanswered(attempt: Attempt) -> bool:
    return attempt.sent and attempt.status is None


def _nano_usd(span: Span) -> int | None:
    """Return the cost, rounded up; None if it is unknown."""
    if span.cost is not None:
        return nano_usd(span.cost)
    return 0 if span.cost_status == "none" or _was_turned_down(span) else None


def _tokens(span: Span) -> int | None:
    usage = span.usage
    if usage is not None and (usage.input_tokens is not None or usage.output_tokens is not None):
        return max(usage.input_tokens or 0, 0) + max(usage.output_tokens or 0, 0)
    return 0 if span.cost_status == "none" or _was_turned_down(span) else None


def _was_turned_down(span: Span) -> bool:
    """Return whether the upstream answered with an error status and without usage: no provider bills that."""
    return span.outcome == "error" and (span.status or 0) >= FIRST_ERROR and span.usage is None
