"""What happens to a call, from its head to its record.

    authenticate ─ label ─ peek ─ choose ─ send ─ barrier ─ tee ─ close

Nothing here parses an answer or waits for a store. Whatever ends a call, it leaves a record.
"""

import asyncio
from dataclasses import dataclass, replace
from random import Random
from time import time, time_ns

from msgspec import UNSET

from domain.errors import Draining, GatewayError, InvalidRequest, JournalFull, PermissionDenied
from domain.exchange import Capture, Dialect, Ending, Labels, OwnError
from domain.ids import new_id
from domain.keys import PREFIX
from domain.upstreams import Upstream
from gateway.barrier import Barrier
from gateway.caller import Caller, CallerGone, too_large
from gateway.engine import Answer, Header
from gateway.error_answers import REASONS, error_body, error_headers
from gateway.heads import BROWSER_KEY, RequestHead, answer_headers, is_our_key_parameter
from gateway.identity import Identity, Keys
from gateway.limits import Limits
from gateway.outgoing import Credential, outgoing_head
from gateway.peek import UNKNOWN, Asked, Edit, asked_in, edited, model_edit, removal_edit, usage_edit
from gateway.recording import Recording, RecordingRules
from gateway.relay import Relay
from gateway.routes import Route, Routes, Target, dialect_at
from gateway.upstreams import Outgoing, Upstreams
from gateway.withhold import Withholding
from routing.labels import labels_of
from storage.journal import JournalWriter

FIRST_PART = 64 * 1024
MOST_PLANS = 8
_OURS = PREFIX.encode()
_TIGHTER: dict[bytes, Capture] = {b"full": "full", b"redacted": "redacted", b"meta": "none", b"none": "none"}
_ORDER: tuple[Capture, ...] = ("full", "redacted", "none")
_NO_BODY = frozenset({204, 304})
_STREAMING_PATHS = (b"/chat/completions", b"/completions")
_MODELLESS = (b"/files", b"/uploads", b"/batches")
_READING = frozenset({b"GET", b"HEAD", b"OPTIONS", b"DELETE"})


@dataclass(slots=True)
class Plan:
    """What follows from a call's head, its key and its model alone: worked out once for calls that are alike.

    `routes` are those that it was made with; others came with new settings. `opening` is what the record begins with, but for id and time.
    `targets` are all that may be tried.
    """

    identity: Identity
    routes: Routes
    route: Route
    targets: list[Target]
    opening: tuple[str, str, str, Dialect, str, str, str]
    labels: Labels
    capture: Capture
    path: bytes
    may_ask_usage: bool


@dataclass(slots=True)
class Admitted:
    """A call as it is known before it is sent."""

    head: RequestHead
    body: bytes
    asked: Asked
    plan: Plan
    ask_usage: bool
    edits: tuple[Edit, ...]


class Proxy:
    """Passes calls to upstreams and answers back, byte for byte."""

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        *,
        keys: Keys,
        routes: Routes,
        upstreams: Upstreams,
        journal: JournalWriter,
        limits: Limits,
        rules: RecordingRules,
        capture: Capture,
        loop: asyncio.AbstractEventLoop,
        random: Random,
    ) -> None:
        """Work with what is given; nothing is made here."""
        self.keys = keys
        self.routes = routes
        self._upstreams = upstreams
        self._journal = journal
        self._limits = limits
        self._rules = rules
        self._capture = capture
        self._barrier = Barrier(journal, loop, rules.barrier_seconds)
        self._random = random
        self._at_once = min(FIRST_PART, limits.body_bytes)
        self.draining = False

    def take(self, *, keys: Keys, routes: Routes, capture: Capture) -> None:
        """Use new keys and routes for the calls that begin from now on."""
        self.keys, self.routes, self._capture = keys, routes, capture

    async def answer(self, caller: Caller) -> tuple[Ending, int | None]:
        """Pass a call to an upstream, and the answer back; return how it ended, and its status.

        Errors of our own become answers here. The caller's leaving cancels this coroutine, which closes the upstream at once.
        """
        record = Recording(self._journal, self._rules, self._barrier, caller, new_id(time_ns(), self._random))
        ending: Ending = "refused"
        error: GatewayError | None = None
        try:
            call = await self._admitted(caller, record)
            targets = self._targets(call.plan)
            ending = "failed"
            record.open()
            answer, target = await self._upstreams.send(
                targets, lambda target: self._outgoing(call, caller, target, record), record, caller.inform
            )
            try:
                if call.ask_usage and answer.status in {400, 422}:
                    answer, target = await self._asked_again(answer, target, call, caller, record)
                if not record.begun:
                    await record.synced()
                ending = await self._passed_on(answer, target, call, caller, record)
            finally:
                answer.close()
        except GatewayError as failure:
            error = failure
            self._refuse(caller, failure, record)
        except (asyncio.CancelledError, CallerGone):
            ending = "client_gone"
            raise
        finally:
            record.close(ending, None if error is None else OwnError(error.type, error.code, error.message))
        return ending, record.status

    # Admit

    async def _admitted(self, caller: Caller, record: Recording) -> Admitted:
        """Return the call, or refuse it.

        Raises:
            GatewayError: it is not taken, and why.

        """
        if self.draining:
            raise Draining("This gate is stopping. Try again.", retry_after=1)
        if self._journal.full:
            raise JournalFull("Calls cannot be recorded now, and `record.on_full` is `reject`. Free disk space.", retry_after=5)
        head = caller.head
        identity = self.keys.identity_of(head, time())
        record.key = identity.key
        incoming = caller.body
        body = incoming.held() if incoming.complete and incoming.size <= self._at_once else await self._held(caller)
        record.ready_us = record.elapsed_us()
        asked = asked_in(body) if body[:1] in b"{ \r\n\t" and body and incoming.complete else UNKNOWN
        plan = self._plan(head, identity, asked.model, caller.method)
        labels = plan.labels
        if asked.labels is not UNSET:
            labels = labels_of(head.found, path=head.place.labels, body=asked.labels, tags=identity.key.tags)
        record.known(
            plan.opening, labels, plan.route.model, asked.stream, plan.capture, websocket=caller.upgrade, picks=not head.secretive
        )
        record.request_came(body)
        if identity.key.models:
            may_use(identity, plan.route, caller.method, body)
        ask = (
            usage_edit(body, asked)
            if asked.stream is True and plan.may_ask_usage and self._asks_usage(asked, plan.route)
            else None
        )
        edits = self._edits(body, asked, ask) if ask is not None or asked.labels is not UNSET else ()
        return Admitted(head, body, asked, plan, ask is not None, edits)

    def _plan(self, head: RequestHead, identity: Identity, model: str | None, method: bytes) -> Plan:
        """Return what follows from head, key and model, as worked out before where nothing of it has changed."""
        plan = head.plans.get((model, method))
        if plan is not None and plan.identity is identity and plan.routes is self.routes:
            return plan  # type: ignore[no-any-return]
        plan = self._planned(head, identity, model, method)
        if len(head.plans) >= MOST_PLANS:
            head.plans.clear()
        head.plans[model, method] = plan
        return plan

    def _planned(self, head: RequestHead, identity: Identity, model: str | None, method: bytes) -> Plan:
        route = self.routes.route_for(head.place, model, anthropic=head.anthropic)
        upstream, key = route.upstream, identity.key
        path = head.place.path
        dialect = dialect_at(upstream, path)
        return Plan(
            identity=identity,
            routes=self.routes,
            route=route,
            targets=_targets(upstream, identity),
            opening=(method.decode("latin-1"), head.path, upstream.name, dialect, key.id, key.name, key.project),
            labels=labels_of(head.found, path=head.place.labels, tags=key.tags) if key.tags else head.labels,
            capture="none" if head.secretive else self._captured(head.found),
            path=_without_our_key(route.path) if head.ours_in_query else route.path,
            may_ask_usage=upstream.dialect == "openai" and path.partition(b"?")[0].endswith(_STREAMING_PATHS),
        )

    async def _held(self, caller: Caller) -> bytes:
        """Return the body, or its first part where it is too long to hold or not JSON."""
        kind = caller.head.found.get(b"content-type", b"").lower()
        json = b"json" in kind or not kind
        limit = self._limits.body_bytes if json else None
        if limit is not None and caller.length is not None and int(caller.length) > limit:
            raise too_large(limit)
        caller.proceed()
        return await caller.body.hold(self._limits.copy_bytes if json else FIRST_PART, limit)

    def _captured(self, found: dict[bytes, bytes]) -> Capture:
        """Return how much is kept: what the settings say, or less where the app asks for less."""
        asked = found.get(b"x-faregate-capture")
        if asked is None:
            return self._capture
        return max(_TIGHTER.get(asked.strip().lower(), "full"), self._capture, key=_ORDER.index)

    # Choose and send

    def _asks_usage(self, asked: Asked, route: Route) -> bool:
        return not asked.usage_asked and self._upstreams.asks_usage(route.upstream)

    def _edits(self, body: bytes, asked: Asked, ask: Edit | None) -> tuple[Edit, ...]:
        edits = (ask, removal_edit(body, "faregate") if asked.labels is not UNSET else None)
        return tuple(edit for edit in edits if edit is not None)

    def _targets(self, plan: Plan) -> list[Target]:
        """Return the targets to try, each with the credential to use there, in turn.

        Raises:
            InvalidRequest: the upstream wants a credential, and there is none.

        """
        targets = plan.targets
        if not targets:
            name = plan.route.upstream.name
            raise InvalidRequest(
                f"Upstream {name!r} has no API key. Set it where the gateway runs: "
                f"`{name.upper()}_API_KEY`, or `api_key` in `[upstreams.{name}]`."
            )
        return targets if len(targets) == 1 else self._upstreams.in_turn(targets)

    async def _asked_again(
        self, answer: Answer, target: Target, call: Admitted, caller: Caller, record: Recording
    ) -> tuple[Answer, Target]:
        """Ask once more without the usage option, where the upstream says that it does not know it; or return the answer as it is."""
        await answer.whole(FIRST_PART)
        if b"stream_options" not in answer.beginning:
            return answer, target
        answer.close()
        self._upstreams.refuses_usage(target.upstream)
        call.ask_usage = False
        call.edits = self._edits(call.body, call.asked, None)
        return await self._upstreams.send(
            [target], lambda target: self._outgoing(call, caller, target, record), record, caller.inform
        )

    def _outgoing(self, call: Admitted, caller: Caller, target: Target, record: Recording) -> Outgoing:
        """Return the request as it goes to `target`."""
        head, route, body = call.head, call.plan.route, call.body
        edits = call.edits
        if route.renamed and route.model is not None and call.asked.model == route.asked_model:
            edit = model_edit(body, route.asked_model or "", route.model)
            edits = edits if edit is None else (*edits, edit)
        record.changes = ()
        if edits:
            body = edited(body, edits)
            record.changes = _changes(call, renamed=len(edits) > len(call.edits))
        before, after = outgoing_head(
            _without_browser_key(head, target) if head.ours_in_protocols else head,
            caller.method,
            call.plan.path,
            target.upstream,
            target.credential,
            uncompressed=call.ask_usage,
            upgrade=caller.upgrade,
        )
        if after:
            length = caller.length if caller.length is not None and not edits else b"%d" % len(body)
            before = b"%b%b%b" % (before, length, after)
        return Outgoing(caller.method, before, body, head.coded, None if caller.body.complete else caller.body)

    # Pass on

    async def _passed_on(self, answer: Answer, target: Target, call: Admitted, caller: Caller, record: Recording) -> Ending:
        """Pass the answer on as it comes; return how it ended."""
        record.status = answer.status
        record.response_headers = answer.headers
        ours = _our_headers(record, target, answer)
        framing = _framing(answer, caller)
        headers = answer.headers if framing == "tunnel" else answer_headers(answer)
        caller.start(answer.status, answer.reason, [*headers, *ours], framing)
        record.passed_us = record.elapsed_us()
        if framing == "tunnel":
            _join(answer, caller, record)
        withholding = None
        if call.ask_usage or call.plan.capture == "none":
            events = _is_events(answer)
            withholding = Withholding() if events and call.ask_usage else None
            record.bare(events=events)
        relay = Relay(answer, caller, record, withholding=withholding, reset=framing == "close")
        error = await relay.run()
        record.response_trailers = answer.trailers
        ending: Ending = "complete" if error is None else "upstream_cut"
        if record.exact:
            record.close(ending)
            await record.synced()
            relay.finish()
        return ending

    def _refuse(self, caller: Caller, error: GatewayError, record: Recording) -> None:
        """Answer with an error of our own."""
        record.status = error.status
        if caller.gone:
            return
        body = error_body(error, self._dialect(caller.head))
        headers = [*error_headers(error, body), (b"x-faregate-call", record.id.encode())]
        if record.attempts:
            headers.append((b"x-faregate-attempts", b"%d" % len(record.attempts)))
        caller.start(error.status, REASONS.get(error.status, b"Error"), headers, "none" if caller.method == b"HEAD" else "length")
        if caller.method != b"HEAD":
            caller.data(body)
        caller.end(())

    def _dialect(self, head: RequestHead) -> Dialect:
        return self.routes.dialect_of(head.place, anthropic=head.anthropic)


_CALLERS_OWN = Credential("caller")


def may_use(identity: Identity, route: Route, method: bytes, body: bytes) -> None:
    """Refuse a key that may not use the model, or whose model cannot be told.

    Raises:
        PermissionDenied: it may not.

    """
    key = identity.key
    model = route.model or form_model(body)
    if model is None:
        if method in _READING or any(part in route.path for part in _MODELLESS):
            return
        raise PermissionDenied(
            f"The key {key.name!r} may use only some models, and this request does not say which one it wants. Put `model` in it."
        )
    if not (key.may_use(model) or key.may_use(f"{route.upstream.name}/{model}")):
        raise PermissionDenied(f"The key {key.name!r} may not use the model {model!r}. It may use: {', '.join(key.models)}.")


def form_model(body: bytes) -> str | None:
    """Return the field `model` of a multipart form, if it is in the part that is held."""
    field = b'name="model"\r\n\r\n'
    at = body.find(field)
    if at < 0:
        return None
    start = at + len(field)
    return body[start : body.find(b"\r\n", start)].decode("utf-8", "replace") or None


def _targets(upstream: Upstream, identity: Identity) -> list[Target]:
    """Return every target of a call: one for each credential of the upstream; none where it wants one and has none."""
    if identity.secret is None or identity.own_credential:
        return [Target(upstream, _CALLERS_OWN)]
    if not upstream.credentials:
        return [] if upstream.needs_key else [Target(upstream, Credential("none", None, identity.where))]
    numbered = enumerate(upstream.credentials, 1)
    return [Target(upstream, Credential(str(number), secret, identity.where)) for number, secret in numbered]


def _without_our_key(path: bytes) -> bytes:
    """Return the path to send, with our key taken out of its query."""
    before, _, query = path.partition(b"?")
    kept = b"&".join(part for part in query.split(b"&") if not is_our_key_parameter(part))
    return before + b"?" + kept if kept else before


def _without_browser_key(head: RequestHead, target: Target) -> RequestHead:
    """Return the head, with our key in a browser's WebSocket subprotocol replaced by the upstream's, or taken out."""
    credential = target.credential
    instead = credential.value is not None and credential.replaces == b"sec-websocket-protocol"
    theirs = BROWSER_KEY + (credential.value or "").encode()
    passing = []
    for kind, name, value in head.passing:
        if name.lower() != b"sec-websocket-protocol":
            passing.append((kind, name, value))
            continue
        tokens = [token.strip() for token in value.split(b",")]
        tokens = [theirs if token.startswith(BROWSER_KEY + _OURS) else token for token in tokens]
        kept = b", ".join(token for token in tokens if instead or token != theirs)
        if kept:
            passing.append((kind, name, kept))
    return replace(head, passing=passing, outgoing={}, plans={})


def _changes(call: Admitted, *, renamed: bool) -> tuple[str, ...]:
    changes = []
    if renamed:
        changes.append("model")
    if call.ask_usage:
        changes.append("stream_options")
    if call.asked.labels is not UNSET:
        changes.append("faregate")
    return tuple(changes)


def _our_headers(record: Recording, target: Target, answer: Answer) -> list[Header]:
    ours = [
        (b"x-faregate-call", record.id.encode()),
        (b"x-faregate-upstream", target.upstream.name.encode()),
        (b"x-faregate-attempts", b"%d" % len(record.attempts)),
    ]
    if answer.status >= 400:  # noqa: PLR2004 - HTTP's own line
        ours.append((b"x-faregate-error-origin", b"upstream"))
    return ours


def _framing(answer: Answer, caller: Caller) -> str:
    if answer.status == 101:  # noqa: PLR2004
        return "tunnel"
    if caller.method == b"HEAD" or answer.status in _NO_BODY:
        return "none"
    if answer.chunked:
        return "chunked"
    return "length" if answer.length_known else "close"


def _is_events(answer: Answer) -> bool:
    return any(
        name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream") for name, value in answer.headers
    )


def _join(answer: Answer, caller: Caller, record: Recording) -> None:
    """Send on upstream what the caller sends from now on."""

    def sent(piece: bytes) -> None:
        record.request_came(piece)
        answer.write(piece)

    early = caller.body.early()
    if early:
        sent(early)
    caller.on_data = sent
    answer.when_writable(caller.body.let_flow)
