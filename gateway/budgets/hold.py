"""A call that wants to be sent, and what is held for it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from domain.budget_text import usd_text
from domain.budgets import Unit
from domain.exchange import Labels
from domain.holds import hold_text
from domain.keys import ApiKey
from domain.ledger import Claim, Standing
from domain.upstreams import Upstream
from gateway.budgets.clamping import Clamp
from gateway.budgets.in_force import Applied
from gateway.budgets.look import Look
from gateway.budgets.pace import Permit
from gateway.budgets.refusals import CLAMPED, REMAINING, WARNING, passes_one, warning_text
from gateway.budgets.second_look import requested
from gateway.wire.answer import Header
from gateway.wire.peek import Asked, Edit
from pricing.bounds import ATTO_PER_NANO, Bound, Requested

SLICE_TOKENS = 1000
_REMAINING, _WARNING, _CLAMPED = REMAINING.encode(), WARNING.encode(), CLAMPED.encode()
PastCost = Callable[[str, str | None], int | None]


@dataclass(slots=True)
class Asking:
    """A call that wants to be sent.

    `path` is the one at the upstream, `whole` says whether `body` is all of the body, and `length` is what the head told of it. `model` is the one that
    was asked for, which budgets know; `sent_as` its name at the upstream, by which it is priced, where a route gives it another one. `asked` is what
    the peek found in `body`, `look` a look at it that others share, who ask what the call costs elsewhere.
    """

    id: str
    key: ApiKey
    labels: Labels
    upstream: Upstream
    model: str | None
    method: bytes
    path: bytes
    body: bytes
    whole: bool = True
    length: int | None = None
    stream: bool | None = None
    websocket: bool = False
    sent_as: str | None = None
    asked: Asked | None = None
    look: Look | None = None

    @property
    def priced(self) -> str | None:
        """The model whose price counts."""
        return self.sent_as or self.model


def requested_by(asking: Asking) -> Requested:
    """Return what of a request decides its price at its upstream.

    Raises:
        InvalidRequest: what it asks for can be read in two ways.

    """
    return requested(
        method=asking.method,
        path=asking.path,
        body=asking.body,
        whole=asking.whole,
        length=asking.length,
        upstream=asking.upstream.name,
        model=asking.priced,
        websocket=asking.websocket,
        asked=asking.asked,
        look=asking.look,
    )


@dataclass(slots=True)
class Holding:
    """What is held for one call. `made` are the claims as they were made. `edits` lower its output where a budget clamps; `text` is for the journal (`Opening.hold`).

    `wanted` says, for each upstream and model that it is held for, what of the request decides its price there, `this_try` what is held for the try
    that is made now, and `sent_to` where that goes and under which model's name, if that is another place than `asking` says.
    """

    id: str
    key: ApiKey
    requested: Requested
    bound: Bound
    model: str | None
    applied: list[Applied] = field(default_factory=list)
    amounts: list[int] = field(default_factory=list)
    standings: tuple[Standing, ...] = ()
    clamp: Clamp | None = None
    edits: tuple[Edit, ...] = ()
    permit: Permit | None = None
    stream: bool | None = None
    made: list[Claim] = field(default_factory=list)
    held: bool = False
    emergency: bool = False
    earlier: list[int] = field(default_factory=list)
    free_of_limits: set[str] = field(default_factory=set)
    asking: Asking | None = None
    wanted: dict[tuple[str, str | None], Requested] = field(default_factory=dict)
    this_try: tuple[int, ...] = ()
    sent_to: tuple[str, str | None] | None = None

    @property
    def name(self) -> str:
        """Return the hold's name. One that was made while the ledger was away has another, since the ledger may still give the first back."""
        return f"{self.id}-away" if self.emergency else self.id

    @property
    def known_as(self) -> str | None:
        """Return by what it is known what such calls cost before: `upstream/model`, the model as it is named there."""
        asking = self.asking
        sent_to = self.sent_to or (None if asking is None else (asking.upstream.name, asking.priced))
        return None if sent_to is None or sent_to[1] is None else f"{sent_to[0]}/{sent_to[1]}"

    @property
    def text(self) -> str | None:
        """Return what the journal keeps of the hold; None where no budget matches."""
        if not self.applied:
            return None
        return hold_text(self.name, self.made or self.claims(), [one.budget.unit for one in self.applied])

    @property
    def changes(self) -> tuple[str, ...]:
        """Return the names of the fields that were changed."""
        return () if self.clamp is None else (self.clamp.shown,)

    @property
    def metered(self) -> bool:
        """Whether a stream must be watched, because less is held than it may cost."""
        for place, one in enumerate(self.applied):  # noqa: SIM110 - any() costs four times as much, and this is asked twice
            if one.budget.mode == "balanced" and self._short(place):
                return True
        return False

    def claims(self) -> list[Claim]:
        """Return the claims as they are held now."""
        return [one.claim(amount, limit=self._limit(one)) for one, amount in zip(self.applied, self.amounts, strict=True)]

    def _limit(self, one: Applied) -> int | None:
        return None if one.budget.mode == "soft" or one.budget.id in self.free_of_limits else one.limit

    def headers(self) -> list[Header]:
        """Return our headers for the answer: the least that remains of any budget of money, thresholds that are passed, and what was clamped."""
        if not self.applied:
            return []
        found: list[Header] = []
        least: int | None = None  # what is held counts as gone
        warns = False
        for one, standing in zip(self.applied, self.standings, strict=False):
            if one.budget.unit == "usd":
                left = one.limit - standing.spent - standing.held
                least = left if least is None or left < least else least
            warns = warns or passes_one(one, standing)
        if least is not None:
            found.append((_REMAINING, usd_text(least).encode()))
        if warns:
            warning = warning_text(zip(self.applied, self.standings, strict=False))
            found.append((_WARNING, warning.encode("latin-1", "replace")))
        if self.clamp is not None:
            found.append((_CLAMPED, f"{self.clamp.shown}={self.clamp.most}".encode()))
        return found

    def more_amounts(self, tokens: int) -> list[int]:
        """Return what to add to each claim for `tokens` more of output: nothing where all that the call can cost is held already."""
        more = {"usd": -(-tokens * self.bound.output_atto // ATTO_PER_NANO), "tokens": tokens, "requests": 0}
        added = []
        for place, one in enumerate(self.applied):
            most, wanted = self._most(one.budget.unit), more[one.budget.unit]
            left = wanted if most is None else min(wanted, most - self._for_this_try(place))
            added.append(left if self._short(place) else 0)
        return added

    def enough_for(self, tokens: int) -> bool:
        """Return whether what is held covers the input and so much output."""
        needed = {"usd": self.bound.slice_nano(tokens), "tokens": self.bound.input_tokens + tokens, "requests": 0}
        places = range(len(self.applied))
        return all(self._for_this_try(place) >= needed[self.applied[place].budget.unit] for place in places if self._short(place))

    def _short(self, place: int) -> bool:
        """Return whether less is held on a budget than the call may cost, and is to be topped up."""
        budget = self.applied[place].budget
        if budget.mode != "balanced" or budget.unit == "requests":
            return False
        most = self._most(budget.unit)
        return most is None or self._for_this_try(place) < most

    def _most(self, unit: Unit) -> int | None:
        return self.bound.nano if unit == "usd" else self.bound.tokens

    def _for_this_try(self, place: int) -> int:
        return self.amounts[place] - (self.earlier[place] if self.earlier else 0)
