"""Cases about what the app sends."""

from tests.harness.compare import Case, request
from tests.harness.messages import chunked
from tests.harness.steps import Await, Got, ReadBody, Script, Send, Signal, answer
from tests.harness.upstream import OK

ODD_JSON = (
    b'{ "stream" :false,\t"z":1.0e+02,"model":"gpt-4o-mini" ,"n": 12345678901234567890,'
    b'"messages":[{"role":"user","content":"\\u00e9 \xc3\xa9 \\ud83d\\ude00 \\/"}],"unknown":{"b":null,"a":[ ]} }\n'
)
PLAIN = b'{"model":"gpt-4o-mini","messages":[]}'
CHUNKED = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
PARTS = [b'{"model":"gpt-4o-mini",', b'"messages":[{"role":"user",', b'"content":"', b"\xf0\x9f", b"\x98\x80", b'"}]}']
MULTIPART = (
    b'--=_odd\'(boundary)+\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
    b'--=_odd\'(boundary)+\r\nContent-Disposition: form-data; name="file"; filename="\xc3\xa9.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n" + bytes(range(256)) * 8 + b"\r\n--=_odd'(boundary)+--\r\n"
)


def one(
    name: str, *pieces: bytes, method: bytes = b"POST", script: Script | None = None, dropped: frozenset[bytes] = frozenset()
) -> Case:
    """Return a case of one call whose request is sent in these pieces."""
    return Case(name, tuple(Send(piece) for piece in pieces), (script or answer(OK),), (method,), dropped)


def with_headers(name: str, headers: bytes, *, dropped: frozenset[bytes] = frozenset()) -> Case:
    """Return a case of a plain call with these headers more."""
    return one(name, request(body=PLAIN, headers=headers), dropped=dropped)


def methods() -> list[Case]:
    """Every method, known or not."""
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-Kind: head\r\n\r\n"
    return [
        one(
            "HEAD, with the length of what GET would send", request(b"HEAD", b"/v1/models"), method=b"HEAD", script=answer(empty)
        ),
        one(
            "HEAD, chunked",
            request(b"HEAD", b"/v1/models"),
            method=b"HEAD",
            script=answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ),
        one("GET", request(b"GET", b"/v1/models"), method=b"GET"),
        one("GET with a body", request(b"GET", b"/v1/models", PLAIN), method=b"GET"),
        one("DELETE", request(b"DELETE", b"/v1/files/file-1"), method=b"DELETE"),
        one("DELETE with a body", request(b"DELETE", b"/v1/responses/resp_1", PLAIN), method=b"DELETE"),
        one("PUT", request(b"PUT", b"/v1/things/1", PLAIN), method=b"PUT"),
        one("PATCH", request(b"PATCH", b"/v1/things/1", PLAIN), method=b"PATCH"),
        one("OPTIONS", request(b"OPTIONS", b"/v1/models", headers=b"Origin: https://app.example\r\n"), method=b"OPTIONS"),
        one("PROPFIND", request(b"PROPFIND", b"/v1/files", PLAIN, headers=b"Depth: 1\r\n"), method=b"PROPFIND"),
        one(
            "a GET whose answer has no body",
            request(b"GET", b"/v1/models"),
            method=b"GET",
            script=answer(b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"),
        ),
    ]


def targets() -> list[Case]:
    """Paths and queries that are known to nobody, with escapes that must stay as they are."""
    paths = {
        "an unknown path": b"/v1/not/yet/invented",
        "a trailing slash": b"/v1/models/",
        "escapes in the path": b"/v1/models/ft%3Agpt%2D4o%3Aacme%3A%C3%A9%20x",
        "lower-case escapes": b"/v1/models/a%c3%a9%3a",
        "an odd query": b"/v1/files?after=%2F&limit=&q=a+b%20c&q=2&&=x&%E9&utf=%C3%A9;p=1",
        "a query with question marks": b"/v1/files?a=?b=?&c",
        "an empty query": b"/v1/files?",
        "dots that are names": b"/v1/files/v1.2...x/.hidden/a..b",
        "sub-delimiters": b"/v1/a;b=c/d,e/(f)'!$&*+=:@~",
        "the bare prefix": b"/v1/",
    }
    return [one(name, request(b"GET", path), method=b"GET") for name, path in paths.items()]


def headers() -> list[Case]:
    """Headers stay as they are, in order, casing and number; none is added."""
    return [
        with_headers("odd casing", b"X-oDD-caSE: MiXed\r\nOPENAI-BETA: assistants=v2\r\nopenai-organization: org-1\r\n"),
        with_headers("repeated headers", b"X-Twice: 1\r\nX-Other: 0\r\nx-twice: 2\r\nX-Twice: 1\r\n"),
        with_headers("an empty value", b"X-Empty:\r\nX-Next: 1\r\n"),
        with_headers("a latin-1 value", b"X-Latin: caf\xe9 \xfc\xdf\r\n"),
        with_headers("a utf-8 value", "X-Name: 東京 é\r\n".encode()),
        with_headers("tabs and quotes in a value", b'X-Odd: a\tb "c;d" ,, e=\\"f\\"\r\n'),
        with_headers("accept-encoding", b"Accept-Encoding: gzip, br;q=0.5, zstd, identity;q=0\r\n"),
        with_headers("cookies", b"Cookie: a=1; b=2\r\nCookie: c=3\r\n"),
        with_headers(
            "tracing headers of others",
            b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nbaggage: a=1,session.id=s\r\n",
        ),
        with_headers("headers of other gateways", b"Helicone-Session-Id: h\r\nx-portkey-trace-id: p\r\ncf-aig-metadata: {}\r\n"),
        with_headers("what SDKs send", b"X-Stainless-Retry-Count: 0\r\nIdempotency-Key: k-1\r\nAccept: application/json\r\n"),
        with_headers(
            "forwarded-for stays, none is added", b"X-Forwarded-For: 203.0.113.7\r\nVia: 1.1 mine\r\nForwarded: for=x\r\n"
        ),
        with_headers("a long value", b"X-Long: " + b"l" * 8000 + b"\r\n"),
        with_headers("eighty headers", b"".join(b"X-N-%d: %d\r\n" % (n, n) for n in range(80))),
        with_headers(
            "hop-by-hop headers",
            b"Connection: keep-alive, X-Hop\r\nX-Hop: secret\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n",
            dropped=frozenset([b"x-hop"]),
        ),
        with_headers("proxy headers", b"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\n"),
        with_headers(
            "an upgrade that is not a WebSocket",
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
            dropped=frozenset([b"http2-settings"]),
        ),
        one("nothing but a host", b"GET /v1/models HTTP/1.1\r\nHost: {host}\r\n\r\n", method=b"GET"),
        one(
            "lower-case names",
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: bearer x\r\ncontent-length: 2\r\n\r\n{}",
        ),
        one("host last", b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 2\r\nX-First: 1\r\nHost: {host}\r\n\r\n{}"),
        one(
            "no space after the colon",
            b"POST /v1/chat/completions HTTP/1.1\r\nHost:{host}\r\nX-A:1\r\nContent-Length:2\r\n\r\n{}",
        ),
    ]


def bodies() -> list[Case]:
    """Bodies of every kind arrive byte for byte, however they were cut on the way."""
    whole = request(body=ODD_JSON)
    zipped = b"\x1f\x8b\x08\x00opaque\x00\xff"
    return [
        one("a plain call", request(body=PLAIN)),
        one("odd JSON", whole),
        one("a request in single bytes", *(whole[at : at + 1] for at in range(len(whole)))),
        one(
            "a body cut inside a character",
            request(body=ODD_JSON)[: -ODD_JSON[::-1].index(b"\xa9")],
            ODD_JSON[-ODD_JSON[::-1].index(b"\xa9") :],
        ),
        one("content-length: 0", request(headers=b"Content-Length: 0\r\n")),
        one("POST without a body", request()),
        one("not JSON", request(body=b"model=gpt-4o&x")),
        one("JSON that is cut", request(body=b'{"model":"gpt-4o","messages":[')),
        one("an array", request(body=b'[{"model":"a"}]')),
        one("bytes that are not UTF-8", request(body=b'{"model":"gpt-4o","x":"\xff\xfe\x80"}')),
        one("a byte-order mark", request(body=b"\xef\xbb\xbf" + PLAIN)),
        one("deep nesting", request(body=b'{"model":"gpt-4o","x":' + b"[" * 200 + b"]" * 200 + b"}")),
        one("repeated fields that routing does not read", request(body=b'{"model":"gpt-4o","temperature":1,"temperature":2}')),
        one(
            "five megabytes",
            request(body=b'{"model":"gpt-4o","messages":[{"role":"user","content":"' + b"x" * 5_000_000 + b'"}]}'),
        ),
        one(
            "a compressed body",
            request(headers=b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(zipped))[:-2] + zipped,
        ),
        one(
            "multipart",
            request(
                target=b"/v1/files",
                headers=b'Content-Type: multipart/form-data; boundary="=_odd\'(boundary)+"\r\nContent-Length: %d\r\n\r\n'
                % len(MULTIPART),
            )[:-2]
            + MULTIPART,
        ),
    ]


def uploads() -> list[Case]:
    """Chunked uploads, and 100-continue."""
    extended = b"".join(b'%x;name="v;1";flag\r\n%b\r\n' % (len(part), part) for part in PARTS) + b"0;last\r\n\r\n"
    body = b"".join(PARTS)
    expecting = request(headers=b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(body))
    early = request(target=b"/v1/files", headers=b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 200000\r\n")
    return [
        one("a chunked upload", request(headers=CHUNKED), *chunked(PARTS)),
        one("a chunked upload in one piece", request(headers=CHUNKED) + b"".join(chunked(PARTS))),
        one("a chunked upload with extensions", request(headers=CHUNKED) + extended),
        one(
            "a chunked upload in chunks of one byte",
            request(headers=CHUNKED),
            *chunked([body[at : at + 1] for at in range(len(body))]),
        ),
        one("an empty chunked upload", request(headers=CHUNKED), b"0\r\n\r\n"),
        one("chunk sizes with zeros and capitals", request(headers=CHUNKED), b"0000A\r\n0123456789\r\n000\r\n\r\n"),
        Case(
            "100-continue",
            (Send(expecting), Got(b"100"), Send(body)),
            ((Send(b"HTTP/1.1 100 Continue\r\n\r\n"), ReadBody(), Send(OK)),),
            dropped=frozenset([b"expect"]),
        ),
        Case(
            "100-continue that the client did not wait for",
            (Send(expecting + body),),
            ((ReadBody(), Send(OK)),),
            dropped=frozenset([b"expect"]),
        ),
        Case(
            "an answer before the request's end",
            (Send(early + b"x" * 100_000), Got(b"\r\n\r\n{}")),
            ((Send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"), Await("done")),),
            bodies=False,
        ),
    ]


def connections() -> list[Case]:
    """Several calls on one connection, and old clients."""
    numbered = tuple(answer(b"HTTP/1.1 200 OK\r\nX-Number: %d\r\nContent-Length: 1\r\n\r\n%d" % (n, n)) for n in range(5))
    turns = tuple(step for n in range(5) for step in (Send(request(body=b'{"n":%d}' % n)), Got(b"\r\n\r\n%d" % n)))
    pipelined = b"".join(request(target=b"/v1/n/%d" % n, body=b'{"n":%d}' % n) for n in range(3))
    return [
        Case("keep-alive", turns, numbered, (b"POST",) * 5),
        Case("pipelining", (Send(pipelined),), numbered[:3], (b"POST",) * 3),
        Case(
            "pipelining behind a slow answer",
            (Send(pipelined), Await("first"), Signal("go")),
            ((ReadBody(), Signal("first"), Await("go"), Send(OK)), *numbered[1:3]),
            (b"POST",) * 3,
        ),
        Case(
            "mixed methods on one connection",
            (Send(request(b"HEAD", b"/v1/a")), Got(b"\r\n\r\n"), Send(request(b"GET", b"/v1/b"))),
            (answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), answer(OK)),
            (b"HEAD", b"GET"),
        ),
        one("an HTTP/1.0 client", request(body=PLAIN, version=b"1.0")),
        Case(
            "an HTTP/1.0 client with keep-alive",
            (Send(request(body=PLAIN, version=b"1.0", headers=b"Connection: keep-alive\r\n")), Got(b"\r\n\r\n{}")) * 2,
            (answer(OK), answer(OK)),
            (b"POST",) * 2,
        ),
        one("connection: close", request(body=PLAIN, headers=b"Connection: close\r\n")),
    ]


CASES = [*methods(), *targets(), *headers(), *bodies(), *uploads(), *connections()]
