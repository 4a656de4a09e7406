"""Keys as the office keeps them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from domain.keys import ApiKey
from storage.keys import KeyStore

CI = ApiKey(
    "k1",
    "ci",
    "d1",
    project="search",
    models=("gpt-4o*",),
    tags={"team": "search"},
    hint="fg-ab…yz",
    created_at=10.0,
    expires_at=99.5,
)
CALLER = ApiKey("pt-1", "pass-through-abcd", "d9", kind="pass_through")


def test_a_key_comes_back_as_it_was(store_keys: KeyStore) -> None:
    assert store_keys.create(CI) == CI
    assert store_keys.get("ci") == CI
    assert store_keys.get("k1") == CI


@pytest.mark.parametrize("name", ["dev", "", "c\0i", "CI"])
def test_a_key_that_is_not_there_is_none(store_keys: KeyStore, name: str) -> None:
    store_keys.create(CI)
    assert store_keys.get(name) is None


def test_keys_are_listed_by_age_and_project(store_keys: KeyStore) -> None:
    older, dev = (
        replace(CI, id="k0", name="older", digest="d0", created_at=1.0),
        replace(CI, id="k2", name="dev", digest="d2", project="default"),
    )
    for key in (CI, older, dev):
        store_keys.create(key)
    assert store_keys.list() == [older, CI, dev]
    assert store_keys.list("search") == [older, CI]
    assert store_keys.list("nobody's") == []


def test_two_living_keys_cannot_have_one_name(store_keys: KeyStore) -> None:
    store_keys.create(CI)
    other = replace(CI, id="k2", digest="d2")
    with pytest.raises(ValueError, match="there is a key 'ci' already"):
        store_keys.create(other)
    revoked = store_keys.revoke("ci", at=20.0)
    assert revoked == replace(CI, revoked_at=20.0)
    assert store_keys.create(other) == other
    assert store_keys.get("ci") == other
    assert store_keys.get("k1") == revoked


def test_a_revoked_key_is_found_by_name_until_there_is_another(store_keys: KeyStore) -> None:
    store_keys.create(CI)
    store_keys.revoke("k1", at=20.0)
    assert store_keys.revoke("ci", at=30.0).revoked_at == 20.0
    assert store_keys.get("ci") == replace(CI, revoked_at=20.0)


@pytest.mark.parametrize("name", ["", "a\nb", "nul\0", "x" * 101])
def test_a_name_is_one_that_can_be_shown(store_keys: KeyStore, name: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        store_keys.create(replace(CI, name=name))
    assert store_keys.list() == []


def test_a_change_keeps_the_id_and_the_name_unique(store_keys: KeyStore) -> None:
    store_keys.create(CI)
    store_keys.create(replace(CI, id="k2", name="dev", digest="d2"))
    changed = store_keys.update("ci", lambda key: replace(key, id="other", models=(), project="default"))
    assert changed == replace(CI, models=(), project="default")
    assert store_keys.get("ci") == changed
    assert [key.name for key in store_keys.list("default")] == ["ci"]
    with pytest.raises(ValueError, match="there is a key 'dev' already"):
        store_keys.update("ci", lambda key: replace(key, name="dev"))
    with pytest.raises(LookupError, match="there is no key 'nobody'"):
        store_keys.update("nobody", lambda key: key)


def test_changes_at_once_all_happen(store_keys: KeyStore) -> None:
    store_keys.create(replace(CI, models=()))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: store_keys.update("ci", lambda key: replace(key, models=(*key.models, f"m{n}"))), range(12)))
    kept = store_keys.get("ci")
    assert kept is not None
    assert set(kept.models) == {f"m{n}" for n in range(12)}


def test_a_rotated_key_leaves_the_old_secret_good_for_a_while(store_keys: KeyStore) -> None:
    store_keys.create(CI)
    rotated = store_keys.rotate("ci", digest="d2", hint="fg-cd…wx", at=50.0, grace=60.0)
    assert rotated == replace(CI, digest="d2", hint="fg-cd…wx", previous="d1", previous_until=110.0)
    assert store_keys.get("ci") == rotated


def test_only_living_keys_of_ours_rotate(store_keys: KeyStore) -> None:
    store_keys.create(CI)
    store_keys.revoke("ci", at=20.0)
    store_keys.remember_pass_through(CALLER, at=1.0)
    with pytest.raises(ValueError, match="'ci' is revoked"):
        store_keys.rotate("ci", digest="d2", hint="", at=50.0, grace=0.0)
    with pytest.raises(ValueError, match="not one of ours"):
        store_keys.rotate("pt-1", digest="d2", hint="", at=50.0, grace=0.0)
    with pytest.raises(LookupError):
        store_keys.rotate("nobody", digest="d2", hint="", at=50.0, grace=0.0)


def test_a_callers_own_credential_is_remembered_once(store_keys: KeyStore) -> None:
    first = store_keys.remember_pass_through(CALLER, at=5.0)
    assert first == replace(CALLER, created_at=5.0, last_used_at=5.0)
    store_keys.update("pt-1", lambda key: replace(key, project="search", models=("gpt-4o",)))
    again = store_keys.remember_pass_through(CALLER, at=9.0)
    assert again == replace(first, project="search", models=("gpt-4o",), last_used_at=9.0)
    assert store_keys.list() == [again]


def test_two_credentials_whose_shortened_names_are_alike_are_both_remembered(store_keys: KeyStore) -> None:
    store_keys.remember_pass_through(CALLER, at=5.0)
    other = store_keys.remember_pass_through(replace(CALLER, id="pt-2", digest="abcd99"), at=6.0)
    assert other.name == "pass-through-abcd-abcd99"
    assert {key.id for key in store_keys.list()} == {"pt-1", "pt-2"}


def test_one_credential_seen_by_many_at_once_is_one_key(store_keys: KeyStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(lambda at: store_keys.remember_pass_through(CALLER, at=float(at)), range(1, 9)))
    assert {key.id for key in keys} == {"pt-1"}
    assert [key.last_used_at for key in store_keys.list()] == [8.0]


def test_the_last_use_is_the_latest(store_keys: KeyStore) -> None:
    store_keys.create(CI)
    store_keys.used({"k1": 70.0, "gone": 1.0})
    store_keys.used({"k1": 60.0})
    assert store_keys.get("ci") == replace(CI, last_used_at=70.0)
