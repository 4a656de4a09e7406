"""What happens to a call, from its head to its record.

    authenticate ─ label ─ peek ─ choose ─ hold ─ send ─ barrier ─ tee ─ close

Nothing here parses an answer or waits for a store. Whatever ends a call, it leaves a record.
"""

import asyncio
from collections.abc import Sequence
from random import Random
from time import time, time_ns
from typing import TYPE_CHECKING

from msgspec import UNSET

from domain.errors import Draining, GatewayError, JournalFull, UpstreamTimeout, UpstreamUnavailable
from domain.exchange import Capture, Dialect, Ending, OwnError
from domain.ids import new_id
from domain.upstreams import Upstream
from gateway.budgets.admission import Admission
from gateway.identity import Identity, Keys
from gateway.sending.plans import Plan, no_api_key, planned
from gateway.sending.routes import Route, Routes, Target, dialect_at
from gateway.sending.shaping import Admitted, form_model, may_use, shaped
from gateway.sending.upstreams import Outgoing, Upstreams
from gateway.tee.barrier import Barrier
from gateway.tee.recording import Recording, RecordingRules
from gateway.tee.relay import Relay
from gateway.tee.withhold import Withholding
from gateway.wire.answer import Answer, Header
from gateway.wire.caller import Caller, CallerGone, too_large
from gateway.wire.error_answers import REASONS, error_body, error_headers
from gateway.wire.heads import RequestHead, answer_headers
from gateway.wire.limits import Limits
from gateway.wire.peek import UNKNOWN, Asked, Edit, asked_in, removal_edit, usage_edit
from routing.labels import labels_of
from storage.journal import JournalWriter

if TYPE_CHECKING:
    from gateway.budgets.hold import Holding
    from gateway.sending.choosing import Choosing
    from gateway.sending.mirroring import Copy, Mirroring

FIRST_PART = 64 * 1024
MOST_PLANS = 8
# No model has a longer name; what a caller writes there instead is not remembered.
LONGEST_PLANNED = 512
_NO_BODY = frozenset({204, 304})


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
        admission: Admission | None = None,
    ) -> None:
        """Work with what is given; nothing is made here. Without an `admission` there are no budgets, without `choose_by` no routes."""
        self._admission = admission
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
        self._choosing: Choosing | None = None
        self.mirroring: Mirroring | None = None
        self.draining = False

    def take(self, *, keys: Keys, routes: Routes, capture: Capture) -> None:
        """Use new keys and upstreams for the calls that begin from now on."""
        self.keys, self.routes, self._capture = keys, routes, capture

    def choose_by(self, choosing: "Choosing | None", mirroring: "Mirroring | None") -> None:
        """Choose targets by the operator's routes from now on, and make the copies that they want; None where there are no routes."""
        self._choosing, self.mirroring = choosing, mirroring

    async def answer(self, caller: Caller, copy: "Copy | None" = None) -> tuple[Ending, int | None]:
        """Pass a call to an upstream, and the answer back; return how it ended, and its status. A `copy` of a call was admitted as that.

        Errors of our own become answers here. The caller's leaving cancels this coroutine, which closes the upstream at once.
        """
        record = Recording(self._journal, self._rules, self._barrier, caller, new_id(time_ns(), self._random))
        ending: Ending = "refused"
        error: GatewayError | None = None
        call: Admitted | None = None
        try:
            call = await self._admitted(caller, record) if copy is None else self._copied(copy, record)
            if self._admission is not None and self._admission.concerns(call.plan.identity.key):
                await self._hold(call, caller, record, self._admission)
            ending = "failed"
            answer, target = await self._send(call, caller, record)
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
            if call is not None and call.holding is not None and self._admission is not None:
                self._admission.holdings.end(call.holding, sent=record.opened, output_tokens=call.metered_tokens)
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
        call = Admitted(head, body, asked, plan, ask is not None, edits)
        if self._choosing is None:
            call.targets = self._targets(plan)
        else:
            self._choose(call, caller, record, self._choosing)
        return call

    def _plan(self, head: RequestHead, identity: Identity, model: str | None, method: bytes) -> Plan:
        """Return what follows from head, key and model, as worked out before where nothing of it has changed."""
        plan = head.plans.get((model, method))
        if plan is not None and plan.identity is identity and plan.routes is self.routes:
            return plan  # type: ignore[no-any-return]
        plan = planned(self.routes, head, identity, model, method=method, capture=self._capture)
        if model is None or len(model) <= LONGEST_PLANNED:
            if len(head.plans) >= MOST_PLANS:
                head.plans.clear()
            head.plans[model, method] = plan
        return plan

    async def _held(self, caller: Caller) -> bytes:
        """Return the body, or its first part where it is too long to hold or not JSON."""
        kind = caller.head.found.get(b"content-type", b"").lower()
        json = b"json" in kind or not kind
        limit = self._limits.body_bytes if json else None
        if limit is not None and caller.length is not None and int(caller.length) > limit:
            raise too_large(limit)
        caller.proceed()
        return await caller.body.hold(self._limits.copy_bytes if json else FIRST_PART, limit)

    def _copied(self, copy: "Copy", record: Recording) -> Admitted:
        """Return the call that a copy is."""
        call, plan = copy.call, copy.call.plan
        record.key = plan.identity.key
        record.ready_us = record.elapsed_us()
        record.known(plan.opening, copy.labels, plan.route.model, call.asked.stream, plan.capture, websocket=False)
        record.opening.mirror_of, record.opening.decisions = copy.of, (copy.decision,)
        record.request_came(call.body)
        return call

    # Hold

    async def _hold(self, call: Admitted, caller: Caller, record: Recording, admission: Admission) -> None:
        """Hold what the call can cost, or refuse it: only for keys under a budget or a limit.

        Raises:
            GatewayError: a budget has no room for it, or the key calls too often.

        """
        from gateway.budgets.hold import Asking  # noqa: PLC0415 - a gate without budgets never loads it

        plan, opening, target = call.plan, record.opening, call.targets[0]
        asking = Asking(
            id=record.id,
            key=plan.identity.key,
            labels=opening.labels,
            upstream=target.upstream,
            model=plan.route.model or form_model(call.body),
            method=caller.method,
            path=plan.path if target.route is None else target.route.path,
            body=call.body,
            whole=caller.body.complete,
            length=None if caller.length is None else int(caller.length),
            stream=call.streams,
            websocket=caller.upgrade,
            sent_as=target.model,
            asked=call.asked,
        )
        call.holding = await admission.admit(asking)
        opening.hold = call.holding.text
        call.edits = (*call.edits, *call.holding.edits)

    # Choose and send

    def _choose(self, call: Admitted, caller: Caller, record: Recording, choosing: "Choosing") -> None:
        """Find out where the operator's routes send the call, and write down why.

        Raises:
            GatewayError: a route refuses it, or no upstream can be asked.

        """
        from gateway.sending.aims import Sending  # noqa: PLC0415 - a gate without routes never loads it
        from gateway.sending.choosing import refused  # noqa: PLC0415

        opening = record.opening
        sending = Sending(
            id=record.id,
            at=opening.at,
            call=call,
            labels=opening.labels,
            method=caller.method,
            whole=caller.body.complete and not caller.upgrade,
            length=None if caller.length is None else int(caller.length),
        )
        call.choice = choice = choosing.choose(sending)
        opening.decisions = choice.decisions
        refused(choice, sending)
        call.targets = choice.targets
        opening.upstream = choice.targets[0].upstream.name

    async def _send(self, call: Admitted, caller: Caller, record: Recording) -> tuple[Answer, Target]:
        """Send the call to one target after the other; for each but the first, what it may cost is held first."""
        choice = call.choice
        if choice is not None and choice.mirror is not None and self.mirroring is not None:
            why = self.mirroring.begin(call, choice.mirror, choice.copies, record, caller.method)
            if why is not None:
                record.opening.decisions = choice.not_copied(choice.mirror, why)
        record.open()
        holding, admission = call.holding, self._admission
        cover = None
        if holding is not None and admission is not None:
            asked = call.plan.route.model or form_model(call.body)

            async def cover(target: Target) -> None:
                path = call.plan.path if target.route is None else target.route.path
                await admission.holdings.cover(
                    holding, target.upstream, target.model or asked, sent=record.sent_us is not None, path=path
                )
                record.held = holding.this_try

        measures = self._choosing if choice is not None and choice.measured else None
        try:
            found = await self._upstreams.send(
                call.targets,
                lambda target: self._outgoing(call, caller, target, record),
                record,
                caller.inform,
                cover=cover,
                retries=None if choice is None else choice.retries,
            )
        except (UpstreamTimeout, UpstreamUnavailable):
            if measures is not None:
                measures.note(record.attempts, call.plan.route.model, stream=call.streams)
            raise
        if measures is not None:
            measures.note(record.attempts, call.plan.route.model, stream=call.streams)
        return found

    def _asks_usage(self, asked: Asked, route: Route) -> bool:
        return not asked.usage_asked and self._upstreams.asks_usage(route.upstream)

    def _edits(self, body: bytes, asked: Asked, ask: Edit | None) -> tuple[Edit, ...]:
        edits = (ask, removal_edit(body, "faregate") if asked.labels is not UNSET else None)
        return tuple(edit for edit in edits if edit is not None)

    def _targets(self, plan: Plan) -> Sequence[Target]:
        """Return the targets to try, each with the credential to use there, in turn.

        Raises:
            InvalidRequest: the upstream wants a credential, and there is none.

        """
        targets = plan.targets
        if not targets:
            raise no_api_key(plan.route.upstream)
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
        if call.holding is not None:
            call.edits = (*call.edits, *call.holding.edits)
        return await self._upstreams.send(
            [target], lambda target: self._outgoing(call, caller, target, record), record, caller.inform
        )

    def _outgoing(self, call: Admitted, caller: Caller, target: Target, record: Recording) -> Outgoing:
        """Return the request as it goes to `target`."""
        if target.route is not None:
            self._ask_at(target.upstream, call)
        return shaped(call, caller, target, record)

    def _ask_at(self, upstream: Upstream, call: Admitted) -> None:
        """Ask for usage where this upstream knows how to bring it, whatever the one before knew."""
        asked = call.asked
        may = asked.stream is True and call.plan.may_ask_usage and not asked.usage_asked
        ask = usage_edit(call.body, asked) if may and self._upstreams.asks_usage(upstream) else None
        if (ask is not None) != call.ask_usage:
            call.ask_usage = ask is not None
            call.edits = self._edits(call.body, asked, ask)
            if call.holding is not None:
                call.edits = (*call.edits, *call.holding.edits)

    # Pass on

    async def _passed_on(self, answer: Answer, target: Target, call: Admitted, caller: Caller, record: Recording) -> Ending:
        """Pass the answer on as it comes; return how it ended."""
        record.status = answer.status
        record.response_headers = answer.headers
        ours = _our_headers(record, target, answer)
        if call.holding is not None:
            ours += call.holding.headers()
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
        if call.holding is not None and call.holding.metered:
            self._meter(call, call.holding, answer, relay, framing)
        error = await relay.run()
        record.response_trailers = answer.trailers
        ending: Ending = "complete" if error is None else "upstream_cut"
        if relay.meter is not None:
            call.metered_tokens = relay.meter.tokens
        if isinstance(error, GatewayError):
            record.error = OwnError(error.type, error.code, error.message)
        if record.exact:
            record.close(ending)
            await record.synced()
            relay.finish()
        return ending

    def _meter(self, call: Admitted, holding: "Holding", answer: Answer, relay: Relay, framing: str) -> None:
        """Have the answer paid for slice by slice as it comes."""
        from gateway.budgets.metering import StreamMeter  # noqa: PLC0415 - as above

        if self._admission is None:
            return
        plain = not any(name.lower() == b"content-encoding" for name, _ in answer.headers)
        events = plain and _is_events(answer)
        relay.ends_whole = events and framing in {"chunked", "close"}
        relay.meter = StreamMeter(
            self._admission.holdings,
            holding,
            relay,
            dialect=dialect_at(call.plan.route.upstream, call.plan.path),
            path=call.plan.path,
            events=events,
            session=framing == "tunnel",
        )

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
