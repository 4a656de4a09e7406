"""A call through the proxy: what reaches the upstream, and what is written down of it."""

import json

import pytest

from gateway.identity import BROWSER_KEY
from gateway.proxy import LONGEST_PLANNED
from gateway.wire.limits import Limits
from tests.gateway.calling import JSON, KEY, OURS, SECRET, THEIRS, Calling
from tests.harness import steps
from tests.harness.upstream import OK

STREAMED = b'{"model":"m","stream":true}'
UNKNOWN_OPTION = b'{"error":{"message":"Unrecognized request argument: stream_options"}}'
REFUSAL = b"HTTP/1.1 400 Bad Request\r\ncontent-length: %d\r\n\r\n%b" % (len(UNKNOWN_OPTION), UNKNOWN_OPTION)


def raw(calling: Calling) -> bytes:
    """Return every byte that came to the upstream."""
    return b"".join(bytes(link.raw) for link in calling.upstream.links)


async def test_a_plain_call_is_passed_on_and_recorded(calling):
    body = b'{ "model" : "m" }'

    caller = await calling.call(calling.proxy(), body, OURS, JSON)

    assert (caller.status, caller.answer, caller.ending) == (200, b"{}", "ended")
    received = calling.upstream.received[0]
    assert received.body.data == body
    assert received.head.value(b"authorization") == b"Bearer " + THEIRS.encode()
    (record,) = calling.records()
    assert (record.request, record.response) == (body, b"{}")
    assert (record.opening.model, record.opening.key, record.opening.project) == ("m", "k-1", "search")
    assert record.closing.changes == ()


PLACES = [
    ("query", (), b"/v1/realtime?key=%b&model=m"),
    ("header and query", (OURS,), b"/v1/realtime?key=%b&model=m"),
    ("header and query, last", (OURS,), b"/v1/realtime?model=m&key=%b"),
    ("our header and query", ((b"x-faregate-key", SECRET.encode()),), b"/v1/realtime?key=%b"),
    ("subprotocol", ((b"Sec-WebSocket-Protocol", b"realtime, " + BROWSER_KEY + SECRET.encode()),), b"/v1/realtime?model=m"),
    (
        "header and subprotocol",
        (OURS, (b"Sec-WebSocket-Protocol", b"realtime, " + BROWSER_KEY + SECRET.encode())),
        b"/v1/realtime?model=m",
    ),
    (
        "query and subprotocol",
        ((b"Sec-WebSocket-Protocol", BROWSER_KEY + SECRET.encode() + b", realtime"),),
        b"/v1/realtime?key=%b&model=m",
    ),
    ("a credential header and another", (OURS, (b"x-goog-api-key", SECRET.encode())), b"/v1/models"),
]


@pytest.mark.parametrize(("headers", "target"), [place[1:] for place in PLACES], ids=[place[0] for place in PLACES])
async def test_our_key_reaches_the_upstream_from_nowhere(calling, headers, target):
    target = target.replace(b"%b", SECRET.encode())

    caller = await calling.call(calling.proxy(), b"", *headers, target=target, method=b"GET")

    assert caller.status == 200
    assert SECRET.encode() not in raw(calling)
    assert THEIRS.encode() in raw(calling)
    calling.close()
    for file in calling.root.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()


async def test_usage_is_asked_for_and_what_was_changed_is_written_down(calling):
    await calling.call(calling.proxy(), STREAMED, OURS, JSON)

    assert json.loads(calling.upstream.received[0].body.data)["stream_options"] == {"include_usage": True}
    (record,) = calling.records()
    assert record.closing.changes == ("stream_options",)
    assert record.request == STREAMED


async def test_an_upstream_that_does_not_know_the_option_is_asked_again_without_it_and_never_again_with_it(calling):
    calling.upstream.plan(steps.answer(REFUSAL), steps.answer(OK))
    proxy = calling.proxy()

    first = await calling.call(proxy, STREAMED, OURS, JSON)
    second = await calling.call(proxy, STREAMED, OURS, JSON)

    assert (first.status, second.status) == (200, 200)
    assert [each.body.data == STREAMED for each in calling.upstream.received] == [False, True, True]
    records = calling.records()
    assert [len(record.closing.attempts) for record in records] == [2, 1]
    assert [record.closing.changes for record in records] == [(), ()]


async def test_another_refusal_is_passed_on_as_it_is(calling):
    refusal = b'HTTP/1.1 400 Bad Request\r\ncontent-length: 26\r\n\r\n{"error":"no such model"} '
    calling.upstream.plan(steps.answer(refusal))

    caller = await calling.call(calling.proxy(), STREAMED, OURS, JSON)

    assert (caller.status, caller.answer) == (400, b'{"error":"no such model"} ')
    assert len(calling.upstream.received) == 1


async def test_a_nested_name_does_not_keep_usage_from_being_asked_for(calling):
    await calling.call(calling.proxy(), b'{"stream":true,"metadata":{"stream_options":1}}', OURS, JSON)

    sent = json.loads(calling.upstream.received[0].body.data)
    assert sent.get("stream_options") == {"include_usage": True}


@pytest.mark.parametrize("value", [b"null", b"{}", b'{"session":"s"}', b'"x"', b"7"])
async def test_our_field_never_reaches_the_upstream(calling, value):
    await calling.call(calling.proxy(), b'{"model":"m","faregate":' + value + b"}", OURS, JSON)

    assert calling.upstream.received[0].body.data == b'{"model":"m"}'
    (record,) = calling.records()
    assert record.closing.changes == ("faregate",)


@pytest.mark.parametrize(
    "body", [b'{"model":"\xff"}', b'{"faregate":{"session":"\xff"}}', b"\xff\xfe", b'{"stream":true,"stream_options":{"\xff":1}}']
)
async def test_bytes_that_are_no_text_are_passed_on(calling, body):
    caller = await calling.call(calling.proxy(), body, OURS, JSON)

    assert caller.status == 200
    assert calling.upstream.received[0].body.data == body


@pytest.mark.parametrize(
    ("asked", "setting", "kept"),
    [
        (None, "full", "full"),
        (None, "none", "none"),
        (b"none", "full", "none"),
        (b"meta", "full", "none"),
        (b"REDACTED", "full", "redacted"),
        (b"full", "none", "none"),
        (b"full", "redacted", "redacted"),
        (b"nonsense", "redacted", "redacted"),
    ],
)
async def test_an_app_can_ask_for_less_to_be_kept_but_not_for_more(calling, asked, setting, kept):
    headers = () if asked is None else ((b"x-faregate-capture", asked),)

    await calling.call(calling.proxy(capture=setting), b'{"model":"m"}', OURS, JSON, *headers)

    (record,) = calling.records()
    assert record.opening.capture == kept
    assert (record.request == b"") == (kept == "none")


@pytest.mark.parametrize("kind", [b"application/json", b"text/event-stream"])
async def test_without_content_the_record_still_says_what_the_call_cost(calling, kind):
    usage = b'"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}'
    body = b'{"id":"c","choices":[{"message":{"content":"hush"}}],%b}' % usage
    if kind == b"text/event-stream":
        body = b'data: {"choices":[{"delta":{"content":"hush"}}]}\n\ndata: {"choices":[],%b}\n\ndata: [DONE]\n\n' % usage
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind, len(body))
    calling.upstream.plan(steps.answer(head + body))

    caller = await calling.call(calling.proxy(capture="none"), b'{"model":"m"}', OURS, JSON)

    (record,) = calling.records()
    assert caller.answer == body
    assert usage in record.response
    assert b"hush" not in record.response
    assert record.request == b""


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{}", ((b"x-api-key", b"fg-unknown"),), 401, "invalid_api_key"),
        (b'{"model":"a","model":"b"}', (OURS, JSON), 400, "invalid_request"),
        (b'{"model":"forbidden"}', (OURS, JSON), 403, "model_not_allowed"),
        (b"{}", (OURS, JSON), 403, "model_not_allowed"),
        (b'{"model":"allowed"}' + b" " * 100_000, (OURS, JSON), 413, "body_too_large"),
        (b'{"model":"allowed"}' + b" " * 20_000, (OURS, JSON), 413, "body_too_large"),
    ],
)
async def test_a_refused_call_reaches_nobody_and_is_recorded_all_the_same(calling, body, headers, status, code):
    key = type(KEY)(id="k-1", name="ci", digest=KEY.digest, models=("allowed*",))
    proxy = calling.proxy(key=key, limits=Limits(body_bytes=10_000, copy_bytes=1000))

    caller = await calling.call(proxy, body, *headers)

    assert caller.status == status
    assert json.loads(caller.answer)["error"]["code"] == code
    assert calling.upstream.received == []
    (record,) = calling.records()
    assert (record.closing.ending, record.closing.status) == ("refused", status)
    assert record.closing.error.code == code


async def test_a_model_that_is_escaped_or_nested_does_not_get_around_the_keys_models(calling):
    key = type(KEY)(id="k-1", name="ci", digest=KEY.digest, models=("cheap",))
    proxy = calling.proxy(key=key)

    for body in (b'{"mod\\u0065l":"dear","x":{"model":"cheap"}}', b'{"model":"cheap","mod\\u0065l":"dear"}'):
        caller = await calling.call(proxy, body, OURS, JSON)
        assert caller.status in {400, 403}
    assert calling.upstream.received == []


# Trying again


def answered(status: int, *headers: bytes) -> steps.Script:
    lines = b"".join(header + b"\r\n" for header in headers)
    return steps.answer(b"HTTP/1.1 %d X\r\n%bcontent-length: 0\r\n\r\n" % (status, lines))


TWO = {"credentials": ("secret-a", "secret-b")}


def used(calling: Calling) -> list[bytes]:
    return [each.head.value(b"authorization").removeprefix(b"Bearer ") for each in calling.upstream.received]


@pytest.mark.parametrize("status", [401, 402, 403, 429, 500, 502, 503, 504, 529])
async def test_the_next_credential_is_tried(calling, status):
    calling.upstream.plan(answered(status), steps.answer(OK))

    caller = await calling.call(calling.proxy(**TWO), b"{}", OURS, JSON)

    assert caller.status == 200
    assert set(used(calling)) == {b"secret-a", b"secret-b"}
    (record,) = calling.records()
    assert [attempt.status for attempt in record.closing.attempts] == [status, 200]
    assert "secret-" not in repr(record.closing.attempts)


@pytest.mark.parametrize("status", [400, 404, 405, 409, 413, 422, 451, 501])
async def test_what_is_the_apps_own_fault_is_not_tried_again(calling, status):
    calling.upstream.plan(answered(status))

    caller = await calling.call(calling.proxy(**TWO), b"{}", OURS, JSON)

    assert caller.status == status
    assert len(calling.upstream.received) == 1


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_the_last_answer_is_passed_on_with_its_headers(calling, status):
    calling.upstream.plan(answered(status, b"retry-after: 7", b"x-own: 1"))

    caller = await calling.call(calling.proxy(**TWO), b"{}", OURS, JSON)

    assert caller.status == status
    assert (b"retry-after", b"7") in caller.headers
    assert (b"x-faregate-error-origin", b"upstream") in caller.headers
    assert len(calling.upstream.received) == 2


async def test_no_plan_is_kept_for_a_model_that_nobody_has(calling):
    calling.upstream.plan(steps.answer(OK))
    proxy = calling.proxy()
    callers = [
        await calling.call(proxy, b'{"model":"%b"}' % (b"m" * length), OURS, JSON)
        for length in (LONGEST_PLANNED, LONGEST_PLANNED + 1)
    ]
    assert callers[0].head is callers[1].head
    assert max(len(model or "") for model, _ in callers[0].head.plans) == LONGEST_PLANNED


async def test_credentials_are_used_in_turn(calling):
    proxy = calling.proxy(credentials=("a", "b", "c"))
    for _ in range(6):
        await calling.call(proxy, b"{}", OURS, JSON)

    found = used(calling)
    assert found[:3] == found[3:]
    assert set(found) == {b"a", b"b", b"c"}


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refused_credential_is_left_out_for_a_while(calling, status):
    calling.upstream.plan(answered(status), steps.answer(OK))
    proxy = calling.proxy(**TWO)
    for _ in range(4):
        assert (await calling.call(proxy, b"{}", OURS, JSON)).status == 200

    refused, *good = used(calling)
    assert refused not in good


@pytest.mark.parametrize(
    ("headers", "left_out"),
    [((b"retry-after: 30",), True), ((b"Retry-After-Ms: 30000",), True), ((b"retry-after: 0",), False), ((), True)],
)
async def test_a_credential_that_asked_for_a_rest_gets_it(calling, headers, left_out):
    calling.upstream.plan(answered(429, *headers), steps.answer(OK))
    proxy = calling.proxy(**TWO)
    for _ in range(3):
        await calling.call(proxy, b"{}", OURS, JSON)

    limited, *later = used(calling)
    assert (limited not in later) is left_out


async def test_a_target_that_is_out_is_still_used_where_there_is_no_other(calling):
    calling.upstream.plan(answered(503))
    proxy = calling.proxy()
    for _ in range(8):
        assert (await calling.call(proxy, b"{}", OURS, JSON)).status == 503

    assert len(calling.upstream.received) == 8


async def test_an_upstream_that_breaks_off_before_its_answer_moves_on_to_the_next(calling):
    calling.upstream.plan((steps.ReadBody(), steps.Close()), steps.answer(OK))

    caller = await calling.call(calling.proxy(**TWO), b"{}", OURS, JSON)

    assert caller.status == 200
    (record,) = calling.records()
    assert [attempt.status for attempt in record.closing.attempts] == [None, 200]
    assert record.closing.attempts[0].error


async def test_an_answer_that_breaks_off_is_cut_and_never_tried_again(calling):
    begun = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"
    calling.upstream.plan((steps.ReadBody(), steps.Send(begun), steps.Close()))

    caller = await calling.call(calling.proxy(**TWO), b"{}", OURS, JSON)

    assert (caller.answer, caller.ending) == (b"half", "cut")
    assert len(calling.upstream.received) == 1
    (record,) = calling.records()
    assert (record.closing.ending, record.response) == ("upstream_cut", b"half")


@pytest.mark.parametrize(
    ("method", "tries"), [(b"GET", 2), (b"HEAD", 2), (b"PUT", 2), (b"DELETE", 2), (b"POST", 1), (b"PATCH", 1)]
)
async def test_a_kept_connection_that_breaks_is_tried_again_only_where_twice_does_no_harm(calling, method, tries):
    calling.upstream.plan(steps.answer(OK), (steps.ReadBody(), steps.Close()), steps.answer(OK))
    proxy = calling.proxy()
    await calling.call(proxy, b"{}", OURS, JSON)

    caller = await calling.call(proxy, b"" if method in {b"GET", b"HEAD"} else b"{}", OURS, method=method)

    assert caller.status == (200 if tries == 2 else 502)
    assert len(calling.upstream.received) == 1 + tries
