"""Keys over HTTP, and the file that the gate reads."""

import time
from datetime import UTC, datetime

import pytest

from dashboard.keyring import KeyRing, KeysInUse
from domain.budgets import KeyLimits
from domain.errors import StoreUnavailable
from domain.keys import ApiKey, digest
from storage.keyring import load_keys, save_keys
from storage.keys import KeyStore
from tests.dashboard.spans import span
from tests.dashboard.test_calls import problem


def make(client, **body):
    return client.post("/api/v1/keys", json={"name": "app", **body})


def test_a_secret_is_in_the_answer_that_made_it_and_nowhere_else(office):
    with office.client() as client:
        made = make(client)
        secret = made.json()["secret"]
        others = client.get("/api/v1/keys").text + client.get("/api/v1/keys/app").text + office.keys_file.read_text()
    assert made.status_code == 201
    assert secret.startswith("fg-")
    assert secret not in others
    assert digest(secret) not in client_text(office)


def client_text(office):
    with office.client() as client:
        return client.get("/api/v1/keys").text + client.get("/api/v1/keys/app").text


def test_the_gate_knows_a_key_as_soon_as_it_is_made(office):
    with office.client() as client:
        secret = make(client, models=["gpt-4o*"], tags={"team": "a"}, project="search", expires="30d").json()["secret"]
    known = {key.digest: key for key in load_keys(office.keys_file)}
    key = known[digest(secret)]
    assert (key.name, key.models, key.tags, key.project) == ("app", ("gpt-4o*",), {"team": "a"}, "search")
    assert abs(key.expires_at - time.time() - 30 * 86_400) < 60
    assert "d" * 64 in known


def test_a_rotated_secret_works_for_its_grace(office):
    with office.client() as client:
        old = make(client).json()["secret"]
        rotated = client.post("/api/v1/keys/app/rotate", json={"grace_seconds": 60}).json()
    key = next(key for key in load_keys(office.keys_file) if key.name == "app")
    assert (key.digest, key.previous) == (digest(rotated["secret"]), digest(old))
    assert abs(key.previous_until - time.time() - 60) < 30
    assert rotated["previous_secret_until"] is not None


def test_a_revoked_key_stays_known_as_revoked(office):
    with office.client() as client:
        make(client)
        revoked = client.delete("/api/v1/keys/app").json()
        again = client.delete("/api/v1/keys/app")
        rotated = client.post("/api/v1/keys/app/rotate")
        made_again = make(client)
    assert revoked["revoked_at"] is not None
    assert next(key for key in load_keys(office.keys_file) if key.name == "app").revoked_at is not None
    assert again.json()["revoked_at"] == revoked["revoked_at"]
    assert "for good" in problem(rotated, 409)
    assert made_again.status_code == 201


def test_what_the_file_defines_only_the_file_changes(office):
    with office.client() as client:
        assert client.get("/api/v1/keys/ci").json()["origin"] == "file"
        for answer in (client.delete("/api/v1/keys/ci"), client.post("/api/v1/keys/ci/rotate"), make(client, name="ci")):
            assert "faregate.toml" in problem(answer, 409)


def test_a_name_is_used_once(office):
    with office.client() as client:
        make(client)
        assert "already" in problem(make(client), 409)


def test_there_is_no_such_key(office):
    with office.client() as client:
        assert "no key of this name" in problem(client.get("/api/v1/keys/nobody"), 404)
        assert "no key of this name" in problem(client.delete("/api/v1/keys/nobody"), 404)
        assert "no parameter" in problem(client.get("/api/v1/keys?x=1"))


def test_limits_of_a_key_are_kept_and_shown(office):
    with office.client() as client:
        made = make(client, rpm=60, tpm=90_000, parallel=4).json()
        plain = make(client, name="plain").json()
    assert (made["rpm"], made["tpm"], made["parallel"]) == (60, 90_000, 4)
    assert (plain["rpm"], plain["tpm"], plain["parallel"]) == (None, None, None)
    known = {key.name: key.limits for key in load_keys(office.keys_file)}
    assert known["app"] == KeyLimits(60, 90_000, 4)
    assert known["plain"] is None


def test_a_keys_budget_is_there_as_soon_as_the_key_is(office):
    with office.client() as client:
        assert make(client, budget="20/month").status_code == 201
        listed = client.get("/api/v1/budgets").json()["budgets"]
    mine = next(one for one in listed if one["scope"] == "key:app")
    assert (mine["limit"], mine["window"]) == ("20.00", "month")


def test_a_key_that_cannot_be_made_changes_no_budget(office):
    with office.client() as client:
        make(client, budget="20/month")
        assert "already" in problem(make(client, budget="99/day"), 409)
        listed = client.get("/api/v1/budgets").json()["budgets"]
    assert [one["limit"] for one in listed if one["scope"] == "key:app"] == ["20.00"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": ""}, "`name` is needed"),
        ({"name": "a/b"}, "`name` is needed"),
        ({"name": 5}, "`name` is needed"),
        ({"project": ""}, "`project` is needed"),
        ({"modles": []}, "did you mean `models`?"),
        ({"models": "gpt"}, "`models` is a list"),
        ({"models": [""]}, "`models` is a list"),
        ({"tags": {"a": 1}}, "`tags` is an object"),
        ({"tags": []}, "`tags` is an object"),
        ({"expires": 30}, "`expires` is a duration"),
        ({"budget": 20}, "`budget` is an amount and a window, such as `20/month`"),
        ({"budget": "twenty"}, "`budget` is an amount and a window, such as `20/month`"),
        ({"budget": "20/moth"}, "did you mean 'month'?"),
        ({"rpm": 0}, "`rpm` is a whole number of 1 or more"),
        ({"tpm": True}, "`tpm` is a whole number"),
        ({"parallel": "4"}, "`parallel` is a whole number"),
        ({"expires": "soon"}, "is not a time"),
        ({"expires": "2020-01-01"}, "in the past"),
    ],
)
def test_what_is_wrong_with_a_new_key_is_said(office, body, said):
    with office.client() as client:
        assert said in problem(make(client, **body))


@pytest.mark.parametrize("grace", [-1, "1", True, 10**9, None])
def test_a_grace_is_a_number_of_seconds(office, grace):
    with office.client() as client:
        make(client)
        assert "grace_seconds" in problem(client.post("/api/v1/keys/app/rotate", json={"grace_seconds": grace}))


def test_a_key_may_expire_at_a_time(office):
    with office.client() as client:
        key = make(client, expires="2099-01-01T00:00:00Z").json()
    assert key["expires_at"] == datetime(2099, 1, 1, tzinfo=UTC).strftime("%Y-%m-%dT00:00:00.000000Z")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"[]", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"[" * 50_000, "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"name=app", "headers": {"content-type": "application/x-www-form-urlencoded"}}, 415),
        ({"content": b" " * 70_000, "headers": {"content-type": "application/json"}}, 413),
        ({}, 400),
    ],
)
def test_a_body_must_be_a_small_json_object(office, sent, status):
    with office.client() as client:
        problem(client.post("/api/v1/keys", **sent), status)


def test_a_pass_through_key_has_a_record_from_its_first_call_and_belongs_to_its_provider(office, database):
    keys = KeysInUse(KeyStore(database))
    keys.see([span(key="pt-" + "a" * 24, key_name="pass-through-aaaaaaaa"), span(1)])
    keys.note()
    with office.client() as client:
        key = client.get("/api/v1/keys/pass-through-aaaaaaaa").json()
        assert "provider's own" in problem(client.delete("/api/v1/keys/pass-through-aaaaaaaa"), 409)
    office.ring.publish()
    assert key["kind"] == "pass_through"
    assert key["last_used_at"] == "2026-01-01T00:00:00.000000Z"
    assert "aaaaaaaa" not in office.keys_file.read_text()


def test_the_use_of_keys_is_kept_until_the_store_is_there(database):
    class Away(KeyStore):
        away = True

        def used(self, times):
            if self.away:
                raise StoreUnavailable("away")
            super().used(times)

    store = Away(database)
    store.create(ApiKey(id="k1", name="app", digest="d"))
    keys = KeysInUse(store)
    keys.see([span(1), span(0)])
    with pytest.raises(StoreUnavailable):
        keys.note()
    store.away = False
    keys.note()
    assert store.get("app").last_used_at == 1_767_225_601.0


def test_the_key_file_is_written_only_when_something_changed(office):
    office.ring.publish()
    before = office.keys_file.stat().st_ino
    office.ring.publish()
    assert office.keys_file.stat().st_ino == before
    office.keys_file.unlink()
    office.ring.publish()
    assert office.keys_file.exists()


def test_without_a_store_the_files_keys_of_last_time_stay_and_the_settings_keys_are_new(tmp_path, database):
    path = tmp_path / "keys.json"
    stored = ApiKey(id="a", name="app", digest="1")
    save_keys(path, [stored, ApiKey(id="b", name="old", digest="2", origin="file")])
    new = ApiKey(id="c", name="new", digest="3", origin="file")
    KeyRing(KeyStore(database), [new], path).publish_without_store()
    assert [key.name for key in load_keys(path)] == ["new", "app"]


def test_a_key_file_that_cannot_be_read_is_replaced(tmp_path, database):
    path = tmp_path / "keys.json"
    path.write_text("{broken")
    KeyRing(KeyStore(database), [], path).publish_without_store()
    assert load_keys(path) == []
