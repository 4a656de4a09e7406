"""A gateway whose Redis keeps the ledger of another store: it says so, and what to do, before it starts, and while it runs."""

from contextlib import closing

import pytest

from storage.folder import DataFolder
from storage.ledger import note_store_of
from storage.ledger.redis import RedisSettling
from tests.cli.installation import faregate
from tests.cli.test_checking import checks, until
from tests.storage.ledger.conftest import LEASE, NOW, PATIENT, RedisServer, a_claim

OURS, THEIRS = "1" * 32, "2" * 32


@pytest.fixture
def theirs():
    """A Redis that keeps the ledger of another store."""
    server = RedisServer()
    with closing(RedisSettling(server.url, deadline=PATIENT, store=lambda: THEIRS)) as office:
        office.rebuild([a_claim(500)], {}, now=NOW, lease=LEASE)
    yield server
    server.close()


def test_nothing_starts_on_it_once_the_store_is_known(theirs, tmp_path):
    folder = DataFolder(tmp_path / "faregate-data")
    folder.prepare()
    note_store_of(folder.ledger, OURS)
    for command in (["up", "--port", "0"], ["gate", "--port", "0"], ["office"]):
        run = faregate(*command, cwd=tmp_path, FAREGATE_STORAGE__REDIS_URL=theirs.url)
        assert run.returncode == 1, command
        assert "keeps the ledger of another store (22222222…)" in run.stderr
        assert "set storage.database_url to that store, or storage.redis_url" in run.stderr
    found = checks(faregate("doctor", "--json", cwd=tmp_path, FAREGATE_STORAGE__REDIS_URL=theirs.url))
    assert not found["redis"]["ok"]
    assert "must share a PostgreSQL" in found["redis"]["fact"]


def test_the_first_start_on_it_changes_nothing_there_and_doctor_says_why(theirs, begin):
    running = begin(FAREGATE_STORAGE__REDIS_URL=theirs.url)
    running.event("ready")
    running.event("dashboard")

    def refused():
        found = checks(running.run("doctor", "--json"))["ledger"]
        return found["fact"] if not found["ok"] else None

    assert "keeps the ledger of another store" in until(refused, "doctor says nothing of the ledger")
    with closing(RedisSettling(theirs.url, deadline=PATIENT, store=lambda: THEIRS)) as office:
        assert office.standings([a_claim(0).counter])[a_claim(0).counter].spent == 500
