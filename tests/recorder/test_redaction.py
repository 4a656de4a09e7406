"""Redaction. Token-shaped strings are put together here, so that no scanner takes them for real ones."""

import json
import subprocess
import sys
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.profiles import KINDS, PROFILES, kinds_of, unknown_name
from recorder.recognising.kinds import KINDS as TABLE
from recorder.redaction import MEDIA, Redactor, redactor

ALL = redactor(kinds_of(["gdpr"]))

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
    ("ssn 123-45-6789", "ssn [us_ssn]"),
    (f"key={KEY}!", "key=[api_key]!"),
    ("AKIA" + "IOSFODNN7EXAMPLE is it", "[api_key] is it"),
    ("ghp_" + "a" * 36, "[api_key]"),
    (f"token {JWT}", "token [jwt]"),
    (f"see {BLOCK} end", "see [private_key] end"),
    ("-----BEGIN " + "PRIVATE KEY-----\nMIIE never ends", "[private_key]"),
    ("password: hunter2222 is it", "password: [secret] is it"),
    ("Authorization: Bearer " + "abcdef0123456789abcdef", "Authorization: Bearer [secret]"),
    ("1 4111 1111 1111 1111", "1 [card]"),
    ("NHS number 943 476 5919", "NHS number [uk_nhs]"),
    ("NINO AB 12 34 56 C", "NINO [uk_nino]"),
    ("Steuer-ID 86095742719", "Steuer-ID [de_tax_id]"),
    ("86 095 742 719", "[de_tax_id]"),
    ("2 55 08 14 168 025 38", "[fr_nir]"),
    ("12345678Z y X1234567L", "[es_dni] y [es_dni]"),
    ("rssmra85t10a562s", "[it_codice_fiscale]"),
    ("BSN: 111222333", "BSN: [nl_bsn]"),
    ("PESEL 44051401359", "PESEL [pl_pesel]"),
    ("529.982.247-25", "[br_cpf]"),
    ("2341 2341 2346", "[in_aadhaar]"),
    ("SIN 046-454-286", "SIN [ca_sin]"),
    ("SIN 046 454 286", "SIN [ca_sin]"),
    ("DB_PASSWORD=hunter22 x", "DB_PASSWORD=[secret] x"),
    ("my password is hunter22", "my password is [secret]"),
    ("Passwort: Geheim12", "Passwort: [secret]"),
    ("postgres://u:pa55word@db:5432/x", "postgres://u:[secret]@db:5432/x"),
    ("fe80::1", "[ip]"),
    ("tel. 512 345 678", "tel. [phone]"),
    ("(11) 91234-5678", "[phone]"),
    ("612 34 56 78", "[phone]"),
    ("AKIA" + "IOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY", "[api_key] [api_key]"),
    ("123456789:AA" + "b" * 33, "[api_key]"),
    ("abc8Q~" + "c" * 34, "[api_key]"),
    ("İ password: hunter2222", "İ password: [secret]"),
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
    "icon@2x.png and user@host.com:/srv",
    "https://ann@host.example.com/",
    "version 1.2.3.4 of the driver",
    "512 345 678 bytes",
    "password = getpass() or self.settings.password",
    "password: string, required",
    "my password is wrong",
    "max_tokens: 4096000",
    "the codes 943-476-5918-1 and 111222333",
    "XYZMRA85T10A562S",
    "300.1.2.3 and 0000:0000:0000:0000:0000:0000:0000:0001",
    "DE89370400440532013,00",
    "12345678A or Y1234567A or 1234567A",
    "12:AA" + "b" * 33,
    "postgres://u:$PASSWORD@db/x and http://u:%(pw)s@h/",
    "Authorization: Bearer authentication-required",
    "Basic understanding, basic authentication",
    "+999 1234 5678 is no country's number",
    "tel. 11 111 11",
    "AB 12 34 56 C1 and _AB 12 34 56 C",
    "01 02 03 04 05 and 09 00 - 17 30 and 2026-11-21",
    "a'@b",
]


@pytest.mark.parametrize(("text", "expected"), MASKED)
def test_what_is_masked(text, expected):
    assert ALL.text(text, Counter()) == expected


@pytest.mark.parametrize("text", KEPT)
def test_what_is_kept(text):
    counts = Counter()
    assert ALL.text(text, counts) == text
    assert not counts


def test_counts_by_kind_hold_nothing_of_what_was_masked():
    counts = Counter()
    ALL.value({"a": ["x@y.org and z@y.org", {"b": "4111111111111111"}]}, counts)
    assert ALL.summary(counts) == "redacted: 1 card (0.98), 2 email (0.97)"
    assert ALL.summary(Counter()) == "redacted: nothing found"


def test_values_of_secret_names_and_card_numbers_written_as_numbers_are_masked():
    counts = Counter()
    value = {"password": "x", "Api-Key": "abc", "n": 4111111111111111, "m": 42, "ok": True, "none": None, "f": 1.5}
    assert ALL.value(value, counts) == {
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
    assert ALL.value(schema, Counter()) == schema


def test_deep_values_end():
    value = "x@y.org"
    for _ in range(500):
        value = [value]
    assert "x@y.org" not in json.dumps(ALL.value(value, Counter()))


def test_names_of_members_are_redacted_and_none_is_lost():
    assert ALL.value({"x@y.org": 1, "[email]": 2, "z@y.org": 3}, Counter()) == {"[email]": 1, "[email] 1": 2, "[email] 2": 3}


def test_media_are_not_looked_through_and_what_stands_around_them_is():
    media = "data:image/png;base64," + "4111111111111111" * 1000
    text = f'{{"a":"x@y.org","url":"{media}","b":"{KEY}","c":"{"AKIA" * 600}","d":"x@y.org"}}'
    counts = Counter()
    assert ALL.text(text, counts) == text.replace("x@y.org", "[email]").replace(KEY, "[api_key]")
    assert counts == {"email": 2, "api_key": 1}


def test_a_secret_of_base64_is_found_however_long_its_text_is():
    assert ALL.text("a " * MEDIA + "password: " + "Ab1/" * 200, Counter()).endswith("password: [secret]")


def test_other_actions_than_masking():
    both = Redactor(kinds_of(["gdpr"]), {"email": "hash", "card": "drop", "ip": "keep"}, b"key")
    counts = Counter()
    text = both.text("X@Y.org x@y.org z@y.org 4111 1111 1111 1111 203.0.113.7", counts)
    first, second, third, card, ip = text.split()
    assert first == second != third
    assert len(first) == len("[email:0123456789ab]")
    assert (card, ip) == ("[]", "203.0.113.7")
    assert counts == {"email": 3, "card": 1}
    assert both.text(text, Counter()) == text
    assert both.value({"password": "x", "n": 4111111111111111}, Counter()) == {"password": "[secret]", "n": "[]"}


def test_hashes_join_under_one_key_only_and_need_one():
    def hashed(key, text):
        return Redactor(kinds_of(["gdpr"]), {"card": "hash"}, key).text(text, Counter())

    assert hashed(b"a", "4111 1111 1111 1111") == hashed(b"a", "4111111111111111") != hashed(b"b", "4111111111111111")
    assert hashed(b"", "4111111111111111") == "[card]"


def test_every_kind_is_in_the_table_and_has_a_name_for_settings():
    assert {kind.name for kind in TABLE} == set(KINDS)
    assert all(names <= set(KINDS) for names in PROFILES.values())
    assert all(0.5 < kind.confidence <= 1 for kind in TABLE)


def test_national_telephone_numbers_are_those_of_the_regions():
    german, nowhere, unknown = (redactor(frozenset({"phone"}), regions=regions) for regions in (("DE",), (), ("XX",)))
    text = "212-736-5000 tel 030 901820, +44 20 7946 0958, 0044 20 7946 0958, 01512 3456789"
    assert german.text(text, Counter()) == "212-736-5000 tel [phone], [phone], [phone], [phone]"
    assert (
        nowhere.text(text, Counter())
        == unknown.text(text, Counter())
        == text.replace("+44 20 7946 0958", "[phone]").replace("0044 20 7946 0958", "[phone]")
    )


def test_names_that_are_not_known_are_told_with_the_nearest_and_mean_everything():
    assert unknown_name(["secrets", "card"]) is None
    assert "did you mean 'email'" in unknown_name(["e-mail"])
    assert "there are secrets" in unknown_name(["qqqqqq"])
    assert kinds_of(["from a newer version"]) == set(KINDS)
    assert kinds_of(["card", "national_id"]) == {"card"} | PROFILES["national_id"]
    assert kinds_of([]) == frozenset()


def test_the_telephone_metadata_is_only_read_for_telephones():
    code = (
        "import sys; from collections import Counter; from recorder.redaction import redactor; from recorder.profiles import *; "
        "redactor(kinds_of(DEFAULT)).text('call +49 30 12345678', Counter()); assert 'phonenumbers' not in sys.modules; "
        "redactor(kinds_of(['pii'])).text('call +49 30 12345678', Counter()); assert 'phonenumbers' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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
    def took(length):
        text = part * (length // len(part))
        begun = time.process_time()
        ALL.text(text, Counter())
        return time.process_time() - begun

    # What is quadratic takes 16 times as long for four times the text. The smallest of three tries, and a start for what the clock cannot tell.
    small, large = min(took(25_000) for _ in range(3)), min(took(100_000) for _ in range(3))
    assert large < 9 * small + 0.02


PIECES = st.sampled_from(
    [
        *"a1 0@:.-+/[]=(\n\0\ud800é,",
        *("x@y.org", "4111 1111 1111 1111", "+49 30 1234567", "password: ", "DE89370400440532013000", "203.0.113.7", "fe80::1"),
        *(
            "bearer ",
            "AKIA",
            "eyJ",
            "046-454-286",
            "tel ",
            "12345678Z",
            "[email]",
            "[card:0123456789ab]",
            "[]",
            KEY,
            "://u:",
            "hunter22",
        ),
    ]
)
TEXTS = st.lists(st.one_of(PIECES, PIECES, st.text(max_size=5)), max_size=14).map("".join)
REDACTORS = [
    ALL,
    Redactor(kinds_of(["gdpr"]), dict.fromkeys(KINDS, "hash"), b"k"),
    Redactor(kinds_of(["gdpr"]), dict.fromkeys(KINDS, "drop")),
]


@settings(max_examples=600, deadline=None)
@given(TEXTS, st.sampled_from(REDACTORS))
def test_redacting_twice_is_redacting_once(text, redacting):
    once = redacting.text(text, Counter())
    counts = Counter()
    assert redacting.text(once, counts) == once
    assert not counts


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, max_size=5))
def test_what_is_found_in_a_text_is_found_in_many_joined(texts):
    assert ALL.finds("\0".join(texts)) >= any(ALL.finds(text) for text in texts)


VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(), st.floats(), st.booleans(), st.none(), st.just(4111111111111111)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(TEXTS, st.just("password")), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_any_value_is_redacted_once_and_keeps_its_shape(value):
    before = repr(value)
    once = ALL.value(value, Counter())
    counts = Counter()
    assert repr(ALL.value(once, counts)) == repr(once)
    assert not counts
    assert repr(value) == before
    if isinstance(value, list | dict):
        assert len(once) == len(value)
