"""Counts are right, and take a time that is bounded by the length of the text, whatever it is."""

import time

import pytest

from pricing.tokens.counting import MOST_CHARACTERS, MOST_SLICES, SLICE, Count, count

# Tokens as published in OpenAI's cookbook ("How to count tokens with tiktoken").
PUBLISHED = [
    ("tiktoken is great!", "cl100k_base", [83, 1609, 5963, 374, 2294, 0]),
    ("tiktoken is great!", "o200k_base", [83, 8251, 2488, 382, 2212, 0]),
    ("antidisestablishmentarianism", "cl100k_base", [519, 85342, 34500, 479, 8997, 2191]),
    ("antidisestablishmentarianism", "o200k_base", [493, 129901, 376, 160388, 21203, 2367]),
    ("2 + 2 = 4", "cl100k_base", [17, 489, 220, 17, 284, 220, 19]),
    ("2 + 2 = 4", "o200k_base", [17, 659, 220, 17, 314, 220, 19]),
    ("お誕生日おめでとう", "cl100k_base", [33334, 45918, 243, 21990, 9080, 33334, 62004, 16556, 78699]),
    ("お誕生日おめでとう", "o200k_base", [8930, 9697, 243, 128225, 8930, 17693, 4344, 48669]),
]


@pytest.mark.parametrize(("text", "name", "tokens"), PUBLISHED)
def test_tokens_are_the_published_ones(encodings, text, name, tokens):
    assert encodings.encoding(name).encode_ordinary(text) == tokens
    assert count([text], encodings.encoding(name)) == Count(len(tokens), whole=True)


@pytest.mark.parametrize(
    ("text", "cl100k", "o200k"),
    [
        ("", 0, 0),
        ("import os\n\ndef f(x):\n    return x ** 2\n", 14, 14),
        ('{"a": [1, 2, 3], "b": null}', 17, 17),
        ("Größe: 1.234,50 € \u2013 naïve façade", 15, 14),
        ("<|endoftext|> is a text", 10, 10),
        ("日本語のテキスト", 8, 6),
        ("   \n\n\t  x", 3, 3),
        ("👩‍👩‍👧‍👦 family", 19, 12),
    ],
)
def test_texts_of_every_kind_are_counted(encodings, text, cl100k, o200k):
    assert count([text], encodings.encoding("cl100k_base")).tokens == cl100k
    assert count([text], encodings.encoding("o200k_base")).tokens == o200k


HOSTILE = {
    "one letter": "a" * 200_000,
    "a million spaces": " " * 1_000_000,
    "a million spaces and a letter": " " * 1_000_000 + "x",
    "lone surrogates": "\ud800" * 100_000,
    "control characters": "\x01" * 400_000,
    "zeros": "\0" * 400_000,
    "lines": "\n" * 400_000,
    "spaces and lines": " \n" * 200_000,
    "marks": "e" + "\u0301" * 200_000,
    "joiners": "\u200d" * 200_000,
    "faces": "😀" * 100_000,
    "apostrophes": "'" * 400_000,
    "digits": "7" * 400_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_counted_without_a_panic(encodings, capfd, name):
    text = HOSTILE[name]
    found = count([text], encodings.encoding("o200k_base"))
    assert 0 < found.tokens <= len(text.encode("utf-8", "replace")) + len(text)
    assert found.whole is (len(text) <= MOST_CHARACTERS)
    assert capfd.readouterr().err == ""


def cpu(work):
    """Return the least CPU seconds of three runs."""
    times = []
    for _ in range(3):
        before = time.thread_time()
        work()
        times.append(time.thread_time() - before)
    return min(times)


@pytest.mark.parametrize("name", ["one letter", "a million spaces", "spaces and lines", "marks", "lone surrogates"])
def test_the_time_grows_no_faster_than_the_text(encodings, name):
    """Four times the text may take four times as long; quadratic work would take sixteen times."""
    encoding, text = encodings.encoding("o200k_base"), HOSTILE[name]
    short, long = text[: 2 * SLICE] * 1, (text * 9)[: 8 * SLICE]
    count([short], encoding)
    ratio = cpu(lambda: count([long], encoding)) / cpu(lambda: count([short], encoding))
    assert ratio < 10


def test_beyond_the_bound_the_time_grows_no_more_and_the_count_says_so(encodings):
    encoding = encodings.encoding("o200k_base")
    calls = []

    class Counted:
        def encode_ordinary(self, text):
            calls.append(len(text))
            return encoding.encode_ordinary(text)

    prose = "The quick brown fox jumps over the lazy dog. " * 100_000
    found = count([prose], Counted())
    assert not found.whole
    assert sum(calls) <= MOST_CHARACTERS
    assert found.tokens == pytest.approx(1_000_001, rel=0.01)


def test_what_is_counted_is_spread_over_the_texts(encodings):
    """The first half is a token for each character, the second one for eight: counting only the beginning would be wrong by half."""
    half = 8 * MOST_CHARACTERS
    found = count(["\x01" * half, "a" * half], encodings.encoding("o200k_base"))
    assert found.tokens == pytest.approx(half * 9 / 8, rel=0.1)


def test_a_million_tiny_texts_are_not_counted_one_by_one(encodings):
    calls = []

    class Counted:
        def encode_ordinary(self, text):
            calls.append(text)
            return [1]

    found = count(["a"] * 1_000_000, Counted())
    assert found == Count(1_000_000, whole=False)
    assert len(calls) <= MOST_SLICES


def test_a_cut_between_slices_costs_two_tokens_at_most(encodings):
    encoding = encodings.encoding("o200k_base")
    text = "The quick brown fox jumps over the lazy dog. " * 8_000
    cuts = len(text) // SLICE
    assert 0 <= count([text], encoding).tokens - len(encoding.encode_ordinary(text)) <= 2 * cuts


def test_a_panic_of_the_tokenizer_is_caught_and_it_goes_on_counting(encodings, capfd):
    """Not cut into slices, this makes tiktoken panic: what it raises is no `Exception`."""
    encoding = encodings.encoding("o200k_base")
    spaces = " " * 1_000_000
    with pytest.raises(BaseException, match="StackOverflow") as panic:
        encoding.encode_ordinary(spaces)
    assert not isinstance(panic.value, Exception)
    found = count([spaces, "hello world"], encoding, most=10**9, slice_size=10**9)
    assert not found.whole
    assert found.tokens > 0
    assert count([spaces], encoding, most=10**9, slice_size=10**9) == Count(250_001, whole=False)
    assert count(["hello world"], encoding) == Count(2, whole=True)
    capfd.readouterr()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_wish_to_stop_is_no_panic(kind):
    class Stopped:
        def encode_ordinary(self, _text):
            raise kind

    with pytest.raises(kind):
        count(["x"], Stopped())
