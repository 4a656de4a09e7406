"""Heads: what passes, what is taken off, what is put in its place, and that no two requests are ever mixed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvalidRequest
from gateway.sending.outgoing import Credential, host_of
from gateway.wire.heads import head_of, hidden_query, recorded
from tests.gateway.heads import HOST, a_head, an_upstream, lines, sent

OWN = Credential("caller")
OURS = "fg-" + "o" * 40
SECRET = OURS.encode()
THEIRS = "sk-" + "live" + "t" * 20
STYLES = {"bearer": b"authorization", "x-api-key": b"x-api-key", "x-goog-api-key": b"x-goog-api-key", "api-key": b"api-key"}


def written(style: str, secret: bytes) -> bytes:
    return b"Bearer " + secret if style == "bearer" else secret


# What passes


def test_order_casing_repeats_and_values_stay():
    headers = [
        (b"X-b", b"2"),
        (b"x-A", b"1"),
        (b"X-B", b"3"),
        HOST,
        (b"ACCEPT", b"*/*"),
        (b"Content-Length", b"7"),
        (b"Cookie", b"a=b"),
        (b"cookie", b"c=d"),
        (b"x-empty", b""),
        (b"X-Bytes", b"\xff\xe9"),
        (b"User-Agent", b"mine/1.0"),
    ]

    head = sent(headers, credential=OWN, path=b"/v1/x?y")

    assert head.startswith(b"POST /v1/x?y HTTP/1.1\r\n")
    assert lines(head) == [(name, b"api.test" if name == b"Host" else value) for name, value in headers]


@pytest.mark.parametrize(
    ("upstream", "host"),
    [
        ({}, b"api.test"),
        ({"port": 8443}, b"api.test:8443"),
        ({"scheme": "http", "port": 80}, b"api.test"),
        ({"scheme": "http", "port": 443}, b"api.test:443"),
        ({"host": "::1", "port": 443}, b"[::1]"),
        ({"host": "::1", "port": 9, "scheme": "http"}, b"[::1]:9"),
    ],
)
def test_host_names_the_upstream(upstream, host):
    assert host_of(an_upstream(**upstream)) == host


@pytest.mark.parametrize(
    "name",
    [
        b"Connection",
        b"Keep-Alive",
        b"Proxy-Connection",
        b"Proxy-Authorization",
        b"TE",
        b"Upgrade",
        b"Expect",
        b"Helicone-Auth",
        b"X-Portkey-Api-Key",
        b"Cf-Aig-Authorization",
        b"X-Faregate-Key",
        b"x-faregate-session",
        b"X-FAREGATE-anything",
    ],
)
@pytest.mark.parametrize("change", [bytes.lower, bytes.upper, bytes.title, bytes])
def test_what_ends_here(name, change):
    head = sent([HOST, (b"x-before", b"1"), (change(name), b"some"), (b"x-after", b"2")], credential=OWN)

    assert lines(head) == [(b"Host", b"api.test"), (b"x-before", b"1"), (b"x-after", b"2")]


@pytest.mark.parametrize(
    ("listed", "taken_off"),
    [
        (b"x-hop", {b"x-hop"}),
        (b"close, X-Hop", {b"x-hop"}),
        (b"keep-alive,x-hop ,\tx-other", {b"x-hop", b"x-other"}),
        (b"close", set()),
        (b"", set()),
        (b",,", set()),
        (b"keep-alive", set()),
        (b"host, content-length", set()),
        (b"cookie", {b"cookie"}),
    ],
)
def test_what_connection_lists_ends_here_but_never_what_frames_the_request(listed, taken_off):
    headers = [
        HOST,
        (b"Connection", listed),
        (b"X-Hop", b"1"),
        (b"x-other", b"2"),
        (b"Cookie", b"c"),
        (b"Content-Length", b"3"),
    ]

    names = [name.lower() for name, _ in lines(sent(headers, credential=OWN))]

    assert names == [name.lower() for name, _ in headers if name != b"Connection" and name.lower() not in taken_off]


def test_two_connection_headers_count_together():
    headers = [HOST, (b"connection", b"a"), (b"a", b"1"), (b"Connection", b"b"), (b"b", b"2"), (b"c", b"3")]

    assert lines(sent(headers, credential=OWN)) == [(b"Host", b"api.test"), (b"c", b"3")]


def test_the_length_stands_where_the_caller_put_it():
    for headers in (
        [(b"content-LENGTH", b"12"), HOST, (b"x", b"1")],
        [HOST, (b"content-LENGTH", b"12"), (b"x", b"1")],
        [HOST, (b"x", b"1"), (b"content-LENGTH", b"12")],
    ):
        names = [name for name, _ in lines(sent(headers, credential=OWN))]
        assert names == [name for name, _ in headers]


def test_a_chunked_request_stays_chunked_and_has_no_length():
    head = sent([HOST, (b"Transfer-Encoding", b"chunked"), (b"x", b"1")], credential=OWN)

    assert lines(head) == [(b"Host", b"api.test"), (b"Transfer-Encoding", b"chunked"), (b"x", b"1")]


@pytest.mark.parametrize("uncompressed", [True, False])
def test_compression_is_declined_only_where_the_stream_must_be_read(uncompressed):
    headers = [HOST, (b"Accept-Encoding", b"gzip, br")]

    value = dict(lines(sent(headers, credential=OWN, uncompressed=uncompressed)))[b"Accept-Encoding"]

    assert value == (b"identity" if uncompressed else b"gzip, br")


def test_an_upgrade_is_asked_for_once():
    headers = [HOST, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Key", b"k")]

    found = [(name.lower(), value.lower()) for name, value in lines(sent(headers, credential=OWN, upgrade=True, method=b"GET"))]

    assert found.count((b"connection", b"upgrade")) == 1
    assert found.count((b"upgrade", b"websocket")) == 1


# What is refused


@pytest.mark.parametrize(
    ("headers", "http11"),
    [
        ([], True),
        ([HOST, HOST], True),
        ([HOST, (b"HOST", b"other")], False),
        ([HOST, (b"Transfer-Encoding", b"gzip, chunked")], True),
        ([HOST, (b"Transfer-Encoding", b"identity")], True),
        ([HOST, (b"Transfer-Encoding", b"chunked, chunked")], True),
        ([HOST, (b"transfer-encoding", b"xchunked")], True),
    ],
)
def test_a_head_that_could_mean_two_things_is_refused(headers, http11):
    for _ in range(2):
        with pytest.raises(InvalidRequest):
            head_of(b"/v1/x", list(headers), http11=http11)


def test_http_1_0_may_come_without_a_host():
    head, _ = head_of(b"/v1/x", [], http11=False)

    assert head.http11 is False


@pytest.mark.parametrize(
    ("value", "http11", "expects"),
    [(b"100-continue", True, True), (b"100-CONTINUE", True, True), (b"100-continue", False, False), (b"other", True, False)],
)
def test_who_waits_for_100_continue(value, http11, expects):
    assert a_head((b"Expect", value), http11=http11).expects is expects


# Credentials


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("where", [*STYLES.values(), b"x-faregate-key"])
@pytest.mark.parametrize("also", [None, *STYLES.values()])
def test_a_key_of_ours_is_replaced_whatever_the_styles_are(style, where, also):
    value = b"Bearer " + SECRET if where == b"authorization" else SECRET
    headers = [HOST, (b"x-before", b"1"), (where.title(), value), (b"x-after", b"2")]
    if also is not None and also != where:
        headers.append((also, SECRET))

    head = sent(headers, credential=Credential("1", THEIRS, where), upstream=an_upstream(auth=style))

    credentials = [(name.lower(), value) for name, value in lines(head) if name.lower() in STYLES.values()]
    assert credentials == [(STYLES[style], written(style, THEIRS.encode()))]
    assert b"fg-" not in head
    assert [name for name, _ in lines(head) if name in {b"Host", b"x-before", b"x-after"}] == [b"Host", b"x-before", b"x-after"]


def test_a_credential_of_the_same_style_stands_where_ours_stood():
    headers = [HOST, (b"AUTHORIZATION", b"bearer " + SECRET), (b"x", b"1")]

    found = lines(sent(headers, credential=Credential("1", THEIRS, b"authorization")))

    assert found == [(b"Host", b"api.test"), (b"AUTHORIZATION", b"Bearer " + THEIRS.encode()), (b"x", b"1")]


@pytest.mark.parametrize("name", STYLES.values())
@pytest.mark.parametrize(
    "value",
    [SECRET, b"Bearer " + SECRET, b"bearer " + SECRET, b"BEARER  " + SECRET, b"Bearer\t" + SECRET, b" " + SECRET + b" "],
)
@pytest.mark.parametrize(
    "credential", [OWN, Credential("1", THEIRS, b"x-faregate-key"), Credential("none", None, b"x-faregate-key")]
)
def test_our_key_reaches_nobody_from_any_credential_header(name, value, credential):
    assert b"fg-" not in sent([HOST, (name, value)], credential=credential)


def test_a_repeated_credential_header_does_not_smuggle_our_key_through():
    headers = [HOST, (b"Authorization", b"Bearer " + THEIRS.encode()), (b"Authorization", b"Bearer " + SECRET)]

    assert b"fg-" not in sent(headers, credential=OWN)


def test_a_callers_own_credential_passes_as_it_is():
    headers = [HOST, (b"Authorization", b"bearer  " + THEIRS.encode()), (b"X-Api-Key", b"k"), (b"x-faregate-key", SECRET)]

    assert lines(sent(headers, credential=OWN)) == [(b"Host", b"api.test"), *headers[1:3]]


def test_the_simulated_upstream_gets_no_credential():
    headers = [HOST, (b"Authorization", b"Bearer " + THEIRS.encode())]

    assert lines(sent(headers, credential=OWN, upstream=an_upstream(scheme="sim"))) == [(b"Host", b"api.test:443")]


def test_a_caller_without_credential_gets_the_upstreams_at_the_end():
    headers = [HOST, (b"x-faregate-key", SECRET), (b"x", b"1")]

    found = lines(sent(headers, credential=Credential("1", THEIRS, b"x-faregate-key")))

    assert found == [(b"Host", b"api.test"), (b"x", b"1"), (b"authorization", b"Bearer " + THEIRS.encode())]


# No two requests are mixed

NAMES = st.sampled_from(
    [
        b"X-A",
        b"x-a",
        b"Accept",
        b"Accept-Encoding",
        b"Cookie",
        b"X-Faregate-Session",
        b"Authorization",
        b"x-api-key",
        b"TE",
        b"Connection",
    ]
)
HEADERS = st.lists(st.tuples(NAMES, st.sampled_from([b"1", b"2", b"x-a", SECRET, b"Bearer sk-x"])), max_size=4)
REQUESTS = st.fixed_dictionaries(
    {
        "headers": HEADERS,
        "length": st.sampled_from([None, (0, b"5"), (1, b"5"), (1, b"6"), (9, b"5"), (9, b"12")]),
        "method": st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT"]),
        "path": st.sampled_from([b"/v1/a", b"/v1/b", b"/v1/a?x"]),
        "upstream": st.sampled_from(["openai", "other"]),
        "credential": st.sampled_from(["caller", "none", "1", "2"]),
        "uncompressed": st.booleans(),
        "upgrade": st.booleans(),
    }
)
PLACES = {
    "openai": an_upstream(),
    "other": an_upstream(name="other", host="other.test", auth="x-api-key"),
}
ALIKE = an_upstream()  # equal to the first, and another one: settings that were read again


def request_sent(asked, upstreams) -> bytes:
    headers = [HOST, *asked["headers"]]
    if asked["length"] is not None:
        at, length = asked["length"]
        headers.insert(at, (b"Content-Length", length))
    name = asked["credential"]
    upstream = upstreams[asked["upstream"]]
    secrets = {"1": f"first-of-{upstream.name}", "2": f"second-of-{upstream.name}"}
    credential = OWN if name == "caller" else Credential(name, secrets.get(name), b"authorization")
    flags = {each: asked[each] for each in ("uncompressed", "upgrade", "method", "path")}
    return sent(headers, credential=credential, upstream=upstream, target=asked["path"], **flags)


def model(asked) -> list[tuple[bytes, bytes]]:
    """Say what must go upstream, the long way."""
    upstream = PLACES[asked["upstream"]]
    headers = [HOST, *asked["headers"]]
    if asked["length"] is not None:
        headers.insert(asked["length"][0], (b"Content-Length", asked["length"][1]))
    listed = b",".join(value for key, value in headers if key == b"Connection").split(b",")
    ended = {b"te", b"connection", b"x-faregate-session", *listed}
    out = []
    for key, value in credentials_of(headers, asked["credential"], upstream):
        if key.lower() not in ended:
            shown = upstream.host.encode() if key == b"Host" else value
            out.append((key, b"identity" if key == b"Accept-Encoding" and asked["uncompressed"] else shown))
    return [*out, *([(b"connection", b"Upgrade"), (b"upgrade", b"websocket")] if asked["upgrade"] else [])]


def credentials_of(headers, name, upstream) -> list[tuple[bytes, bytes]]:
    """Return `headers` with the credentials that must go upstream."""
    wanted = STYLES[upstream.auth]
    number = {"1": b"first", "2": b"second"}.get(name)
    own = written(upstream.auth, number + b"-of-" + upstream.name.encode()) if number else None
    out = []
    for key, value in headers:
        lower = key.lower()
        if lower not in STYLES.values() or (name == "caller" and SECRET not in value):
            out.append((key, value))
        elif lower == wanted and own is not None:
            out.append((key, own))
            own = None
        elif name != "caller" and lower not in {b"authorization", wanted} and SECRET not in value:
            out.append((key, value))
    return out if own is None else [*out, (wanted, own)]


@given(st.lists(REQUESTS, min_size=1, max_size=12))
@settings(max_examples=300)
def test_what_goes_out_depends_on_its_own_request_alone(requests):
    for asked in requests:
        head = request_sent(asked, PLACES)
        assert head.startswith(b"%b %b HTTP/1.1\r\n" % (asked["method"], asked["path"]))
        assert lines(head) == model(asked)


@given(REQUESTS, REQUESTS)
def test_one_request_between_two_alike_changes_nothing(asked, other):
    first = request_sent(asked, PLACES)
    request_sent(other, PLACES)

    assert request_sent(asked, PLACES) == first
    assert request_sent(asked, PLACES | {"openai": ALIKE}) == first


def test_settings_that_were_read_again_count_at_once():
    headers = [HOST, (b"x-same", b"1")]
    for host in ("one.test", "two.test", "one.test"):
        head = sent(headers, credential=OWN, upstream=an_upstream(host=host))
        assert lines(head)[0] == (b"Host", host.encode())


def test_more_targets_than_are_remembered_come_out_right():
    headers = [HOST, (b"x-many", b"1")]
    for _ in range(2):
        for number in range(40):
            path = b"/v1/files/%d" % number
            assert sent(headers, credential=OWN, path=path).startswith(b"POST " + path + b" ")


def test_the_same_headers_with_another_length_are_recorded_with_their_own():
    for length in (b"1", b"22", b"333"):
        head, found = head_of(b"/v1/x", [HOST, (b"content-Length", length), (b"x", b"1")], http11=True)
        assert head.recorded_with(found) == (("Host", "gate.test"), ("content-Length", length.decode()), ("x", "1"))


# What is written down


@pytest.mark.parametrize(
    "name",
    [
        b"Authorization",
        b"Proxy-Authorization",
        b"X-Api-Key",
        b"api-key",
        b"X-Goog-Api-Key",
        b"X-Faregate-Key",
        b"Helicone-Auth",
        b"X-Portkey-Api-Key",
        b"Cf-Aig-Authorization",
        b"Cookie",
        b"Set-Cookie",
        b"Sec-WebSocket-Protocol",
        b"X-Amz-Security-Token",
        b"X-Auth-Token",
        b"X-Access-Token",
        b"OpenAI-Api-Key",
        b"X-Client-Secret",
        b"x_api_key",
        b"apikey",
        b"X-Session-Token",
        b"X-Goog-Iam-Authorization-Token",
        b"Private-Token",
    ],
)
def test_what_could_be_a_credential_is_never_written_down(name):
    assert recorded([(name, b"hush-hush")]) == ((name.decode(), "***"),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"X-RateLimit-Remaining-Tokens", b"149984"),
        (b"Content-Type", b"application/json"),
        (b"openai-organization", b"org"),
        (b"X-Odd", b"\xe9\xff"),
        (b"Etag", b"abc"),
    ],
)
def test_everything_else_is_written_down_as_it_was(name, value):
    assert recorded([(name, value)]) == ((name.decode(), value.decode("latin-1")),)


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        (b"/v1/x", "/v1/x"),
        (b"/v1/x?", "/v1/x?"),
        (b"/v1/x?limit=2&after=y", "/v1/x?limit=2&after=y"),
        (b"/v1beta/m:g?key=AIza&alt=sse", "/v1beta/m:g?key=***&alt=sse"),
        (b"/x?KEY=a&Api-Key=b&api_key=c", "/x?KEY=***&Api-Key=***&api_key=***"),
        (b"/x?access_token=a=b&token=", "/x?access_token=***&token=***"),
        (
            b"/x?X-Amz-Signature=a&sig=b&client_secret=c&password=d",
            "/x?X-Amz-Signature=***&sig=***&client_secret=***&password=***",
        ),
        (b"/x?key", "/x?key"),
        (b"/x?%6Bey=a&k%65y=b", "/x?%6Bey=***&k%65y=***"),
        (b"/x?credential=a&auth=b", "/x?credential=***&auth=***"),
    ],
)
def test_credentials_in_a_query_are_never_written_down(path, kept):
    assert hidden_query(path) == kept
