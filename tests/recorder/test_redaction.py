"""Redaction. Token-shaped strings are put together here, so that no scanner takes them for real ones."""

import json
import time
from collections import Counter

import pytest

from recorder.recognisers import luhn
from recorder.redaction import redact_text, redact_value, summary

KEY = "sk-" + "proj-" + "a1B2c3D4" * 5
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0" + "." + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
BLOCK = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\nabc\n-----END RSA " + "PRIVATE KEY-----"

MASKED = [
    ("Pay with 4111 1111 1111 1111 12/26.", "Pay with [card] 12/26."),
    ("card 5555555555554444", "card [card]"),
    ("Amex 3782-822463-10005, thanks", "Amex [card], thanks"),
    ("To DE89 3704 0044 0532 0130 00 and then", "To [iban] and then"),
    ("gb82west12345698765432", "[iban]"),
    ("IBAN FR1420041010050500013M02606.", "IBAN [iban]."),
    ("write to ann.lee+x@mail.example.co.uk today", "write to [email] today"),
    ("André <andré@exämple.fr>", "André <[email]>"),
    ("call +49 (30) 1234-5678 now", "call [phone] now"),
    ("or 0044 20 7946 0958", "or [phone]"),
    ("US (415) 555-2671", "US [phone]"),
    ("415-555-2671 ext 3", "[phone] ext 3"),
    ("Paris 06 12 34 56 78.", "Paris [phone]."),
    ("Berlin 030 1234567", "Berlin [phone]"),
    ("from 203.0.113.77 it came", "from [ip] it came"),
    ("at 2001:db8:0:1::7 too", "at [ip] too"),
    ("ssn 123-45-6789", "ssn [ssn]"),
    (f"key={KEY}!", "key=[api_key]!"),
    ("AKIA" + "IOSFODNN7EXAMPLE is it", "[api_key] is it"),
    ("ghp_" + "a" * 36, "[api_key]"),
    (f"token {JWT}", "token [jwt]"),
    (f"see {BLOCK} end", "see [private_key] end"),
    ("-----BEGIN " + "PRIVATE KEY-----\nMIIE never ends", "[private_key]"),
    ("password: hunter2222 is it", "password: [secret] is it"),
    ("Authorization: Bearer " + "abcdef0123456789abcdef", "Authorization: Bearer [secret]"),
]
KEPT = [
    "order 4111 1111 1111 1112 was refused",
    "id 1234567890123456",
    "DE89 3704 0044 0532 0130 01 is not one",
    "version 1.2.3 and 10.15.7.1.2",
    "2026-11-21T02:37:01Z took 12:30:45",
    "git@github.com:owner/name.git",
    "std::vector<int> a::b and {} :: x",
    "127.0.0.1:8080 and ::1",
    "uuid 018f3c6e-7b1a-7cc2-9f6e-0a1b2c3d4e5f",
    "3.14159265358979 and 1,000,000,000",
    "sk-short and eyJ.only",
    "page 415 of 2671",
    "UTC+02:00 at 2+2=4",
    "resp_0123456789abcdef0123456789abcdef",
]


@pytest.mark.parametrize(("text", "expected"), MASKED)
def test_what_is_masked(text, expected):
    assert redact_text(text, Counter()) == expected


@pytest.mark.parametrize("text", KEPT)
def test_what_is_kept(text):
    counts = Counter()
    assert redact_text(text, counts) == text
    assert not counts


def test_counts_by_kind_hold_nothing_of_what_was_masked():
    counts = Counter()
    redact_value({"a": ["x@y.org and z@y.org", {"b": "4111111111111111"}]}, counts)
    assert summary(counts) == "redacted: 1 card, 2 email"
    assert summary(Counter()) == "redacted: nothing found"


def test_values_of_secret_names_and_card_numbers_written_as_numbers_are_masked():
    counts = Counter()
    value = {"password": "x", "Api-Key": "abc", "n": 4111111111111111, "m": 42, "ok": True, "none": None, "f": 1.5}
    assert redact_value(value, counts) == {
        "password": "[secret]",
        "Api-Key": "[secret]",
        "n": "[card]",
        "m": 42,
        "ok": True,
        "none": None,
        "f": 1.5,
    }


def test_a_schema_that_describes_a_password_is_left_alone():
    schema = {"password": {"type": "string"}}
    assert redact_value(schema, Counter()) == schema


def test_deep_values_end():
    value = "x@y.org"
    for _ in range(500):
        value = [value]
    assert "x@y.org" not in json.dumps(redact_value(value, Counter()))


def test_a_text_of_many_windows_is_redacted_in_all_of_them():
    text = ("word " * 230_000 + "x@y.org ") * 3
    counts = Counter()
    redacted = redact_text(text, counts)
    assert counts == {"email": 3}
    assert redacted == text.replace("x@y.org", "[email]")


def test_a_window_without_white_space_is_cut_anyway():
    text = "a" * 2_500_000
    assert redact_text(text, Counter()) == text


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "a.",
        "1",
        "1 ",
        "1-",
        "@",
        "a@",
        "a@a.",
        "eyJ",
        "eyJaaaaaaaa.",
        "-----BEGIN PRIVATE " + "KEY-----",
        "DE12 ",
        "sk-",
        "+1",
        "0:",
        "1.1.",
        "password:",
        "(",
        "0123 ",
        "é",
    ],
)
def test_hostile_texts_take_linear_time(part):
    text = part * (200_000 // len(part))
    begun = time.process_time()
    redact_text(text, Counter())
    assert time.process_time() - begun < 3


def test_the_check_digit_of_cards():
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")
