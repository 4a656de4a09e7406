"""The database in trouble: away, locked, full, slow. What is asked of it fails cleanly, and works again afterwards."""

import os
import sqlite3
import stat
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, insert, text

from domain.errors import StoreUnavailable
from domain.exchange import Labels
from storage.content import ContentPacker
from storage.database import Database, open_database
from storage.queries import CALLS
from storage.saving import ready
from storage.span_rows import COLUMNS
from storage.spans import CallQuery, SpanStore
from tests.storage.conftest import postgres_server
from tests.storage.samples import a_content, a_span

QUICK = 0.5


@pytest.fixture
def file_url(database_file: Path, tmp_path: Path) -> str:
    path = tmp_path / "store.db"
    path.write_bytes(database_file.read_bytes())
    return f"sqlite:///{path}"


@contextmanager
def locked(path: str):
    """Hold the write lock of an SQLite file in another process."""
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE'); "
        "print('locked', flush=True); sys.stdin.read(); c.execute('ROLLBACK')"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        try:
            yield other.stdin
        finally:
            other.stdin.close()


def test_a_locked_file_is_waited_for_and_then_unavailable(file_url: str) -> None:
    span = a_span()
    with closing(open_database(file_url, patience=QUICK)) as database:
        store = SpanStore(database)
        with locked(file_url.removeprefix("sqlite:///")):
            with pytest.raises(StoreUnavailable, match="locked"):
                store.save([(span, a_content())])
            assert store.calls(CallQuery()).spans == [], "reading goes on meanwhile"
        assert store.save([(span, a_content())]) == 1
        assert store.content(span.id) == a_content()


def test_an_office_can_start_while_the_file_is_locked(file_url: str) -> None:
    with closing(open_database(file_url, patience=QUICK)) as database, locked(file_url.removeprefix("sqlite:///")):
        database.upgrade()
        assert SpanStore(database).last_place() == 0


def test_a_lock_that_is_let_go_in_time_is_not_noticed(file_url: str) -> None:
    with closing(open_database(file_url, patience=30.0)) as database, ThreadPoolExecutor(1) as pool:
        store = SpanStore(database)
        with locked(file_url.removeprefix("sqlite:///")) as hand:
            saving = pool.submit(store.save, [(a_span(), None)])
            hand.close()
            assert saving.result() == 1


def test_another_office_that_never_ends_its_save_is_not_waited_for_long(database_url: str) -> None:
    with closing(open_database(database_url)) as one, closing(open_database(database_url, patience=QUICK)) as other:
        store = SpanStore(other)
        with one.writing() as connection:
            one.one_saves_at_a_time(connection)
            with pytest.raises(StoreUnavailable):
                store.save([(a_span(), None)])
        assert store.save([(a_span(), None)]) == 1


def test_writers_in_one_process_take_turns(database: Database) -> None:
    store = SpanStore(database)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda n: store.save([(a_span(n), a_content())]), range(60))) == 60


def test_a_server_that_stops_and_starts_is_unavailable_in_between() -> None:
    with postgres_server() as server, closing(open_database(server.get_uri(), patience=2.0)) as database:
        database.upgrade()
        store, first, second = SpanStore(database), a_span(1), a_span(2)
        store.save([(first, a_content())])
        assert store.calls(CallQuery()).spans == [first]
        server.stop()
        with pytest.raises(StoreUnavailable):
            store.save([(second, None)])
        with pytest.raises(StoreUnavailable):
            store.calls(CallQuery())
        with pytest.raises(StoreUnavailable):
            database.check()
        server.start()
        database.check()
        assert store.save([(first, a_content()), (second, None)]) == 1
        assert store.calls(CallQuery()).spans == [second, first]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_connection_that_is_cut_in_mid_save_saves_nothing_and_is_replaced(database: Database, database_url: str) -> None:
    with pytest.raises(StoreUnavailable):
        save_until_cut_off(database, database_url)
    assert SpanStore(database).calls(CallQuery()).spans == []
    assert SpanStore(database).save([(a_span(), None)]) == 1


def save_until_cut_off(database: Database, url: str) -> None:
    """Save two calls by hand, and have the server close the connection in between."""
    first, second = ready([(a_span(1), None), (a_span(2), None)], ContentPacker())
    with database.writing() as connection:
        connection.execute(insert(CALLS).values(dict(zip(COLUMNS, first.row, strict=True))))
        cut_off(connection, url)
        connection.execute(insert(CALLS).values(dict(zip(COLUMNS, second.row, strict=True))))


def cut_off(connection: Connection, url: str) -> None:
    """Make the server close this connection."""
    pid = connection.execute(text("SELECT pg_backend_pid()")).scalar()
    with closing(psycopg.connect(url, autocommit=True)) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_a_full_disk_loses_nothing_that_is_saved_again_later(file_url: str) -> None:
    code = """
import resource, sys
from domain.errors import StoreUnavailable
from storage.database import open_database
from storage.spans import SpanStore
from tests.storage.samples import a_content, a_span

store = SpanStore(open_database(sys.argv[1]))
calls = [(a_span(n), a_content(str(n) * 500)) for n in range(2000)]
assert store.save(calls[:10]) == 10
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    store.save(calls)
except StoreUnavailable as error:
    print(error)
assert store.last_place() == 10
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(store.save(calls))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    ran = subprocess.run([sys.executable, "-c", code, file_url], capture_output=True, text=True, check=False, env=environment)
    said, *saved = ran.stdout.splitlines()
    assert said.startswith("The store cannot be used now"), ran.stderr
    assert saved == ["1990"]


def test_a_killed_office_loses_nothing_that_it_was_told_is_saved(database_url: str) -> None:
    code = """
import sys
from storage.database import open_database
from storage.spans import SpanStore
from tests.storage.samples import a_content, a_span

store = SpanStore(open_database(sys.argv[1]))
for n in range(100_000):
    span = a_span(n)
    store.save([(span, a_content()), (a_span(n), None)])
    print(span.id, flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(
        [sys.executable, "-c", code, database_url], stdout=subprocess.PIPE, text=True, env=environment
    ) as office:
        assert office.stdout is not None
        acknowledged = [office.stdout.readline().strip() for _ in range(40)]
        office.kill()
        acknowledged += [line.strip() for line in office.stdout if line.endswith("\n")]
    with closing(open_database(database_url)) as database:
        store = SpanStore(database)
        assert [store.content(call) for call in acknowledged] == [a_content()] * len(acknowledged)
        spans, _ = store.recorded_after(0, limit=1_000_000)
        assert len(spans) % 2 == 0, "a save is whole or not there"
        assert store.save([(a_span(), None)]) == 1


SLOW = {
    True: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    False: "SELECT pg_sleep(60)",
}


def test_a_read_that_takes_too_long_is_broken_off(database_url: str) -> None:
    with closing(open_database(database_url, patience=QUICK)) as database:
        with pytest.raises(StoreUnavailable, match=r"interrupted|timeout"), database.reading() as connection:
            connection.execute(text(SLOW[database.is_sqlite])).all()
        assert SpanStore(database).calls(CallQuery()).spans == []


def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(StoreUnavailable), database.reading() as connection:
        connection.execute(text("DELETE FROM calls"))


def test_a_mistake_of_ours_is_not_taken_for_trouble(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.writing():
        _ = 1 / 0


def test_no_prompt_and_no_label_is_in_an_error(file_url: str, caplog: pytest.LogCaptureFixture) -> None:
    secret = "what nobody may read"
    span = a_span(labels=Labels(session=secret, tags={"t": secret}), outcome=object())
    with closing(open_database(file_url)) as database, pytest.raises(Exception, match="object") as raised:
        SpanStore(database).save([(span, a_content(secret))])
    told = "".join(traceback.format_exception(raised.value)) + str(raised.value) + caplog.text
    assert secret not in told


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "cannot be read"),
        ("not a url", "cannot be read"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("mysql://me:hunter2@host/db", "not a store we know"),
    ],
)
def test_a_url_that_no_store_can_have_is_refused_without_telling_the_password(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as raised:
        open_database(url)
    assert "hunter2" not in str(raised.value)


def test_opening_touches_nothing(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/none.db", "postgresql://me@192.0.2.1/none", "postgres://me@192.0.2.1/none"):
        open_database(url).close()
    assert list(tmp_path.iterdir()) == []


def test_a_server_nobody_listens_at_is_unavailable_and_the_password_stays_secret(tmp_path: Path) -> None:
    password = "hunter" + "2"
    with (
        closing(open_database(f"postgresql://me:{password}@/db?host={tmp_path}", patience=QUICK)) as database,
        pytest.raises(StoreUnavailable) as raised,
    ):
        database.check()
    assert password not in "".join(traceback.format_exception(raised.value))


def test_without_its_driver_postgresql_is_refused_with_what_to_install() -> None:
    code = """
import sys
sys.modules["psycopg"] = None
from storage.database import open_database
try:
    open_database("postgresql://me@host/db")
except ValueError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert "pip install 'faregate[postgres]'" in said.stdout, said.stderr


@pytest.mark.parametrize("path", ["missing/folder/store.db", "taken"])
def test_a_file_that_cannot_be_made_is_unavailable(tmp_path: Path, path: str) -> None:
    (tmp_path / "taken").mkdir()
    with closing(open_database(f"sqlite:///{tmp_path}/{path}", patience=QUICK)) as database:
        with pytest.raises(StoreUnavailable):
            database.upgrade()
        with pytest.raises(StoreUnavailable):
            SpanStore(database).save([(a_span(), None)])


def test_a_file_that_is_not_a_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"certainly not a database " * 200)
    with (
        closing(open_database(f"sqlite:///{tmp_path}/store.db")) as database,
        pytest.raises(StoreUnavailable, match="not a database"),
    ):
        database.upgrade()


def test_the_file_is_its_owners_and_durable(tmp_path: Path) -> None:
    path = tmp_path / "odd & #%20?=.db"
    with closing(open_database(f"sqlite:///{path}")) as database:
        database.upgrade()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with database.reading() as connection:
            settings = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "auto_vacuum", "query_only")
            ]
        assert settings == ["wal", 2, 1]
        with database.writing() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_backup_is_whole_while_the_store_is_in_use(file_url: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(open_database(file_url)) as database:
        store = SpanStore(database)
        calls = [(a_span(n), a_content()) for n in range(200)]
        store.save(calls)
        with database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM contents")
            database.backup(copy)
            connection.rollback()
        with pytest.raises(FileExistsError):
            database.backup(copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(open_database(f"sqlite:///{copy}")) as database:
        database.check()
        assert SpanStore(database).content(calls[7][0].id) == a_content()
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_restored_store_is_as_it_was(file_url: str, tmp_path: Path) -> None:
    copy, old, lost = tmp_path / "odd ?#% copy.db", a_span(1), a_span(2)
    with closing(open_database(file_url)) as database:
        store = SpanStore(database)
        store.save([(old, a_content())])
        database.backup(copy)
        store.save([(lost, None)])
        database.restore(copy)
        assert store.calls(CallQuery()).spans == [old]
        assert store.content(old.id) == a_content()
        assert store.save([(lost, None)]) == 1
    with closing(open_database(f"sqlite:///{tmp_path}/elsewhere.db")) as database:
        database.restore(copy)
        assert SpanStore(database).calls(CallQuery()).spans == [old]


def test_a_store_in_use_is_not_restored(file_url: str, tmp_path: Path) -> None:
    with closing(open_database(file_url, patience=QUICK)) as database:
        database.backup(tmp_path / "copy")
        SpanStore(database).save([(a_span(), None)])
        with locked(file_url.removeprefix("sqlite:///")), pytest.raises(StoreUnavailable):
            database.restore(tmp_path / "copy")
        assert len(SpanStore(database).calls(CallQuery()).spans) == 1


@pytest.mark.parametrize("content", [b"", b"not a database" * 99, "missing", "empty"])
def test_what_is_no_copy_of_a_store_is_not_restored(file_url: str, tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "copy.db"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "empty":
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE t (i)")
    with closing(open_database(file_url)) as database:
        SpanStore(database).save([(a_span(), None)])
        with pytest.raises(ValueError, match=r"not a whole copy|there is no file"):
            database.restore(path)
        assert len(SpanStore(database).calls(CallQuery()).spans) == 1


def test_a_backup_of_postgresql_is_left_to_its_own_tools(database: Database, tmp_path: Path) -> None:
    if database.is_sqlite:
        database.backup(tmp_path / "copy")
        assert (tmp_path / "copy").exists()
    else:
        with pytest.raises(ValueError, match="pg_dump"):
            database.backup(tmp_path / "copy")
        with pytest.raises(ValueError, match="pg_restore"):
            database.restore(tmp_path / "copy")
