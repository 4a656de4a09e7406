"""What recorded calls cost by later prices: adjustments, one row for each change, so that every figure can be traced to where it came from.

A call keeps what was recorded of it (`calls.detail`). Its columns `cost` and `cost_status` are those of its last adjustment, and so is what is
shown of it: `as_adjusted` puts the two together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from domain.prices import nano_usd
from domain.spans import CostStatus, Span
from storage import rollups
from storage.call_spending import follow_prices
from storage.charged import charged_once
from storage.database import Database
from storage.packing import packed, unpacked
from storage.queries import CALLS
from storage.span_rows import number, span_of
from storage.tables import CostAdjustmentRow, table_of

ADJUSTMENTS: Table = table_of(CostAdjustmentRow)
_STEP = 400


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One change of what a call costs: pico-USD, None is unknown. `made_at` is Unix nanoseconds; `lines` and `notes` explain the new cost."""

    call_id: str
    run: str
    made_at: int
    old_cost: int | None
    old_status: CostStatus
    old_ref: str | None
    new_cost: int | None
    new_status: CostStatus
    new_ref: str | None
    lines: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Changed:
    """A call as it was shown before an adjustment, and as it is shown now."""

    before: Span
    after: Span


def as_adjusted(connection: Connection, spans: Sequence[Span]) -> list[Span]:
    """Return `spans` with the costs of their last adjustments."""
    last = _last(connection, [span.id for span in spans])
    return [_with(span, last[span.id]) if span.id in last else span for span in spans] if last else list(spans)


class AdjustmentStore:
    """Adjustments in a database. Its methods wait and can be called from any thread; each may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def calls_between(
        self, since: int, until: int, after: tuple[int, int], most: int, *, status: CostStatus | None = None
    ) -> tuple[list[Span], tuple[int, int] | None]:
        """Return the next calls, as they are shown, that began from `since` on and before `until` (Unix nanoseconds), and the place to go on from.

        `status` leaves out the calls whose cost has another one.

        `after` is the place that was returned before, `(-1, 0)` at first. The place is None at the end.
        """
        started, seq = after
        later = (CALLS.c.started_at > started) | ((CALLS.c.started_at == started) & (CALLS.c.seq > seq))
        statement = (
            select(CALLS.c.started_at, CALLS.c.seq, CALLS.c.detail)
            .where(CALLS.c.started_at >= max(since, started), CALLS.c.started_at < until, later)
            .order_by(CALLS.c.started_at, CALLS.c.seq)
            .limit(most)
        )
        if status is not None:
            statement = statement.where(CALLS.c.cost_status == status)
        with self._database.reading() as connection:
            rows = connection.execute(statement).all()
            spans = as_adjusted(connection, [span_of(row.detail) for row in rows])
        return spans, (rows[-1].started_at, rows[-1].seq) if len(rows) == most else None

    def calls_without_price(self, upstream: str, model: str, most: int) -> list[Span]:
        """Return calls of a served model at an upstream whose cost is unknown, the newest first."""
        statement = (
            select(CALLS.c.detail)
            .where(CALLS.c.cost_status == "unknown", CALLS.c.upstream == upstream, CALLS.c.served_model == model)
            .order_by(CALLS.c.started_at.desc())
            .limit(most)
            .with_hint(CALLS, "INDEXED BY ix_calls_unpriced", "sqlite")
        )
        with self._database.reading() as connection:
            return as_adjusted(connection, [span_of(detail) for detail in connection.execute(statement).scalars()])

    def adjust(self, priced: Sequence[Span], *, run: str, made_at: int) -> list[Changed]:
        """Write what `priced` calls cost now, and return those that were changed by it.

        A call that has gone, or costs the same as is shown of it by now, is left as it is, so that writing the same again changes nothing.
        One that only read a response which another call was charged for gets no cost. What calls have spent of budgets follows.
        """
        with self._database.writing() as connection:
            self._database.one_saves_at_a_time(connection)
            shown = _shown(connection, [span.id for span in priced])
            pairs = [(shown[span.id], span) for span in priced if span.id in shown and not _same(shown[span.id], span)]
            newly = [after for before, after in pairs if before.cost is None and after.cost is not None]
            again = charged_once(connection, newly)
            changed = [Changed(before, again.get(after.id, after)) for before, after in pairs]
            changed = [change for change in changed if not _same(change.before, change.after)]
            _write(connection, changed, run, made_at)
            rollups.adjust(connection, [(change.before, change.after) for change in changed])
            follow_prices(connection, _prices(changed))
        return changed

    def adjustments(self, *, call_id: str | None = None, run: str | None = None, most: int = 1000) -> list[Adjustment]:
        """Return the adjustments of a call, or of a run, the oldest first."""
        statement = select(ADJUSTMENTS).order_by(ADJUSTMENTS.c.seq).limit(most)
        if call_id is not None:
            statement = statement.where(ADJUSTMENTS.c.call_id == call_id)
        if run is not None:
            statement = statement.where(ADJUSTMENTS.c.run == run)
        with self._database.reading() as connection:
            return [_adjustment(row) for row in connection.execute(statement)]


def delete_adjustments(connection: Connection, numbers: Sequence[int]) -> None:
    """Delete the adjustments of the calls with these numbers, which are about to be deleted."""
    if numbers:
        calls = select(CALLS.c.id).where(CALLS.c.seq.in_(numbers))
        connection.execute(delete(ADJUSTMENTS).where(ADJUSTMENTS.c.call_id.in_(calls)))


def _prices(changed: Sequence[Changed]) -> dict[str, int]:
    """Return what calls count in budgets from now on, in nano-USD. One whose cost became unknown goes on counting what it did: unknown is not free."""
    after = [change.after for change in changed]
    return {span.id: nano_usd(span.cost or 0) for span in after if span.cost is not None or span.cost_status == "none"}


def _same(one: Span, other: Span) -> bool:
    return one.cost == other.cost and one.cost_status == other.cost_status


def _shown(connection: Connection, ids: Sequence[str]) -> dict[str, Span]:
    """Return calls as they are shown at this moment, by id."""
    found: list[Span] = []
    for start in range(0, len(ids), _STEP):
        rows = connection.execute(select(CALLS.c.detail).where(CALLS.c.id.in_(ids[start : start + _STEP])))
        found += [span_of(detail) for detail in rows.scalars()]
    return {span.id: span for span in as_adjusted(connection, found)}


def _write(connection: Connection, changed: Sequence[Changed], run: str, made_at: int) -> None:
    for change in changed:
        before, after = change.before, change.after
        columns = {"cost": number(after.cost), "cost_status": after.cost_status}
        connection.execute(update(CALLS).where(CALLS.c.id == after.id).values(**columns))
        connection.execute(
            insert(ADJUSTMENTS).values(
                call_id=after.id,
                run=run,
                made_at=made_at,
                old_cost=number(before.cost),
                old_status=before.cost_status,
                old_ref=before.price_ref,
                new_cost=number(after.cost),
                new_status=after.cost_status,
                new_ref=after.price_ref,
                detail=packed([list(after.cost_lines), list(after.notes)]),
            )
        )


def _last(connection: Connection, ids: Sequence[str]) -> dict[str, Adjustment]:
    """Return the last adjustment of each call that has one."""
    found: dict[str, Adjustment] = {}
    for start in range(0, len(ids), _STEP):
        some = ids[start : start + _STEP]
        last = select(func.max(ADJUSTMENTS.c.seq)).where(ADJUSTMENTS.c.call_id.in_(some)).group_by(ADJUSTMENTS.c.call_id)
        rows = connection.execute(select(ADJUSTMENTS).where(ADJUSTMENTS.c.seq.in_(last)))
        found |= {row.call_id: _adjustment(row) for row in rows}
    return found


def _adjustment(row: Any) -> Adjustment:
    lines, notes = unpacked(row.detail)
    return Adjustment(
        call_id=row.call_id,
        run=row.run,
        made_at=row.made_at,
        old_cost=row.old_cost,
        old_status=row.old_status,
        old_ref=row.old_ref,
        new_cost=row.new_cost,
        new_status=row.new_status,
        new_ref=row.new_ref,
        lines=tuple(lines),
        notes=tuple(notes),
    )


def _with(span: Span, last: Adjustment) -> Span:
    return replace(
        span, cost=last.new_cost, cost_status=last.new_status, price_ref=last.new_ref, cost_lines=last.lines, notes=last.notes
    )
