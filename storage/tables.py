"""The tables of the store, the same on SQLite and PostgreSQL.

A call is one row of `calls`: a few columns that lists filter by and sums add up, and `detail`, which holds the whole span. The columns
are copies for the database's use (see `span_rows`); what is shown comes from `detail`. Bodies are apart, in `contents`, and go first.
A change here needs a migration; a test compares the two.
"""

from typing import Any, ClassVar

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, UniqueConstraint, text
from sqlalchemy.sql.expression import TextClause
from sqlmodel import Field, SQLModel

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# SQLite counts rows by itself only in a column that is called INTEGER.
BIG = BigInteger().with_variant(Integer(), "sqlite")


class StoredRow(SQLModel):
    """A row of one of our tables."""

    metadata: ClassVar[MetaData] = METADATA


def _by_time(name: str, *columns: str, only: str | None = None) -> Index:
    """Return an index for the list of the calls that have one value in common, by time; `only` leaves the others out of it."""
    where: TextClause | None = None if only is None else text(only)
    return Index(f"ix_calls_{name}", *columns, "started_at", sqlite_where=where, postgresql_where=where)


class CallRow(StoredRow, table=True):
    """One recorded call. `seq` counts calls in the order they were saved, and is never used twice."""

    __tablename__ = "calls"
    __table_args__ = (
        UniqueConstraint("id"),
        _by_time("time"),
        _by_time("project", "project"),
        _by_time("key", "key"),
        _by_time("key_name", "key_name", only="key_name <> key"),
        _by_time("model", "model"),
        _by_time("served_model", "served_model", only="served_model <> model"),
        _by_time("outcome", "outcome", only="outcome <> 'ok'"),
        _by_time("session", "session", only="session IS NOT NULL"),
        _by_time("customer", "customer", only="customer IS NOT NULL"),
        _by_time("end_user", "end_user", only="end_user IS NOT NULL"),
        _by_time("section", "section", only="section IS NOT NULL"),
        _by_time("unpriced", "upstream", "served_model", only="cost_status = 'unknown'"),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    id: str
    started_at: int = Field(sa_type=BigInteger)
    project: str
    key: str
    key_name: str
    operation: str
    upstream: str
    model: str = ""
    served_model: str = ""
    outcome: str
    status: int | None
    session: str | None
    customer: str | None
    end_user: str | None
    section: str | None
    latency_ms: float | None
    cost: int | None = Field(sa_type=BigInteger)
    cost_status: str
    input_tokens: int | None = Field(sa_type=BigInteger)
    cache_read_tokens: int | None = Field(sa_type=BigInteger)
    cache_write_tokens: int | None = Field(sa_type=BigInteger)
    output_tokens: int | None = Field(sa_type=BigInteger)
    reasoning_tokens: int | None = Field(sa_type=BigInteger)
    detail: bytes = Field(sa_type=LargeBinary)


class CallTagRow(StoredRow, table=True):
    """One tag of one call, so that the calls with a tag can be listed by time."""

    __tablename__ = "call_tags"
    __table_args__ = ({"sqlite_with_rowid": False},)

    name: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    started_at: int = Field(sa_type=BigInteger, primary_key=True)
    seq: int = Field(sa_type=BigInteger, primary_key=True)


class ContentRow(StoredRow, table=True):
    """The bodies of one call, compressed (see `content`)."""

    __tablename__ = "contents"
    __table_args__ = (Index("ix_contents_time", "started_at"),)

    seq: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    started_at: int = Field(sa_type=BigInteger)
    data: bytes = Field(sa_type=LargeBinary)


class KeyRow(StoredRow, table=True):
    """One key: `document` is the `ApiKey` as JSON, the columns are what is looked up, and when it was last used."""

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("digest"),
        Index(
            "ix_api_keys_live_name",
            "name",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    name: str
    digest: str
    project: str
    created_at: float
    revoked_at: float | None
    last_used_at: float | None
    document: bytes = Field(sa_type=LargeBinary)


class SessionRow(StoredRow, table=True):
    """A browser that is signed in. The token itself is only in the browser; here is its digest."""

    __tablename__ = "sign_in_sessions"

    digest: str = Field(primary_key=True)
    created_at: float
    last_seen_at: float
    expires_at: float


class SignInLinkRow(StoredRow, table=True):
    """A link that signs a browser in once."""

    __tablename__ = "sign_in_links"

    digest: str = Field(primary_key=True)
    expires_at: float


class PriceOverrideRow(StoredRow, table=True):
    """A price of the operator's own, as it was set. One that was taken back stays, so that what it priced can be explained."""

    __tablename__ = "price_overrides"

    id: str = Field(primary_key=True)
    created_at: float
    removed_at: float | None
    document: bytes = Field(sa_type=LargeBinary)


class CostAdjustmentRow(StoredRow, table=True):
    """What a recorded call costs by a later price. The call keeps what was recorded; of several adjustments the last one holds."""

    __tablename__ = "cost_adjustments"
    __table_args__ = (
        Index("ix_cost_adjustments_call", "call_id", "seq"),
        Index("ix_cost_adjustments_run", "run", "seq"),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    call_id: str
    run: str
    made_at: int = Field(sa_type=BigInteger)
    old_cost: int | None = Field(sa_type=BigInteger)
    old_status: str
    old_ref: str | None
    new_cost: int | None = Field(sa_type=BigInteger)
    new_status: str
    new_ref: str | None
    detail: bytes = Field(sa_type=LargeBinary)


class ChargedResponseRow(StoredRow, table=True):
    """A response or a file of results that was charged already, and the call that it was charged to: reading it again costs nothing."""

    __tablename__ = "charged_responses"
    __table_args__ = (Index("ix_charged_responses_time", "started_at"), {"sqlite_with_rowid": False})

    id: str = Field(primary_key=True)
    call_id: str
    made: bool
    started_at: int = Field(sa_type=BigInteger)


class RollupRow(StoredRow, table=True):
    """The sums over the calls of one quarter of an hour (`slot`, Unix seconds) that are alike. They stay when the calls are deleted for their age.

    `series` is a digest of what the calls have in common but `cost_status`. A cost is `cost_high` * 10^9 + `cost_low` pico-USD, so that
    no sum of 64-bit integers overflows; `unpriced` counts calls whose cost is unknown, `timed` those that have a latency.
    """

    __tablename__ = "rollups"
    __table_args__ = ({"sqlite_with_rowid": False},)

    slot: int = Field(sa_type=BigInteger, primary_key=True)
    series: int = Field(sa_type=BigInteger, primary_key=True)
    cost_status: str = Field(primary_key=True)
    project: str
    key: str
    key_name: str
    upstream: str
    model: str
    outcome: str
    customer: str | None
    section: str | None
    calls: int = Field(sa_type=BigInteger)
    unpriced: int = Field(sa_type=BigInteger)
    timed: int = Field(sa_type=BigInteger)
    latency_us: int = Field(sa_type=BigInteger)
    cost_high: int = Field(sa_type=BigInteger)
    cost_low: int = Field(sa_type=BigInteger)
    input_tokens: int = Field(sa_type=BigInteger)
    cache_read_tokens: int = Field(sa_type=BigInteger)
    cache_read_audio_tokens: int = Field(sa_type=BigInteger)
    cache_read_image_tokens: int = Field(sa_type=BigInteger)
    cache_write_tokens: int = Field(sa_type=BigInteger)
    cache_write_5m_tokens: int = Field(sa_type=BigInteger)
    cache_write_30m_tokens: int = Field(sa_type=BigInteger)
    cache_write_1h_tokens: int = Field(sa_type=BigInteger)
    cache_write_12h_tokens: int = Field(sa_type=BigInteger)
    input_audio_tokens: int = Field(sa_type=BigInteger)
    input_image_tokens: int = Field(sa_type=BigInteger)
    input_video_tokens: int = Field(sa_type=BigInteger)
    output_tokens: int = Field(sa_type=BigInteger)
    reasoning_tokens: int = Field(sa_type=BigInteger)
    output_audio_tokens: int = Field(sa_type=BigInteger)
    output_image_tokens: int = Field(sa_type=BigInteger)


class RollupSlotRow(StoredRow, table=True):
    """How many series a quarter of an hour has, and how many calls were put into `(other)` because those were too many."""

    __tablename__ = "rollup_slots"

    slot: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    series: int = Field(sa_type=BigInteger)
    folded: int = Field(sa_type=BigInteger)


class BudgetRow(StoredRow, table=True):
    """A budget that was set through the API: `document` is the `Budget` as JSON."""

    __tablename__ = "budgets"

    id: str = Field(primary_key=True)
    created_at: float
    document: bytes = Field(sa_type=LargeBinary)


class LimitRaiseRow(StoredRow, table=True):
    """So much more for some windows of a budget, the settings' budgets too. `since` and `until` are Unix seconds, about the starts of windows."""

    __tablename__ = "budget_raises"
    __table_args__ = (Index("ix_budget_raises_budget", "budget"), {"sqlite_autoincrement": True})

    seq: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    budget: str
    amount: int = Field(sa_type=BigInteger)
    since: int = Field(sa_type=BigInteger)
    until: int | None = Field(sa_type=BigInteger)
    reason: str
    created_at: float


class BudgetWarningRow(StoredRow, table=True):
    """A budget came to a share of its limit, told once for each window: `period` tells the windows of one rolling counter apart."""

    __tablename__ = "budget_warnings"
    __table_args__ = (
        UniqueConstraint("counter", "period", "threshold"),
        Index("ix_budget_warnings_budget", "budget", "seq"),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    budget: str
    name: str
    member: str | None
    counter: str
    period: int = Field(sa_type=BigInteger)
    threshold: int = Field(sa_type=BigInteger)
    spent: int = Field(sa_type=BigInteger)
    allowed: int = Field(sa_type=BigInteger)
    unit: str
    at: float


class SpendingRow(StoredRow, table=True):
    """What saved calls have spent in one part of one counter (see `domain.ledger`), those included that the ledger has not settled yet."""

    __tablename__ = "spending"
    __table_args__ = (Index("ix_spending_forget_at", "forget_at"),)

    counter: str = Field(primary_key=True)
    part: int = Field(sa_type=BigInteger, primary_key=True)
    amount: int = Field(sa_type=BigInteger)
    rolling: int = Field(sa_type=BigInteger)
    forget_at: int | None = Field(sa_type=BigInteger)


class UnsettledRow(StoredRow, table=True):
    """One claim of the hold of a saved call that the ledger has not settled yet, with its true amount. `at_hold`: nobody knows it, it is what is held."""

    __tablename__ = "unsettled"

    hold: str = Field(primary_key=True)
    place: int = Field(primary_key=True)
    counter: str
    part: int = Field(sa_type=BigInteger)
    amount: int = Field(sa_type=BigInteger)
    at_hold: bool


class DeliveryRow(StoredRow, table=True):
    """One span, or one event, owed to one destination. `number` is `calls.seq`, or for an event a number below zero (see `deliveries.rows`).

    `state` is 0 (due), 1 (waits until `due`), 2 (claimed by the office `claimed_by`), 3 (delivered) or 4 (dead): what is below 3 is pending, and has no `ended_at`. `lane` is
    0 (live) or 1 (replay). `size` is about what its bodies take in memory. `options` is what rules said of it, NULL where they said nothing;
    `otherwise` is the destination that gets it when this one stays down. `tried_at`, `status` and `error` are those of the last attempt, `log` has those before it.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index(
            "ix_deliveries_pending",
            "destination",
            "state",
            "lane",
            "number",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "ix_deliveries_waiting",
            "destination",
            "lane",
            "due",
            sqlite_where=text("state = 1"),
            postgresql_where=text("state = 1"),
        ),
        Index("ix_deliveries_claimed", "claimed_by", sqlite_where=text("state = 2"), postgresql_where=text("state = 2")),
        Index(
            "ix_deliveries_batch",
            "destination",
            "batch",
            sqlite_where=text("batch IS NOT NULL AND ended_at IS NULL"),
            postgresql_where=text("batch IS NOT NULL AND ended_at IS NULL"),
        ),
        Index(
            "ix_deliveries_otherwise",
            "destination",
            "otherwise",
            "number",
            sqlite_where=text("otherwise IS NOT NULL AND ended_at IS NULL"),
            postgresql_where=text("otherwise IS NOT NULL AND ended_at IS NULL"),
        ),
        Index("ix_deliveries_dead", "destination", "number", sqlite_where=text("state = 4"), postgresql_where=text("state = 4")),
        {"sqlite_with_rowid": False},
    )

    destination: str = Field(primary_key=True)
    number: int = Field(sa_type=BigInteger, primary_key=True)
    lane: int
    state: int
    due: int = Field(sa_type=BigInteger)
    attempts: int
    size: int = Field(sa_type=BigInteger)
    owed_at: int = Field(sa_type=BigInteger)
    ended_at: int | None = Field(sa_type=BigInteger)
    options: bytes | None = Field(sa_type=LargeBinary)
    otherwise: str | None
    claimed_by: str | None
    batch: str | None
    tried_at: int | None = Field(sa_type=BigInteger)
    status: int | None
    error: str | None
    kind: str | None
    note: str | None
    shortened: str | None
    log: bytes | None = Field(sa_type=LargeBinary)


class DeliveryTotalRow(StoredRow, table=True):
    """What became of all that was ever owed to a destination. What is neither delivered nor dead is pending.

    `gone` counts the dead ones whose rows are deleted. `refused` are items that the destination did not keep without saying which.
    """

    __tablename__ = "delivery_totals"

    destination: str = Field(primary_key=True)
    accepted: int = Field(sa_type=BigInteger)
    delivered: int = Field(sa_type=BigInteger)
    dead: int = Field(sa_type=BigInteger)
    gone: int = Field(sa_type=BigInteger)
    refused: int = Field(sa_type=BigInteger)


class DeadPayloadRow(StoredRow, table=True):
    """What was sent of a delivery that is dead: the beginning of it, compressed. `at` is Unix nanoseconds."""

    __tablename__ = "dead_payloads"
    __table_args__ = (Index("ix_dead_payloads_at", "at"),)

    destination: str = Field(primary_key=True)
    number: int = Field(sa_type=BigInteger, primary_key=True)
    at: int = Field(sa_type=BigInteger)
    content_type: str
    data: bytes = Field(sa_type=LargeBinary)


class EventRow(StoredRow, table=True):
    """An event, saved once however often it is noticed. `document` is the whole of it."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("id"), Index("ix_events_at", "at"), {"sqlite_autoincrement": True})

    seq: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True))
    id: str
    at: int = Field(sa_type=BigInteger)
    document: bytes = Field(sa_type=LargeBinary)


class OfficeRow(StoredRow, table=True):
    """An office that takes deliveries, by what is its own since it was started. Others see by `beats` that it lives, without asking anybody's clock."""

    __tablename__ = "offices"

    boot: str = Field(primary_key=True)
    beats: int = Field(sa_type=BigInteger)


def table_of(row: type[StoredRow]) -> Table:
    """Return the table behind a row class, for statements without objects."""
    table: Any = row.__dict__["__table__"]
    assert isinstance(table, Table)  # noqa: S101 - tells mypy what SQLModel's metaclass made
    return table
