"""How much a call holds on a budget: all that it can cost, what such calls cost before, a slice, or what the budget says of calls without a price."""

from domain.errors import GatewayError
from gateway.budgets.hold import SLICE_TOKENS, Holding, PastCost
from gateway.budgets.in_force import Applied
from gateway.budgets.refusals import not_bounded
from pricing.bounds import Bound

# Above every limit; a request may ask for more than counters can count.
MOST_HELD = 2**56


def refusal_of_unbounded(holding: Holding) -> GatewayError | None:
    """Return why a call is refused whose cost nothing bounds, where a budget lets no such call pass."""
    bound, kind = holding.bound, holding.requested.kind
    for one in holding.applied:
        budget = one.budget
        if budget.mode == "soft" or budget.unit == "requests" or budget.unpriced != "deny":
            continue
        known = bound.nano if budget.unit == "usd" else bound.tokens
        # A running stream can be metered where its price is known; what only starts work elsewhere cannot. A batch is charged when it is fetched.
        unknown = kind == "job" or (budget.unit == "usd" and bound.unpriced and kind != "batch")
        if known is None and (budget.mode == "strict" or unknown):
            return not_bounded(one, bound.why or "it has no bound", unpriced=bound.unpriced, model=holding.model)
    return None


def amount_of(one: Applied, holding: Holding, past_cost: PastCost) -> int:
    """Return what to hold on one budget for one try, in the budget's unit."""
    return min(_amount_of(one, holding, past_cost), MOST_HELD)


def _amount_of(one: Applied, holding: Holding, past_cost: PastCost) -> int:
    budget, bound = one.budget, holding.bound
    if budget.unit == "requests":
        return 1
    if holding.requested.kind == "batch" and budget.mode != "strict":
        # It is charged when its answers are fetched.
        return 0
    usd = budget.unit == "usd"
    most = bound.nano if usd else bound.tokens
    if most is None:
        return budget.unpriced if usd and isinstance(budget.unpriced, int) else _slice_of(bound, usd=usd)
    if budget.mode == "strict" or (budget.mode == "balanced" and not usd and not holding.stream):
        return most
    past = past_cost(holding.key.id, holding.known_as) if usd else None
    if past is not None:
        return min(past * 3 // 2, most)
    return min(_slice_of(bound, usd=usd), most) if holding.stream else most


def _slice_of(bound: Bound, *, usd: bool) -> int:
    """Return what the input and a slice of output cost at most, in nano-USD or in tokens."""
    if usd:
        return bound.slice_nano(SLICE_TOKENS)
    return bound.input_tokens + (SLICE_TOKENS if bound.output_tokens is None else min(SLICE_TOKENS, bound.output_tokens))
