import re
import struct

from hypothesis import given
from hypothesis import strategies as st

from recorder.streams import Timing, chunk_times, events, read_times


def reference(body):
    """The algorithm of the standard, line by line, and what is left at the end as an event too."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    found, name, data = [], "", []
    for line in [*re.split(rb"\r\n|\n|\r", body), b""]:
        if not line:
            if data:
                found.append((name or None, b"\n".join(data)))
            name, data = "", []
        elif not line.startswith(b":"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"event":
                name = value.decode("utf-8", "replace")
            elif field == b"data":
                data.append(value)
    return found


PIECES = st.sampled_from(
    [b"data: x", b"data:y", b"data", b"event: e", b"event:", b": note", b"id: 1", b"odd", b" data: z", b"\n", b"\n\n", b"\r\n", b"\r", b"\r\n\r\n", b"\xef\xbb\xbf", b'data: {"a":1}\n\n']
)  # fmt: skip


@given(st.lists(PIECES, max_size=20).map(b"".join) | st.binary(max_size=80))
def test_events_are_those_of_the_standard(body):
    assert [(event.name, event.data) for event in events(body)] == reference(body)


@given(st.lists(PIECES, max_size=20).map(b"".join))
def test_each_event_ends_behind_the_one_before_it(body):
    ends = [event.end for event in events(body)]

    assert ends == sorted(set(ends))
    assert all(0 < end <= len(body) for end in ends)


@given(st.lists(st.sampled_from([b"data: a\n\n", b"event: b\ndata: c\n\n", b"data: d\r\n\r\n"]), max_size=8))
def test_the_body_up_to_the_end_of_an_event_holds_just_the_events_so_far(parts):
    body = b"".join(parts)

    for number, event in enumerate(events(body), 1):
        assert list(events(body[: event.end])) == list(events(body))[:number]


def test_several_data_lines_are_one_event():
    (event,) = events(b"event: x\ndata: 1\ndata: 2\n\n")

    assert (event.name, event.data, event.end) == ("x", b"1\n2", 26)


def test_an_event_without_its_end_is_given_if_it_has_data():
    assert [event.data for event in events(b"data: 1\n\ndata: 2")] == [b"1", b"2"]
    assert not events(b"event: x\n")


def marks(*pairs):
    return b"".join(struct.pack("<II", *pair) for pair in pairs)


def test_a_chunk_came_with_the_read_that_brought_its_last_byte():
    times = chunk_times([10, 20, 30], marks((100, 5), (200, 15), (300, 20), (900, 30)))

    assert times == Timing(first_us=200, chunks=3, gap_mean_us=350.0, gap_max_us=600)


def test_chunks_in_one_read_have_no_gap():
    assert chunk_times([10, 20], marks((100, 20))) == Timing(100, 2, 0.0, 0)


def test_chunks_behind_the_last_mark_are_counted_without_a_time():
    assert chunk_times([10, 20, 30], marks((100, 10))) == Timing(100, 3, None, None)


def test_without_marks_nothing_is_known_of_the_times():
    assert chunk_times([10, 20], b"") == Timing(None, 2, None, None)
    assert chunk_times([], marks((1, 1))) == Timing()


def test_reads_stand_for_chunks_that_cannot_be_found():
    assert read_times(marks((100, 20), (150, 30), (300, 40))) == Timing(100, 3, 100.0, 150)


@given(st.lists(st.integers(0, 2**40), max_size=20), st.binary(max_size=100))
def test_no_marks_raise(ends, noise):
    times = chunk_times(ends, noise)

    assert times.chunks == len(ends)


def test_a_flood_of_events_is_bounded():
    assert len(events(b"data: \n\n" * 500_000)) == 400_000
    assert len(events(b"data: \r\n\r\n" * 500_000)) == 400_000
