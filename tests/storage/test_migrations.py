"""Migrations make the tables that the code expects, however many offices start at once."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from domain.errors import StoreUnavailable
from storage.database import HEAD, Database, open_database
from storage.spans import CallQuery, SpanStore
from storage.tables import METADATA
from tests.storage.samples import a_span

MIGRATIONS = Path(__file__).parents[2] / "storage" / "migrations"
DEFINITIONS = {
    True: "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%' AND name NOT LIKE 'sqlite%'",
    False: "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
}


def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def test_the_migrations_make_the_indexes_of_the_code_word_for_word(database_empty_url: str) -> None:
    """Alembic does not compare which rows an index leaves out."""
    with closing(open_database(database_empty_url)) as database:
        database.upgrade()
        with database.writing() as connection:
            migrated = definitions(connection)
            METADATA.drop_all(connection)
            METADATA.create_all(connection)
            assert definitions(connection) == migrated
    assert len(migrated) > 10


def definitions(connection: Connection) -> dict[str, set[str]]:
    """Return the definitions by name, as their words in any order: a migration may list columns in another one."""
    rows = connection.execute(text(DEFINITIONS[connection.dialect.name == "sqlite"])).all()
    return {name: set(definition.replace(",", " ").split()) for name, definition in rows}


def test_the_newest_migration_is_the_version_that_is_asked_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [HEAD]
    assert [script.revision for script in scripts.walk_revisions()] == sorted(
        (script.revision for script in scripts.walk_revisions()), reverse=True
    )


def test_upgrading_again_keeps_everything(database_empty_url: str) -> None:
    span = a_span()
    for _ in range(2):
        with closing(open_database(database_empty_url)) as database:
            database.upgrade()
            database.upgrade()
            database.check()
            SpanStore(database).save([(span, None)])
            assert SpanStore(database).calls(CallQuery()).spans == [span]


def test_offices_that_start_at_once_do_not_hinder_each_other(database_empty_url: str) -> None:
    code = """
import sys
from storage.database import open_database

database = open_database(sys.argv[1])
sys.stdin.readline()
database.upgrade()
database.check()
"""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    offices = [
        subprocess.Popen(
            [sys.executable, "-c", code, database_empty_url], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        for _ in range(5)
    ]
    for office in offices:
        assert office.stdin is not None
        office.stdin.write(b"go\n")
        office.stdin.flush()
    ends = [office.communicate() for office in offices]
    assert [office.returncode for office in offices] == [0] * 5, ends


def test_a_store_without_tables_is_unavailable_and_says_what_to_do(database_empty_url: str) -> None:
    with closing(open_database(database_empty_url)) as database:
        if database.is_sqlite:
            Path(database_empty_url.removeprefix("sqlite:///")).touch()
        with pytest.raises(StoreUnavailable, match="faregate db upgrade"):
            database.check()
        with pytest.raises(StoreUnavailable, match="faregate db upgrade"):
            SpanStore(database).save([(a_span(), None)])


def test_a_store_of_a_newer_version_is_left_alone(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ValueError, match="newer version"):
        database.upgrade()
    with pytest.raises(StoreUnavailable, match="9999"):
        database.check()
