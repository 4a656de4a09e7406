"""What a call cost: its status, its amount, the lines it is the sum of, and the price that was used.

Rates are integers of 1e-24 US dollars for one unit, so that every published price is exact; an amount is rounded once, to pico-USD.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.spans import CostStatus

ATTO_PER_USD = 10**24  # rates
PICO_PER_NANO = 1_000  # costs are pico-USD, budgets nano-USD


def nano_usd(pico: int) -> int:
    """Return what a cost counts in budgets: nano-USD, rounded up, never less than nothing."""
    return max(-(-pico // PICO_PER_NANO), 0)


@dataclass(slots=True)
class Cost:
    """What one call cost in pico-USD; None is unknown, never zero.

    `lines` are JSON objects, each `{"unit", "quantity", "usd_per_million" or "usd_each", "cost_usd"}` and what else explains it.
    `ref` names the price so that it can be found again (snapshot, provider, model, tier, override). `notes` says what was odd.
    """

    status: CostStatus
    pico: int | None = None
    lines: tuple[Mapping[str, Any], ...] = ()
    ref: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Override:
    """A price of the operator's own, over the data's.

    `upstream` and `model` are patterns: a name, a glob (`llama-*`), or `re:` and a regular expression; None is any. `key` and `project`
    narrow it: key over project over neither, exact over glob over regex, later `since` over earlier. `rates` are by unit (`input`,
    `output`, `cache_read`, ...) in 1e-24 US dollars; a unit that is not named is free of charge only if `rest` is "free", and else takes the
    data's rate where there is one. Times are Unix nanoseconds. `tiers` are rates by the tier that served the call (`batch`, `flex`, `priority`, ...).
    `times` is a fraction that the data's rates of tokens are multiplied by (11, 10); `same_as` names the model whose prices these are, as for a
    deployment with a name of its own.
    """

    id: str
    rates: Mapping[str, int]
    upstream: str | None = None
    model: str | None = None
    key: str | None = None
    project: str | None = None
    since: int | None = None
    until: int | None = None
    origin: str = "file"
    tiers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    times: tuple[int, int] | None = None
    same_as: str | None = None
