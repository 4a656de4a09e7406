"""Kinds of an operator's own: words and patterns, which are redacted as what is built in."""

import time
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.calls import CallError, ToolCall
from domain.exchange import Labels
from domain.spans import Content
from recorder.fitting import fitted, fitted_extra
from recorder.profiles import DEFAULT, KINDS, OwnKind, Redaction, kinds_of, unknown_name
from recorder.recognising.own import Words
from recorder.redaction import Redactor
from recorder.spans import record_of
from tests.destinations.fixture import fixture_span
from tests.recorder.test_redaction import TEXTS
from tests.recorder.test_spans import CALL, exchange

KEY = "sk-" + "proj-" + "a1B2c3D4" * 5
CLIENTS = OwnKind("clients", ("Acme Corp", "Blue Harbor", "Müller & Söhne", "O'Neil", "東方科技", "C++ Guild", "삼성전자"))
TICKETS = OwnKind("tickets", patterns=(r"TICKET-\d{4,8}",), group="secrets")
POLICY = Redaction(own=(CLIENTS, TICKETS))


def masked(text, *words, **more):
    one = OwnKind("own", words, **more)
    return Redactor(frozenset({"own"}), {}, own=(one,)).text(text, Counter())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We met ACME corp.", "We met [clients]."),
        ("acme  \n corp, Acme\tCorp", "[clients], [clients]"),
        ("Acme-Corp AcmeCorp acmes corp", "Acme-Corp AcmeCorp acmes corp"),
        ("acme_corp acme", "acme_corp acme"),
        ("x_Acme Corp_y", "x_[clients]_y"),
        ("MÜLLER & SÖHNE", "[clients]"),
        ("Mu\u0308ller & So\u0308hne", "[clients]"),
        ("o\u2019neil and O\u2032NEIL", "[clients] and [clients]"),
        ("\uff21\uff43\uff4d\uff45 Corp, Ac\u00adme Co\u200brp", "[clients], [clients]"),
        ("我们与東方科技签约", "我们与[clients]签约"),
        ("삼성전자는 좋다", "[clients]는 좋다"),
        ("the c++ guild", "the [clients]"),
        ('{"note":"hi\\nAcme Corp\\tM\\u00fcller & S\\u00f6hne"}', '{"note":"hi\\n[clients]\\t[clients]"}'),
        ('"O\\u0027Neil"', '"[clients]"'),
        ("C:\\nacme\\tacme corp\\blue harbor", "C:\\nacme\\t[clients]\\[clients]"),
        ("Blue Harbor Blue Harbour", "[clients] Blue Harbour"),
        ("acme corp\0blue", "[clients]\0blue"),
        ("acme\0corp", "acme\0corp"),
    ],
)
def test_words_are_found_however_they_are_written_and_never_within_others(text, expected):
    assert Redactor(frozenset({"clients"}), {}, own=(CLIENTS,)).text(text, Counter()) == expected


def test_words_may_be_found_within_others_and_capitals_may_count():
    assert masked("AcmeCorp is acme_corp's", "acme", whole_words=False) == "[own]Corp is [own]_corp's"
    assert masked("x Ação Y", "çã", whole_words=False) == "x A[own]o Y"
    assert masked("Acme acme ACME", "Acme", match_case=True) == "[own] acme ACME"
    assert masked("Äcme äcme", "Äcme", match_case=True) == "[own] äcme"


def test_of_words_that_overlap_all_is_taken():
    assert masked("the Acme Corp Bank of X", "Acme Corp", "Corp Bank", "Acme") == "the [own] of X"


def test_a_kind_that_is_built_in_comes_before_an_own_one():
    counts = Counter()
    both = Redactor(frozenset({"email", "clients"}), {}, own=(replace(CLIENTS, words=("acme",)),))
    assert both.text("joe@acme.com of acme", counts) == "[email] of [clients]"
    assert both.summary(counts) == "redacted: 1 clients (1.00), 1 email (0.97)"


def test_own_kinds_are_masked_hashed_dropped_or_kept():
    def said(action, text="ACME  corp and Acme Corp"):
        return Redactor(frozenset({"clients"}), {"clients": action}, b"k", own=(CLIENTS,)).text(text, Counter())

    first, second = said("hash").split(" and ")
    assert first == second
    assert first.startswith("[clients:")
    assert said("hash", first) == first
    assert said("hash", "Blue Harbor") != first
    assert (said("mask"), said("drop"), said("keep")) == ("[clients] and [clients]", "[] and []", "ACME  corp and Acme Corp")


def test_profiles_have_the_kinds_whose_group_they_are():
    groups = POLICY.groups()
    assert kinds_of(["secrets"], groups) - set(KINDS) == {"tickets"}
    assert kinds_of(["pii"], groups) - set(KINDS) == {"clients"}
    assert kinds_of(["gdpr"], groups) == kinds_of(["strict"], groups) == {*KINDS, "clients", "tickets"}
    assert kinds_of(["clients"], groups) == {"clients"}
    assert kinds_of(["national_id"], {"passport": "national_id"}) - kinds_of(["national_id"]) == {"passport"}
    assert kinds_of(["taken out of the settings"], groups) == {*KINDS, "clients", "tickets"}
    assert unknown_name(["clients", "card"], groups) is None
    assert "did you mean 'clients'" in unknown_name(["client"], groups)


def a_call():
    one = replace(
        fixture_span(),
        error=CallError(None, None, "for acme corp"),
        tool_calls=(ToolCall("t", "n", '{"who":"\\u0041cme Corp"}'),),
        labels=Labels(customer="Acme Corp", tags={"t": "blue harbor"}),
        params={"stop_sequences": ["Acme Corp:"]},
        path="/v1/chat?for=TICKET-12345",
    )
    return one, Content(
        request=b"for Acme Corp", input={"Acme Corp": ["see ticket-12345", {"a": "Acme Corp"}]}, output="Blue Harbor"
    )


def test_a_destination_gets_none_of_the_kinds_that_it_names():
    span, content = a_call()
    fit, bodies = fitted(span, content, mode="full", profile=("clients",), key=b"k", policy=POLICY)
    everything = (repr(fit) + repr(bodies)).lower()
    assert "acme" not in everything
    assert "harbor" not in everything
    assert bodies.input == {"[clients]": ["see ticket-12345", {"a": "[clients]"}]}
    assert fit.labels.customer.startswith("[clients:")
    assert fit.notes[-1] == "redacted: 8 clients (1.00)"
    assert fitted(fit, bodies, mode="full", profile=("clients",), key=b"k", policy=POLICY) == (fit, bodies)
    assert (
        fitted_extra({"who": "Acme Corp"}, mode="full", profile=("clients",), key=b"k", policy=POLICY)["who"]
        == fit.labels.customer
    )


def test_what_destinations_never_get_has_own_kinds_that_are_secrets():
    span, content = a_call()
    fit, bodies = fitted(span, content, mode="full", profile=DEFAULT, policy=POLICY)
    assert bodies.input["Acme Corp"][0] == "see [tickets]"
    assert fit.path == "/v1/chat?for=[tickets]"


def test_what_is_kept_redacted_has_no_own_kind():
    call = replace(CALL, input={"a": "Acme Corp, TICKET-1234"}, output=f"{KEY} Blue Harbor")
    span, content = record_of(exchange(capture="redacted", request=b"Acme Corp"), call, redaction=POLICY)
    assert (content.input, content.output) == ({"a": "[clients], [tickets]"}, "[api_key] [clients]")
    assert "redacted: 1 api_key (0.98), 2 clients (1.00), 1 tickets (1.00)" in span.notes


OWN = (
    OwnKind("own", ("acme", "blue harbor", "ümlaut", "a b"), (r"[a-c]\d{2,3}", "x.{2,5}y")),
    OwnKind("within", ("rb",), whole_words=False),
)
REDACTORS = [
    Redactor(frozenset({*KINDS, "own", "within"}), dict.fromkeys((*KINDS, "own", "within"), action), b"k", own=OWN)
    for action in ("mask", "hash", "drop")
]
OWN_TEXTS = st.lists(
    st.one_of(TEXTS, st.sampled_from(["acme", "ACME", " ", "blue  harbor", "\\n", "Ümlaut", "a12", "x[email]y", "x", "y", "[own]", "[within:0123456789ab]", "rb", "\0", "a b"])),
    max_size=10,
).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(OWN_TEXTS, st.sampled_from(REDACTORS))
def test_redacting_twice_is_redacting_once(text, redacting):
    once = redacting.text(text, Counter())
    counts = Counter()
    assert redacting.text(once, counts) == once
    assert not counts


@settings(max_examples=200, deadline=None)
@given(st.lists(OWN_TEXTS, max_size=4))
def test_what_is_found_in_a_text_is_found_in_many_joined(texts):
    assert REDACTORS[0].finds("\0".join(texts)) >= any(REDACTORS[0].finds(text) for text in texts)


def many_words(count):
    return tuple(f"{chr(97 + number % 26)}{number:x} name{number % 100}" for number in range(count))


@pytest.mark.parametrize("whole_words", [True, False])
def test_ten_thousand_words_take_as_long_as_ten(whole_words):
    text = "The quick brown fox jumps over a lazy dog; nobody knew why. ñ " * 300

    def took(count):
        words = Words("own", many_words(count), whole_words=whole_words)
        begun = time.process_time()
        assert not list(words.find(text))
        return time.process_time() - begun

    few, many = min(took(10) for _ in range(3)), min(took(10_000) for _ in range(3))
    assert many < 5 * few + 0.02


@pytest.mark.parametrize("part", ["a", "a ", "ab ", "a\\n", "a\u0301", "\\u00e9", "株", "a\u200b", " ", "_", "\\"])
@pytest.mark.parametrize("whole_words", [True, False])
def test_hostile_texts_take_linear_time(part, whole_words):
    words = Words(
        "own", ("a " * 60 + "b", "a" * 150 + "b", "ab " * 40 + "c", "株" * 100 + "式", "é" * 50), whole_words=whole_words
    )

    def took(length):
        text = part * (length // len(part))
        begun = time.process_time()
        list(words.find(text))
        return time.process_time() - begun

    # As in test_redaction: what is quadratic takes 16 times as long.
    small, large = min(took(2_000) for _ in range(3)), min(took(8_000) for _ in range(3))
    assert large < 9 * small + 0.02
