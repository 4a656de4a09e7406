"""Choosing targets by routes: which upstreams, in which order, with whose credential, and what is written down of it."""

from collections import Counter
from random import Random

import msgspec
import pytest

from domain.errors import DeniedByRoute, InvalidRequest
from domain.exchange import Attempt, Labels
from domain.ids import new_id
from domain.keys import ApiKey
from domain.routes import Aim, Mirror, Retries, RouteRule, RouteTimeouts
from domain.upstreams import Timeouts, Upstream
from gateway.budgets.look import Look
from gateway.identity import Identity
from gateway.sending.aims import Sending
from gateway.sending.choosing import LONGEST_TEXT, Choosing, refused
from gateway.sending.outgoing import outgoing_head
from gateway.sending.plans import planned
from gateway.sending.routes import Routes
from gateway.sending.shaping import Admitted
from gateway.sending.strategies import MOST_TIMES, FirstBytes
from gateway.sending.upstreams import Upstreams
from gateway.wire.heads import head_of
from gateway.wire.peek import UNKNOWN, asked_in
from routing.routes import RouteRules
from tests.gateway.heads import HOST

MANAGED = Identity(ApiKey("k-1", "ci", "x", project="search"), b"fg-secret", b"authorization")
BROUGHT = Identity(ApiKey("pt-1", "pass-through-1", "x", kind="pass_through"))
UPSTREAMS = {
    "openai": Upstream("openai", "https", "api.openai.test", 443, "/v1", credentials=("a", "b")),
    "twin": Upstream("twin", "https", "api.openai.test", 443, "/v1", credentials=("t",)),
    "azure": Upstream("azure", "https", "azure.test", 443, "/openai/v1", auth="api-key", credentials=("z",)),
    "keyless": Upstream("keyless", "https", "keyless.test", 443, "/v1", needs_key=True),
    "anthropic": Upstream(
        "anthropic", "https", "api.anthropic.test", 443, "", dialect="anthropic", auth="x-api-key", credentials=("y",)
    ),
    "gemini": Upstream("gemini", "https", "gemini.test", 443, "", dialect="gemini", auth="x-goog-api-key", credentials=("g",)),
    "vertex": Upstream("vertex", "https", "vertex.test", 443, "/x", dialect="gemini", auth="x-goog-api-key", credentials=("v",)),
    "sim": Upstream("sim", "sim", "sim", 0, ""),
}
CHAT = b'{"model":"gpt-4o","max_tokens":100,"messages":[]}'


class Prices:
    """Quotes what the test says."""

    def __init__(self, **prices: int | None) -> None:
        self.prices = prices
        self.asked: list[tuple[str, str | None]] = []
        self.looks: list[Look] = []

    def quote(self, asking, _now):
        self.looks.append(asking.look)
        self.asked.append((asking.upstream.name, asking.model))
        return self.prices[asking.upstream.name]


class Seconds:
    """A clock that the test sets."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Parts:
    """A `Choosing` with no sockets behind it."""

    def __init__(
        self, *rules: RouteRule, prices: Prices | None = None, seed: int = 1, upstreams: Upstreams | None = None
    ) -> None:
        self.clock = Seconds()
        self.upstreams = upstreams or Upstreams(None, None, None, clock=self.clock)
        self.routes = Routes(UPSTREAMS, "openai")
        self.choosing = Choosing(
            RouteRules(rules), self.routes, self.upstreams, random=Random(seed), clock=self.clock, quotes=prices
        )

    def sending(
        self, body=CHAT, *, target=b"/v1/chat/completions", identity=MANAGED, labels=None, method=b"POST", headers=(), whole=True
    ):
        head, _ = head_of(target, [HOST, *headers], http11=True)
        asked = asked_in(body) if body[:1] == b"{" else UNKNOWN
        plan = planned(self.routes, head, identity, asked.model, method=method, capture="full")
        call = Admitted(head, body, asked, plan, ask_usage=False, edits=())
        return Sending(new_id(1), 1, call, labels or Labels(), method, whole, None if whole else 10**6)

    def choose(self, *args, **fields):
        return self.choosing.choose(self.sending(*args, **fields))


def names(choice) -> list[str]:
    return [target.upstream.name for target in choice.targets]


def told(choice) -> list[tuple[str, bool, str]]:
    return [(one.rule, one.matched, one.why) for one in choice.decisions]


def route(name="r", when=None, *aims: str, **fields) -> RouteRule:
    parted = [aim.partition("/") for aim in aims]
    return RouteRule(name, when, tuple(Aim(upstream, model or None) for upstream, _, model in parted), **fields)


# Which route


def test_without_a_match_a_call_goes_where_it_would_go_and_every_route_says_why():
    choice = Parts(route("a", 'model == "o3"', "azure"), route("b", 'tags.team == "x"', "azure")).choose()
    assert names(choice) == ["openai", "openai"]
    assert told(choice) == [("a", False, "does not match"), ("b", False, "there is no tag 'team'")]
    assert {one.kind for one in choice.decisions} == {"route"}


def test_the_first_match_counts_and_later_routes_are_not_asked():
    choice = Parts(route("a", 'model == "o3"', "sim"), route("b", "max_tokens < 200", "azure"), route("c", None, "sim")).choose()
    assert names(choice) == ["azure"]
    assert told(choice) == [("a", False, "does not match"), ("b", True, "goes to azure")]


def test_all_upstreams_are_tried_in_their_order_each_with_all_its_credentials():
    choice = Parts(route("a", None, "openai", "azure", "sim")).choose()
    assert names(choice) == ["openai", "openai", "azure", "sim"]
    assert sorted(target.credential.name for target in choice.targets[:2]) == ["1", "2"]
    assert told(choice) == [("a", True, "in this order: openai, then azure, then sim")]


@pytest.mark.parametrize(
    ("target", "body"), [(b"/azure/v1/chat/completions", CHAT), (b"/v1/chat/completions", CHAT.replace(b"gpt", b"azure/gpt"))]
)
def test_who_names_an_upstream_gets_it(target, body):
    choice = Parts(route("a", 'model == "gpt-4o"', "sim")).choose(body, target=target)
    assert names(choice) == ["azure"]
    assert told(choice) == [("a", False, "the call itself names the upstream azure")]


def test_a_route_that_asks_for_the_upstream_moves_calls_that_name_it():
    choice = Parts(route("a", 'upstream == "azure"', "sim")).choose(target=b"/azure/v1/chat/completions")
    assert names(choice) == ["sim"]


def test_a_refusal_holds_for_calls_that_name_an_upstream_too():
    parts = Parts(route("a", 'model.startsWith("gpt")', deny="Not here."))
    sending = parts.sending(target=b"/azure/v1/chat/completions")
    choice = parts.choosing.choose(sending)
    assert told(choice) == [("a", True, "refuses the call: Not here.")]
    with pytest.raises(DeniedByRoute, match="Not here"):
        refused(choice, sending)


# Who can serve it


def test_an_upstream_that_speaks_another_dialect_is_passed_over():
    choice = Parts(route("a", None, "anthropic", "azure")).choose()
    assert names(choice) == ["azure"]
    assert told(choice) == [("a", True, "goes to azure; anthropic does not speak OpenAI's API")]


def test_a_route_that_cannot_serve_a_call_leaves_it_to_the_next():
    choice = Parts(route("a", None, "anthropic", "gemini"), route("b", None, "sim")).choose()
    assert names(choice) == ["sim"]
    assert told(choice)[0] == (
        "a",
        False,
        "matches, but anthropic does not speak OpenAI's API; gemini does not speak OpenAI's API",
    )


def test_an_anthropic_call_stays_with_who_speaks_it():
    body = b'{"model":"claude-x","max_tokens":5,"messages":[]}'
    choice = Parts(route("a", None, "openai", "azure")).choose(body, target=b"/v1/messages")
    assert names(choice) == ["anthropic"]


def test_an_upstream_without_a_key_is_passed_over_and_if_it_is_the_only_one_the_route_is():
    assert names(Parts(route("a", None, "keyless", "azure")).choose()) == ["azure"]
    assert names(Parts(route("a", None, "keyless")).choose()) == ["openai", "openai"]


def test_a_callers_own_credential_goes_to_no_other_provider():
    theirs = ((b"authorization", b"Bearer sk-" + b"theirs"),)
    choice = Parts(route("a", None, "azure", "twin", "sim")).choose(identity=BROUGHT, headers=theirs)
    assert names(choice) == ["twin", "sim"]
    assert {target.credential.name for target in choice.targets} == {"caller"}
    assert "the caller brought its own credential, which is not for azure" in told(choice)[0][2]


def test_at_another_provider_no_other_credential_and_no_cookie_goes_along():
    choice = Parts(route("a", None, "openai", "twin", "azure")).choose()
    assert [(target.upstream.name, target.credential.alone) for target in choice.targets] == [
        ("openai", False),
        ("openai", False),
        ("twin", False),
        ("azure", True),
    ]


def test_without_any_credential_anywhere_the_caller_is_told_where_to_put_one():
    parts = Parts(route("a", 'model == "no"', "azure"))
    sending = parts.sending(target=b"/keyless/v1/chat/completions")
    with pytest.raises(InvalidRequest, match="KEYLESS_API_KEY"):
        refused(parts.choosing.choose(sending), sending)


# The model's name and the path


def test_a_model_gets_its_name_at_each_upstream():
    choice = Parts(route("a", None, "azure/gpt-4o-eu", "sim", model="gpt-4o-mini")).choose()
    assert [(target.route.path, target.model) for target in choice.targets] == [
        (b"/openai/v1/chat/completions", "gpt-4o-eu"),
        (b"/v1/chat/completions", "gpt-4o-mini"),
    ]


def test_a_model_in_the_path_is_renamed_there():
    target = b"/gemini/v1beta/models/gemini-2.5-pro:generateContent?alt=sse"
    choice = Parts(route("a", 'upstream == "gemini"', "vertex/pro 2/x", "gemini")).choose(b"{}", target=target)
    assert [target.route.path for target in choice.targets] == [
        b"/x/v1beta/models/pro%202%2Fx:generateContent?alt=sse",
        b"/v1beta/models/gemini-2.5-pro:generateContent?alt=sse",
    ]


def test_a_prefix_of_the_callers_is_gone_wherever_the_call_goes():
    body = CHAT.replace(b"gpt-4o", b"openai/gpt-4o")
    choice = Parts(route("a", 'upstream == "openai" && model == "gpt-4o"', "azure")).choose(body)
    assert (choice.targets[0].route.model, choice.targets[0].route.asked_model) == ("gpt-4o", "openai/gpt-4o")


def test_an_upload_whose_model_is_out_of_reach_is_not_renamed():
    """Its first part is a file; the name of the model comes behind what is held."""
    form = {"body": b"--x\r\nfile", "target": b"/v1/audio/transcriptions", "whole": False}
    choice = Parts(route("a", None, "azure/whisper-eu", "twin")).choose(**form)
    assert names(choice) == ["twin"]
    assert "azure/whisper-eu has another name for the model, and the one in this request cannot be reached" in told(choice)[0][2]


@pytest.mark.parametrize(("method", "target", "body"), [(b"GET", b"/v1/models", b""), (b"POST", b"/v1/files", b"--x\r\n")])
def test_a_call_about_no_model_is_not_renamed_and_not_passed_over(method, target, body):
    choice = Parts(route("a", None, "azure/gpt-4o-eu")).choose(body, method=method, target=target)
    assert [(target.upstream.name, target.model) for target in choice.targets] == [("azure", None)]


PERSONAL = [
    (b"Ocp-Apim-Subscription-Key", b"mine"),
    (b"X-Auth-Token", b"mine"),
    (b"OpenAI-Project", b"mine"),
    (b"Cookie", b"mine"),
]


def copy_to_vertex(parts):
    sending = parts.sending(b"{}", target=NATIVE + b"?alt=sse&key=mine", identity=BROUGHT, headers=PERSONAL)
    return sending, parts.choosing.choose(sending).copies


def moved_to_vertex(parts):
    identity = Identity(MANAGED.key, b"fg-secret", b"x-goog-api-key")
    headers = [(b"x-goog-api-key", b"fg-secret"), *PERSONAL]
    sending = parts.sending(b"{}", target=NATIVE + b"?alt=sse&key=mine", identity=identity, headers=headers)
    return sending, parts.choosing.choose(sending).targets


NATIVE = b"/gemini/v1beta/models/g:generateContent"


@pytest.mark.parametrize(
    ("rule", "sent"),
    [
        (RouteRule("a", None, mirror=Mirror(Aim("vertex"), 1.0, "mirror:a")), copy_to_vertex),
        (RouteRule("a", 'upstream == "gemini"', (Aim("vertex"),)), moved_to_vertex),
    ],
)
def test_nothing_that_could_be_a_credential_goes_to_another_provider_wherever_it_stands(rule, sent):
    sending, (target,) = sent(Parts(rule))
    head = b"".join(
        outgoing_head(
            sending.call.head, b"POST", target.route.path, target.upstream, target.credential, uncompressed=False, upgrade=False
        )
    )
    assert head.startswith(b"POST /x/v1beta/models/g:generateContent?alt=sse HTTP/1.1\r\n")
    assert b"mine" not in head


@pytest.mark.parametrize(
    "rule",
    [
        RouteRule("a", None, (Aim("openai"),)),
        RouteRule("a", None, (Aim("azure"), Aim("openai"))),
        RouteRule("a", None, (Aim("openai", "x"), Aim("openai", "y"))),
        RouteRule("a", None, mirror=Mirror(Aim("openai"), 1.0, "mirror:a")),
        RouteRule("a", 'model == "another"', (Aim("openai"),)),
    ],
)
def test_the_credentials_of_an_upstream_take_turns_however_often_a_call_asks_for_it(rule):
    parts = Parts(rule)
    choices = [parts.choose() for _ in range(10)]
    first = Counter(next(one.credential.name for one in choice.targets if one.upstream.name == "openai") for choice in choices)
    assert first == {"1": 5, "2": 5}


def test_a_route_may_change_the_model_alone_or_the_limits_of_time_alone():
    choice = Parts(route("a", None, model="gpt-4o-mini", timeouts=RouteTimeouts(first_byte=3.0))).choose()
    assert names(choice) == ["openai", "openai"]
    assert {target.model for target in choice.targets} == {"gpt-4o-mini"}
    assert choice.targets[0].timeouts == Timeouts(5.0, 3.0, 300.0)
    assert told(choice) == [("a", True, "stays at openai")]


def test_our_key_in_the_query_stays_out_of_the_path():
    identity = Identity(MANAGED.key, b"fg-secret", b"query")
    choice = Parts(route("a", None, "azure")).choose(target=b"/v1/chat/completions?key=fg-secret&x=1", identity=identity)
    assert choice.targets[0].route.path == b"/openai/v1/chat/completions?x=1"


def test_retries_of_a_route_are_handed_on():
    retries = Retries(times=3)
    assert Parts(route("a", None, "azure", retries=retries)).choose().retries is retries


# Splits

SPLIT = RouteRule("ab", None, (Aim("openai", weight=90), Aim("azure", weight=10)), "split", "session")


def test_a_session_stays_where_it_is_on_every_machine():
    first, second = Parts(SPLIT), Parts(SPLIT, seed=2)
    for number in range(50):
        labels = Labels(session=f"session-{number}")
        assert {tuple(names(parts.choose(labels=labels))) for parts in (first, second, first)} == {
            tuple(names(first.choose(labels=labels)))
        }


@pytest.mark.parametrize(
    ("weights", "shares"), [((90, 10), (0.9, 0.1)), ((1, 1), (0.5, 0.5)), ((0.2, 0.6), (0.25, 0.75)), ((1, 0), (1, 0))]
)
def test_a_split_hits_its_shares(weights, shares):
    rule = RouteRule("ab", None, (Aim("openai", weight=weights[0]), Aim("azure", weight=weights[1])), "split", "session")
    parts = Parts(rule)
    counts = Counter(names(parts.choose(labels=Labels(session=f"s-{number}")))[0] for number in range(4_000))
    assert counts["openai"] / 4_000 == pytest.approx(shares[0], abs=0.025)


def test_calls_without_a_session_are_split_one_by_one():
    parts = Parts(SPLIT)
    counts = Counter(names(parts.choose())[0] for _ in range(2_000))
    assert counts["openai"] / 2_000 == pytest.approx(0.9, abs=0.03)
    assert "split by call: " in told(parts.choose())[0][2]


def test_a_split_falls_back_on_the_others():
    assert set(names(Parts(SPLIT).choose(labels=Labels(session="s")))) == {"openai", "azure"}


@pytest.mark.parametrize(
    ("sticky", "labels"), [("customer", Labels(customer="acme")), ("key", Labels()), ("session", Labels(session="s"))]
)
def test_what_a_split_is_sticky_by_decides_alone(sticky, labels):
    parts = Parts(RouteRule("ab", None, (Aim("openai"), Aim("azure")), "split", sticky))
    assert len({names(parts.choose(labels=labels))[0] for _ in range(40)}) == 1


def test_a_changed_weight_moves_only_those_who_must():
    before, after = (
        Parts(SPLIT),
        Parts(RouteRule("ab", None, (Aim("openai", weight=80), Aim("azure", weight=20)), "split", "session")),
    )
    sessions = [Labels(session=f"s-{number}") for number in range(1_000)]
    moved = [(names(before.choose(labels=one))[0], names(after.choose(labels=one))[0]) for one in sessions]
    assert ("azure", "openai") not in moved
    assert 50 < moved.count(("openai", "azure")) < 150


# Strategies


class Timing(Parts):
    """A route to the fastest of some upstreams, and what they are known to answer."""

    def __init__(self, *upstreams: str, seed: int = 1) -> None:
        super().__init__(route("a", None, *upstreams, strategy="fastest"), seed=seed)

    def note(self, *tries: tuple[str, float | int], model: str = "gpt-4o", stream: bool | None = None) -> None:
        """Tell the tries of one call, each an upstream and how it answered: well, after so many seconds (a float), or with a status; 0 is not at all."""
        attempts = [
            Attempt(upstream, "1", 0, 200, int(answer * 1e6))
            if isinstance(answer, float)
            else Attempt(upstream, "1", 0, answer or None, 1)
            for upstream, answer in tries
        ]
        self.choosing.note(attempts, model, stream=stream)

    def first(self, body: bytes = CHAT) -> str:
        return names(self.choose(body))[0]

    def firsts(self, calls: int, body: bytes = CHAT) -> Counter[str]:
        return Counter(self.first(body) for _ in range(calls))

    def mostly(self, body: bytes = CHAT) -> str:
        return self.firsts(100, body).most_common(1)[0][0]


def test_the_fastest_comes_first_and_what_was_never_measured_before_it():
    timing = Timing("openai", "azure", "sim")
    assert timing.first() == "openai"
    timing.note(("openai", 0.5))
    timing.note(("azure", 0.1), stream=False)
    choice = timing.choose()
    assert names(choice)[0] == "sim"
    assert "one that is not measured first (openai 500 ms, azure 100 ms, sim not measured): sim, then azure" in told(choice)[0][2]
    timing.note(("sim", 0.3))
    firsts = timing.firsts(400)
    assert firsts["azure"] > 350
    # Now and then another one goes first, so that one that was slow can show that it no longer is.
    assert 0 < firsts["openai"] + firsts["sim"] < 50
    assert "azure 100 ms" in told(timing.choose())[0][2]


def test_one_call_at_a_time_finds_out_about_an_upstream():
    """While it is on its way, the others go to those that are known; where none is, to one of their own, and then as listed."""
    timing = Timing("openai", "azure", "sim")
    assert [timing.first() for _ in range(5)] == ["openai", "azure", "sim", "openai", "openai"]
    timing.note(("azure", 9.0))
    assert timing.firsts(20) == {"azure": 20}
    timing.clock.now += 31
    assert [timing.first() for _ in range(3)] == ["openai", "sim", "azure"], "those calls never came back"


@pytest.mark.parametrize("answer", [404, 503, 401, 429, 400, 0])
def test_an_upstream_that_serves_nothing_is_the_last_one_and_asked_again_now_and_then(answer):
    timing = Timing("openai", "azure")
    timing.note(("azure", 0.5))
    for _ in range(3):
        assert timing.first() == "openai"
        timing.note(("openai", answer))
        assert timing.firsts(200) == {"azure": 200}
        assert "openai fails" in told(timing.choose())[0][2]
        timing.clock.now += 61
    assert timing.first() == "openai"
    timing.note(("openai", 0.1))
    assert timing.mostly() == "openai"


def test_where_all_fail_each_is_still_tried():
    timing = Timing("openai", "azure")
    timing.note(("openai", 503), ("azure", 503))
    assert names(timing.choose()) == ["openai", "openai", "azure"]


@pytest.mark.parametrize("answer", [404, 500, 429, 0])
def test_a_failure_counts_as_a_slow_answer(answer):
    timing = Timing("openai", "azure")
    timing.note(("openai", 0.1))
    timing.note(("azure", 0.2))
    assert timing.mostly() == "openai"
    timing.note(("openai", answer))
    assert timing.mostly() == "azure"
    assert timing.firsts(200) == {"azure": 200}, "what has just failed is not asked only to be measured"
    timing.clock.now += 61
    assert timing.firsts(200)["openai"] > 0
    for _ in range(10):
        timing.note(("openai", 0.1))
    assert timing.mostly() == "openai"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_may_be_the_apps_own_error_says_nothing_of_an_upstream_that_is_known(status):
    timing = Timing("openai", "azure")
    timing.note(("openai", 0.1))
    timing.note(("azure", 0.2))
    for _ in range(20):
        timing.note(("openai", status))
    assert timing.mostly() == "openai"


def test_of_a_calls_tries_at_one_upstream_the_last_one_counts():
    timing = Timing("openai", "azure")
    timing.note(("azure", 0.2))
    timing.note(("openai", 429), ("openai", 0.1))
    assert timing.mostly() == "openai"


def test_each_model_is_measured_by_itself():
    timing = Timing("openai", "azure")
    for upstream, model, seconds in (
        ("openai", "o3", 9.0),
        ("azure", "o3", 5.0),
        ("openai", "gpt-4o", 0.2),
        ("azure", "gpt-4o", 0.9),
    ):
        timing.note((upstream, seconds), model=model, stream=False)
    for model, fastest in (("o3", "azure"), ("gpt-4o", "openai")):
        assert timing.mostly(CHAT.replace(b"gpt-4o", model.encode())) == fastest


def test_streams_are_measured_by_themselves_and_old_times_are_forgotten():
    timing = Timing("openai", "azure")
    timing.note(("openai", 0.2), stream=True)
    timing.note(("azure", 0.1), stream=True)
    streamed = CHAT.replace(b'"model"', b'"stream":true,"model"')
    assert timing.mostly(streamed) == "azure"
    assert timing.first() == "openai"
    timing.clock.now += 301
    assert timing.first(streamed) == "openai"


def test_a_slow_upstream_that_recovers_is_first_again():
    timing = Timing("openai", "azure")
    timing.note(("openai", 5.0))
    timing.note(("azure", 0.5))
    for _ in range(2_000):
        first = timing.first()
        timing.note((first, 0.1 if first == "openai" else 0.5))
    assert timing.mostly() == "openai"


def test_the_cheapest_comes_first_and_what_has_no_known_price_last():
    prices = Prices(openai=None, azure=3_000, sim=2_000)
    choice = Parts(route("a", None, "openai", "azure/gpt-4o-eu", "sim", strategy="cheapest"), prices=prices).choose()
    assert names(choice) == ["sim", "azure", "openai", "openai"]
    assert prices.asked == [("openai", "gpt-4o"), ("azure", "gpt-4o-eu"), ("sim", "gpt-4o")]
    assert len({id(look) for look in prices.looks}) == 1, "the body is read once for all of them"
    assert "openai no known price, azure/gpt-4o-eu $0.000003, sim $0.000002" in told(choice)[0][2]


class Busy(Upstreams):
    """Upstreams with so many calls at each of them."""

    def running(self, upstream: Upstream) -> int:
        return {"openai": 3, "azure": 1, "sim": 1}[upstream.name]


def test_the_least_busy_comes_first():
    parts = Parts(route("a", None, "openai", "azure", "sim", strategy="least-busy"), upstreams=Busy(None, None, None))
    assert names(parts.choose()) == ["azure", "sim", "openai", "openai"]


def test_what_is_left_out_comes_last_and_the_decision_says_so():
    parts = Parts(route("a", None, "azure", "sim"))
    azure = parts.choose().targets[0]
    for _ in range(5):
        parts.upstreams.breakers.failed(azure)
    choice = parts.choose()
    assert names(choice) == ["sim", "azure"]
    assert told(choice)[0][2].endswith("azure (credential 1) is left out for 5 s after 5 failures")


# Copies

MIRRORED = RouteRule("eval", None, (), mirror=Mirror(Aim("azure", "gpt-4o-eu"), 1.0, "mirror:eval"))


def test_a_copy_goes_with_the_operators_own_credential_whatever_the_caller_brought():
    theirs = ((b"authorization", b"Bearer sk-" + b"theirs"),)
    choice = Parts(MIRRORED).choose(identity=BROUGHT, headers=theirs)
    assert names(choice) == ["openai"]
    assert [(one.upstream.name, one.credential.value, one.credential.alone, one.model) for one in choice.copies] == [
        ("azure", "z", True, "gpt-4o-eu")
    ]
    assert told(choice) == [("eval", True, "stays at openai; a copy goes to azure/gpt-4o-eu")]


def test_only_the_share_is_copied():
    parts = Parts(RouteRule("eval", None, (), mirror=Mirror(Aim("azure"), 0.1, "mirror:eval")))
    copied = sum(parts.choose().mirror is not None for _ in range(2_000))
    assert copied / 2_000 == pytest.approx(0.1, abs=0.03)


def test_a_call_that_cannot_be_copied_says_why():
    body = b'{"model":"claude-x","messages":[]}'
    assert (
        "no copy: azure/gpt-4o-eu does not speak Anthropic's API"
        in told(Parts(MIRRORED).choose(body, target=b"/v1/messages"))[0][2]
    )
    assert "no copy to azure/gpt-4o-eu: its body is too long to keep" in told(Parts(MIRRORED).choose(b"--x", whole=False))[0][2]


# Bounds


def test_decisions_are_bounded_and_the_match_is_always_there():
    rules = [route(f"r{number}", 'model == "no"', "azure") for number in range(200)]
    choice = Parts(*rules, route("last", None, "sim")).choose()
    assert len(choice.decisions) == 32
    assert told(choice)[-2:] == [("…", False, "170 more routes do not match either"), ("last", True, "goes to sim")]
    assert len(msgspec.msgpack.encode(choice.decisions)) < 4_096


def test_what_is_remembered_of_callers_texts_is_short():
    parts = Parts(route("a", 'service_tier == "flex" || model == "o3"', "sim"))
    body = CHAT.replace(b'"model"', b'"service_tier":"%b","model"' % (b"x" * 10**6))
    assert names(parts.choose(body)) == ["openai", "openai"]
    (values,) = parts.choosing._rules.routes[0]._said
    assert max(map(len, values)) == LONGEST_TEXT


def test_only_so_many_times_are_remembered_whatever_models_callers_name():
    clock = Seconds()
    times = FirstBytes(Random(1), clock)
    for number in range(MOST_TIMES + 1):
        clock.now += 0.01
        times.answered(("openai", f"model {number}", False), 1.0)
    assert [times.of(("openai", f"model {number}", False)) for number in (0, 1, MOST_TIMES)] == [None, 1.0, 1.0]


@pytest.mark.parametrize(
    ("target", "body", "streams"),
    [
        (NATIVE.replace(b":generate", b":streamGenerate"), b'{"contents":[]}', "true"),
        (NATIVE, b'{"contents":[]}', "false"),
        (b"/v1/chat/completions", CHAT, "false"),
        (b"/v1/chat/completions", b"--form", "null"),
    ],
)
def test_whether_a_stream_is_asked_for_is_known_as_the_recorder_knows_it(target, body, streams):
    choice = Parts(route("a", f'upstream != "" && stream == {streams}', "sim")).choose(body, target=target)
    assert names(choice) == ["sim"]
