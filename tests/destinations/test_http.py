import base64
import gzip
import logging
import threading

import pytest

from destinations.answers import LONGEST_EXCERPT, excerpt_of, retry_after_of
from destinations.client import make_client
from destinations.http import gzipped, post, verdict_on
from domain.destinations import DeliveryFailed, Misconfigured, Rejected, TooLarge, Unavailable
from tests.destinations.sink import Reply, Sink

NOW = 1_795_215_600.0  # Fri, 20 Nov 2026 23:00:00 GMT
TOKEN = "Bearer " + "tok-" + "9f8e7d6c5b4a"


async def sent(sink, reply, *, client=None, body=b"{}", headers=None, **more):
    """Send to a sink that answers `reply`; return the answer, or how it failed."""
    sink.script(reply)
    async with make_client(True, timeout=5) as own:
        try:
            return await post(
                client or own, f"{sink.url}/x", body=body, headers=headers or {}, content_type="application/json", **more
            )
        except DeliveryFailed as failure:
            return failure


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *(
            (status, Misconfigured)
            for status in (300, 301, 302, 303, 307, 308, 401, 402, 403, 404, 405, 407, 410, 415, 431, 501, 507)
        ),
        *((status, Rejected) for status in (400, 409, 412, 418, 422, 499)),
        *((status, Unavailable) for status in (408, 425, 429, 500, 502, 503, 504, 520, 529, 599)),
        (413, TooLarge),
    ],
)
async def test_a_status_is_sorted(status, kind):
    with Sink() as sink:
        failure = await sent(sink, Reply(status, headers={"location": f"{sink.url}/elsewhere"}))
        assert type(failure) is kind
        assert failure.status == status
        assert len(sink.got) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207])
async def test_every_2xx_is_taken(status):
    with Sink() as sink:
        assert (await sent(sink, Reply(status))).status == status


def test_every_status_has_a_verdict():
    assert {verdict_on(status) for status in range(200, 600)} == {
        *("taken", "unavailable", "throttled", "rejected", "too_large", "misconfigured", "gone")
    }


async def test_gone_and_throttled_are_told_apart():
    with Sink() as sink:
        assert (await sent(sink, Reply(410))).gone
        assert not (await sent(sink, Reply(404))).gone
        assert (await sent(sink, Reply(429))).throttled
        assert not (await sent(sink, Reply(503))).throttled


async def test_a_destination_may_see_it_differently():
    with Sink() as sink:
        taken = await sent(sink, Reply(409), judge=lambda answer: "taken" if answer.status == 409 else None)
        assert taken.status == 409
        failure = await sent(sink, Reply(200, b'{"error": "x"}'), judge=lambda answer: "unavailable" if answer.body else None)
        assert isinstance(failure, Unavailable)
        assert isinstance(await sent(sink, Reply(400), judge=lambda _: None), Rejected)


async def test_the_body_is_sent_as_it_is_or_within_gzip():
    with Sink() as sink:
        await sent(sink, Reply(), body=b"hello" * 100)
        assert sink.last.raw == b"hello" * 100
        assert "content-encoding" not in sink.last.headers
        await sent(sink, Reply(), body=b"hello" * 100, pack=gzipped)
        assert gzip.decompress(sink.last.raw) == b"hello" * 100
        assert sink.last.headers["content-encoding"] == "gzip"
        assert sink.last.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("length", [True, False])
async def test_no_more_of_an_answer_is_read_than_its_bound(status, length):
    with Sink() as sink:
        answer = await sent(sink, Reply(status, b"y" * 8_000_000, length=length), answer_bytes=1_000)
        if status == 200:
            assert (answer.body, answer.cut) == (b"y" * 1_000, True)
        else:
            assert len(answer.message) < 1_000


async def test_an_answer_within_gzip_is_unpacked_to_the_bound():
    bomb = gzip.compress(b"z" * 20_000_000)
    with Sink() as sink:
        answer = await sent(sink, Reply(200, bomb, headers={"content-encoding": "gzip"}), answer_bytes=50_000)
        assert (answer.body, answer.cut) == (b"z" * 50_000, True)
        plain = await sent(sink, Reply(200, gzip.compress(b"{}"), headers={"content-encoding": "gzip"}))
        assert (plain.body, plain.cut) == (b"{}", False)
        broken = await sent(sink, Reply(200, b"no gzip", headers={"content-encoding": "gzip"}))
        assert (broken.body, broken.cut) == (b"", True)


async def test_no_answer_is_tried_again_later():
    held = threading.Event()
    with Sink() as sink:
        assert isinstance(await sent(sink, Reply(reset=True)), Unavailable)
        async with make_client(True, timeout=0.2) as hasty:
            failure = await sent(sink, Reply(after=held), client=hasty)
        held.set()
        assert isinstance(failure, Unavailable)
        assert failure.status is None
        url = sink.url
    async with make_client(True, timeout=5) as client:
        with pytest.raises(Unavailable):
            await post(client, url, body=b"", headers={}, content_type="text/plain")


async def test_a_header_that_cannot_be_sent_is_a_matter_of_settings():
    with Sink() as sink:
        assert isinstance(await sent(sink, Reply(), headers={"x-key": "a\r\nb: c"}), Misconfigured)
        assert isinstance(await sent(sink, Reply(), headers={"x key": "a"}), Misconfigured)
        assert not sink.got


async def test_what_a_destination_would_have_us_remember_is_not(caplog):
    caplog.set_level(logging.DEBUG)
    with Sink(Reply(headers={"set-cookie": "a=b; Path=/"})) as sink:
        async with make_client(True, timeout=5) as client:
            for _ in range(2):
                await post(client, f"{sink.url}/hook/T0KEN", body=b"", headers={}, content_type="text/plain")
        assert "cookie" not in sink.last.headers
    # nor does a log line hold a URL, which may be a credential
    assert "T0KEN" not in caplog.text


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 7.5 "}, 7.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "86400"}, 3_600),
        ({"retry-after": "9" * 15}, 3_600),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Fri, 20 Nov 2026 23:02:00 GMT"}, 120),
        ({"retry-after": "Fri, 20 Nov 2026 22:00:00 GMT"}, 0),
        ({"retry-after": "Fri, 20 Nov 2026 23:02:00 GMT", "date": "Fri, 20 Nov 2026 23:01:00 GMT"}, 60),
        ({"retry-after": "Friday, 20-Nov-26 23:02:00 GMT"}, 120),
        ({"retry-after": "1h2m"}, 3_600),
        ({"retry-after": "1m30s"}, 90),
        ({"retry-after": "250ms"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "\u0667"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7),
        ({"x-ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-reset": str(int(NOW) + 45)}, 45),
        ({"x-ratelimit-reset": str((int(NOW) + 45) * 1000)}, 45),
        ({"x-ratelimit-reset": "6m0s"}, 360),
        ({"ratelimit-reset": "12"}, 12),
        ({"x-ratelimit-reset-after": "2.5", "x-ratelimit-reset": "30"}, 2.5),
        ({}, None),
    ],
)
def test_when_to_come_back_is_read_in_all_its_forms(headers, seconds):
    assert retry_after_of(headers, now=NOW) == seconds


async def test_the_wait_comes_with_the_failure():
    with Sink() as sink:
        assert (await sent(sink, Reply(429, headers={"retry-after": "12"}))).retry_after == 12
        assert (await sent(sink, Reply(503))).retry_after is None


async def test_a_message_says_what_was_answered_without_what_was_sent():
    prompt = "my mother's maiden name is Hildegard"
    body = f'{{"messages": "{prompt}"}}'.encode()
    told = f'{{"error": "bad {TOKEN} and {prompt}", "auth": "{TOKEN.split()[1]}"}}'.encode()
    with Sink() as sink:
        failure = await sent(sink, Reply(400, told), body=body, headers={"authorization": TOKEN})
    assert "HTTP 400" in failure.message
    assert '"error": "bad' in failure.message
    assert "Hildegard" not in failure.message
    assert TOKEN.split()[1] not in failure.message


def test_credentials_in_a_basic_header_and_in_a_url_are_masked():
    basic = {"authorization": "Basic " + base64.b64encode(b"pk-public:sk-secret").decode(), "x-odd": "Basic !"}
    answer = b"the secret sk-secret of pk-public is wrong for /services/T0KENT0KENT0KEN at /v1/traces?key=LONGLONGLONGLONG"
    text = excerpt_of(answer, b"", basic, "https://x.test/services/T0KENT0KENT0KEN?key=LONGLONGLONGLONG")
    assert text == "the secret […] of […] is wrong for /services/[…] at /v1/traces?key=[…]"


def test_an_excerpt_is_one_short_line():
    text = excerpt_of(b"a\r\n\x1b[31mb\0c\td " + b"\xff" * 10 + b"e" * 5_000, b"", {})
    assert text.startswith("a [31mb c d ")
    assert len(text) <= LONGEST_EXCERPT
    assert text.isprintable()


@pytest.mark.parametrize("shift", range(24))
def test_an_echo_is_masked_wherever_it_begins(shift):
    secret = "correct horse battery staple"
    answer = b"." * shift + secret.encode() + b"!"
    text = excerpt_of(answer, b'{"x": "' + secret.encode() + b'"}', {})
    assert text == "." * shift + "[…]" + "!"


def test_what_only_looks_alike_is_not_masked():
    assert excerpt_of(b'{"message": "field spans is required"}', b'{"spans": 1, "message": 2}', {}) == (
        '{"message": "field spans is required"}'
    )
