"""What pricing recorded calls again changes in the windows of budgets: the difference, on the counters that the calls were counted on.

The office's reconciler takes it over into the ledger. A call whose cost was unknown owes its hold, and what that was nobody knows any more: its
counter keeps that, which was the most that the call could cost.
"""

from collections.abc import Iterable, Iterator, Sequence

from domain.budgets import Budget, Subject
from domain.ledger import Claim
from domain.matching import WHOLE, member_of
from domain.prices import PICO_PER_NANO
from domain.spans import Span
from domain.windows import claim_on, window_of
from storage.adjustments import Changed


def differences(changed: Sequence[Changed], budgets: Iterable[Budget]) -> Iterator[Claim]:
    """Yield a claim on each counter that a call was counted on; its amount is what the call costs more now, in nano-USD, or less."""
    in_money = [budget for budget in budgets if budget.unit == "usd"]
    for change in changed:
        more = _difference(change.before.cost, change.after.cost)
        if more:
            yield from _claims(change.after, in_money, more)


def _difference(before: int | None, after: int | None) -> int:
    return 0 if before is None or after is None else -(-after // PICO_PER_NANO) + before * -1 // PICO_PER_NANO


def _claims(span: Span, budgets: Iterable[Budget], more: int) -> Iterator[Claim]:
    labels = span.labels
    subject = Subject(span.key_name, span.project, labels.customer, labels.tags, span.model, span.upstream)
    for budget in budgets:
        member = member_of(budget.scope, subject)
        if member is not None:
            window = window_of(budget.window, span.started_at / 1e9)
            yield claim_on(budget, None if member == WHOLE else member, window, more, limit=None)
