"""Callers that go on calling, whatever happens to the gateway, and note which answers they saw begin and end."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.messages import Ended, chunked
from tests.harness.steps import Linger, ReadBody, Script, Send

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DELTA = (
    b'data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
)
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}\n\n'
DONE = b"data: [DONE]\n\n"
STREAM = (
    b'{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}],"stream":true,"stream_options":{"include_usage":true}}'
)


def slow_stream(pieces: int, pause: float) -> Script:
    """Return a stream of `pieces` words, with a pause behind each."""
    framed = chunked([DELTA, USAGE, DONE])
    words = [step for _ in range(pieces) for step in (Send(framed[0]), Linger(pause))]
    return (ReadBody(), Send(HEAD), *words, *(Send(piece) for piece in framed[1:]))


@dataclass
class Seen:
    """What the callers saw."""

    begun: set[str] = field(default_factory=set)
    complete: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, call: str | None, *, complete: bool) -> None:
        """Note an answer."""
        with self.lock:
            if call:
                self.begun.add(call)
            if call and complete:
                self.complete.add(call)


class Callers:
    """Threads that call again and again until told to stop."""

    def __init__(self, number: int, call: Callable[[Seen], None]) -> None:
        """Begin with `number` callers."""
        self.seen = Seen()
        self.stopping = threading.Event()
        self._call = call
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._call(self.seen)
            except (OSError, Ended):
                self.stopping.wait(0.05)

    def stop(self) -> Seen:
        """Let every caller finish its call, and return what they saw."""
        self.stopping.set()
        for thread in self._threads:
            thread.join(60)
        return self.seen


def stream_once(address: tuple[str, int], seen: Seen) -> None:
    """Make one streaming call, noting it as soon as its answer's head is there."""
    with RawClient(address) as client:
        client.send(request(body=STREAM))
        client.until_got(b"\r\n\r\n")
        head = client.pieces[0][1] if len(client.pieces) == 1 else b"".join(piece for _, piece in client.pieces)
        call = call_in(head)
        seen.note(call, complete=False)
        answer = client.answer()
        seen.note(call, complete=answer.body.ending == "complete")


def call_in(head: bytes) -> str | None:
    """Return the id of the call that an answer's head names."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"x-faregate-call":
            return value.strip().decode()
    return None


def shared(items: Sequence[Callable[[], None]], threads: int) -> list[Exception]:
    """Run all items in a few threads; return what went wrong."""
    waiting = list(reversed(items))
    errors: list[Exception] = []
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                item = waiting.pop()
            try:
                item()
            except (OSError, Ended, AssertionError) as error:
                errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return errors
