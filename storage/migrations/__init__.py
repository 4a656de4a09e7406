"""Migrations of the store's tables (Alembic). `Database.upgrade` runs them; nobody runs Alembic by hand.

After a change in `storage/tables/`, write the next file in `versions/` and raise `HEAD` in `storage/database.py`. A test compares what
the migrations make with what the tables say, on both databases, and so says whether the file is right. `script.py.mako` is the shape of
such a file, for those who let Alembic draft it.
"""
