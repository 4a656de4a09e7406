"""Rules: who hears of a call, and with what."""

import math
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.deliveries import Owed
from domain.events import Event
from domain.exchange import Labels
from routing.extras import LONGEST_TEXT, MOST_MEMBERS
from routing.rules import MOST_DECISIONS, RuleValue, SpanRules, WrongRules
from routing.sampling import chosen, share_of
from tests.routing.test_where import SPAN

TAKES = {"langsmith": "spans", "langfuse": "spans", "bucket": "spans", "hook": "both", "slack": "events"}
EVENT = Event("e1", "budget.warning", 1, "warning", "key:ci", "80 % of key:ci is spent")


def rule(name="r", **said):
    return RuleValue(name, **said)


def decided(*rules, span=SPAN):
    return SpanRules(rules, TAKES).decide(span)


def owed_to(*rules, span=SPAN):
    return {one.destination: one for one in decided(*rules, span=span).owed}


def in_session(name, **changes):
    return replace(SPAN, labels=replace(SPAN.labels, session=name), **changes)


def test_every_rule_that_matches_counts_and_each_destination_gets_the_call_once():
    ruling = decided(
        rule("a", send_to=("langfuse", "bucket")),
        rule("b", when="status == 200", send_to=("langfuse",)),
        rule("c", when="status == 500", send_to=("hook",)),
    )
    assert [(one.rule, one.matched, one.why) for one in ruling.decisions] == [
        ("a", True, "every call"),
        ("b", True, "matches"),
        ("c", False, "does not match"),
    ]
    assert [one.destination for one in ruling.owed] == ["langfuse", "bucket"]


def test_without_rules_about_calls_every_call_goes_to_every_destination_that_takes_calls():
    everything = ["langsmith", "langfuse", "bucket", "hook"]
    assert [one.destination for one in decided().owed] == everything
    assert decided().decisions[0].rule == "everything"
    assert [one.destination for one in decided(rule(events=("*",), send_to=("hook",))).owed] == everything
    assert decided(rule(send_to=("hook",), enabled=False)).owed == ()
    assert SpanRules([], {}).decide(SPAN).decisions == ()


@pytest.mark.parametrize(
    ("when", "why"),
    [
        ('tags.nothing == "x"', "there is no tag 'nothing'"),
        ("reasoning_tokens > 5 && cost_usd > 5.0", "does not match"),
        ('customer.startsWith("a")', "customer is not known"),
        ("status / (status - 200) > 1", "the expression cannot be evaluated on this call"),
    ],
)
def test_a_rule_that_does_not_match_says_why(when, why):
    [decision] = decided(rule(when=when, send_to=("hook",))).decisions
    assert (decision.matched, decision.why, decision.kind) == (False, why, "rule")


def test_the_first_matching_rule_that_says_something_of_a_destination_decides_it():
    rules = (
        rule("silent", send_to=("langfuse", "bucket")),
        rule("private", when='tags.team == "search"', content="none"),
        rule("later", send_to=("langfuse",), content="full", redact=("secrets",), otherwise="bucket"),
        rule("last", send_to=("langfuse", "bucket"), redact=(), otherwise="langsmith"),
    )
    assert owed_to(*rules) == {
        "langfuse": Owed("langfuse", content="none", redact=("secrets",), otherwise="bucket"),
        "bucket": Owed("bucket", content="none", redact=(), otherwise="langsmith"),
    }
    elsewhere = replace(SPAN, labels=Labels(tags={"team": "ads"}))
    assert owed_to(*rules, span=elsewhere)["langfuse"].content == "full"
    assert owed_to(*rules, span=elsewhere)["bucket"].content is None


def test_nobody_is_the_otherwise_of_himself():
    owed = owed_to(rule("a", send_to=("langfuse",), otherwise="bucket"), rule("b", send_to=("bucket",)))
    assert (owed["langfuse"].otherwise, owed["bucket"].otherwise) == ("bucket", None)


def test_of_a_split_one_may_be_the_otherwise_of_the_others():
    owed = SpanRules([rule("ab", split={"langfuse": 1, "bucket": 1}, otherwise="bucket")], TAKES)
    assert owed.terms(SPAN, "langfuse") == Owed("langfuse", otherwise="bucket")
    assert owed.terms(SPAN, "bucket") == Owed("bucket")


def test_fields_are_put_together_and_of_one_name_the_first_stays():
    owed = owed_to(
        rule("a", send_to=("langfuse",), set={"team": "tags.team", "dear": "cost_usd > 0.0001"}),
        rule("b", set={"team": '"other"', "unit": '"eu"'}),
        rule("c", send_to=("bucket",), set={"only": "[model, served_model]"}),
    )
    assert owed["langfuse"].extra == {"team": "search", "dear": True, "unit": "eu"}
    assert owed["bucket"].extra == {"team": "other", "unit": "eu", "only": ["gpt-4o-mini", "gpt-4o-mini-2024-07-18"]}


def test_a_field_that_has_no_value_is_left_out_and_said():
    ruling = decided(rule(send_to=("hook",), set={"a": "tags.nothing", "b": "customer", "c": '{"deep": [1]}', "d": "1"}))
    assert ruling.owed[0].extra == {"d": 1}
    [decision] = ruling.decisions
    assert decision.why == (
        "every call; a is not set: there is no tag 'nothing'; b is not set: it is not known; c is not set: a field cannot be list"
    )


def test_fields_are_plain_and_bounded():
    long = replace(SPAN, path="x" * 5_000)
    ones = ",".join(["1"] * 200)
    found = owed_to(
        rule(
            send_to=("hook",),
            set={
                "text": "path",
                "list": f"[{ones}]",
                "at": "started_at",
                "span": 'duration("90s")',
                "map": "tags",
                "huge": "1e300",
            },
        ),
        span=long,
    )["hook"].extra
    assert len(found["text"]) == LONGEST_TEXT
    assert len(found["list"]) == MOST_MEMBERS
    assert found["at"] == "2026-01-01T00:00:00Z"
    assert found["span"] == 90.0
    assert found["map"] == {"team": "search", "odd key": "1"}
    assert "huge" not in found


def test_what_is_dropped_is_told_to_nobody_whatever_other_rules_say():
    ruling = decided(
        rule("all", send_to=("langfuse",)),
        rule("tests", when='tags.team == "search"', drop=True),
        rule("none", when="status == 500", send_to=("hook",)),
    )
    assert ruling.owed == ()
    assert [(one.matched, one.why) for one in ruling.decisions] == [
        (True, "every call, but the rule 'tests' drops the call"),
        (True, "matches: told to nobody"),
        (False, "does not match"),
    ]


def test_what_always_names_is_kept_in_full_beside_a_sample():
    taste = rule("taste", send_to=("langfuse",), sample=0.001, always='outcome != "ok" || cost_usd > 0.05')
    rules = SpanRules([taste], TAKES)
    dear = rules.decide(replace(SPAN, cost=10**12))
    assert dear.owed
    assert dear.decisions[0].why == "every call, and `always` keeps it beside the sample of 0.001 by session"
    [cheap] = rules.decide(SPAN).decisions
    assert (cheap.matched, cheap.why) == (False, "sampled out: 0.001 by session")
    unknown = rules.decide(replace(SPAN, cost=None))
    assert not unknown.owed


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_a_sample_hits_its_rate(rate):
    """Of 10,000 sessions, the share is within five standard deviations: a right sample fails this once in 1.7 million runs, if ids were drawn anew."""
    rules = SpanRules([rule("taste", send_to=("langfuse",), sample=rate)], TAKES)
    kept = sum(bool(rules.decide(in_session(f"session-{number}")).owed) for number in range(10_000))
    assert abs(kept / 10_000 - rate) < 5 * math.sqrt(rate * (1 - rate) / 10_000)


def test_a_split_hits_its_shares_and_each_call_goes_to_one():
    rules = SpanRules([rule("ab", split={"langfuse": 90, "langsmith": 10})], TAKES)
    told = [rules.decide(in_session(f"session-{number}")).owed for number in range(10_000)]
    assert all(len(owed) == 1 for owed in told)
    share = sum(owed[0].destination == "langsmith" for owed in told) / 10_000
    assert abs(share - 0.1) < 5 * math.sqrt(0.1 * 0.9 / 10_000)


def test_samples_of_different_rules_and_a_split_within_a_sample_have_nothing_to_do_with_each_other():
    rules = SpanRules(
        [
            rule("a", send_to=("hook",), sample=0.5),
            rule("b", send_to=("bucket",), sample=0.5),
            rule("c", split={"langfuse": 1, "langsmith": 1}, sample=0.5),
        ],
        TAKES,
    )
    told = [{one.destination for one in rules.decide(in_session(f"s{number}")).owed} for number in range(4_000)]
    five_deviations = 5 * math.sqrt(0.25 * 0.75 / 4_000)
    for pair in ({"hook", "bucket"}, {"hook", "langfuse"}, {"bucket", "langsmith"}):
        expected = 0.25 if pair == {"hook", "bucket"} else 0.125
        assert abs(sum(pair <= one for one in told) / 4_000 - expected) < five_deviations


ids = st.text(min_size=1, max_size=40)
rates = st.floats(min_value=0.001, max_value=1)


@settings(max_examples=100, deadline=None)
@given(ids, rates, st.sampled_from(["session", "trace", "call"]))
def test_a_session_or_trace_is_whole_or_absent(session, rate, by):
    rules = SpanRules([rule("taste", send_to=("langfuse",), sample=rate, sample_by=by)], TAKES)
    calls = [in_session(session, id=f"{number:032x}", trace_id="t" if by == "trace" else f"t{number}") for number in range(20)]
    kept = {bool(rules.decide(call).owed) for call in calls}
    assert by == "call" or len(kept) == 1


@settings(max_examples=100, deadline=None)
@given(ids, rates, rates)
def test_a_sample_is_deterministic_and_a_larger_one_holds_the_smaller(session, one, other):
    low, high = sorted((one, other))
    kept = [
        bool(SpanRules([rule("taste", send_to=("langfuse",), sample=rate)], TAKES).decide(in_session(session)).owed)
        for rate in (low, low, high)
    ]
    assert kept[0] == kept[1]
    assert kept[2] or not kept[0]


@settings(max_examples=100, deadline=None)
@given(ids)
def test_without_a_session_the_trace_is_whole(trace):
    rules = SpanRules([rule("taste", send_to=("langfuse",), sample=0.5), rule("ab", split={"langsmith": 1, "bucket": 1})], TAKES)
    calls = [replace(SPAN, id=f"{number:032x}", trace_id=trace, labels=Labels()) for number in range(10)]
    assert len({tuple(one.destination for one in rules.decide(call).owed) for call in calls}) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["langfuse", "bucket", "hook"]), min_size=1, max_size=6), st.integers(0, 6))
def test_drop_wins_wherever_it_stands(names, place):
    rules = [rule(f"r{number}", send_to=(name,)) for number, name in enumerate(names)]
    rules.insert(min(place, len(rules)), rule("drop", when="status == 200", drop=True))
    assert decided(*rules).owed == ()
    assert len(decided(*rules, span=replace(SPAN, status=201)).owed) == len(set(names))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), st.floats(0.001, 1e6), min_size=1), ids)
def test_a_share_falls_to_one_of_the_named(weights, unit):
    assert chosen(weights, share_of("salt", unit)) in weights


def test_shares_are_the_same_on_every_machine():
    assert share_of("taste", "s1") == pytest.approx(0.88745456, abs=1e-8)
    assert share_of("taste|split", "s1") != share_of("taste", "s1")
    assert 0 <= share_of("\ud800", "\ud800") < 1


def test_terms_are_those_of_rules_whose_sample_left_the_call_out():
    rules = SpanRules(
        [
            rule("taste", send_to=("langfuse",), sample=0.001, content="redacted", set={"team": "tags.team"}),
            rule("ab", split={"langsmith": 1, "bucket": 1}),
            rule("never", when="status == 500", send_to=("hook",)),
        ],
        TAKES,
    )
    assert rules.terms(SPAN, "langfuse") == Owed("langfuse", content="redacted", extra={"team": "search"})
    assert rules.terms(SPAN, "langsmith") == Owed("langsmith")
    assert rules.terms(SPAN, "bucket") == Owed("bucket")
    assert rules.terms(SPAN, "hook") is None
    assert SpanRules([rule("d", drop=True), rule("a", send_to=("hook",))], TAKES).terms(SPAN, "hook") is None


def test_what_somebody_asks_for_goes_on_the_terms_of_rules_that_name_no_destination_and_never_where_it_is_dropped():
    private = rule("private", when='tags.team == "search"', content="none", set={"team": "tags.team"})
    rules = SpanRules([private, rule("drop", when='customer == "acme"', drop=True), rule("a", send_to=("hook",))], TAKES)
    assert rules.terms(SPAN, "bucket") is None
    assert rules.terms(SPAN, "bucket", asked=True) == Owed("bucket", content="none", extra={"team": "search"})
    assert rules.terms(replace(SPAN, labels=Labels(customer="acme")), "bucket", asked=True) is None


def test_what_rules_know_of_a_call_can_be_shown():
    rules = SpanRules(
        [
            rule(
                "a",
                when='started_at > timestamp("2025-01-01T00:00:00Z") && tags.team == "x" && customer == null',
                send_to=("hook",),
            )
        ],
        TAKES,
    )
    assert rules.known(SPAN) == {"customer": None, "started_at": "2026-01-01T00:00:00Z", "tags": {"team": "search"}}


def test_events_go_where_rules_about_events_say():
    rules = SpanRules(
        [
            rule("money", events=("budget.*",), send_to=("slack",), otherwise="hook"),
            rule("more money", events=("budget.*",), send_to=("hook", "slack")),
            rule("errors", events=("*",), when='severity == "error"', send_to=("slack",)),
            rule("noise", events=("destination.*",), when='subject == "sandbox"', drop=True),
            rule("calls", send_to=("hook",)),
        ],
        TAKES,
    )
    assert rules.for_event(EVENT) == [Owed("slack", otherwise="hook"), Owed("hook")]
    assert rules.for_event(replace(EVENT, type="deliveries.dead")) == []
    assert rules.for_event(replace(EVENT, type="destination.failing", severity="error")) == [Owed("slack")]
    assert rules.for_event(replace(EVENT, type="destination.failing", severity="error", subject="sandbox")) == []
    assert [one.rule for one in rules.decide(SPAN).decisions] == ["calls"]


def test_without_rules_about_events_each_goes_to_whatever_takes_events():
    assert SpanRules([rule("calls", send_to=("hook",))], TAKES).for_event(EVENT) == [Owed("hook"), Owed("slack")]
    assert SpanRules([], {"langfuse": "spans"}).for_event(EVENT) == []
    assert SpanRules([rule("off", events=("*",), send_to=("slack",), enabled=False)], TAKES).for_event(EVENT) == []


def test_a_channel_for_people_gets_a_call_only_where_a_rule_says_so():
    takes = {"langfuse": "spans", "slack": "both"}
    rules = SpanRules([], takes, channels={"slack"})
    assert [one.destination for one in rules.decide(SPAN).owed] == ["langfuse"]
    assert [one.destination for one in rules.for_event(EVENT)] == ["slack"]
    told = SpanRules([rule(when='outcome == "ok"', send_to=("slack",))], takes, channels={"slack"})
    assert [one.destination for one in told.decide(SPAN).owed] == ["slack"]
    assert SpanRules([], {"slack": "both"}, channels={"slack"}).decide(SPAN).owed == ()


def test_the_decisions_of_very_many_rules_are_bounded_and_those_that_match_stay():
    rules = [rule(f"r{number}", when=f"status == {number}", send_to=("hook",)) for number in range(150)]
    decisions = decided(*rules, rule("last", send_to=("hook",))).decisions
    assert len(decisions) == MOST_DECISIONS
    assert decisions[-1].why == "88 more rules are not listed"
    assert [one.rule for one in decisions if one.matched] == ["last"]


def test_texts_of_decisions_are_bounded():
    long = replace(SPAN, labels=Labels(user="u" * 5_000))
    [decision] = decided(rule("x" * 100, when='tags[user] == "x"', send_to=("hook",)), span=long).decisions
    assert len(decision.why) < 400


@pytest.mark.parametrize(
    ("wrong", "setting", "said"),
    [
        (rule(send_to=("langfus",)), "send_to", "did you mean langfuse?"),
        (rule(split={"langfuse": 1, "phoenix": 1}), "split", "there is no destination 'phoenix'"),
        (rule(send_to=("hook",), otherwise="buckt"), "otherwise", "did you mean bucket?"),
        (rule(send_to=("hook",), otherwise="hook"), "otherwise", "gets it in any case"),
        (rule(when="modle == 'x'", send_to=("hook",)), "when", "did you mean `model`?"),
        (rule(when='cost_usd > "1"', send_to=("hook",)), "when", "mixes types"),
        (rule(when="model", send_to=("hook",)), "when", "true or false"),
        (rule(when="x" * 3_000, send_to=("hook",)), "when", "3000 characters"),
        (rule(send_to=("hook",), sample=0.5, always="cost > 1"), "always", "did you mean `cost_usd`?"),
        (rule(send_to=("hook",), always="status == 200"), "always", "set `sample` too"),
        (rule(send_to=("hook",), set={"a": "modle"}), "set.a", "did you mean `model`?"),
        (rule(send_to=("hook",), sample=0.0001), "sample", "between 0.001 and 1"),
        (rule(send_to=("hook",), sample=float("nan")), "sample", "between 0.001 and 1"),
        (rule(split={"langfuse": 0, "hook": 1}), "split", "above 0"),
        (rule(split={"langfuse": math.inf, "hook": 1}), "split", "above 0"),
        (rule(split={"langfuse": 1}), "split", "between several"),
        (rule(), "send_to", "does nothing"),
        (rule(drop=True, send_to=("hook",)), "drop", "told to nobody"),
        (rule(content="none", otherwise="hook"), "otherwise", "set `send_to` or `split` too"),
        (rule(send_to=("slack",)), "send_to", "takes events only"),
        (rule(send_to=("langfuse",), events=("*",)), "send_to", "takes no events"),
        (rule(send_to=("slack",), events=("budget.warn",)), "events", "did you mean 'budget.warning'?"),
        (rule(send_to=("slack",), events=("*",), when="cost_usd > 1.0"), "when", "not known here"),
        (rule(send_to=("slack",), events=("*",), sample=0.5), "sample", "about calls"),
        (rule("n" * 101, send_to=("hook",)), "name", "at most 100"),
        (rule("a\nb", send_to=("hook",)), "name", "write a name"),
        (rule(send_to=("hook",), set={f"f{number}": "1" for number in range(33)}), "set", "33 fields"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_when_rules_are_read(wrong, setting, said):
    with pytest.raises(WrongRules) as raised:
        SpanRules([rule("right", send_to=("hook",)), wrong], TAKES)
    found = [problem for problem in raised.value.problems if problem.setting == setting]
    assert [problem.number for problem in found] == [1]
    assert said in found[0].message
    assert str(found[0]).startswith("rule 2 (")


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(WrongRules) as raised:
        SpanRules([rule("a", when="foo == 1", send_to=("x",)), rule("a", send_to=("hook",)), rule("b")], TAKES)
    assert [(one.number, one.setting) for one in raised.value.problems] == [
        (0, "when"),
        (0, "send_to"),
        (1, "name"),
        (2, "send_to"),
    ]
    assert len(str(raised.value).splitlines()) == 4


def test_there_is_a_bound_to_how_many_rules_there_are():
    with pytest.raises(WrongRules, match="at most 200"):
        SpanRules([rule(f"r{number}", send_to=("hook",)) for number in range(201)], TAKES)


def test_threads_may_share_rules():
    rules = SpanRules(
        [rule("a", when='tags.team == "search"', send_to=("hook",)), rule("b", when="latency_ms > 500.0", send_to=("bucket",))],
        TAKES,
    )
    wrong = []

    def ask(team, latency, expected):
        call = replace(SPAN, labels=Labels(tags={"team": team}), latency_ms=latency)
        wrong.extend(team for _ in range(300) if [one.destination for one in rules.decide(call).owed] != expected)

    threads = [
        threading.Thread(target=ask, args=arguments)
        for arguments in (("search", 1.0, ["hook"]), ("ads", 900.0, ["bucket"]), ("search", 900.0, ["hook", "bucket"]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
