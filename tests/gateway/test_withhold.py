"""The one event that brings usage is withheld; every other byte passes, however the stream is cut."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tee.withhold import LONGEST_WAIT, Withholding

CHUNK = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":null}'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}'
USAGE_SPACED = b'data: {"usage" : { "prompt_tokens" : 3 }, "choices" : [ ] }'
AZURE_FIRST = b'data: {"choices":[],"created":0,"id":"","model":"","prompt_filter_results":[{"prompt_index":0}]}'
LAST_WITH_USAGE = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}'
QUOTED = b'data: {"choices":[{"delta":{"content":"\\"choices\\":[],\\"usage\\":{}"}}]}'
DONE = b"data: [DONE]"
OTHERS = [
    CHUNK,
    AZURE_FIRST,
    LAST_WITH_USAGE,
    QUOTED,
    DONE,
    b": ping",
    b":",
    b"event: error\ndata: {}",
    b"id: 7",
    b"retry: 10",
    b"data:",
    b"data",
    b'data: {"choices":[',
    "data: \u00e9\U0001f4a1".encode(),
    b"",
]
ENDS = [b"\n\n", b"\r\n\r\n", b"\r\r"]


def passed(pieces) -> tuple[bytes, int]:
    """Return what passes of a stream that comes in these pieces, and how many bytes were withheld."""
    sieve = Withholding()
    out = b"".join(sieve.passed([piece]) for piece in pieces) + sieve.rest()
    return out, sieve.withheld


def cut(data: bytes, places) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(marks)]


PLACES = st.lists(st.integers(0, 5000), max_size=12)
EVENTS = st.lists(st.tuples(st.sampled_from([*OTHERS, USAGE, USAGE_SPACED]), st.sampled_from(ENDS)), max_size=8)


@pytest.mark.parametrize("end", ENDS, ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("usage", [USAGE, USAGE_SPACED])
def test_the_usage_event_alone_is_missing_wherever_the_stream_is_cut_in_two(usage, end):
    stream = [CHUNK + end, b": ping" + end, usage + end, DONE + end]
    whole, expected = b"".join(stream), stream[0] + stream[1] + stream[3]

    for place in range(len(whole) + 1):
        assert passed([whole[:place], whole[place:]]) == (expected, len(usage + end)), place


@pytest.mark.parametrize("end", ENDS, ids=["LF", "CRLF", "CR"])
def test_byte_by_byte(end):
    whole = AZURE_FIRST + end + CHUNK + end + USAGE + end + DONE + end

    out, withheld = passed([bytes([byte]) for byte in whole])

    assert out == whole.replace(USAGE + end, b"")
    assert withheld == len(USAGE + end)


@pytest.mark.parametrize("event", OTHERS)
@pytest.mark.parametrize("end", [*ENDS, b""], ids=["LF", "CRLF", "CR", "none"])
def test_every_other_event_passes(event, end):
    assert passed([event + end]) == (event + end, 0)


def test_a_usage_event_that_the_stream_ends_in_is_withheld_without_its_blank_line():
    assert passed([CHUNK + b"\n\n" + USAGE]) == (CHUNK + b"\n\n", len(USAGE))
    assert passed([CHUNK + b"\n\n" + USAGE + b"\n"]) == (CHUNK + b"\n\n", len(USAGE) + 1)


def test_an_event_that_was_cut_off_before_it_could_be_told_passes_as_far_as_it_came():
    assert passed([USAGE[:30]]) == (USAGE[:30], 0)


def test_a_usage_event_that_was_cut_off_is_withheld_as_far_as_it_came():
    assert passed([CHUNK + b"\n\n", USAGE[:40]]) == (CHUNK + b"\n\n", 40)


def test_an_event_that_is_certainly_another_does_not_wait_for_its_end():
    sieve = Withholding()

    assert sieve.passed([b'data: {"choices":[{"delta":{"content":"Hel']) == b'data: {"choices":[{"delta":{"content":"Hel'
    assert sieve.passed([b'lo"}}]}\n\n']) == b'lo"}}]}\n\n'


def test_the_end_of_the_stream_does_not_wait():
    assert Withholding().passed([b"data: [DON"]) == b"data: [DON"


def test_what_never_ends_does_not_wait_for_ever():
    sieve = Withholding()
    endless = b'data: {"x":"' + b"y" * (LONGEST_WAIT + 1)

    assert sieve.passed([endless]) == endless


def test_an_event_that_comes_in_many_pieces_of_one_read_passes_as_one():
    sieve = Withholding()

    assert sieve.passed([CHUNK[:5], CHUNK[5:20], CHUNK[20:] + b"\n\n"]) == CHUNK + b"\n\n"


@given(EVENTS, PLACES)
@settings(max_examples=300)
def test_any_cut_of_any_events_gives_what_the_whole_gives(events, places):
    whole = b"".join(event + end for event, end in events)
    expected = b"".join(event + end for event, end in events if event not in {USAGE, USAGE_SPACED})

    out, withheld = passed(cut(whole, places))

    assert out == expected
    assert withheld == len(whole) - len(expected)


FRAGMENTS = st.sampled_from(
    [
        b"\n",
        b"\r",
        b"\r\n",
        b"data: ",
        b"data:",
        USAGE,
        b'{"choices":[],"usage":{}}',
        b'{"choices":[{',
        b"data: [",
        b"event: x",
        b":",
        b" ",
        b"x",
    ]
)


@given(st.lists(FRAGMENTS, max_size=10).map(b"".join), PLACES)
@settings(max_examples=500)
def test_any_cut_of_any_bytes_gives_what_the_whole_gives(whole, places):
    assert passed(cut(whole, places)) == passed([whole])


@pytest.mark.parametrize(
    "stream",
    [
        b"id: 1\n" + USAGE + b"\n\n",
        b"event: message\n" + USAGE + b"\n\n",
        b": ping\n" + USAGE + b"\n\n",
        b"\n" + USAGE + b"\n\n",
        CHUNK + b"\n\n\n" + USAGE + b"\n\n",
        b"\xef\xbb\xbf" + USAGE + b"\n\n",
    ],
    ids=["id", "event", "comment", "blank line", "two blank lines", "byte order mark"],
)
def test_usage_behind_other_lines_of_its_event_is_treated_alike_wherever_it_is_cut(stream):
    assert {passed([stream[:place], stream[place:]]) for place in range(len(stream) + 1)} == {passed([stream])}
