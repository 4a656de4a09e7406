"""Holds of one turn of the loop are decided together, with one look at each counter, or one by one: both must come to the same."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from domain.ledger import PARTS, Claim
from storage.ledger import begin_ledger
from storage.ledger.common import forget_at
from storage.ledger.sqlite_holds import Wanted, decide
from storage.ledger.sqlite_rows import CHARGED, GONE, HOLD, OPEN, REMADE, change, claims_text
from tests.storage.ledger.conftest import LEASE, NOW

PART = 100


def claimed(counter: str, amount: int, limit: int | None, back: int) -> Claim:
    """Return a claim; counters whose names begin with `r` are rolling, and `back` parts before the newest."""
    part = PART - back if counter.startswith("r") else 0
    return Claim(counter, amount, limit, forget_at=1_000 + part, rolling=3_600 if part else 0, part=part)


def claims(*back: int) -> st.SearchStrategy[list[Claim]]:
    counters, limits = st.sampled_from(["x", "y", "z", "r1", "r2"]), st.none() | st.integers(0, 20)
    return st.lists(st.builds(claimed, counters, st.integers(0, 6), limits, st.sampled_from(back)), max_size=4)


def named(batch: Sequence[tuple[str | None, list[Claim]]]) -> list[tuple[str, list[Claim]]]:
    return [(name or f"hold {number}", claims) for number, (name, claims) in enumerate(batch)]


# Mostly each hold has a name of its own, and all count in the same part of a rolling window: else they are decided one by one.
FEW_NAMES = st.sampled_from([*[None] * 30, "again", "hold 0"])
BATCH = st.one_of(
    *[st.lists(st.tuples(st.none(), claims(0)), min_size=2, max_size=8)] * 2,
    st.lists(st.tuples(FEW_NAMES, claims(0)), min_size=2, max_size=8),
    st.lists(st.tuples(FEW_NAMES, claims(0, 1, PARTS)), min_size=2, max_size=4),
).map(named)


@dataclass
class Before:
    """What the ledger holds before: spent and held on counters, and holds in all their states."""

    cells: Sequence[tuple[Claim, int]]
    holds: Sequence[tuple[str, int, list[Claim]]]

    def write(self, connection: sqlite3.Connection) -> None:
        for claim, spent in self.cells:
            change(connection, claim, settled=spent, held=claim.amount)
        for name, state, claims in self.holds:
            connection.execute(HOLD, (name, state, NOW + LEASE, forget_at(claims, NOW), claims_text(claims)))


BEFORE = st.builds(
    Before,
    claims(0, 1, PARTS, PARTS + 1).flatmap(
        lambda found: st.tuples(*[st.tuples(st.just(one), st.integers(0, 8)) for one in found])
    ),
    st.lists(st.tuples(st.just("again"), st.sampled_from([OPEN, REMADE, CHARGED, GONE]), claims(0)), max_size=1),
)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path: Path = tmp_path_factory.mktemp("holds") / "ledger.db"
    begin_ledger(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


class Decided:
    """Whoever waits for a hold; here nobody does."""

    def done(self) -> bool:
        return True

    def set_result(self, result: None) -> None:
        """Nobody waits."""

    def __await__(self):
        yield


def outcome(
    connection: sqlite3.Connection, before: Before, batch: Sequence[tuple[str, list[Claim]]], decides: Callable[..., None]
):
    """Return the answers to a batch of holds, the holds that are there then, and what each counter holds; nothing of it stays."""
    wanted = [
        Wanted((name, OPEN, NOW + LEASE, forget_at(claims, NOW), claims_text(claims)), claims, Decided())
        for name, claims in batch
    ]
    connection.execute("BEGIN IMMEDIATE")
    try:
        before.write(connection)
        decides(connection, wanted)
        answers = [(type(one.answer), str(one.answer)) for one in wanted]
        holds = connection.execute("SELECT * FROM holds ORDER BY id").fetchall()
        # A cell that holds nothing is as good as none.
        cells = connection.execute("SELECT * FROM cells WHERE settled OR charged OR held ORDER BY counter, part").fetchall()
    finally:
        connection.execute("ROLLBACK")
    return answers, holds, cells


def one_by_one(connection: sqlite3.Connection, wanted: Sequence[Wanted]) -> None:
    for one in wanted:
        decide(connection, [one])


@settings(max_examples=400, deadline=None)
@given(before=BEFORE, batch=BATCH)
def test_holds_that_are_decided_together_are_decided_as_each_would_be_by_itself(connection, before, batch):
    together = outcome(connection, before, batch, decide)
    assert together == outcome(connection, before, batch, one_by_one)
    for kind, number in Counter(kind.__name__ for kind, _ in together[0]).items():
        event(f"{kind}: {number}")


def test_the_batches_here_are_mostly_decided_together(connection):
    """Else the test above would compare one path with itself. The savepoint is rolled back to only where it is decided one by one after all."""
    seen: list[str] = []
    connection.set_trace_callback(seen.append)

    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(before=BEFORE, batch=BATCH)
    def tried(before: Before, batch: Sequence[tuple[str, list[Claim]]]) -> None:
        outcome(connection, before, batch, decide)

    try:
        tried()
    finally:
        connection.set_trace_callback(None)
    batches, after_all = (sum(line.startswith(start) for line in seen) for start in ("SAVEPOINT", "ROLLBACK TO"))
    assert batches * 0.1 <= after_all <= batches * 0.6
