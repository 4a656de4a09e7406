"""Databases as in the tests of the store."""

from tests.storage.conftest import database, database_file, database_server, database_template, database_url

__all__ = ["database", "database_file", "database_server", "database_template", "database_url"]
