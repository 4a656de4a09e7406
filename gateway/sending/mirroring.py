"""Copies of calls to a second upstream (`mirror` of a route): sent beside the call, answered to nobody, recorded as calls of their own.

The caller's answer knows nothing of it: a copy begins when its call is on its way, in a task of its own, and what it brings goes to its record only.
Copies are bounded in number and in bytes at once; what is over that is not copied, and the call's decision says so.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from domain.decisions import Decision
from domain.exchange import Labels
from domain.keys import ApiKey
from domain.routes import Mirror
from gateway.identity import Identity
from gateway.sending.routes import Target
from gateway.sending.shaping import Admitted, is_modelless
from gateway.tee.recording import Recording
from gateway.wire.answer import Header
from gateway.wire.caller import Body
from gateway.wire.heads import RequestHead

MOST_AT_ONCE = 64
MOST_BYTES = 64 * 2**20


@dataclass(slots=True)
class Copy:
    """A copy that is to be sent: the call as it is there, and of which call it is one."""

    call: Admitted
    labels: Labels
    of: str
    decision: Decision


class Nobody:
    """The caller of a copy: nobody waits for its answer."""

    def __init__(
        self, method: bytes, head: RequestHead, length: bytes | None, body: bytes, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Ask for what another caller asked for; `body` is whole."""
        self.method = method
        self.head = head
        self.length = length
        self.body = Body(_let_flow, loop)
        self.body.feed(body)
        self.body.end([])
        self.gone = self.started = self.upgrade = False
        self.ready = True
        self.on_ready: Callable[[bool], None] | None = None
        self.on_data: Callable[[bytes], None] | None = None

    def inform(self, status: int, reason: bytes, headers: Sequence[Header]) -> None:
        """Take no notice."""

    def proceed(self) -> None:
        """Take no notice."""

    def start(self, status: int, reason: bytes, headers: Sequence[Header], framing: str) -> None:
        """Take no notice."""

    def data(self, piece: bytes) -> None:
        """Drop it."""

    def flush(self) -> None:
        """Take no notice."""

    def end(self, trailers: Sequence[Header]) -> None:
        """Take no notice."""

    def cut(self, *, reset: bool) -> None:
        """Take no notice."""


class Mirroring:
    """The copies that run."""

    def __init__(
        self, send: Callable[[Nobody, Copy], Coroutine[None, None, object]], loop: asyncio.AbstractEventLoop, most_bytes: int
    ) -> None:
        """Send copies by `send`; a body of more than `most_bytes` is not copied."""
        self._send = send
        self._loop = loop
        self._most_bytes = most_bytes
        self._running: set[asyncio.Task[object]] = set()
        self._bytes = 0

    @property
    def running(self) -> int:
        """How many copies run."""
        return len(self._running)

    def why_not(self, method: bytes, path: bytes, body: bytes, *, whole: bool) -> str | None:
        """Return why a call is not copied now; None if it can be."""
        if method != b"POST" or not body or is_modelless(method, path):
            return "it is no call of a model"
        if not whole or len(body) > self._most_bytes:
            return "its body is too long to keep"
        return self._no_room(body)

    def _no_room(self, body: bytes) -> str | None:
        if len(self._running) >= MOST_AT_ONCE or self._bytes + len(body) > MOST_BYTES:
            return "too many copies are on their way"
        return None

    def begin(self, call: Admitted, mirror: Mirror, targets: Sequence[Target], record: Recording, method: bytes) -> str | None:
        """Send a copy of the call of `record` to the first of `targets` that takes it, as soon as the loop is free; or return why not.

        There was room when its route was chosen, but others may have taken it while the call waited for its budget.
        """
        why = self._no_room(call.body)
        if why is not None:
            return why
        copy = _copy(call, record.opening.labels, mirror, targets, record.id)
        length = None if call.head.coded else b"%d" % len(call.body)
        caller = Nobody(method, call.head, length, call.body, self._loop)
        self._bytes += len(call.body)
        task: asyncio.Task[object] = self._loop.create_task(self._send(caller, copy))
        self._running.add(task)
        task.add_done_callback(lambda task: self._ended(task, len(call.body)))
        return None

    def _ended(self, task: "asyncio.Task[object]", size: int) -> None:
        self._running.discard(task)
        self._bytes -= size
        if not task.cancelled() and task.exception() is not None:
            self._loop.call_exception_handler(
                {"message": "a copy ended with an error that nobody handled", "exception": task.exception(), "task": task}
            )


def mirror_identity(mirror: Mirror, project: str) -> Identity:
    """Return who pays for the copies of a route: a key of its own, in the project of the call."""
    digest = blake2b(mirror.key.encode(errors="surrogatepass"), digest_size=6).hexdigest()
    return Identity(ApiKey(id=f"mirror-{digest}", name=mirror.key, digest="", project=project), b"")


def _copy(call: Admitted, labels: Labels, mirror: Mirror, targets: Sequence[Target], of: str) -> Copy:
    plan, first = call.plan, targets[0]
    identity = mirror_identity(mirror, plan.identity.key.project)
    method, path, _, dialect, _, _, project = plan.opening
    opening = (method, path, first.upstream.name, dialect, identity.key.id, identity.key.name, project)
    # What the customer spends is not what the operator tries out.
    own = replace(labels, customer=None, tags=dict(labels.tags))
    copied = replace(plan, identity=identity, opening=opening, labels=own, targets=list(targets), aims={})
    decision = Decision(mirror.key, matched=True, why=f"a copy of call {of}", kind="route")
    # The edits are made anew for the copy's upstream: what a budget lowered is lowered for the call alone.
    there = Admitted(call.head, call.body, call.asked, copied, ask_usage=False, edits=(), targets=targets)
    return Copy(there, own, of, decision)


def _let_flow(flow: bool) -> None:
    """Take no notice: the body is there already."""
    del flow
