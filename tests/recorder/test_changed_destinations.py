"""What is dead is tried again where the settings of its destination have changed."""

from contextlib import closing

import pytest

from destinations.webhook import WebhookConfig
from domain.deliveries import Dead, Owed
from recorder.changed_destinations import digest_of, retry_where_changed
from storage.database import open_database
from storage.deliveries import DeliveryStore
from storage.spans import SpanStore
from tests.dashboard.spans import span

PEPPER = b"p" * 32
SECRET, OTHER = ("whsec_" + letters * 8 for letters in ("MfKQ", "WvLk"))


def hook(**more):
    return WebhookConfig(**{"url": "https://hooks.example.com/x", "secret": SECRET} | more)


@pytest.fixture
def store(tmp_path):
    """Return a store where `hook` has one dead delivery of each of some kinds."""
    with closing(open_database(f"sqlite:///{tmp_path}/store.db")) as database:
        database.upgrade()
        kinds = ["rejected", "gave_up", "expired", "dropped"]
        spans = [span(number) for number in range(len(kinds))]
        SpanStore(database).save([(one, None) for one in spans], deliveries={one.id: [Owed("hook")] for one in spans})
        store = DeliveryStore(database, office="this one")
        claims = store.claim("hook", "live", now=10, most=100, most_bytes=10**6)
        store.finish([Dead(claim, 10, kind, 400, "no") for claim, kind in zip(claims, kinds, strict=True)])
        yield store


def test_only_what_could_fare_better_is_tried_again_and_only_after_a_change(tmp_path, store):
    path = tmp_path / "destinations.json"
    assert retry_where_changed(path, PEPPER, {"hook": hook()}, store) == {}
    assert retry_where_changed(path, PEPPER, {"hook": hook()}, store) == {}
    assert store.counts()["hook"].dead == 4
    assert retry_where_changed(path, PEPPER, {"hook": hook(secret=OTHER)}, store) == {"hook": 2}
    assert (store.counts()["hook"].dead, store.counts()["hook"].pending) == (2, 2)
    assert retry_where_changed(path, PEPPER, {"hook": hook(secret=OTHER)}, store) == {}
    assert store.discrepancies() == []


def test_the_file_gives_nothing_away_and_is_the_owners(tmp_path, store):
    path = tmp_path / "destinations.json"
    retry_where_changed(path, PEPPER, {"hook": hook()}, store)
    assert SECRET not in path.read_text()
    assert "example" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert digest_of(hook(), PEPPER) != digest_of(hook(), b"q" * 32)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_file_that_cannot_be_read_changes_nothing(tmp_path, store, text):
    path = tmp_path / "destinations.json"
    path.write_text(text)
    assert retry_where_changed(path, PEPPER, {"hook": hook()}, store) == {}
    assert retry_where_changed(path, PEPPER, {"hook": hook(batch_items=5)}, store) == {"hook": 2}


def test_what_dies_again_meanwhile_is_not_tried_for_ever(tmp_path, store):
    path = tmp_path / "destinations.json"
    retry_where_changed(path, PEPPER, {"hook": hook()}, store)

    class DiesAtOnce:
        """A store where all that is tried again is dead again at once."""

        counts = staticmethod(store.counts)

        def retry_dead(self, _name, *, kinds, limit):
            assert "expired" not in kinds
            return min(limit, 2)

    assert retry_where_changed(path, PEPPER, {"hook": hook(batch_items=5)}, DiesAtOnce()) == {"hook": 4}
