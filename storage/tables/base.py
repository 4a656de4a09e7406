"""What all tables have in common, and where they are all known."""

from typing import Any, ClassVar

from sqlalchemy import BigInteger, Integer, MetaData, Table
from sqlmodel import SQLModel

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


def table_of(row: type[StoredRow]) -> Table:
    """Return the table behind a row class, for statements without objects."""
    table: Any = row.__dict__["__table__"]
    assert isinstance(table, Table)  # noqa: S101 - tells mypy what SQLModel's metaclass made
    return table
