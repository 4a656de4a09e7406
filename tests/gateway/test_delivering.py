"""The part of the office that delivers, put together: what is wrong with one destination stops nothing."""

import threading
import time
from contextlib import closing

import pytest
from pydantic import model_serializer

from config.settings import Settings
from destinations.objects import FolderConfig
from domain.deliveries import Later, Owed
from gateway.delivering import REMOVED_AFTER, Delivering
from recorder.pricing import Pricer
from storage.database import open_database
from storage.deliveries import DeliveryStore
from storage.folder import DataFolder
from storage.spans import SpanStore
from tests.dashboard.conftest import until
from tests.dashboard.spans import span


class Odd(FolderConfig):
    """Settings of somebody else's, which cannot be written down."""

    @model_serializer
    def _written(self):
        raise KeyError("path")


@pytest.mark.parametrize(("waited", "kept"), [(REMOVED_AFTER * 2, 0), (REMOVED_AFTER // 2, 1)], ids=["long", "not long"])
def test_what_waits_for_a_destination_that_is_gone_is_given_up_after_long_and_counted(tmp_path, waited, kept):
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    settings = Settings.model_validate({"storage": {"data": str(folder.path)}})
    settings.destinations["here"] = FolderConfig(path=tmp_path / "calls")
    with closing(open_database(f"sqlite:///{folder.database}")) as database:
        database.upgrade()
        spans = SpanStore(database, now=lambda: time.time_ns() - waited)
        one = span()
        spans.save([(one, None)], deliveries={one.id: [Owed("gone"), Owed("here")]})
        delivering = Delivering(settings, database, spans, folder, pricer=Pricer(dict, {}), places={})
        delivering.give_up_removed()
        counts = delivering.store.counts()
        assert (counts["gone"].pending, counts["gone"].dead) == (kept, 1 - kept)
        assert counts["here"].pending == 1
        assert delivering.store.discrepancies() == []


@pytest.mark.parametrize("trying", ["at it", "just now"])
def test_what_another_office_still_tries_is_not_given_up(tmp_path, trying):
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    settings = Settings.model_validate({"storage": {"data": str(folder.path)}})
    with closing(open_database(f"sqlite:///{folder.database}")) as database:
        database.upgrade()
        one, now = span(), time.time_ns()
        SpanStore(database, now=lambda: now - REMOVED_AFTER * 2).save([(one, None)], deliveries={one.id: [Owed("theirs")]})
        other = DeliveryStore(database, office="other")
        claims = other.claim("theirs", "live", now=now, most=1, most_bytes=1)
        if trying == "just now":
            other.finish([Later(claim, now, now, 503, "down", counts=False) for claim in claims])
        delivering = Delivering(settings, database, SpanStore(database), folder, pricer=Pricer(dict, {}), places={})
        delivering.give_up_removed()
        counts = delivering.store.counts()["theirs"]
        assert (counts.pending, counts.dead) == (1, 0)


def test_settings_that_cannot_be_compared_with_those_of_before_stop_nothing(tmp_path):
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    settings = Settings.model_validate({"storage": {"data": str(folder.path)}})
    settings.destinations["odd"] = Odd(path=tmp_path / "calls")
    with closing(open_database(f"sqlite:///{folder.database}")) as database:
        database.upgrade()
        delivering = Delivering(settings, database, SpanStore(database), folder, pricer=Pricer(dict, {}), places={})
        thread = threading.Thread(target=delivering.run)
        thread.start()
        try:
            until(lambda: delivering.courier.is_alive() or not thread.is_alive(), 30)
            assert thread.is_alive()
            assert delivering.courier.is_alive()
        finally:
            delivering.stop()
            thread.join(30)
