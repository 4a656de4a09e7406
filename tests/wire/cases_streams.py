"""Cases about streams: what is cut where, and how streams end."""

import gzip

from tests.harness.compare import Case, request
from tests.harness.messages import chunked
from tests.harness.steps import Await, Close, Got, ReadBody, Reset, Send, Signal, Step, answer, in_lockstep

ASKED = request(body=b'{"model":"gpt-4o-mini","messages":[],"stream":true,"stream_options":{"include_usage":true}}')
MESSAGES = request(
    target=b"/v1/messages",
    body=b'{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[],"stream":true}',
    headers=b"anthropic-version: 2023-06-01\r\n",
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
DELTA = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"


def stream(name: str, *parts: bytes, asked: bytes = ASKED, head: bytes = HEAD) -> Case:
    """Return a case whose chunks each wait until the client has the one before: none is held back, split or joined."""
    pieces = [head, *chunked(parts)]
    steps: list[Send | Got | Signal] = [Send(asked), Got(b"\r\n\r\n")]
    for number, part in enumerate(parts, start=1):
        steps += [Signal(f"piece-{number}"), Got(part)]
    return Case(name, (*steps, Signal(f"piece-{len(pieces) - 1}")), (in_lockstep(*pieces),))


def framed(name: str, *pieces: tuple[bytes, bytes], behind_head: bytes = b"") -> Case:
    """Return a case whose chunks are written as given: each piece with what the client has got when the next one is sent."""
    steps: list[Send | Got | Signal] = [Send(ASKED), Got(b"\r\n\r\n")]
    for number, (_, seen) in enumerate(pieces, start=1):
        steps += [Signal(f"piece-{number}"), Got(seen)]
    raw = [HEAD + behind_head, *(piece for piece, _ in pieces), b"0\r\n\r\n"]
    return Case(name, (*steps, Signal(f"piece-{len(raw) - 1}")), (in_lockstep(*raw),))


def ended(name: str, body: bytes, end: Step, *, head: bytes = HEAD, seen: bytes | None = None) -> Case:
    """Return a case whose answer breaks off, once the client has what was sent."""
    script = (ReadBody(), Send(head + body), Await("seen"), end)
    return Case(name, (Send(ASKED), Got(body if seen is None else seen), Signal("seen")), (script,))


def single_bytes(data: bytes) -> list[bytes]:
    """Return `data` in pieces of one byte."""
    return [data[at : at + 1] for at in range(len(data))]


def boundaries() -> list[Case]:
    """Chunks are cut at odd places."""
    face = DELTA % b"\xf0\x9f\x98\x80"
    middle = face.index(b"\x9f") + 1
    return [
        stream("events, one in each chunk", DELTA % b"a", DELTA % b"b", USAGE, DONE),
        stream("a chunk that ends inside a character", face[:middle], face[middle:], USAGE, DONE),
        stream("a chunk that ends inside a field's name", b"da", b"ta: {}\n\n", DONE),
        stream("a chunk that ends inside a value", b'data: {"choi', b'ces":[]}\n', b"\n", DONE),
        stream("a chunk that ends between CR and LF", b"data: {}\r", b"\n\r", b"\ndata: [DONE]\r\n\r\n"),
        stream("chunks of one byte", *single_bytes(b"data: {}\n\n" + DONE)),
        stream("a chunk for each byte of a character", b"data: ", b"\xf0", b"\x9f", b"\x98", b"\x80", b"\n\n", DONE),
        stream("several events in one chunk", DELTA % b"a" + DELTA % b"b" + USAGE + DONE),
        stream("the usage in two chunks", DELTA % b"a", USAGE[:30], USAGE[30:], DONE),
        Case("a chunk of five megabytes", (Send(ASKED),), (answer(HEAD, *chunked([DELTA % (b"x" * 5_000_000), USAGE, DONE])),)),
        stream(
            "gzip, flushed in pieces",
            *gzip_pieces(),
            head=HEAD.replace(b"Content-Type", b"Content-Encoding: gzip\r\nContent-Type"),
        ),
    ]


def gzip_pieces() -> list[bytes]:
    """Return a compressed stream in pieces."""
    whole = gzip.compress(DELTA % b"a" + USAGE + DONE, mtime=0)
    return [whole[:11], whole[11:40], whole[40:]]


def framings() -> list[Case]:
    """Chunks are written in every way that there is."""
    whole = (b"8\r\ndata: 1\n\r\n", b"data: 1\n")
    return [
        framed("sizes in capital letters", (b"A\r\ndata: 123\n\r\n", b"123"), whole, (b"1A\r\n" + b"x" * 26 + b"\r\n", b"xxx")),
        framed("sizes with zeros in front", whole, (b"0008\r\ndata: 2\n\r\n", b": 2"), whole),
        framed("sizes with extensions", whole, (b"8;a=b\r\ndata: 2\n\r\n", b": 2"), whole),
        framed("a chunk in two pieces between whole ones", whole, (b"8\r\ndata", b"data"), (b": 2\n\r\n", b": 2"), whole, whole),
        framed(
            "a size in two pieces between whole ones",
            whole,
            (whole[0] + b"1", b"data: 1\n"),
            (b"0\r\n" + b"y" * 16 + b"\r\n", b"yyy"),
            whole,
        ),
        framed("a chunk that looks like chunks", (b"d\r\n8\r\ndata: 1\n\r\n\r\n", b"data: 1\n\r\n"), whole),
        framed(
            "half a chunk whose rest looks like chunks",
            whole,
            (b"1b\r\nz", b"z"),
            (2 * whole[0], whole[1]),
            (b"\r\n", b""),
            whole,
        ),
        framed("such a half behind the head", (2 * whole[0], whole[1]), (b"\r\n", b""), whole, behind_head=b"1b\r\nz"),
        framed("whole chunks behind the head", whole, whole, behind_head=2 * whole[0]),
        framed(
            "several chunks in one read, and the beginning of one",
            (3 * whole[0] + b"8\r\nd", b"d"),
            (b"ata: 9\n\r\n", b": 9"),
            whole,
        ),
    ]


def fields() -> list[Case]:
    """Server-sent events in every shape that the standard and the providers know."""
    return [
        stream("CRLF", b"data: {}\r\n\r\n", b"data: [DONE]\r\n\r\n"),
        stream("CR alone", b"data: {}\r\r", b"data: [DONE]\r\r"),
        stream("comments", b": OPENROUTER PROCESSING\n\n", DELTA % b"a", b":\n", DONE),
        stream("event, id and retry", b"event: delta\nid: 7\nretry: 3000\ndata: {}\n\n", b"event:done\ndata:[DONE]\n\n"),
        stream("no space after the colon", b'data:{"choices":[]}\n\n', b"data:[DONE]\n\n"),
        stream("data in several lines", b"data: {\ndata: }\n\n", DONE),
        stream("fields that nobody knows", b"odd: 1\nnonsense\n\n", b"data\n\n", DONE),
        stream("a byte-order mark", b"\xef\xbb\xbfdata: {}\n\n", DONE),
        stream("no [DONE]", DELTA % b"a", USAGE),
        stream("no empty line at the end", DELTA % b"a", b"data: [DONE]"),
        stream("more after [DONE]", DONE, DELTA % b"late", b": bye\n\n"),
        stream("an error event", DELTA % b"a", b'data: {"error":{"message":"overloaded","code":529}}\n\n'),
        stream("events that are not JSON", b"data: hello\n\n", b"data: {broken\n\n", b"data: \xff\xfe\n\n", DONE),
        stream("empty choices", b'data: {"choices":[]}\n\n', b'data: {"choices":[],"prompt_filter_results":[]}\n\n', USAGE, DONE),
        stream("lines of JSON", b'{"a":1}\n', b'{"a":2}\n', head=HEAD.replace(b"text/event-stream", b"application/x-ndjson")),
        stream(
            "Anthropic's events",
            b'event: message_start\ndata: {"type":"message_start"}\n\n',
            b'event: ping\ndata: {"type": "ping"}\n\n',
            b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
            asked=MESSAGES,
        ),
    ]


def endings() -> list[Case]:
    """Answers that break off are broken off at the same byte, and never end cleanly."""
    chunk = b"%x\r\n%b\r\n" % (len(DELTA % b"a"), DELTA % b"a")
    sized = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    until_closed = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    return [
        ended("a reset after the first chunk", chunk, Reset(), seen=DELTA % b"a"),
        ended("a close after the first chunk", chunk, Close(), seen=DELTA % b"a"),
        ended("a close inside a chunk", b"ff\r\ndata: half", Close(), seen=b"data: half"),
        ended("a close inside a chunk's size", chunk + b"1", Close(), seen=DELTA % b"a"),
        ended("a close before the last empty line", chunk + b"0\r\n", Close(), seen=DELTA % b"a"),
        ended("a reset after the head", b"", Reset(), seen=b"\r\n\r\n"),
        ended("a close after the head", b"", Close(), seen=b"\r\n\r\n"),
        ended("a close before the length is reached", b"half", Close(), head=sized),
        ended("a reset before the length is reached", b"half", Reset(), head=sized),
        ended("a reset where the connection's end is the body's", b"some", Reset(), head=until_closed),
        ended("the end of a body without framing", DELTA % b"a" + DONE, Close(), head=until_closed),
        ended("a chunk size that is none", chunk + b"xyz\r\n", Close(), seen=DELTA % b"a"),
    ]


CASES = [*boundaries(), *framings(), *fields(), *endings()]
