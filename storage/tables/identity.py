"""What tells one store from another."""

from sqlmodel import Field

from storage.tables.base import StoredRow


class StoreIdRow(StoredRow, table=True):
    """The store's id: one row, made with the tables, which goes where the store is copied or restored to."""

    __tablename__ = "store_id"

    id: str = Field(primary_key=True)
