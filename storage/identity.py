"""What tells one store from another: an id that it got when it was made, and that goes with it wherever it is copied or restored to."""

from sqlalchemy import select

from storage.database import Database
from storage.tables import StoreIdRow, table_of

_IDS = table_of(StoreIdRow)


def store_id(database: Database) -> str:
    """Return the id of the store.

    Raises:
        StoreUnavailable: it is away.
    """
    with database.reading() as connection:
        return str(connection.execute(select(_IDS.c.id)).scalar_one())
