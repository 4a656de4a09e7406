"""What the journal carries of a hold (`Opening.hold`), so that the office can settle it, and make it again after the ledger was lost.

Compact JSON: `{"id": hold, "claims": [[counter, amount, unit, limit, forget_at, rolling, part], …]}`; what stands at its default at the end of a claim is left out.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, cast

from domain.budgets import Unit
from domain.ledger import Claim

_UNITS = ("usd", "tokens", "requests")
_DEFAULTS: tuple[Any, ...] = (None, None, 0, 0)


@dataclass(frozen=True, slots=True)
class HeldClaim:
    """So much of one counter, in its budget's unit, as held before the first attempt. The other fields are those of `Claim`."""

    counter: str
    amount: int
    unit: Unit
    limit: int | None = None
    forget_at: int | None = None
    rolling: int = 0
    part: int = 0

    def claim(self) -> Claim:
        """Return this as the ledger knows it."""
        return Claim(self.counter, self.amount, self.limit, self.forget_at, self.rolling, self.part)


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold and its claims, in the order in which the ledger knows them."""

    id: str
    claims: tuple[HeldClaim, ...]


@dataclass(frozen=True, slots=True)
class Owed:
    """What a finished call truly cost on one of its claims. `at_hold`: nobody knows, so it is what is held, whatever was topped up to that.

    `priced`: it follows the call's price, should the call be priced again; `beside` is what has to be paid besides that, whatever the price.
    """

    claim: HeldClaim
    amount: int
    at_hold: bool = False
    priced: bool = False
    beside: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a finished call owes, in the order of its hold's claims. The hold is mostly, but not always, named as the call is."""

    hold: str
    owed: tuple[Owed, ...]


def hold_text(hold: str, claims: Sequence[Claim], units: Sequence[Unit]) -> str:
    """Return the text of a hold; `units` are those of the claims' budgets, in the same order."""
    # Put together by hand: this is made while an app waits, and an encoder costs several times as much.
    texts = []
    for claim, unit in zip(claims, units, strict=True):
        limit = "null" if claim.limit is None else claim.limit
        forget_at = "null" if claim.forget_at is None else claim.forget_at
        rest = f",{claim.rolling},{claim.part}" if claim.rolling else ""
        texts.append(f'[{_quoted(claim.counter)},{claim.amount},"{unit}",{limit},{forget_at}{rest}]')
    return f'{{"id":{_quoted(hold)},"claims":[{",".join(texts)}]}}'


def read_hold(text: str) -> Hold:
    """Return the hold that `hold_text` was given.

    Raises:
        ValueError: this is not such a text.
    """
    try:
        values = json.loads(text)
        claims = tuple(_claim(*given) for given in values["claims"])
        return Hold(_text(values["id"]), claims)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("this is not the text of a hold") from error


def _claim(counter: Any, amount: Any, unit: Any, *rest: Any) -> HeldClaim:
    limit, forget_at, rolling, part = (*rest, *_DEFAULTS[len(rest) :])
    if unit not in _UNITS:
        raise ValueError("a claim's unit is not one that we know")
    return HeldClaim(
        _text(counter), _whole(amount), cast("Unit", unit), _known(limit), _known(forget_at), _whole(rolling), _whole(part)
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("this should be text")
    return value


def _known(value: Any) -> int | None:
    return None if value is None else _whole(value)


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("an amount is not a whole number")
    return value
