"""Writing down what became of claims: of those only that are still the office's own, so that whoever took them over is not disturbed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from domain.deliveries import Dead, Delivered, Later, Outcome
from storage.deliveries.payloads import keep, packed
from storage.deliveries.rows import DEAD, DELIVERED, DUE, WAITING, log_of, text
from storage.deliveries.sql import found, run_each
from storage.deliveries.totals import Changes
from storage.packing import unpacked

# How many attempts of a delivery are kept, the last one included.
ATTEMPTS = 5
_OWN = """SELECT number, attempts, tried_at, status, error, log FROM deliveries NOT INDEXED
    WHERE destination = ? AND number = ANY(?) AND state = 2 AND claimed_by = ? FOR UPDATE"""
_FINISH = """UPDATE deliveries SET claimed_by = NULL, state = ?, ended_at = ?, due = ?, attempts = ?, tried_at = ?, status = ?, error = ?, kind = ?, note = ?,
    shortened = ?, log = ?, batch = ? WHERE destination = ? AND number = ?"""


class Ended(NamedTuple):
    """What became of one claim, as columns: prepared before the transaction begins. `counts` is what it adds to the attempts."""

    state: int
    due: int
    counts: int
    at: int
    status: int | None
    error: str | None
    kind: str | None
    note: str | None
    shortened: str | None
    batch: str | None
    payload: tuple[str, bytes] | None
    refused: int = 0


def prepared(outcomes: Iterable[Outcome]) -> dict[str, dict[int, Ended]]:
    """Return outcomes by destination and number; of several for one claim the last one holds."""
    by_name: dict[str, dict[int, Ended]] = {}
    for outcome in outcomes:
        by_name.setdefault(outcome.claim.owed.destination, {})[outcome.claim.number] = _ended(outcome)
    return by_name


def _ended(outcome: Outcome) -> Ended:
    at, batch = outcome.at, outcome.claim.batch
    match outcome:
        case Delivered():
            note = text(outcome.note) if outcome.note else None
            return Ended(DELIVERED, 0, 1, at, outcome.status, None, None, note, outcome.shortened, batch, None, outcome.refused)
        case Later():
            error = text(outcome.error)
            # What is due at once keeps its place among what was never tried: those are taken in the order of numbers.
            state = WAITING if outcome.due > at else DUE
            return Ended(state, outcome.due, int(outcome.counts), at, outcome.status, error, None, None, None, batch, None)
        case Dead():
            error = text(outcome.error)
            return Ended(DEAD, 0, 1, at, outcome.status, error, text(outcome.kind), None, None, batch, _payload(outcome))


def _payload(dead: Dead) -> tuple[str, bytes] | None:
    if not dead.payload:
        return None
    return text(dead.content_type), packed(dead.payload)


def finish(connection: Connection, outcomes: Mapping[str, Mapping[int, Ended]], *, office: str) -> None:
    """Write down what became of claims."""
    changes = Changes()
    for name in sorted(outcomes):
        ends = outcomes[name]
        own = found(connection, _OWN, name, sorted(ends), office)
        run_each(connection, _FINISH, [_row(name, ends[row[0]], row) for row in own])
        keep(connection, _kept(name, ends, own))
        change = changes.of(name)
        states = [ends[row[0]].state for row in own]
        change.delivered += states.count(DELIVERED)
        change.dead += states.count(DEAD)
        change.refused += sum(ends[row[0]].refused for row in own)
    changes.write(connection)


def _row(name: str, end: Ended, own: Sequence[Any]) -> tuple[Any, ...]:
    number, attempts, tried_at, status, error, log = own
    if tried_at is not None:
        entries = unpacked(log) if log else []
        log = log_of([*entries, [tried_at, status, error]], ATTEMPTS - 1)
    return (
        end.state,
        None if end.state in {DUE, WAITING} else end.at,
        end.due,
        attempts + end.counts,
        end.at,
        end.status,
        end.error,
        end.kind,
        end.note,
        end.shortened,
        log,
        end.batch,
        name,
        number,
    )


def _kept(name: str, ends: Mapping[int, Ended], own: Iterable[Sequence[Any]]) -> Iterator[tuple[str, int, int, str, bytes]]:
    """Return the payloads to be kept."""
    for number, *_ in own:
        end = ends[number]
        if end.payload is not None:
            yield name, number, end.at, *end.payload
