"""Patterns of operators: what is allowed means what it means to Python, and what could take long is refused with what to do."""

import re
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.own_patterns import LONGEST_MATCH, MOST_STEPS, Unfit, own_pattern

ALLOWED = [
    (r"TICKET-\d{4,8}", "see ticket-12345 and TICKET-123", ["ticket-12345"]),
    (r"\b[A-Z]{2,5}\d{4}\b", "ab1234 XABC1234 ABCDEF1234", ["ab1234", "XABC1234"]),
    (r"(prod|production)-\d{1,6}(-\d{1,3})?", "production-12 prod-1-2", ["production-12", "prod-1-2"]),
    (r"https?://[\w.-]{1,100}\.internal", "at http://a.b.internal/x", ["http://a.b.internal"]),
    (r"([\w-]{1,40}\.){1,4}corp", "host a.b.corp", ["a.b.corp"]),
    (r"K\.[^,;\s]{2,9}", "K.x7! K.a", ["K.x7!"]),
    (r"Straße[ä-ü]{1,3}", "STRAßEÄÖ", ["STRAßEÄÖ"]),
    (r"[\]\-x]{2}\\\(", r"-]\(", [r"-]\("]),
    (r"a.c[.]\.d\t?", "abc..d", ["abc..d"]),
    (r"(?:ab){2}(x|y){3}", "ababxyx", ["ababxyx"]),
]
REFUSED = [
    ("a+b", "say how often at most, as in `{1,20}`"),
    ("[a-z]*b", "say how often at most"),
    ("a{2,}b", "say how often at most"),
    (r"(a{1,50}){1,50}b", "in several ways"),
    (r"(a|ab){2,10}c", "begin differently"),
    (r"\d{1,60}\d{1,60}\d{1,60}x", f"{MOST_STEPS:,} are the most"),
    (r"(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)b", "too many ways"),
    (r"(a?){3}bc", "may be empty"),
    (r"((a?|b)c)", "may be empty"),
    (r"a{0}bc", "lower count first"),
    (r"\b{2}ab", "lower count first"),
    (r"a{5,2}b", "lower count first"),
    (r"ab??", "stands behind a count"),
    (r"ab?{2}", "stands behind a count"),
    (r"ab{2}{9}", "stands behind a count"),
    ("^ab", "write `\\^`"),
    ("ab$", "write `\\$`"),
    ("(?=a)b", "not allowed"),
    ("(?i)ab", "not allowed"),
    (r"(a)\1", "not allowed"),
    (r"ab\Z", "not allowed"),
    (r"\p{L}", "not allowed"),
    ("ab\\", "not allowed"),
    ("[abc", "does not end"),
    ("(abc", "does not end"),
    ("abc)", "closes no group"),
    ("a[]b", "class of nothing"),
    ("[[a]b", "write `\\[`"),
    (r"[a-\d]b", "no range"),
    ("[z-a]b", "no range"),
    ("a|", "empty"),
    ("{3}a", "not allowed"),
    ("a", "make it longer"),
    ("", "make it longer"),
    (r"[a-z]{1,300}", "make it longer"),
    (r"[a-z]{2,300}", f"{LONGEST_MATCH} are the most"),
    ("a" * 600, "make several"),
    ("(" * 12 + "ab" + ")" * 12, "too many others"),
]


@pytest.mark.parametrize(("pattern", "text", "found"), ALLOWED)
def test_what_is_allowed_finds_what_it_says(pattern, text, found):
    assert [one[0] for one in own_pattern(pattern).search.finditer(text)] == found


@pytest.mark.parametrize(("pattern", "told"), REFUSED)
def test_what_is_refused_says_why_and_what_to_do(pattern, told):
    with pytest.raises(Unfit, match=re.escape(told)):
        own_pattern(pattern)


def test_capitals_count_only_where_that_is_said():
    assert own_pattern("acme-[a-c]").search.search("ACME-B")
    assert not own_pattern("acme-[a-c]", match_case=True).search.search("ACME-B")


ATOMS = st.sampled_from(["a", "b", "-", "[ab]", r"\d", "[^a]", ".", r"\w", "(ab|c)", "(a|b|ab)", "(a-){1,2}", r"\b"])
COUNTS = st.sampled_from(["", "", "", "?", "{2}", "{1,3}", "{0,2}", "{2,9}"])
PATTERNS = st.lists(st.tuples(ATOMS, COUNTS).map("".join), min_size=1, max_size=6).map("".join)


@settings(max_examples=400, deadline=None)
@given(PATTERNS, st.text("ab-1c \0", max_size=30))
def test_a_pattern_means_what_it_means_to_python(pattern, text):
    try:
        own = own_pattern(pattern)
    except Unfit:
        return
    theirs = re.compile(pattern, re.IGNORECASE)
    assert [one.span() for one in own.search.finditer(text)] == [one.span() for one in theirs.finditer(text)]


@settings(max_examples=300, deadline=None)
@given(st.text("ab[](){}?*+|\\^$-.,019d:=\n", max_size=25))
def test_any_text_is_a_pattern_that_is_fit_or_is_refused(text):
    with suppress(Unfit):
        assert own_pattern(text).steps <= MOST_STEPS


WORST = [
    r"\d{1,14}\d{1,14}x",
    r"[\w.-]{1,100}\.internal",
    r"(a|a|a|a)(a|a|a|a)(a|a|a|a)b",
    r"([a-z]{1,40}\.){1,4}corp",
    r"a{1,80}a{1,9}b",
]


@pytest.mark.parametrize("pattern", WORST)
@pytest.mark.parametrize("part", ["a", "1", "a.", "a1", "."])
def test_the_worst_that_is_allowed_takes_linear_time(pattern, part):
    search = own_pattern(pattern).search

    def took(length):
        text = part * (length // len(part))
        begun = time.process_time()
        assert not list(search.finditer(text))
        return time.process_time() - begun

    # As in test_redaction: what is quadratic takes 16 times as long.
    small, large = min(took(3_000) for _ in range(3)), min(took(12_000) for _ in range(3))
    assert large < 9 * small + 0.02
