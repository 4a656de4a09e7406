"""Signed-in browsers and sign-in links."""

from concurrent.futures import ThreadPoolExecutor

from storage.sessions import SessionStore


def test_a_link_is_good_once(store_sessions: SessionStore) -> None:
    store_sessions.add_link("a", expires_at=100.0)
    with ThreadPoolExecutor(4) as pool:
        good = list(pool.map(lambda _: store_sessions.use_link("a", now=50.0), range(6)))
    assert sorted(good) == [False] * 5 + [True]


def test_a_link_is_good_until_it_expires(store_sessions: SessionStore) -> None:
    store_sessions.add_link("a", expires_at=100.0)
    assert not store_sessions.use_link("a", now=100.0)
    assert not store_sessions.use_link("a", now=50.0)
    assert not store_sessions.use_link("unknown", now=50.0)


def test_a_session_is_good_while_it_is_used_and_not_too_old(store_sessions: SessionStore) -> None:
    store_sessions.add_session("a", now=0.0, expires_at=1000.0)
    assert not store_sessions.session_seen("other", now=1.0, idle=300.0)
    assert store_sessions.session_seen("a", now=299.0, idle=300.0)
    assert store_sessions.session_seen("a", now=598.0, idle=300.0)
    assert not store_sessions.session_seen("a", now=898.0, idle=300.0)
    assert store_sessions.session_seen("a", now=890.0, idle=300.0)
    assert not store_sessions.session_seen("a", now=1000.0, idle=300.0)


def test_a_session_ends(store_sessions: SessionStore) -> None:
    store_sessions.add_session("a", now=0.0, expires_at=1000.0)
    store_sessions.add_session("b", now=0.0, expires_at=1000.0)
    store_sessions.end_session("a")
    assert not store_sessions.session_seen("a", now=1.0, idle=300.0)
    assert store_sessions.session_seen("b", now=1.0, idle=300.0)


def test_expired_sessions_go_when_others_come(store_sessions: SessionStore) -> None:
    store_sessions.add_session("a", now=0.0, expires_at=10.0)
    store_sessions.add_session("b", now=20.0, expires_at=1000.0)
    assert not store_sessions.session_seen("a", now=5.0, idle=300.0)
