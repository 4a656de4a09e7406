"""Which of a route's upstreams can serve a call, and as what: each with its credentials, its path and its name for the model.

An upstream can serve a call if it speaks the call's dialect (nothing is translated) and something proves the call there: a caller's own
credential goes to no other provider than the one it was meant for.
"""

from dataclasses import dataclass, field
from typing import Literal

from domain.exchange import Labels
from domain.routes import Aim, Mirror, RouteRule
from domain.upstreams import Timeouts, Upstream
from gateway.sending.outgoing import Credential
from gateway.sending.plans import Plan, credentials_at, own_credentials, without_our_key
from gateway.sending.routes import Routes, Target, moved
from gateway.sending.shaping import Admitted, form_model, is_modelless
from gateway.wire.heads import without_secrets

DIALECTS = {"openai": "OpenAI's API", "anthropic": "Anthropic's API", "gemini": "Gemini's API"}


@dataclass(slots=True)
class Sending:
    """A call that wants to be sent: what was admitted, and how its request came. `at` is in Unix nanoseconds, `length` what its head told."""

    id: str
    at: int
    call: Admitted
    labels: Labels
    method: bytes
    whole: bool
    length: int | None


@dataclass(slots=True)
class Aimed:
    """One of a route's upstreams, and the targets that it stands for: one for each of its credentials."""

    aim: Aim
    targets: list[Target]

    @property
    def upstream(self) -> Upstream:
        """The upstream."""
        return self.targets[0].upstream


@dataclass(slots=True)
class Aims:
    """A route's upstreams as they can serve calls that are alike, and why the others cannot."""

    usable: list[Aimed] = field(default_factory=list)
    not_usable: list[str] = field(default_factory=list)


def aims_of(rule: RouteRule, sending: Sending, routes: Routes) -> Aims:
    """Return the upstreams of a route for a call. Without any of its own, the call stays where it would go by itself."""
    plan, found = sending.call.plan, Aims()
    for aim in rule.aims or (Aim(plan.route.upstream.name),):
        upstream = routes.upstreams[aim.upstream]
        credentials = credentials_at(upstream, plan.identity, plan.route.upstream)
        _add(found, aim, rule, sending, upstream=upstream, credentials=credentials)
    return found


def aims_of_copy(mirror: Mirror, sending: Sending, routes: Routes) -> Aims:
    """Return where a copy of a call can go, with the operator's own credentials, whatever the caller brought."""
    found, upstream = Aims(), routes.upstreams[mirror.to.upstream]
    credentials = own_credentials(upstream, sending.call.plan.identity.where, alone=True)
    _add(found, mirror.to, RouteRule(mirror.key), sending, upstream=upstream, credentials=credentials)
    return found


def _add(  # noqa: PLR0913 - what decides it
    found: Aims, aim: Aim, rule: RouteRule, sending: Sending, *, upstream: Upstream, credentials: list[Credential] | None
) -> None:
    """Add an upstream to those that can serve a call, or to the others with the reason."""
    plan = sending.call.plan
    model = aim.model or rule.model
    renamed = None if model is None or model == plan.route.model else _place_of_model(sending)
    if not _speaks(upstream, plan):
        found.not_usable.append(f"{aim.text} does not speak {DIALECTS[plan.opening[3]]}")
    elif renamed == "hidden":
        found.not_usable.append(f"{aim.text} has another name for the model, and the one in this request cannot be reached")
    elif credentials is None:
        found.not_usable.append(f"the caller brought its own credential, which is not for {aim.text}")
    elif not credentials:
        found.not_usable.append(f"{aim.text} has no API key")
    else:
        route = moved(plan.route, sending.call.head.place, upstream, model if renamed == "there" else None)
        if credentials[0].alone:
            route.path = without_secrets(route.path)
        elif sending.call.head.ours_in_query:
            route.path = without_our_key(route.path)
        timeouts = _timeouts(rule, upstream)
        found.usable.append(Aimed(aim, [Target(upstream, one, route, timeouts) for one in credentials]))


def _speaks(upstream: Upstream, plan: Plan) -> bool:
    """Return whether an upstream speaks the dialect of a call. Where the call would go by itself, it may go."""
    return upstream is plan.route.upstream or upstream.scheme == "sim" or upstream.dialect == plan.opening[3]


def _place_of_model(sending: Sending) -> Literal["there", "nowhere", "hidden"]:
    """Return whether a request says its model where an edit can reach it, says none, or says it behind what is held, or compressed."""
    call = sending.call
    if call.plan.route.model is not None or form_model(call.body) is not None:
        return "there"
    if call.asked.fields is not None or is_modelless(sending.method, call.plan.path) or not (call.body or sending.length):
        return "nowhere"
    return "hidden"


def _timeouts(rule: RouteRule, upstream: Upstream) -> Timeouts | None:
    own, usual = rule.timeouts, upstream.timeouts
    if own is None:
        return None
    return Timeouts(
        usual.connect if own.connect is None else own.connect,
        usual.first_byte if own.first_byte is None else own.first_byte,
        usual.idle if own.idle is None else own.idle,
    )
