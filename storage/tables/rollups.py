"""Sums over calls: by quarter of an hour, and over those by the hour and by the day."""

from sqlalchemy import BigInteger, Column
from sqlmodel import Field

from storage.tables.base import BIG, StoredRow


class SumsRow(StoredRow):
    """Sums over calls that are alike; what they are of is said by the table. `slot` is when that begins (Unix seconds).

    `series` is a digest of what the calls have in common but `cost_status`. A cost is `cost_high` * 10^9 + `cost_low` pico-USD, so that
    no sum of 64-bit integers overflows; `unpriced` counts calls whose cost is unknown, `timed` those that have a latency.
    """

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


class RollupRow(SumsRow, table=True):
    """The sums over the calls of one quarter of an hour. They stay when the calls are deleted for their age."""

    __tablename__ = "rollups"
    __table_args__ = ({"sqlite_with_rowid": False},)


class RollupHourRow(SumsRow, table=True):
    """The sums over the four quarters of one hour (see `rollup_levels`)."""

    __tablename__ = "rollup_hours"
    __table_args__ = ({"sqlite_with_rowid": False},)


class RollupDayRow(SumsRow, table=True):
    """The sums over the hours of one day in UTC."""

    __tablename__ = "rollup_days"
    __table_args__ = ({"sqlite_with_rowid": False},)


class RollupLevelRow(StoredRow, table=True):
    """How far (Unix seconds) hours or days were summed up: `seconds` tells which of them."""

    __tablename__ = "rollup_levels"

    seconds: int = Field(primary_key=True)
    through: int = Field(sa_type=BigInteger)


class RollupStaleRow(StoredRow, table=True):
    """An hour or a day whose sums are no longer those of its quarters, or a quarter that was never summed up: they have to be made again."""

    __tablename__ = "rollup_stale"

    seconds: int = Field(primary_key=True)
    slot: int = Field(sa_type=BigInteger, primary_key=True)


class RollupSlotRow(StoredRow, table=True):
    """How many series a quarter of an hour has, and how many calls were put into `(other)` because those were too many."""

    __tablename__ = "rollup_slots"

    slot: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    series: int = Field(sa_type=BigInteger)
    folded: int = Field(sa_type=BigInteger)
