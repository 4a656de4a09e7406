"""What the office costs: CPU for one recorded call, by step.

python -m bench.office [CALLS] [plain|stream|tools]

A journal is written as the gate writes it under load, then the recorder runs over it, with the reader, the store (SQLite) and everything
between them as they are in the office. CPU is of the one thread that does it, user and system; of several rounds the cheapest counts, since
others use this machine too.
"""

import json
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.calls import Call
from domain.deliveries import Owed
from domain.exchange import Attempt, Closing, Exchange, Headers, Labels, Opening
from domain.holds import Settlement
from domain.ids import new_id
from domain.prices import Cost
from domain.spans import Content
from gateway.calm import calm_garbage_collection
from pricing.book import PriceBook
from recorder.interpret import call_of
from recorder.pricing import Pricer
from recorder.recorder import Policy, Record, Recorder
from storage.database import open_database
from storage.journal import JournalReader
from storage.journal.frames import closed_payload, opened_payload
from storage.journal.segments import Segment, make_folder
from storage.retention import Pruned
from storage.spans import SpanStore

ROUNDS = 5
AT_ONCE = 32
CHUNKS = 64
SEGMENT_BYTES = 16 * 2**20
STEPS = ("read", "interpret", "price", "span", "save")

REQUEST_HEADERS: Headers = (
    ("Host", "127.0.0.1:8080"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Connection", "keep-alive"),
    ("Accept", "application/json"),
    ("Content-Type", "application/json"),
    ("User-Agent", "OpenAI/Python 2.3.0"),
    ("X-Stainless-Lang", "python"),
    ("X-Stainless-Package-Version", "2.3.0"),
    ("Authorization", "***"),
    ("Content-Length", "180"),
)
ANSWER_HEADERS: Headers = (
    ("date", "Thu, 09 Oct 2025 08:00:00 GMT"),
    ("openai-organization", "bench"),
    ("openai-processing-ms", "12"),
    ("openai-version", "2020-10-01"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-request-id", "req_0123456789abcdef"),
)
USAGE = {
    "prompt_tokens": 21,
    "completion_tokens": 64,
    "total_tokens": 85,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
HEAD = {"id": "chatcmpl-bench0123456789", "created": 1760000000, "model": "gpt-4o-mini-2024-07-18"}
WORDS = ("A", " fare", " gate", " holds", " the", " highest", " fare,", " and")
TOOL = {"id": "call_bench0123456789", "type": "function", "function": {"name": "get_weather", "arguments": ""}}


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    content_type: str
    ends: tuple[int, ...]


def plain() -> Answer:
    message = {"role": "assistant", "content": "".join(WORDS) * 2, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = json.dumps({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}, indent=2).encode()
    return Answer(body, "application/json", (len(body),))


def stream() -> Answer:
    deltas = [{"role": "assistant", "content": ""}, *({"content": WORDS[number % 8]} for number in range(CHUNKS - 2)), {}]
    return streamed(deltas, "stop")


def tools() -> Answer:
    first = {"role": "assistant", "content": None, "tool_calls": [{"index": 0, **TOOL}]}
    rest = [{"tool_calls": [{"index": 0, "function": {"arguments": "7890"}}]} for _ in range(CHUNKS - 2)]
    return streamed([first, *rest, {}], "tool_calls")


def streamed(deltas: Sequence[dict[str, Any]], reason: str) -> Answer:
    last = len(deltas) - 1
    chunks = [
        [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason if number == last else None}]
        for number, delta in enumerate(deltas)
    ]
    events = [
        json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": chunk}, separators=(",", ":")) for chunk in chunks
    ]
    events += [json.dumps({**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}), "[DONE]"]
    pieces = [f"data: {event}\n\n".encode() for event in events]
    ends = tuple(sum(map(len, pieces[: number + 1])) for number in range(len(pieces)))
    return Answer(b"".join(pieces), "text/event-stream; charset=utf-8", ends)


ANSWERS: dict[str, Callable[[], Answer]] = {"plain": plain, "stream": stream, "tools": tools}


def request(*, stream: bool) -> bytes:
    messages = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "What does a fare gate do?"}]
    asked: dict[str, Any] = {"model": "gpt-4o-mini", "messages": messages, "temperature": 0.2}
    return json.dumps({**asked, "stream": True, "stream_options": {"include_usage": True}} if stream else asked).encode()


def write_journal(root: Path, answer: Answer, calls: int) -> None:
    folder = root / "gate-0"
    make_folder(folder)
    asked = request(stream=len(answer.ends) > 1)
    number = 1
    segment = Segment(folder, number, 0)
    for _ in range(0, calls, AT_ONCE):
        begun = [opening() for _ in range(AT_ONCE)]
        segment.append([opened_payload(one, 1) for one in begun])
        ended = [(one, closing(one, answer, len(asked))) for one in begun]
        segment.append([closed_payload(*one, 1, 0, request=[asked], response=[answer.body]) for one in ended])
        if segment.written > SEGMENT_BYTES:
            segment.sync()
            segment.retire()
            number += 1
            segment = Segment(folder, number, 0)
    segment.sync()
    segment.retire()


def opening() -> Opening:
    at = time.time_ns()
    return Opening(
        new_id(at), at, "POST", "/v1/chat/completions", "openai", "openai", "9f0c", "ci", "default", Labels(), "gpt-4o-mini"
    )


def closing(opening: Opening, answer: Answer, request_bytes: int) -> Closing:
    marks = b"".join(struct.pack("<II", 1000 + 200 * number, end) for number, end in enumerate(answer.ends))
    return Closing(
        opening.at + 40_000_000,
        "complete",
        200,
        REQUEST_HEADERS,
        (("content-type", answer.content_type), *ANSWER_HEADERS),
        (Attempt("openai", "1", opening.at + 150_000, 200, 1000),),
        request_bytes,
        len(answer.body),
        sent_us=150,
        first_byte_us=1000,
        overhead_us=180,
        marks=marks,
    )


class Steps:
    """The recorder's collaborators, each on a clock."""

    def __init__(self, source: JournalReader, store: SpanStore) -> None:
        self.spent = dict.fromkeys(STEPS, 0)
        self._source = source
        self._store = store
        book = PriceBook.packaged()
        self._pricer = Pricer(lambda: book, {"openai": "api.openai.com/v1"})
        # A warm card: reading a provider's list takes milliseconds, once in the life of an office.
        book.card(upstream="openai", host="api.openai.com/v1", model=HEAD["model"], at=time.time_ns())

    def timed(self, step: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        began = time.thread_time_ns()
        try:
            return function(*arguments, **named)
        finally:
            self.spent[step] += time.thread_time_ns() - began

    def read(self) -> list[Exchange]:
        found: list[Exchange] = self.timed("read", self._source.read)
        return found

    def saved(self) -> None:
        self.timed("read", self._source.saved)

    def rewind(self) -> None:
        self._source.rewind()

    def pack(self, content: Content) -> bytes:
        packed: bytes = self.timed("save", self._store.packed, content)
        return packed

    def save(self, recorded: Sequence[Record], owed: Mapping[str, Settlement], deliveries: Mapping[str, Sequence[Owed]]) -> int:
        count: int = self.timed("save", self._store.save, recorded, owed, deliveries)
        return count

    def prune(self, **what: int) -> Pruned:
        return self._store.prune(**what)

    def interpret(self, exchange: Exchange) -> Call:
        call: Call = self.timed("interpret", call_of, exchange)
        return call

    def price(self, exchange: Exchange, call: Call, upstream: str) -> Cost:
        cost: Cost = self.timed("price", self._pricer.of_call, exchange, call, upstream)
        return cost


def pricing_us(calls: int = 20_000) -> float:
    """Return the CPU microseconds of pricing one chat call, the least of several rounds."""
    book = PriceBook.packaged()
    pricer = Pricer(lambda: book, {"openai": "api.openai.com/v1"})
    begun, answer = opening(), plain()
    exchange = Exchange(begun, closing(begun, answer, 0), request(stream=False), answer.body)
    call = call_of(exchange)
    spent = []
    for _ in range(ROUNDS):
        began = time.thread_time_ns()
        for _ in range(calls):
            pricer.of_call(exchange, call, "openai")
        spent.append((time.thread_time_ns() - began) / calls / 1e3)
    return min(spent)


def measured(answer: Answer, calls: int) -> dict[str, float]:
    """Return CPU microseconds for one call, by step."""
    with tempfile.TemporaryDirectory(prefix="faregate-bench-") as folder:
        root = Path(folder)
        make_folder(root / "journal")
        write_journal(root / "journal", answer, calls)
        database = open_database(f"sqlite:///{root / 'store.db'}")
        database.upgrade()
        reader = JournalReader(root / "journal")
        steps = Steps(reader, SpanStore(database))
        recorder = Recorder(steps, steps, Policy(), interpret=steps.interpret, price=steps.price, pack=steps.pack)
        began = time.thread_time_ns()
        while recorder.step():
            pass
        whole = time.thread_time_ns() - began
        done = recorder.progress.recorded
        reader.close()
        database.close()
    # What belongs to none of the others is span making, with the recorder's own loop.
    steps.spent["span"] = whole - sum(steps.spent.values())
    return {"all": whole / done / 1e3, **{step: spent / done / 1e3 for step, spent in steps.spent.items()}}


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    kinds = sys.argv[2:] or list(ANSWERS)
    calm_garbage_collection()
    print(f"{'CPU us for a call':<20}{'all':>8}" + "".join(f"{step:>11}" for step in STEPS))
    for kind in kinds:
        answer = ANSWERS[kind]()
        rounds = [measured(answer, calls) for _ in range(ROUNDS)]
        best = min(rounds, key=lambda spent: spent["all"])
        print(f"{kind:<20}{best['all']:8.1f}" + "".join(f"{best[step]:11.1f}" for step in STEPS))


if __name__ == "__main__":
    main()
