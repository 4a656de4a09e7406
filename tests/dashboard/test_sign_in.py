"""Who gets in, and who does not."""

import contextlib

import pytest
from starlette.routing import Route

from dashboard.sign_in import COOKIE, IDLE_SECONDS, LINK_SECONDS, LONGEST_SECONDS, Access
from dashboard.tries import MOST, SECONDS_FOR_ONE, Tries
from storage.sessions import SessionStore
from tests.dashboard.conftest import TOKEN
from tests.dashboard.test_calls import problem

OURS = {"origin": "http://localhost:8080"}


@contextlib.contextmanager
def signed_in(office):
    with office.client() as client:
        path = client.post("/api/v1/sign-in-links").json()["path"]
    with office.client(token=None) as browser:
        assert browser.get(path).status_code == 200
        yield browser


def test_every_path_but_the_page_refuses_who_is_not_signed_in(office):
    open_paths = {"/", "/page.js", "/page.css", "/icon.svg", "/healthz"}
    routes = [route for route in office.app.routes if isinstance(route, Route)]
    with office.client(token=None) as client:
        for route in routes:
            for method in route.methods:
                answer = client.request(method, route.path.replace("{id}", "0" * 32).replace("{name}", "ci"))
                allowed = route.path in open_paths and method in {"GET", "HEAD"}
                assert (answer.status_code != 401 or route.path == "/") if allowed else answer.status_code == 401, (
                    method,
                    route.path,
                )
        assert client.get("/no/such/path").status_code == 401
        assert client.post("/").status_code == 401
    assert len(routes) > 15


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer,", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", TOKEN, "Bearer é"],
)
def test_a_wrong_token_is_refused_even_beside_a_good_cookie(office, value):
    with signed_in(office) as browser:
        answer = browser.get("/api/v1/status", headers={"authorization": value.encode()})
    assert "not right" in problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_whoever_guesses_tokens_is_slowed_and_the_owner_is_not(office):
    with office.client(token="wrong" * 5) as guesser, office.client() as owner:
        statuses = [guesser.get("/api/v1/status").status_code for _ in range(MOST + 5)]
        assert statuses == [401] * MOST + [429] * 5
        refused = guesser.get("/api/v1/status")
        assert "too many" in problem(refused, 429)
        assert 1 <= int(refused.headers["retry-after"]) <= SECONDS_FOR_ONE
        assert owner.get("/api/v1/status").status_code == 200
        office.clock[0] += int(refused.headers["retry-after"])
        assert [guesser.get("/api/v1/status").status_code for _ in range(2)] == [401, 429]


def test_whoever_guesses_links_is_slowed_and_those_who_are_signed_in_are_not(office):
    with office.client() as owner:
        path = owner.post("/api/v1/sign-in-links").json()["path"]
    with signed_in(office) as browser, office.client(token=None) as guesser:
        statuses = [guesser.get(f"/?signin=guess{number}").status_code for number in range(MOST + 1)]
        assert statuses == [401] * MOST + [429]
        assert problem(guesser.get(path), 429)
        assert browser.get("/api/v1/status").status_code == 200
        office.clock[0] += SECONDS_FOR_ONE
        assert guesser.get(path).status_code == 200


def test_tries_come_back_with_time_and_never_with_a_clock_that_was_set_back():
    clock = [1000.0]
    tries = Tries(lambda: clock[0])
    for _ in range(MOST):
        assert tries.wait == 0
        tries.fail()
    assert tries.wait == SECONDS_FOR_ONE
    clock[0] -= 500
    assert tries.wait == SECONDS_FOR_ONE
    clock[0] += 1e6
    assert tries.wait == 0


def test_a_token_that_is_too_short_to_be_one_starts_nothing(database):
    for token in ("", "short"):
        with pytest.raises(ValueError, match="at least 16"):
            Access(token, SessionStore(database))


def test_a_link_signs_in_once(office):
    with office.client() as client:
        made = client.post("/api/v1/sign-in-links")
    assert made.status_code == 201
    path = made.json()["path"]
    with office.client(token=None) as browser, office.client(token=None) as thief:
        answer = browser.get(path)
        assert 'http-equiv="refresh"' in answer.text
        assert browser.get("/api/v1/status").status_code == 200
        assert thief.get(path).status_code == 401
        assert thief.get("/api/v1/status").status_code == 401


def test_looking_at_a_link_without_following_it_does_not_use_it_up(office):
    with office.client() as client:
        path = client.post("/api/v1/sign-in-links").json()["path"]
    with office.client(token=None) as browser:
        browser.head(path)
        assert browser.get(path).status_code == 200


def test_a_link_is_good_for_ten_minutes(office):
    with office.client() as client:
        path = client.post("/api/v1/sign-in-links").json()["path"]
    office.clock[0] += LINK_SECONDS + 1
    with office.client(token=None) as browser:
        assert browser.get(path).status_code == 401


def test_the_cookie_cannot_be_read_by_scripts_nor_sent_by_other_sites(office):
    with office.client() as client:
        paths = [client.post("/api/v1/sign-in-links").json()["path"] for _ in range(2)]
    with office.client(token=None) as browser:
        plain = browser.get(paths[0]).headers["set-cookie"]
        https = browser.get(paths[1], headers={"x-forwarded-proto": "https"}).headers["set-cookie"]
    assert "HttpOnly" in plain
    assert "SameSite=Strict" in plain
    assert "Secure" not in plain
    assert "Secure" in https


def test_a_session_ends_when_it_is_idle(office):
    with signed_in(office) as browser:
        office.clock[0] += IDLE_SECONDS - 60
        assert browser.get("/api/v1/status").status_code == 200
        office.clock[0] += IDLE_SECONDS - 60
        assert browser.get("/api/v1/status").status_code == 200
        office.clock[0] += IDLE_SECONDS + 60
        assert browser.get("/api/v1/status").status_code == 401


def test_a_session_ends_at_last_however_much_it_is_used(office):
    with signed_in(office) as browser:
        for _ in range(LONGEST_SECONDS // (IDLE_SECONDS - 60) + 1):
            office.clock[0] += IDLE_SECONDS - 60
            last = browser.get("/api/v1/status").status_code
        assert last == 401


def test_signing_out_ends_the_session_on_the_server(office):
    with signed_in(office) as browser:
        secret = browser.cookies[COOKIE]
        assert browser.delete("/api/v1/session", headers=OURS).status_code == 204
        with office.client(token=None, cookies={COOKIE: secret}) as again:
            assert again.get("/api/v1/status").status_code == 401


def test_the_session_kept_in_the_store_is_not_what_the_browser_holds(office, database):
    with signed_in(office) as browser:
        with database.reading() as connection:
            kept = connection.exec_driver_sql("SELECT digest FROM sign_in_sessions").scalars().all()
        assert len(kept) == 1
        assert browser.cookies[COOKIE] not in kept
        with office.client(token=None, cookies={COOKIE: kept[0]}) as thief:
            assert thief.get("/api/v1/status").status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:8081"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 201),
        (OURS, 201),
        (OURS | {"sec-fetch-site": "cross-site"}, 201),
    ],
)
def test_a_change_by_cookie_must_come_from_our_own_page(office, headers, status):
    with signed_in(office) as browser:
        assert browser.post("/api/v1/keys", json={"name": "a"}, headers=headers).status_code == status


def test_links_are_made_with_the_token_only(office):
    with signed_in(office) as browser:
        assert "admin token" in problem(browser.post("/api/v1/sign-in-links", headers=OURS), 403)


def test_no_other_site_is_ever_allowed_to_read(office):
    with office.client() as client:
        answer = client.get("/api/v1/status", headers={"origin": "http://evil.example"})
        preflight = client.options(
            "/api/v1/keys", headers={"origin": "http://evil.example", "access-control-request-method": "POST"}
        )
    assert not [name for name in (*answer.headers, *preflight.headers) if name.startswith("access-control")]


@pytest.mark.parametrize("cookie", ["faregate_session", "=;;;", "a=b; faregate_session=", 'faregate_session="x', "\x00"])
def test_odd_cookies_sign_nobody_in(office, cookie):
    with office.client(token=None) as client:
        assert client.get("/api/v1/status", headers={"cookie": cookie.replace("\x00", "%00")}).status_code == 401


def test_while_the_store_is_away_the_token_works_and_the_page_says_what_is_wrong(office, database):
    with signed_in(office) as browser:
        with database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE sign_in_sessions RENAME TO elsewhere")
            connection.exec_driver_sql("ALTER TABLE sign_in_links RENAME TO elsewhere2")
        assert "token still works" in problem(browser.get("/api/v1/status"), 503)
        assert "store is away" in browser.get("/").text
        assert "store is away" in browser.get("/?signin=abc").text
        with office.client() as client:
            assert client.get("/api/v1/status").status_code == 200


async def test_there_are_no_websockets(office):
    sent = []

    async def send(message):
        sent.append(message)

    await office.app({"type": "websocket", "path": "/api/v1/stream", "headers": []}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
