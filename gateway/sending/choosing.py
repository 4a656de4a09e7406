"""Which targets a call is sent to, by the operator's routes: which route, which upstreams, in which order, and why.

    known ─ first route that matches and can serve it (`gateway.sending.aims`) ─ its upstreams ─ in the order of its strategy ─ each with its credentials

What each route said of the call, and why, is written down as decisions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from random import Random
from typing import TYPE_CHECKING, Protocol

from domain.decisions import Decision
from domain.errors import DeniedByRoute
from domain.exchange import Attempt
from domain.routes import Mirror, Retries, RouteRule
from gateway.sending.aims import Aimed, Aims, Sending, aims_of, aims_of_copy
from gateway.sending.breakers import MOVE_ON
from gateway.sending.plans import no_api_key
from gateway.sending.routes import Routes, Target
from gateway.sending.shaping import Admitted, form_model
from gateway.sending.strategies import FirstBytes, cheapest_order, least_busy_order, split_order, sticky_value
from gateway.sending.upstreams import Upstreams
from routing.routes import LONGEST_WHY, CompiledRoute, Known, RouteRules, bounded
from routing.sampling import share_of

if TYPE_CHECKING:
    from gateway.budgets.hold import Asking
    from gateway.budgets.look import Look

LONGEST_TEXT = 2_048
# What an upstream answers that cannot serve a call, whatever the app did; 404: it does not have the model.
_NOT_SERVED = MOVE_ON | {404}


class Quoting(Protocol):
    """Knows what a call costs at an upstream (`gateway.sending.quoting.Quotes`)."""

    def quote(self, asking: "Asking", now: float) -> int | None:
        """Return the price in nano-USD; None where it is not known."""


class WhyNoCopy(Protocol):
    """Says why a call cannot be copied now (`gateway.sending.mirroring.Mirroring.why_not`)."""

    def __call__(self, method: bytes, path: bytes, body: bytes, *, whole: bool) -> str | None:
        """Return why, or None."""


def _copies_all(method: bytes, path: bytes, body: bytes, *, whole: bool) -> str | None:
    del method, path, body
    return None if whole else "its body is too long to keep"


@dataclass(slots=True)
class Choice:
    """What was chosen. `measured`: how long the first byte takes is to be noted. `mirror`, `copies`: a copy goes there, one target after the other."""

    targets: Sequence[Target]
    decisions: tuple[Decision, ...] = ()
    rule: RouteRule | None = None
    retries: Retries | None = None
    measured: bool = False
    mirror: Mirror | None = None
    copies: Sequence[Target] = ()

    def not_copied(self, mirror: Mirror, why: str) -> tuple[Decision, ...]:
        """Return the decisions where the copy that was chosen is not sent after all."""
        *others, last = self.decisions
        return *others, replace(last, why=f"{last.why.removesuffix(_copied(mirror))}{_not_copied(mirror, why)}"[:LONGEST_WHY])


class Choosing:
    """Chooses targets by routes. Made only where there are some."""

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        rules: RouteRules,
        routes: Routes,
        upstreams: Upstreams,
        *,
        random: Random,
        clock: Callable[[], float],
        quotes: Quoting | None = None,
        why_no_copy: WhyNoCopy = _copies_all,
    ) -> None:
        """Choose by `rules` among the upstreams of `routes`; `clock` gives seconds, `quotes` the prices for `cheapest`.

        `why_no_copy` says why a call cannot be copied now, by its method, path and body.
        """
        self._rules = rules
        self._routes = routes
        self._upstreams = upstreams
        self._random = random
        self._quotes = quotes
        self._why_no_copy = why_no_copy
        self._first_bytes = FirstBytes(random, clock)

    def choose(self, sending: Sending) -> Choice:
        """Return where a call goes, and why. A call that falls under no route goes where it would go without."""
        known = _known(sending)
        verdict = self._rules.verdict(known, lambda route: self._unusable(route, sending))
        route = verdict.route
        if route is None:
            return Choice(self._upstreams.in_turn(sending.call.plan.targets), bounded(verdict.decisions))
        rule = route.rule
        if rule.deny is not None:
            why = f"refuses the call: {rule.deny}"
            return Choice((), bounded([*verdict.decisions, _matched(rule, why)]), rule)
        aims = self._aims(route, sending)
        ordered, why = self._ordered(rule, aims.usable, sending)
        turns: dict[str, int] = {}
        choice = Choice(self._flattened(ordered, turns), rule=rule, retries=rule.retries, measured=rule.strategy == "fastest")
        told = [why, *aims.not_usable, *self._left_out(choice.targets)]
        if rule.mirror is not None:
            told.append(self._mirrored(rule.mirror, sending, choice, turns))
        choice.decisions = bounded([*verdict.decisions, _matched(rule, "; ".join(told))])
        return choice

    def note(self, attempts: Sequence[Attempt], asked: str | None, *, stream: bool | None) -> None:
        """Know how long the first byte of an answer took at each upstream that was tried, or that it did not serve the call.

        `asked` is the model that was asked for, as the upstream names it if no route says otherwise.
        """
        # Of several tries at one upstream, with one credential after the other, say, the last one counts.
        for attempt in {(one.upstream, one.model): one for one in attempts}.values():
            name = (attempt.upstream, _cut(attempt.model or asked), stream is True)
            status, took = attempt.status, attempt.first_byte_us
            if status is not None and status < 400 and took is not None:  # noqa: PLR2004 - HTTP's own line
                self._first_bytes.answered(name, took / 1e6)
            elif status is None or status in _NOT_SERVED or self._first_bytes.of(name) is None:
                # An error that may be the app's own says nothing of an upstream that is known to serve others.
                self._first_bytes.failed(name)

    # Which upstreams can serve a call

    def _unusable(self, route: CompiledRoute, sending: Sending) -> str | None:
        """Return why a route that matches cannot serve this call."""
        if route.rule.deny is not None:
            return None
        aims = self._aims(route, sending)
        return None if aims.usable else "matches, but " + "; ".join(aims.not_usable)

    def _aims(self, route: CompiledRoute, sending: Sending) -> Aims:
        """Return the upstreams of a route, worked out once for calls that are alike."""
        plan = sending.call.plan
        if plan.route.model is None:
            # Whether a form says the model, and where, is another matter with each call.
            return aims_of(route.rule, sending, self._routes)
        known = plan.aims.get(route.place)
        if known is None:
            known = plan.aims[route.place] = aims_of(route.rule, sending, self._routes)
        return known

    # In which order

    def _ordered(self, rule: RouteRule, aims: list[Aimed], sending: Sending) -> tuple[Sequence[Aimed], str]:
        """Return upstreams in the order of a route's strategy, and the reason."""
        if not rule.aims:
            return aims, f"stays at {aims[0].aim.text}"
        if len(aims) == 1:
            return aims, f"goes to {aims[0].aim.text}"
        order, why = self._order(rule, aims, sending)
        chosen = [aims[place] for place in order]
        return chosen, f"{why}: {', then '.join(one.aim.text for one in chosen)}"

    def _order(self, rule: RouteRule, aims: list[Aimed], sending: Sending) -> tuple[Sequence[int], str]:
        match rule.strategy:
            case "split":
                value, by = sticky_value(rule.sticky, sending.labels, sending.call.plan.identity.key.name, sending.id)
                return split_order(rule.name, value, [one.aim for one in aims]), f"split by {by}"
            case "fastest":
                return self._by_time(aims, sending.call)
            case "cheapest":
                costs = self._costs(aims, sending)
                return cheapest_order(costs), f"cheapest first ({_listed(aims, [_usd(cost) for cost in costs])})"
            case "least-busy":
                running = [self._upstreams.running(one.upstream) for one in aims]
                return least_busy_order(running), f"least busy first ({_listed(aims, [f'{count} running' for count in running])})"
        return range(len(aims)), "in this order"

    def _by_time(self, aims: list[Aimed], call: Admitted) -> tuple[Sequence[int], str]:
        asked, stream = call.plan.route.model, call.streams is True
        names = [(one.upstream.name, _cut(one.targets[0].model or asked), stream) for one in aims]
        told = _listed(aims, [_time_text(self._first_bytes.of(name)) for name in names])
        order, why = self._first_bytes.order(names)
        return order, f"{why} ({told})"

    def _costs(self, aims: Sequence[Aimed], sending: Sending) -> list[int | None]:
        """Return what a call costs at each upstream. Its body is read once, however many they are."""
        if self._quotes is None:
            return [None] * len(aims)
        from gateway.budgets.look import Look  # noqa: PLC0415 - routes that ask for no price never load it

        look = Look(sending.call.body)
        return [self._quotes.quote(_asking(one.targets[0], sending, look), sending.at / 1e9) for one in aims]

    def _flattened(self, aims: Sequence[Aimed], turns: dict[str, int]) -> Sequence[Target]:
        """Return all targets: those of each upstream together, its credentials in turn, and what is left out last."""
        turned = [target for one in aims for target in self._upstreams.in_turn(one.targets, turns)]
        return self._upstreams.well_first(turned)

    def _left_out(self, targets: Sequence[Target]) -> list[str]:
        breakers = self._upstreams.breakers
        if not breakers.ill:
            return []
        reasons = ((target, breakers.why(target)) for target in targets)
        return [f"{target.upstream.name} (credential {target.credential.name}) is {why}" for target, why in reasons if why]

    # Copies

    def _mirrored(self, mirror: Mirror, sending: Sending, choice: Choice, turns: dict[str, int]) -> str:
        """Choose where a copy goes, if one does; return what the decision says of it."""
        call = sending.call
        if mirror.share < 1 and share_of(mirror.key, sending.id) >= mirror.share:
            return _not_copied(mirror, f"not in the share of {mirror.share:g}")
        why = self._why_no_copy(sending.method, call.plan.path, call.body, whole=sending.whole)
        if why is not None:
            return _not_copied(mirror, why)
        found = aims_of_copy(mirror, sending, self._routes)
        if not found.usable:
            return f"no copy: {found.not_usable[0]}"
        choice.mirror, choice.copies = mirror, self._flattened(found.usable, turns)
        return _copied(mirror)


def refused(choice: Choice, sending: Sending) -> None:
    """Refuse a call that a route denies, or that no upstream of it takes.

    Raises:
        DeniedByRoute: its route says so.
        InvalidRequest: the upstream wants a credential, and there is none.

    """
    if choice.rule is not None and choice.rule.deny is not None:
        raise DeniedByRoute(choice.rule.deny)
    if not choice.targets:
        raise no_api_key(sending.call.plan.route.upstream)


def _known(sending: Sending) -> Known:
    call = sending.call
    plan, asked = call.plan, call.asked
    route, (method, path, upstream, dialect, _, key, project) = plan.route, plan.opening
    return Known(
        _cut(route.model),
        upstream,
        call.head.place.upstream is not None or route.renamed,
        dialect,
        method,
        path[:LONGEST_TEXT],
        key,
        project,
        sending.labels,
        sending.at,
        call.streams,
        asked.max_tokens,
        asked.choices,
        _cut(asked.service_tier),
        len(call.body) if sending.whole else sending.length,
    )


def _cut(text: str | None) -> str | None:
    """Return a text that may be remembered: callers may write what they like."""
    return None if text is None else text[:LONGEST_TEXT]


def _copied(mirror: Mirror) -> str:
    return f"a copy goes to {mirror.to.text}"


def _not_copied(mirror: Mirror, why: str) -> str:
    return f"no copy to {mirror.to.text}: {why}"


def _matched(rule: RouteRule, why: str) -> Decision:
    return Decision(rule.name, matched=True, why=why[:LONGEST_WHY], kind="route")


def _listed(aims: Sequence[Aimed], texts: Sequence[str]) -> str:
    return ", ".join(f"{one.aim.text} {text}" for one, text in zip(aims, texts, strict=True))


def _asking(target: Target, sending: Sending, look: "Look") -> "Asking":
    from gateway.budgets.hold import Asking  # noqa: PLC0415 - as above

    call = sending.call
    route = target.route or call.plan.route
    return Asking(
        sending.id,
        call.plan.identity.key,
        sending.labels,
        target.upstream,
        route.model or form_model(call.body),
        sending.method,
        route.path,
        call.body,
        sending.whole,
        sending.length,
        asked=call.asked,
        look=look,
    )


def _time_text(seconds: float | None) -> str:
    if seconds is None:
        return "not measured"
    return "fails" if seconds == inf else f"{seconds * 1000:.0f} ms"


def _usd(nano: int | None) -> str:
    return "no known price" if nano is None else f"${nano / 1e9:.6f}"
