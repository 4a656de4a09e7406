"""What a call cost, as platforms want it: US dollars as floats, for what went in, what came out, and in all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from domain.spans import PICO_PER_USD, Span

_OUTPUT = ("output", "reasoning", "citation")
_INPUT = ("input", "cache_")
# Lines are not rounded, the amount is, to pico-USD.
_ROUNDING = Decimal(1) / PICO_PER_USD
_MOST = Decimal(10) ** 9


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost of one call in US dollars; None is unknown. `details` are by unit (`input`, `cache_read`, `reasoning`, `web`, …).

    `input` and `output` are None where they are not known apart. What is neither (a search, a request's own price) is in `total` only.
    """

    total: float | None = None
    input: float | None = None
    output: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)


def costs_of(span: Span) -> Costs:
    """Return what a span cost.

    A provider's own figure is shown as it is; where our lines come to something else, they are no parts of it and are left out.
    """
    if span.cost is None:
        return Costs()
    amounts: dict[str, Decimal] = {}
    for line in span.cost_lines:
        unit, amount = line.get("unit"), _amount(line.get("cost_usd"))
        if isinstance(unit, str) and amount is not None:
            amounts[unit] = amounts[unit] + amount if unit in amounts else amount
    if not amounts or abs(sum(amounts.values()) - Decimal(span.cost) / PICO_PER_USD) > _ROUNDING:
        return Costs(total=span.cost / PICO_PER_USD)
    return Costs(
        total=span.cost / PICO_PER_USD,
        input=_sum(amounts, _INPUT),
        output=_sum(amounts, _OUTPUT),
        details={unit: float(amount) for unit, amount in amounts.items()},
    )


def _sum(amounts: Mapping[str, Decimal], starts: tuple[str, ...]) -> float:
    return float(sum(amount for unit, amount in amounts.items() if unit.startswith(starts)))


def _amount(text: object) -> Decimal | None:
    if not isinstance(text, str):
        return None
    try:
        amount = Decimal(text[:64])
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount) < _MOST else None
