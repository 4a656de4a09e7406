"""Who is calling: managed keys in every place, rotation, expiry, credentials that pass through."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from domain.errors import AuthenticationFailed
from domain.keys import ApiKey, digest, fingerprint
from gateway.identity import ANONYMOUS, BROWSER_KEY, Keys
from gateway.wire.heads import head_of
from storage.keyring import save_keys
from tests.gateway.heads import HOST

NOW = 1_800_000_000.0
SECRET, OTHER = "fg-" + "a" * 43, "fg-" + "b" * 43
THEIRS = "sk-" + "live" + "x" * 20
PEPPER = b"pepper of this installation"
KEY = ApiKey(id="k-1", name="ci", digest=digest(SECRET), project="search")


def keys(path: Path, *stored: ApiKey, own=(), pass_through: bool = True, pepper: bytes = PEPPER) -> Keys:
    save_keys(path, stored)
    return Keys(path, own, pepper, pass_through=pass_through)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "keys.json"


def head_with(*headers, target: bytes = b"/v1/x"):
    return head_of(target, [HOST, *headers], http11=True)[0]


def who(known: Keys, *headers, target: bytes = b"/v1/x", now: float = NOW):
    return known.identity_of(head_with(*headers, target=target), now)


PLACES = [
    ([(b"Authorization", b"Bearer %b")], b"/v1/x", b"authorization"),
    ([(b"authorization", b"bearer   %b")], b"/v1/x", b"authorization"),
    ([(b"authorization", b"%b")], b"/v1/x", b"authorization"),
    ([(b"X-Api-Key", b"%b")], b"/v1/messages", b"x-api-key"),
    ([(b"api-key", b"%b")], b"/v1/x", b"api-key"),
    ([(b"x-goog-api-key", b"%b")], b"/v1/x", b"x-goog-api-key"),
    ([(b"X-Faregate-Key", b"%b")], b"/v1/x", b"x-faregate-key"),
    ([], b"/gemini/v1beta/models/g:generateContent?alt=sse&key=%b", b"query"),
    ([], b"/gemini/v1beta/models/g:generateContent?key=%b", b"query"),
    (
        [(b"Sec-WebSocket-Protocol", b"realtime, openai-insecure-api-key.%b, openai-beta.v1")],
        b"/v1/realtime",
        b"sec-websocket-protocol",
    ),
    ([(b"x-api-key", b"sk-ant"), (b"Authorization", b"Bearer %b")], b"/v1/x", b"authorization"),
    ([(b"authorization", b"Bearer sk-x"), (b"api-key", b"%b")], b"/v1/x", b"api-key"),
]


@pytest.mark.parametrize(("headers", "target", "where"), PLACES)
def test_a_managed_key_is_found_in_every_place(path, headers, target, where):
    secret = SECRET.encode()
    filled = [(name, value.replace(b"%b", secret)) for name, value in headers]

    identity = who(keys(path, KEY), *filled, target=target.replace(b"%b", secret))

    assert identity.key == KEY
    assert (identity.secret, identity.where) == (secret, where)
    assert identity.own_credential is False


@pytest.mark.parametrize(("headers", "target", "where"), PLACES)
def test_an_unknown_key_of_ours_is_refused_in_every_place(path, headers, target, where):
    secret = OTHER.encode()
    filled = [(name, value.replace(b"%b", secret)) for name, value in headers]

    with pytest.raises(AuthenticationFailed, match="unknown") as caught:
        who(keys(path, KEY), *filled, target=target.replace(b"%b", secret))
    assert OTHER not in caught.value.message


@pytest.mark.parametrize("name", [b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"])
def test_a_providers_credential_beside_our_key_is_used_as_it_is(path, name):
    identity = who(keys(path, KEY), (b"x-faregate-key", SECRET.encode()), (name, THEIRS.encode()))

    assert identity.key == KEY
    assert identity.own_credential is True


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ([], b"/gemini/v1beta/models/g:generateContent?key=AIza"),
        ([(b"sec-websocket-protocol", b"realtime, " + BROWSER_KEY + THEIRS.encode())], b"/v1/realtime"),
    ],
)
def test_a_providers_credential_in_the_query_or_subprotocol_is_the_callers_own_too(path, headers, target):
    identity = who(keys(path, KEY), (b"x-faregate-key", SECRET.encode()), *headers, target=target)

    assert identity.own_credential is True


def test_our_key_twice_is_no_credential_of_the_caller(path):
    identity = who(keys(path, KEY), (b"x-faregate-key", SECRET.encode()), (b"authorization", b"Bearer " + SECRET.encode()))

    assert identity.own_credential is False


def test_a_key_header_that_holds_no_key_of_ours_is_refused(path):
    with pytest.raises(AuthenticationFailed):
        who(keys(path, KEY), (b"x-faregate-key", b"something"), (b"authorization", b"Bearer " + THEIRS.encode()))


@pytest.mark.parametrize("own", [True, False], ids=["settings", "file"])
def test_keys_come_from_the_file_and_from_the_settings(path, own):
    known = keys(path, own=(KEY,)) if own else keys(path, KEY)

    assert who(known, (b"x-api-key", SECRET.encode())).key.name == "ci"


# Times


@pytest.mark.parametrize(("field", "word"), [("expires_at", "expired"), ("revoked_at", "revoked")])
@pytest.mark.parametrize(("after", "good"), [(-1.0, True), (-0.001, True), (0.0, False), (0.001, False)])
def test_expiry_and_revocation_hold_at_their_moment(path, field, word, after, good):
    known = keys(path, replace(KEY, **{field: NOW}))
    header = (b"x-api-key", SECRET.encode())
    if good:
        assert who(known, header, now=NOW + after).key.id == KEY.id
        return
    with pytest.raises(AuthenticationFailed, match=word):
        who(known, header, now=NOW + after)


@pytest.mark.parametrize("field", ["expires_at", "revoked_at"])
def test_a_caller_that_was_known_is_refused_when_its_time_is_over(path, field):
    known, head = keys(path, replace(KEY, **{field: NOW + 10})), head_with((b"x-api-key", SECRET.encode()))
    assert known.identity_of(head, NOW).key.id == KEY.id
    assert known.identity_of(head, NOW + 9.9).key.id == KEY.id

    for moment in (10.0, 10.0, 11.0):
        with pytest.raises(AuthenticationFailed):
            known.identity_of(head, NOW + moment)


ROTATED = replace(KEY, digest=digest(OTHER), previous=digest(SECRET), previous_until=NOW + 60)


def test_a_rotated_key_answers_to_both_secrets_until_the_grace_is_over(path):
    known = keys(path, ROTATED)
    old, new = head_with((b"x-api-key", SECRET.encode())), head_with((b"x-api-key", OTHER.encode()))

    assert known.identity_of(old, NOW).key == known.identity_of(new, NOW).key == ROTATED
    assert known.identity_of(old, NOW + 59.9).key == ROTATED
    for moment in (60.0, 3600.0):
        assert known.identity_of(new, NOW + moment).key == ROTATED
        with pytest.raises(AuthenticationFailed, match="rotated"):
            known.identity_of(old, NOW + moment)


def test_a_rotation_without_grace_ends_the_old_secret_at_once(path):
    known = keys(path, replace(ROTATED, previous_until=None))

    with pytest.raises(AuthenticationFailed, match="rotated"):
        who(known, (b"x-api-key", SECRET.encode()))


# Changes of the file


def changed(path: Path, *stored: ApiKey) -> None:
    """Write the file so that it differs in its time, as it does when seconds lie between."""
    before = path.stat()
    save_keys(path, stored)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))


def test_a_new_key_is_known_at_its_first_call(path):
    known = keys(path)
    changed(path, KEY)

    assert who(known, (b"x-api-key", SECRET.encode())).key == KEY


def test_a_revoked_key_is_refused_after_a_refresh_though_it_was_known(path):
    known, head = keys(path, KEY), head_with((b"x-api-key", SECRET.encode()))
    known.identity_of(head, NOW)
    changed(path, replace(KEY, revoked_at=NOW - 1))

    assert known.refresh() is True
    with pytest.raises(AuthenticationFailed, match="revoked"):
        known.identity_of(head, NOW)
    assert known.refresh() is False


def test_a_key_that_is_gone_from_the_file_is_unknown(path):
    known, head = keys(path, KEY), head_with((b"x-api-key", SECRET.encode()))
    known.identity_of(head, NOW)
    path.unlink()
    known.refresh()

    with pytest.raises(AuthenticationFailed, match="unknown"):
        known.identity_of(head, NOW)


def test_no_file_yet_means_no_keys(path):
    known = Keys(path, (), PEPPER, pass_through=True)

    assert who(known).key == ANONYMOUS


def test_a_file_that_cannot_be_read_leaves_the_last_keys_and_fails_no_call(path):
    known = keys(path, KEY)
    path.write_bytes(b"{ half a")

    assert who(known, (b"x-api-key", SECRET.encode())).key == KEY
    with pytest.raises(AuthenticationFailed, match="unknown"):
        who(known, (b"x-api-key", OTHER.encode()))


def test_keys_of_another_gate_are_not_remembered_on_a_head(path, tmp_path):
    head = head_with((b"x-api-key", SECRET.encode()))
    assert keys(path, KEY).identity_of(head, NOW).key == KEY

    with pytest.raises(AuthenticationFailed):
        keys(tmp_path / "others.json").identity_of(head, NOW)


# Passing through


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ([(b"Authorization", b"Bearer " + THEIRS.encode())], b"/v1/x"),
        ([(b"authorization", THEIRS.encode())], b"/v1/x"),
        ([(b"X-Api-Key", THEIRS.encode())], b"/v1/x"),
        ([(b"api-key", THEIRS.encode())], b"/v1/x"),
        ([(b"x-goog-api-key", THEIRS.encode())], b"/v1/x"),
        ([], b"/gemini/v1beta/x?key=" + THEIRS.encode()),
        ([(b"sec-websocket-protocol", b"realtime," + BROWSER_KEY + THEIRS.encode())], b"/v1/realtime"),
    ],
)
def test_a_providers_credential_passes_through_and_is_known_by_its_fingerprint(path, headers, target):
    identity = who(keys(path), *headers, target=target)

    assert (identity.secret, identity.where) == (None, None)
    assert identity.key.kind == "pass_through"
    assert identity.key.digest == fingerprint(THEIRS.encode(), PEPPER)
    assert THEIRS not in repr(identity)
    with pytest.raises(AuthenticationFailed, match="Authorization: Bearer"):
        who(keys(path, pass_through=False), *headers, target=target)


def test_a_fingerprint_is_the_same_each_time_and_another_with_another_pepper(path):
    header = (b"authorization", b"Bearer " + THEIRS.encode())
    first, again = who(keys(path), header), who(keys(path), (b"x-api-key", THEIRS.encode()))
    elsewhere = who(keys(path, pepper=b"another"), header)
    other = who(keys(path), (b"authorization", b"Bearer " + THEIRS.encode() + b"y"))

    assert first.key == again.key
    assert len({first.key.id, elsewhere.key.id, other.key.id}) == 3


def test_nobody_in_particular_is_let_in_only_where_passing_through_is_on(path):
    assert who(keys(path)).key == ANONYMOUS
    with pytest.raises(AuthenticationFailed):
        who(keys(path, pass_through=False))
