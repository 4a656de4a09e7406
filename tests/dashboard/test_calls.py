"""Recorded calls over HTTP."""

import pytest

from dashboard import calls as calls_module
from dashboard.calls import search
from dashboard.queries import CallSearch
from domain.calls import CallError
from domain.exchange import Attempt, Labels
from routing.where import compile_where
from storage.spans import CallQuery
from tests.dashboard.spans import AT, content, span


def problem(answer, status=400):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    return answer.json()["detail"]


def test_calls_are_listed_newest_first_in_pages(office):
    spans = [span(index) for index in range(5)]
    office.spans.save([(one, None) for one in spans])
    with office.client() as client:
        first = client.get("/api/v1/calls", params={"limit": 3}).json()
        rest = client.get("/api/v1/calls", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [call["id"] for call in first["calls"] + rest["calls"]] == [one.id for one in reversed(spans)]
    assert rest["next_cursor"] is None
    assert first["calls"][0]["cost_usd"] is None


@pytest.mark.parametrize(
    ("changes", "query"),
    [
        ({"model": "m2"}, "model=m2"),
        ({"upstream": "azure"}, "upstream=azure"),
        ({"outcome": "error", "status": 500}, "outcome=error"),
        ({"status": 429}, "status=429"),
        ({"key_name": "other", "key": "k2"}, "key=other"),
        ({"project": "search"}, "project=search"),
        ({"operation": "embeddings"}, "operation=embeddings"),
        ({"labels": Labels(session="s1")}, "session=s1"),
        ({"labels": Labels(customer="c1")}, "customer=c1"),
        ({"labels": Labels(section="a/b")}, "section=a/b"),
        ({"labels": Labels(user="u1")}, "user=u1"),
        ({"labels": Labels(tags={"team": "x"})}, "tag.team=x"),
        ({"started_at": AT + 3600 * 10**9}, "from=2026-01-01T00:30:00Z"),
        ({"started_at": AT - 3600 * 10**9}, "to=2025-12-31T23:30:00Z"),
        ({"labels": Labels(tags={"team": "x"})}, 'where=tags.team == "x"'),
    ],
)
def test_calls_can_be_filtered(office, changes, query):
    wanted = span(1, **changes)
    office.spans.save([(span(0), None), (wanted, None), (span(2), None)])
    with office.client() as client:
        found = client.get(f"/api/v1/calls?{query.replace(' ', '%20').replace('==', '%3D%3D')}").json()
    assert [call["id"] for call in found["calls"]] == [wanted.id]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limt=3", "did you mean `limit`?"),
        ("limit=0", "from 1 to 500"),
        ("limit=501", "from 1 to 500"),
        ("limit=%C2%B2", "from 1 to 500"),
        ("status=abc", "from 100 to 999"),
        ("outcome=fine", "is one of ok"),
        ("from=yesterday", "is not a time"),
        ("cursor=zzz", "cursor"),
        ("where=model+%3D+%22x%22", "Write `==`"),
        ("model=a&model=b", "there twice"),
    ],
)
def test_what_is_wrong_with_a_query_is_said(office, query, said):
    with office.client() as client:
        assert said in problem(client.get(f"/api/v1/calls?{query}"))


def test_a_condition_goes_on_over_pages_and_loses_nothing(office):
    spans = [span(index, model="rare" if index % 7 == 0 else "common") for index in range(450)]
    office.spans.save([(one, None) for one in spans])
    found, cursor, pages = [], None, 0
    with office.client() as client:
        while True:
            params = {"where": 'model == "rare"', "limit": "10"} | ({"cursor": cursor} if cursor else {})
            page = client.get("/api/v1/calls", params=params).json()
            found += [call["id"] for call in page["calls"]]
            cursor, pages = page["next_cursor"], pages + 1
            assert page["scanned"] <= 450
            if cursor is None:
                break
    assert found == [one.id for one in reversed(spans) if one.model == "rare"]
    assert pages > 5


def test_a_search_that_takes_too_long_gives_what_it_has_and_a_cursor(office):
    office.spans.save([(span(index), None) for index in range(300)])
    asked = CallSearch(CallQuery(limit=10), compile_where('model == "nothing"'))
    found = search(office.spans, asked, deadline=0.0)
    assert (found.spans, found.scanned) == ([], calls_module.STEP)
    assert found.next_cursor is not None


def test_one_call_has_what_it_meant_and_its_headers(office):
    one = span(attempts=(Attempt("openai", "1", AT, 200, 400),))
    office.spans.save([(one, content())])
    with office.client() as client:
        call = client.get(f"/api/v1/calls/{one.id}").json()
    assert (call["input"], call["output"], call["no_content"]) == ({"a": 1}, {"b": 2}, None)
    assert call["request_headers"] == [["Content-Type", "application/json"]]
    assert call["attempts"][0]["first_byte_ms"] == 0.4


def test_an_id_may_be_written_as_a_uuid(office):
    one = span()
    office.spans.save([(one, None)])
    text = one.id.upper()
    uuid = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    with office.client() as client:
        assert client.get(f"/api/v1/calls/{uuid}").json()["id"] == one.id


def test_a_call_that_is_not_there_is_404(office):
    with office.client() as client:
        for path in ("", "/request", "/response", "/routing", "/deliveries"):
            assert "no call" in problem(client.get(f"/api/v1/calls/{'0' * 32}{path}"), 404)


def test_bodies_come_byte_for_byte_as_attachments(office):
    one = span()
    office.spans.save([(one, content(request=b'{"a": 1}\r\n'))])
    with office.client() as client:
        answer = client.get(f"/api/v1/calls/{one.id}/request")
    assert answer.content == b'{"a": 1}\r\n'
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("content-type", "text/event-stream; charset=utf-8"),), "text/event-stream"),
        ((("Content-Type", "text/html"),), "application/octet-stream"),
        ((("content-type", "image/svg+xml"),), "application/octet-stream"),
        ((("content-type", "application/json"), ("content-encoding", "gzip")), "application/octet-stream"),
        ((("content-type", 'text/"><script>'),), "text/plain"),
        ((), "application/octet-stream"),
    ],
)
def test_a_body_is_never_given_as_something_that_a_browser_runs(office, headers, expected):
    one = span()
    office.spans.save([(one, content(response_headers=headers))])
    with office.client() as client:
        answer = client.get(f"/api/v1/calls/{one.id}/response")
    assert answer.headers["content-type"] == expected
    assert answer.content == b'{"b":2}'


@pytest.mark.parametrize(("state", "said"), [("none", "capture was `none`"), ("full", "deleted for their age")])
def test_content_that_is_not_there_says_why(office, state, said):
    one = span(content=state)
    office.spans.save([(one, None)])
    with office.client() as client:
        assert said in problem(client.get(f"/api/v1/calls/{one.id}/request"), 404)
        assert said in client.get(f"/api/v1/calls/{one.id}").json()["no_content"]


def test_routing_says_what_was_tried_and_why(office):
    tried = (
        Attempt("openai", "1", AT, 429, 1000),
        Attempt("openai", "2", AT, None, None, "connection refused"),
        Attempt("azure", "1", AT),
    )
    one = span(attempts=tried, changes=("model",), error=CallError("a", "b", "c"))
    refused = span(1)
    office.spans.save([(one, None), (refused, None)])
    with office.client() as client:
        routing = client.get(f"/api/v1/calls/{one.id}/routing").json()
        nothing = client.get(f"/api/v1/calls/{refused.id}/routing").json()
        deliveries = client.get(f"/api/v1/calls/{one.id}/deliveries").json()
    assert routing["why"] == [
        "openai with credential 1 answered 429",
        "openai with credential 2 failed: connection refused",
        "azure with credential 1 did not answer",
    ]
    assert routing["changes"] == ["model"]
    assert nothing["why"] == ["nothing was sent upstream"]
    assert deliveries["deliveries"] == []


def test_a_path_or_method_that_is_not_there_is_a_problem(office):
    with office.client() as client:
        assert "nothing at this path" in problem(client.get("/api/v1/nothing"), 404)
        answer = client.post("/api/v1/calls")
        assert "does not take this method" in problem(answer, 405)
        assert "GET" in answer.headers["allow"]


def test_while_the_store_is_away_a_list_says_so_and_no_more(office, database):
    with office.client() as client, database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE calls RENAME TO elsewhere")
        connection.commit()
        assert "store is away" in problem(client.get("/api/v1/calls"), 503)


def test_a_bug_is_answered_with_an_id_and_no_detail(office, caplog):
    office.app.state.status = lambda: 1 / 0
    with office.client() as client:
        answer = client.get("/api/v1/status")
    assert "zero" not in answer.text
    assert problem(answer, 500)
    assert answer.json()["id"] in caplog.text
