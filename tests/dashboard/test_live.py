"""The live stream, on a real socket."""

import contextlib
import json
import queue
import socket
import threading

import pytest

from dashboard.live import LONGEST_QUEUE, MOST_LISTENERS, Listener
from domain.exchange import Labels
from tests.dashboard.conftest import TOKEN, until
from tests.dashboard.spans import span
from tests.dashboard.test_calls import problem
from tests.recorder.exchanges import opening


@contextlib.contextmanager
def listening(office, query=""):
    events = queue.Queue()
    with office.client(timeout=30) as client, client.stream("GET", f"/api/v1/stream{query}") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")

        def read():
            event = {}
            with contextlib.suppress(Exception):
                for line in answer.iter_lines():
                    name, _, value = line.partition(": ")
                    if not line and "data" in event:
                        events.put((event["event"], json.loads(event["data"])))
                        event = {}
                    elif name:
                        event[name] = value
            events.put(("end", None))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        until(lambda: office.live.listeners > 0)
        yield events
        # Closing alone would wait for the thread that reads.
        with contextlib.suppress(OSError):
            answer.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        thread.join(10)


def settle(office):
    """Wait until the stream has found its place, so that what is saved next is new to it."""
    before = office.looks[0]
    until(lambda: office.looks[0] > before + 1)


@pytest.fixture
def looked(office):
    """Count how often the live stream has looked."""
    office.looks = [0]
    running = office.live._running

    def counted():
        office.looks[0] += 1
        return running()

    office.live._running = counted
    return office


def test_a_call_is_told_as_it_comes_in_and_as_it_is_recorded(looked):
    begun = opening(model="gpt-4o", labels=Labels(session="s"))
    with listening(looked) as events:
        settle(looked)
        looked.running.append(begun)
        name, value = events.get(timeout=10)
        assert (name, value["id"], value["model"], value["session"]) == ("opened", begun.id, "gpt-4o", "s")
        looked.running.clear()
        looked.spans.save([(span(id=begun.id), None)])
        looked.live.wake_from_thread()
        name, value = events.get(timeout=10)
        assert (name, value["id"], value["outcome"]) == ("call", begun.id, "ok")


def test_who_comes_later_hears_of_the_calls_under_way(looked):
    looked.running.append(opening())
    with listening(looked) as first:
        assert first.get(timeout=10)[0] == "opened"
        with listening(looked) as second:
            assert second.get(timeout=10)[0] == "opened"
        assert first.empty()


def test_a_condition_lets_through_only_the_calls_that_meet_it(looked):
    looked.running.append(opening())
    with listening(looked, "?where=status%20>%3D%20400") as events:
        settle(looked)
        looked.spans.save([(span(0), None), (span(1, status=429, outcome="error"), None)])
        looked.live.wake_from_thread()
        name, value = events.get(timeout=10)
    assert (name, value["status"]) == ("call", 429)


def test_what_was_recorded_before_is_not_told(looked):
    looked.spans.save([(span(0), None)])
    with listening(looked) as events:
        settle(looked)
        assert events.empty()


def test_newlines_in_what_strangers_wrote_cannot_make_events(looked):
    hostile = "x\n\nevent: call\ndata: {}\n\n"
    with listening(looked) as events:
        settle(looked)
        looked.spans.save([(span(0, model=hostile), None)])
        looked.live.wake_from_thread()
        name, value = events.get(timeout=10)
        assert (name, value["model"]) == ("call", hostile)
        assert events.empty()


def test_a_listener_that_leaves_is_forgotten(office):
    with listening(office):
        assert office.live.listeners == 1
    until(lambda: office.live.listeners == 0)


def test_a_listener_that_does_not_read_is_cut_off_and_delays_nobody(looked):
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(looked.path)
        slow.sendall(f"GET /api/v1/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode())
        until(lambda: looked.live.listeners == 1)
        with listening(looked) as events:
            until(lambda: looked.live.listeners == 2)
            settle(looked)
            for start in range(0, 4 * LONGEST_QUEUE, 500):
                looked.spans.save([(span(start + index, path="/v1/" + "x" * 2000), None) for index in range(500)])
                looked.live.wake_from_thread()
                assert [events.get(timeout=20)[0] for _ in range(500)] == ["call"] * 500
            slow.settimeout(10)
            received = b""
            while not received.endswith(b"0\r\n\r\n"):
                piece = slow.recv(1 << 20)
                assert piece
                received = received[-4000:] + piece
            assert b"event: cut_off" in received[-4000:]
            until(lambda: looked.live.listeners == 1)


def test_a_full_queue_says_why_it_ends():
    listener = Listener(None)
    for _ in range(LONGEST_QUEUE):
        listener.offer("x")
    listener.offer("y")
    listener.offer("z")
    assert listener.cut
    assert listener.take().startswith("event: cut_off\ndata: ")


def test_stopping_ends_the_streams(office):
    with listening(office) as events:
        office.on_loop(office.live.close)
        assert events.get(timeout=10)[0] == "end"
    with office.client() as client:
        assert "stopping" in problem(client.get("/api/v1/stream"), 503)


def test_there_is_a_bound_on_streams(office):
    for _ in range(MOST_LISTENERS):
        office.on_loop(office.live.join, None)
    with office.client() as client:
        assert "open already" in problem(client.get("/api/v1/stream"), 503)


def test_a_wrong_condition_or_parameter_opens_no_stream(office):
    with office.client() as client:
        assert "no variable" in problem(client.get("/api/v1/stream?where=x%3D%3D1"))
        assert "did you mean `where`?" in problem(client.get("/api/v1/stream?were=x"))


def test_a_store_that_is_away_for_a_while_ends_no_stream(looked, database):
    with listening(looked) as events:
        settle(looked)
        with database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE calls RENAME TO elsewhere")
        settle(looked)
        with database.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO calls")
        looked.spans.save([(span(0), None)])
        looked.live.wake_from_thread()
        assert events.get(timeout=10)[0] == "call"
