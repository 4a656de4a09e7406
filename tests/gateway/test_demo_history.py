"""The past that `faregate demo --history` makes."""

from collections import Counter
from itertools import pairwise

import pytest

from gateway.demo.history import CALLS, history
from recorder.interpret import call_of
from recorder.spans import record_of

NOW = 1_795_000_000.0
DAY = 86_400


@pytest.fixture(scope="module")
def month():
    return list(history(1, NOW, 30 * DAY))


@pytest.fixture(scope="module")
def spans(month):
    return [record_of(exchange, call_of(exchange))[0] for exchange in month]


def ids(exchanges):
    return [exchange.opening.id for exchange in exchanges]


def test_a_month_has_about_as_many_calls_as_promised_each_within_it(month):
    assert len(month) == pytest.approx(CALLS, rel=0.15)
    assert len(set(ids(month))) == len(month)
    assert all((NOW - 30 * DAY) * 1e9 <= exchange.opening.at < exchange.closing.at <= NOW * 1e9 for exchange in month)
    assert len({exchange.opening.at // (DAY * 10**9) for exchange in month}) >= 30


@pytest.mark.parametrize("seconds", [3_600, DAY, 7 * DAY, 366 * DAY])
def test_any_length_has_about_as_many(seconds):
    assert sum(1 for _ in history(1, NOW, seconds)) == pytest.approx(CALLS, rel=0.2)


def test_the_same_seed_makes_the_same_calls_and_another_one_others(month):
    assert list(history(1, NOW, 30 * DAY)) == month
    assert not set(ids(history(2, NOW, 30 * DAY))) & set(ids(month))


def test_a_day_later_only_a_day_is_new(month):
    later = ids(history(1, NOW + DAY, 30 * DAY))
    new = set(later) - set(ids(month))
    assert 0 < len(new) < 0.12 * len(month)


def test_what_happens_to_calls_happens_in_it(spans):
    assert {span.labels.env for span in spans} == {"demo"}
    assert {span.upstream for span in spans} == {"sim"}
    assert {"chat", "tools", "echo", "loop"} <= {span.model for span in spans}
    assert {"chat", "embeddings", "responses"} <= {span.operation for span in spans}
    assert {200, 429, 500, 503} == {span.status for span in spans}
    assert {"ok", "error", "cancelled"} == {span.outcome for span in spans}
    streams = sum(span.stream for span in spans)
    assert 0.2 < streams / len(spans) < 0.6
    assert sum(bool(span.tool_calls) for span in spans) > 100
    assert all(span.notes == () and span.cost_status == "free" for span in spans if span.status == 200)
    assert all(span.usage and span.usage.input_tokens for span in spans if span.outcome == "ok")
    customers = Counter(span.labels.customer for span in spans)
    assert len(customers) == 6
    assert max(customers.values()) > 2 * min(customers.values())


def test_calls_of_a_session_follow_each_other(spans):
    sessions = {}
    for span in spans:
        sessions.setdefault(span.labels.session, []).append(span)
    assert max(map(len, sessions.values())) > 5
    for calls in sessions.values():
        assert len({call.labels.customer for call in calls}) == 1
        for call, following in pairwise(calls):
            assert following.started_at >= call.started_at + call.latency_ms * 1e6 - 1_000


def test_streams_have_the_pace_of_real_ones(spans):
    streamed = [span for span in spans if span.stream and span.outcome == "ok"]
    assert all(0 < span.time_to_first_chunk_ms < span.latency_ms for span in streamed)
    assert all(span.chunk_gap_mean_ms > 1 for span in streamed)
