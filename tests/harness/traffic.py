"""Callers that call on and on while something fails, and note every answer, and every call that got none."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Self

from tests.harness.client import Answer, RawClient
from tests.harness.compare import request
from tests.harness.messages import Ended
from tests.harness.records import Records
from tests.harness.wire import until

BODY = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}'
PAUSE = 0.02


class Traffic:
    """Threads that make one call after the other, each on a connection of its own, until the end of the `with` block."""

    def __init__(self, address: tuple[str, int], *, threads: int = 2, body: bytes = BODY, pause: float = PAUSE) -> None:
        """Call the gate at `address`; nothing runs yet."""
        self._address = address
        self._body = body
        self._pause = pause
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        self.answered: dict[str, int] = {}
        self.failed: list[str] = []
        self.seconds: list[float] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def statuses(self) -> Counter[int]:
        """Return how often each status came."""
        with self._lock:
            return Counter(self.answered.values())

    def ids(self, status: int = 200) -> set[str]:
        """Return the calls that were answered with `status`."""
        with self._lock:
            return {call for call, got in self.answered.items() if got == status}

    def more(self, calls: int, patience: float = 60) -> set[str]:
        """Wait for so many more answers, and return their calls."""
        with self._lock:
            before = set(self.answered)
        try:
            until(lambda: len(self.answered) >= len(before) + calls, "calls are not answered", patience)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {self.failed[-3:]}") from error
        with self._lock:
            return set(self.answered) - before

    def go_on(self, seconds: float) -> None:
        """Wait while the calls go on."""
        end = time.monotonic() + seconds
        until(lambda: time.monotonic() >= end, "the clock stands still", seconds + 10)

    def _run(self) -> None:
        while not self._stopping.wait(self._pause):
            started = time.monotonic()
            try:
                answer = call_once(self._address, self._body)
            except (OSError, Ended) as error:
                with self._lock:
                    self.failed.append(f"{type(error).__name__} {error}")
                continue
            self._note(answer, time.monotonic() - started)

    def _note(self, answer: Answer, seconds: float) -> None:
        call = answer.header("x-faregate-call")
        with self._lock:
            if call is None or answer.body.ending != "complete":
                self.failed.append(f"{answer.status} {answer.body.ending} {answer.body.data[:200]!r}")
                return
            self.answered[call] = answer.status
            self.seconds.append(seconds)


def call_once(address: tuple[str, int], body: bytes = BODY) -> Answer:
    """Make one call on a connection of its own."""
    with RawClient(address) as client:
        client.send(request(body=body))
        return client.answer()


def recorded_once(records: Records, calls: set[str], patience: float = 60) -> None:
    """Check that every one of these calls is recorded, and none twice."""
    assert records.missing(calls, patience) == set()
    found = Counter(record["id"] for record in records.all())
    assert {call: count for call, count in found.items() if count > 1} == {}


def settles(holds: Callable[[], bool], what: str, patience: float = 30) -> None:
    """Wait until `holds`, where something may refuse connections meanwhile."""

    def tried() -> bool:
        try:
            return holds()
        except (OSError, Ended):
            return False

    until(tried, what, patience)
