"""The rows of the SQLite ledger: how a hold changes them, within somebody's transaction."""

import json
import sqlite3
from collections.abc import Sequence
from itertools import starmap

import msgspec

from domain.ledger import Claim, Refused, Standing

# Remade: open, and made by an office that knows nothing of top-ups.
OPEN, REMADE, CHARGED, GONE = 0, 1, 2, 3
CHANGE_CELL = """INSERT INTO cells (counter, part, settled, charged, held, rolling, forget_at) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (counter, part) DO UPDATE SET settled = settled + excluded.settled, charged = charged + excluded.charged, held = held + excluded.held
    RETURNING settled + charged, held"""
ADD_HELD = """INSERT INTO cells (counter, part, settled, charged, held, rolling, forget_at) VALUES (?, ?, 0, 0, ?, ?, ?)
    ON CONFLICT (counter, part) DO UPDATE SET held = held + excluded.held"""
HOLD = "INSERT INTO holds (id, state, lease, forget_at, claims) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
FIND = "SELECT state, claims FROM holds WHERE id = ?"
REMOVE = "DELETE FROM holds WHERE id = ?"
_LIVE = "SELECT coalesce(sum(settled + charged), 0), coalesce(sum(held), 0) FROM cells WHERE counter = ? AND part >= ?"
_encoder = msgspec.json.Encoder()


class DoesNotFit(Exception):
    """A claim does not fit: roll back."""

    def __init__(self, refused: Refused) -> None:
        """Keep the answer."""
        super().__init__()
        self.refused = refused


def claims_text(claims: Sequence[Claim]) -> str:
    """Return claims as they stand in the row of their hold."""
    return _encoder.encode([(c.counter, c.amount, c.limit, c.forget_at, c.rolling, c.part) for c in claims]).decode()


def claims_of(text: str) -> list[Claim]:
    """Return the claims that `claims_text` was given."""
    return list(starmap(Claim, json.loads(text)))


def change(connection: sqlite3.Connection, claim: Claim, *, settled: int = 0, charged: int = 0, held: int = 0) -> Standing:
    """Add to the cell of `claim`, and return what counts for it then."""
    values = (claim.counter, claim.part, settled, charged, held, claim.rolling, claim.forget_at)
    rows = connection.execute(CHANGE_CELL, values).fetchall()
    return live(connection, claim) if claim.rolling else Standing(*rows[0])


def live(connection: sqlite3.Connection, claim: Claim) -> Standing:
    """Return what counts for `claim` now."""
    return Standing(*connection.execute(_LIVE, (claim.counter, claim.first_part)).fetchone())


def hold_all(connection: sqlite3.Connection, claims: Sequence[Claim], amounts: Sequence[int]) -> tuple[Standing, ...]:
    """Hold amounts on the counters of claims.

    Raises:
        DoesNotFit: one does not fit. What was changed until then must be rolled back.
    """
    standings: list[Standing] = []
    for claim, amount in zip(claims, amounts, strict=True):
        standing = change(connection, claim, held=amount)
        if claim.limit is not None and standing.spent + standing.held > claim.limit:
            raise DoesNotFit(Refused(claim, _before(claims, amounts, len(standings), standing)))
        standings.append(standing)
    return tuple(standings)


def _before(claims: Sequence[Claim], amounts: Sequence[int], place: int, standing: Standing) -> Standing:
    """Return what a counter held before this hold, which may have claimed it more than once."""
    counter = claims[place].counter
    own = sum(amount for claim, amount in zip(claims[: place + 1], amounts, strict=False) if claim.counter == counter)
    return Standing(standing.spent, standing.held - own)
