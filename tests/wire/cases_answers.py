"""Cases about what the upstream answers."""

import gzip

from tests.harness.compare import Case, request
from tests.harness.messages import chunked
from tests.harness.steps import Await, Close, Got, ReadBody, Send, Signal, answer, in_lockstep

ASKED = request(body=b'{"model":"gpt-4o-mini","messages":[]}')
ERROR = b'{"error":{"message":"no \xe2\x82\xac","type":"t","param":null,"code":"c","odd":[1]}}'
STATUSES = {
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    418: b"I'm a teapot",
    422: b"Unprocessable Entity",
    424: b"Failed Dependency",
    429: b"Too Many Requests",
    451: b"Unavailable For Legal Reasons",
    499: b"Client Closed",
    500: b"Internal Server Error",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    529: b"Site is overloaded",
    599: b"",
}


def sized(body: bytes, headers: bytes = b"", *, status: bytes = b"200 OK") -> bytes:
    """Return an answer with its length."""
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body)


def one(name: str, *pieces: bytes, method: bytes = b"POST") -> Case:
    """Return a case whose answer is sent in these pieces."""
    asked = ASKED if method == b"POST" else request(method, b"/v1/models")
    return Case(name, (Send(asked),), (answer(*pieces),), (method,))


def then_closed(name: str, *pieces: bytes) -> Case:
    """Return a case whose answer is followed by the end of the connection."""
    return Case(name, (Send(ASKED),), ((*answer(*pieces), Close()),))


def stepwise(name: str, *pieces: bytes) -> Case:
    """Return a case whose answer's pieces each wait until the client has the one before."""
    steps = [
        step
        for number, piece in enumerate(pieces[:-1], start=1)
        for step in (Got(b"\r\n\r\n" if number == 1 else piece), Signal(f"piece-{number}"))
    ]
    return Case(name, (Send(ASKED), *steps), (in_lockstep(*pieces),))


def errors() -> list[Case]:
    """Errors of every class are the upstream's own, whole."""
    plain = [
        one(f"status {code}", sized(ERROR, b"Content-Type: application/json\r\n", status=b"%d %b" % (code, reason)))
        for code, reason in STATUSES.items()
    ]
    limited = (
        b"Retry-After: 7\r\nretry-after-ms: 6543\r\nx-should-retry: false\r\nx-ratelimit-limit-requests: 60\r\n"
        b"x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 6m0s\r\nx-request-id: req_1\r\n"
    )
    return [
        *plain,
        one("429 with its hints", sized(ERROR, limited, status=b"429 Too Many Requests")),
        one(
            "503 with a date to retry after", sized(ERROR, b"Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", status=b"503 Busy")
        ),
        one(
            "an HTML error",
            sized(
                b"<html><center>cloudflare</center></html>", b"Content-Type: text/html\r\nServer: cloudflare\r\n", status=b"520 "
            ),
        ),
        one("an error without a body", sized(b"", status=b"500 Oh")),
        one("a chunked error", b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n", *chunked([ERROR[:9], ERROR[9:]])),
    ]


def successes() -> list[Case]:
    """Other statuses, and status lines that are unusual."""
    body = b'{"id":1}'
    return [
        one("201", sized(body, b"Location: /v1/x/1\r\n", status=b"201 Created")),
        one("202", sized(body, status=b"202 Accepted")),
        one("204", b"HTTP/1.1 204 No Content\r\nX-Kept: yes\r\n\r\n"),
        one("206", sized(b"part", b"Content-Range: bytes 0-3/10\r\n", status=b"206 Partial Content")),
        one("304 with a length", b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 99\r\n\r\n', method=b"GET"),
        one(
            "a redirect is not followed",
            sized(b"", b"Location: http://127.0.0.1:9/elsewhere\r\n", status=b"307 Temporary Redirect"),
        ),
        one(
            "a moved resource is not followed",
            sized(b"x", b"Location: /v1/other\r\n", status=b"301 Moved Permanently"),
            method=b"GET",
        ),
        one("another reason", sized(body, status=b"200 Sehr gut, danke")),
        one("no reason", sized(body, status=b"200 ")),
        one("an empty body", sized(b"")),
    ]


def headers() -> list[Case]:
    """Headers of answers stay as they are."""
    return [
        one(
            "set-cookie twice",
            sized(b"{}", b"Set-Cookie: a=1; Path=/\r\nX-Between: 1\r\nSet-Cookie: b=2, c\r\nset-cookie: a=3\r\n"),
        ),
        one("odd casing", sized(b"{}", b"X-REQUEST-id: Req\r\nopenai-PROCESSING-ms: 5\r\nCONTENT-type: Application/JSON\r\n")),
        one("empty values", sized(b"{}", b"X-Empty:\r\nX-Blank: \r\nX-Full: 1\r\n")),
        one("latin-1 values", sized(b"{}", b"X-Latin: \xe9\xe8 \xa7\r\n")),
        one("no content-type, no date, no server", sized(b"?")),
        one("date and server of the upstream", sized(b"{}", b"Date: Tue, 01 Jan 2030 00:00:00 GMT\r\nServer: provider/1\r\n")),
        one(
            "hop-by-hop headers",
            sized(b"{}", b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=3\r\nX-Stays: 1\r\n"),
        ),
        one("proxy-authenticate", sized(b"{}", b"Proxy-Authenticate: Basic\r\nX-Stays: 1\r\n")),
        one("sixty headers", sized(b"{}", b"".join(b"X-N-%d: %d\r\n" % (n, n) for n in range(60)))),
        one("a long header", sized(b"{}", b"X-Long: " + b"y" * 12_000 + b"\r\n")),
        one(
            "alternatives and security headers",
            sized(
                b"{}",
                b'Alt-Svc: h3=":443"\r\nStrict-Transport-Security: max-age=1\r\nX-Content-Type-Options: nosniff\r\nVary: Accept\r\n',
            ),
        ),
        then_closed("connection: close", sized(b"{}", b"Connection: close\r\n")),
    ]


def bodies() -> list[Case]:
    """Bodies in every encoding, size and framing."""
    zipped = gzip.compress(b'{"text":"' + b"abc" * 5000 + b'"}', mtime=0)
    brotli = b"\x8b\x02\x80opaque\x00\xff\x03"
    binary = bytes(range(256)) * 12_000
    big = b"\x00\xffbig" * 1_000_000
    return [
        one("gzip", sized(zipped, b"Content-Encoding: gzip\r\nContent-Type: application/json\r\n")),
        one(
            "gzip, chunked",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
            *chunked([zipped[:7], zipped[7:]]),
        ),
        one("br", sized(brotli, b"Content-Encoding: br\r\n")),
        one("an unknown encoding", sized(b"\x00\x01", b"Content-Encoding: x-mine\r\n")),
        one(
            "a binary download",
            sized(binary, b'Content-Type: audio/mpeg\r\nContent-Disposition: attachment; filename="a.mp3"\r\n'),
        ),
        one("five megabytes with a length", sized(big)),
        one("five megabytes in one chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *chunked([big])),
        one(
            "chunks with extensions",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n00001;x\r\n!\r\n0;end\r\n\r\n",
        ),
        one(
            "chunk sizes in capitals",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
        ),
        one("an empty chunked body", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        one(
            "trailers",
            b"HTTP/1.1 200 OK\r\nTrailer: X-Sum, X-Two\r\nTransfer-Encoding: chunked\r\n\r\n",
            *chunked([b"abc"], trailers=b"X-Sum: 900150\r\nX-Two: \xe9\r\n"),
        ),
        then_closed(
            "a body that ends with the connection", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", b"first,", b"last"
        ),
        then_closed("an HTTP/1.0 answer", b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold"),
        stepwise("a body with a length, byte by byte", sized(b"xyz")[:-3], b"x", b"y", b"z"),
    ]


def interim() -> list[Case]:
    """1xx answers, and heads that are slow."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Odd: 1\r\n\r\n"
    final = sized(b"{}")
    return [
        one("103 before the answer", hints, final),
        one("103 twice, in one piece with the answer", hints + hints + final),
        one("102 before the answer", b"HTTP/1.1 102 Processing\r\n\r\n", final),
        Case(
            "103 is passed on at once",
            (Send(ASKED), Got(b"preload"), Signal("go")),
            ((ReadBody(), Send(hints), Await("go"), Send(final)),),
        ),
        Case("a head that comes byte by byte", (Send(ASKED),), (answer(*(final[at : at + 1] for at in range(len(final)))),)),
        one("head and body in one piece", final),
        stepwise(
            "a head long before its body",
            b"HTTP/1.1 200 OK\r\nX-Early: yes\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"2\r\n{}\r\n",
            b"0\r\n\r\n",
        ),
    ]


CASES = [*errors(), *successes(), *headers(), *bodies(), *interim()]
