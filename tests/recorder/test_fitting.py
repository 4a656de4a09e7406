"""What one destination may have of a call. Token-shaped strings are put together here, so that no scanner takes them for real ones."""

import copy
import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.calls import CallError, ToolCall
from domain.decisions import Decision
from domain.exchange import Attempt, Labels
from domain.spans import Content
from recorder.fitting import LONGEST_RAW, fitted, fitted_extra
from recorder.profiles import DEFAULT, KINDS, Redaction
from recorder.spans import record_of
from tests.destinations.fixture import fixture_content, fixture_span
from tests.recorder.test_redaction import ALL, KEY, TEXTS, VALUES
from tests.recorder.test_spans import CALL, exchange

CARD = "4111 1111 1111 1111"
MAIL = "x@y.org"


def span(**changes):
    return replace(fixture_span(), **changes)


def content(given=None, answered=None, **changes):
    request, response = (b"" if value is None else json.dumps(value).encode() for value in (given, answered))
    return replace(Content(request=request, response=response, input=given, output=answered), **changes)


def test_a_call_with_nothing_to_hide_goes_as_it_is():
    one, bodies = fixture_span(), fixture_content()
    assert fitted(one, bodies, mode="full", profile=DEFAULT) == (one, bodies)
    assert fitted(one, bodies, mode="full", profile=DEFAULT)[1] is bodies


def test_without_a_profile_everything_goes_as_it_is():
    one, bodies = span(), content({"a": CARD})
    assert fitted(one, bodies, mode="full", profile=()) == (one, bodies)


def test_only_the_kinds_of_the_profile_are_masked():
    one, bodies = fitted(span(), content({"a": f"{CARD} {MAIL}"}, {"b": MAIL}), mode="full", profile=DEFAULT)
    assert bodies.input == {"a": f"[card] {MAIL}"}
    assert bodies.request == b'{"a":"[card] x@y.org"}'
    assert bodies.response == b'{"b": "x@y.org"}'
    assert one.content == "redacted"
    assert one.notes[-1] == "redacted: 1 card (0.98)"


@pytest.mark.parametrize(
    "given",
    [
        {"a": {"b": [{"c": MAIL}]}},
        {MAIL: 1},
        {"a": 4111111111111111},
        {"password": "x"},
        {"a": "w " * 2000 + MAIL},
        [[[[f"a {KEY}"]]]],
        {"a": '{"b":"' + MAIL + '"}'},
        {"a": f'data:image/png;base64,{"iVBORw0K" * 500}", {MAIL}'},
        {"a": f"\ud800\0{MAIL}"},
    ],
)
def test_it_is_found_wherever_it_stands(given):
    for bodies in (content(given), content(None, given)):
        _, masked = fitted(span(), bodies, mode="full", profile=("gdpr",))
        everything = repr(masked)
        assert MAIL not in everything
        assert KEY not in everything
        assert "4111111111111111" not in everything
        assert masked != bodies


def test_what_is_nested_too_deeply_is_cut():
    value = MAIL
    for _ in range(500):
        value = [value]
    one, masked = fitted(span(), content(None, None, input=value), mode="full", profile=("gdpr",))
    assert MAIL not in repr(masked)
    assert one.notes[-1] == "redacted: 1 too deep"


def test_every_text_of_the_span_is_redacted():
    one = span(
        path=f"/v1/x?mail={MAIL}",
        error=CallError("t", "c", f"no {MAIL}"),
        attempts=(Attempt("a", "1", 0, error=f"for {MAIL}"), Attempt("a", "1", 0)),
        tool_calls=(ToolCall("t", "send", f'{{"to":"{MAIL}"}}'),),
        decisions=(Decision("r", True, f'user is "{MAIL}"'),),
        params={"gen_ai.request.stop_sequences": [MAIL]},
        labels=Labels(session=MAIL, run=MAIL, section=MAIL, customer=MAIL, user=MAIL, prompt=MAIL, tags={"t": MAIL}),
    )
    fit, none = fitted(one, None, mode="full", profile=("pii",))
    assert none is None
    assert MAIL not in repr(fit)
    assert fit.content == one.content
    assert fitted(one, None, mode="full", profile=DEFAULT)[0] is one


def test_headers_are_redacted():
    _, masked = fitted(
        span(), content(request_headers=(("x-for", MAIL),), response_headers=(("y", MAIL),)), mode="full", profile=("pii",)
    )
    assert (masked.request_headers, masked.response_headers) == ((("x-for", "[email]"),), (("y", "[email]"),))


def test_labels_are_hashed_so_that_calls_stay_together():
    def said(user, key):
        return fitted(span(labels=Labels(user=user)), None, mode="full", profile=("pii",), key=key)[0].labels.user

    assert said("a@y.org", b"k") == said("a@y.org", b"k") != said("b@y.org", b"k")
    assert said("a@y.org", b"k") != said("a@y.org", b"l")
    assert said("a@y.org", b"") == "[email]"
    assert said("user-1", b"k") == "user-1"


def test_fields_that_rules_set_are_hashed_like_the_labels_that_they_are_made_of():
    labels = fitted(span(labels=Labels(user="a@y.org")), None, mode="full", profile=("pii",), key=b"k")[0].labels
    given = {"who": "a@y.org", "all": ["a@y.org", 7], "team": "a"}
    assert fitted_extra(given, mode="full", profile=("pii",), key=b"k") == {
        "who": labels.user,
        "all": [labels.user, 7],
        "team": "a",
    }
    assert fitted_extra(given, mode="redacted", profile=(), key=b"k")["who"] == labels.user
    assert fitted_extra(given, mode="none", profile=(), key=b"k")["who"] == labels.user
    assert fitted_extra(given, mode="full", profile=()) == given == {"who": "a@y.org", "all": ["a@y.org", 7], "team": "a"}


def test_without_content_there_are_no_bodies_no_arguments_and_no_secrets_in_our_errors():
    denied = {"outcome": "denied", "error": CallError(None, None, f"bad key {KEY}, {MAIL}")}
    one = span(tool_calls=(ToolCall("t", "n", CARD),), **denied)
    fit, none = fitted(one, content({"a": 1}), mode="none", profile=())
    assert none is None
    assert fit.content == "none"
    assert fit.tool_calls == (ToolCall("t", "n", ""),)
    assert fit.error.message == "bad key [api_key], [email]"


def test_redacted_has_none_of_all_kinds_and_bodies_written_anew():
    raw = b'data: {"a":"x@y."}\n\ndata: {"a":"org"}\n\n'
    one, masked = fitted(span(), content({"a": MAIL}, {"b": CARD}, response=raw), mode="redacted", profile=())
    assert masked.response == b'{"b":"[card]"}'
    assert one.content == "redacted"
    assert one.notes[-1] == "redacted: 1 card (0.98), 1 email (0.97)"
    assert fitted(span(), content({"a": 1}), mode="redacted", profile=())[0].notes[-1] == "redacted: nothing found"


def test_strict_hashes_who_called_and_writes_bodies_anew():
    one = span(labels=Labels(user="user-1", customer="acme", session="s"))
    fit, masked = fitted(one, content({"a": 1}), mode="full", profile=("strict",), key=b"k")
    assert fit.labels.user.startswith("[user:")
    assert fit.labels.customer.startswith("[customer:")
    assert fit.labels.session == "s"
    assert masked.request == b'{"a":1}'
    assert fitted(fit, masked, mode="full", profile=("strict",), key=b"k") == (fit, masked)
    assert fitted(one, None, mode="full", profile=("strict",))[0].labels.user == "[user]"


def test_where_all_is_strict_who_called_is_not_in_reasons_or_fields_that_rules_set():
    who = Labels(user="user-1", customer="a.c+me", session="s")
    one = span(labels=who, decisions=(Decision("r", True, 'customer is "a.c+me", user is "user-10"'),))
    for mode, profile in (("full", ("strict",)), ("none", ("strict",))):
        fit, _ = fitted(one, None, mode=mode, profile=profile, key=b"k")
        assert fit.decisions[0].why == f'customer is "{fit.labels.customer}", user is "user-10"'
        extra = {"by": "user-1", "both": ["user-1 of a.c+me", 3, {"user-1": None}]}
        assert fitted_extra(extra, mode=mode, profile=profile, key=b"k", labels=who) == {
            "by": fit.labels.user,
            "both": [f"{fit.labels.user} of {fit.labels.customer}", 3, {fit.labels.user: None}],
        }
    assert fitted(one, None, mode="full", profile=("gdpr",), key=b"k")[0] is one


def test_the_operators_actions_hold_for_destinations():
    policy = Redaction(actions={"card": "keep", "email": "drop"})
    _, masked = fitted(span(), content({"a": f"{CARD} {MAIL}"}), mode="redacted", profile=(), policy=policy)
    assert masked.input == {"a": f"{CARD} []"}


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b"plain x@y.org", b"plain [email]"),
        (b"data: x@y.org\n\n", b"data: [email]\n\n"),
        (b"\xff\xfe x@y.org \xe9", b"\xff\xfe [email] \xe9"),
        (b"\xff\xfe nothing", b"\xff\xfe nothing"),
        (b"a" * (LONGEST_RAW + 1) + b" x@y.org", b""),
    ],
)
def test_a_body_that_could_not_be_read_is_redacted_as_a_text(raw, left):
    header = (("x", MAIL),)
    _, masked = fitted(span(), Content(request=raw, request_headers=header), mode="full", profile=("pii",))
    assert masked.request == left


def test_capture_leaves_labels_alone_unless_it_is_strict():
    call = replace(CALL, body_labels={"user": MAIL})
    one, _ = record_of(exchange(capture="redacted"), call)
    assert one.labels.user == MAIL
    strict, _ = record_of(exchange(capture="redacted"), call, redaction=Redaction(kinds=("strict",)), key=b"k")
    assert strict.labels.user.startswith("[user:")


ACTIONS = [Redaction(), Redaction(actions=dict.fromkeys(KINDS, "hash")), Redaction(actions=dict.fromkeys(KINDS, "drop"))]
PROFILES = [DEFAULT, ("gdpr",), ("strict",), ("email", "card"), ("from a newer version",)]


@settings(max_examples=150, deadline=None)
@given(
    VALUES,
    VALUES,
    TEXTS,
    st.tuples(st.sampled_from(["full", "redacted", "none"]), st.sampled_from(PROFILES), st.sampled_from(ACTIONS)),
)
def test_fitting_twice_is_fitting_once_and_nothing_given_is_changed(given, answered, text, terms):
    mode, profile, policy = terms
    one = span(
        error=CallError(None, None, text), tool_calls=(ToolCall("t", "n", text),), labels=Labels(user=text, tags={"t": text})
    )
    bodies = Content(request=text.encode("utf-8", "replace"), input=given, output=answered, request_headers=(("x", text),))
    before = repr(copy.deepcopy((one, bodies)))
    once = fitted(one, bodies, mode=mode, profile=profile, key=b"k", policy=policy)
    assert repr((one, bodies)) == before
    assert repr(fitted(*once, mode=mode, profile=profile, key=b"k", policy=policy)) == repr(once)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_what_goes_as_it_is_has_nothing_in_it_that_a_closer_look_would_find(value):
    bodies = Content(input=value)
    if fitted(span(), bodies, mode="full", profile=("gdpr",))[1] is bodies:
        counts = Counter()
        assert repr(ALL.value(value, counts)) == repr(value)
        assert not counts
