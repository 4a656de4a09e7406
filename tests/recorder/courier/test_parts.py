"""The courier's small parts, each alone."""

from random import Random

import pytest

from domain.destinations import Limits
from recorder.courier.backoff import full_jitter
from recorder.courier.breaker import Breaker
from recorder.courier.bucket import Bucket
from recorder.courier.clock import NANOSECONDS, Clock
from recorder.courier.events import Herald
from recorder.courier.pace import Pace
from recorder.courier.status import LagMeter
from recorder.courier.worker import Worker

SECOND = NANOSECONDS


def test_back_off_is_anything_up_to_a_bound_that_doubles_to_five_minutes():
    random = Random(1)
    for failures, bound in ((1, 1), (2, 2), (5, 16), (9, 256), (10, 300), (100, 300), (10**9, 300)):
        waits = [full_jitter(failures, random) for _ in range(500)]
        assert 0 <= min(waits) < bound * 0.1
        assert bound * 0.9 < max(waits) <= bound


def test_a_breaker_opens_after_five_failures_and_not_before():
    breaker = Breaker()
    assert [breaker.failed(0) for _ in range(5)] == [False] * 4 + [True]
    assert breaker.state == "open"
    assert breaker.wait(0) == 1.0
    assert breaker.wait(1) == 0.0


def test_what_was_taken_in_between_makes_it_begin_again():
    breaker = Breaker()
    for _ in range(3):
        assert not any(breaker.failed(0) for _ in range(4))
        assert breaker.succeeded() is False


def test_there_is_one_probe_at_a_time_and_the_next_waits_longer():
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(0)
    now, waits = 1.0, []
    for _ in range(8):
        breaker.probing()
        assert breaker.state == "half-open"
        assert breaker.wait(now) is None
        breaker.failed(now, probe=True)
        waits.append(breaker.wait(now))
        now += waits[-1]
    assert waits == [2, 4, 8, 16, 30, 30, 30, 30]
    breaker.probing()
    assert breaker.succeeded() is True
    assert (breaker.state, breaker.wait(now)) == ("closed", 0.0)


def test_failures_of_what_was_sent_before_do_not_put_off_the_probe():
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(0)
    for _ in range(20):
        breaker.failed(0.5)
    assert breaker.wait(1.0) == 0.0


def test_the_pace_stays_within_its_limits_whatever_happens():
    random = Random(3)
    pace = Pace(Limits(items=100, parallel=64, body_bytes=1 << 20))
    for _ in range(5000):
        random.choice(
            [pace.succeeded, pace.failed, pace.throttled, pace.too_large, lambda: pace.encoded(100, random.randrange(10**6))]
        )()
        assert 1 <= pace.batch <= 100
        assert 1 <= pace.parallel <= 8
        assert 1 <= pace.recorded_bytes <= 4 << 20


def test_a_throttled_pace_keeps_its_batch():
    pace = Pace(Limits(items=100, parallel=4))
    for _ in range(20):
        pace.succeeded()
    pace.throttled()
    assert (pace.batch, pace.parallel) == (100, 1)
    pace.failed()
    assert pace.batch == 50


def test_a_bucket_never_gives_more_than_its_rate():
    random = Random(5)
    bucket, now, given = Bucket(10.0, 0.0), 0.0, 0
    while now < 1000:
        now += random.random() * 3
        count = min(bucket.available(now), random.randrange(1, 30))
        bucket.take(count)
        given += count
        assert given <= now * 10 + 10
    assert given > 4000
    assert bucket.wait(now, 1) <= 0.1 * 31


def test_a_clock_notices_jumps_and_is_trusted_again_after_a_while():
    mono, wall = [0.0], [10**18]
    clock = Clock(lambda: wall[0], lambda: mono[0])
    assert clock.trusted()
    wall[0] += 30 * SECOND
    assert (clock.trusted(), clock.jumps) == (True, 0)
    wall[0] -= 3630 * SECOND
    assert (clock.trusted(), clock.jumps, clock.jumped) == (False, 1, -3600 * SECOND)
    mono[0] += 901
    wall[0] += 901 * SECOND
    assert (clock.trusted(), clock.jumps) == (True, 1)


def test_trouble_is_told_once_in_a_quarter_of_an_hour_by_whichever_office():
    first, second = Herald("hook"), Herald("hook")
    now = 900 * SECOND * 10**6 + 100 * SECOND
    event = first.failing(now, "no answer")
    assert event.id == second.failing(now + 50 * SECOND, "no answer").id
    assert (event.type, event.subject, event.severity) == ("destination.failing", "hook", "warning")
    assert first.failing(now + 899 * SECOND, "no answer") is None
    assert first.failing(now + 901 * SECOND, "no answer").id != event.id


def test_only_what_was_told_recovers():
    herald = Herald("hook")
    assert herald.recovered(1) is None
    herald.misconfigured(1, "wrong key", gone=False)
    assert herald.recovered(2).type == "destination.recovered"
    assert herald.recovered(3) is None


def test_the_dead_are_added_up_until_it_is_time_to_tell():
    herald = Herald("hook")
    herald.died("rejected")
    assert herald.dead(SECOND).data["dead"] == {"rejected": 1}
    herald.died("rejected", 5)
    herald.died("expired")
    assert herald.dead(2 * SECOND) is None
    told = herald.dead(902 * SECOND)
    assert told.data["dead"] == {"rejected": 5, "expired": 1}
    assert "1 expired, 5 rejected" in told.message
    assert herald.dead(2000 * SECOND) is None


def test_lags_are_counted_in_buckets_that_add_up():
    meter = LagMeter()
    for seconds in (-5, 0.5, 0.6, 3, 10**6):
        meter.note(seconds)
    lag = meter.lag()
    assert lag.buckets[:4] == ((0.5, 2), (1.0, 3), (2.0, 3), (5.0, 4))
    assert lag.buckets[-1][1] == 4
    assert lag.count == 5


async def test_a_worker_gives_back_results_and_errors_in_order():
    worker = Worker("test")
    assert await worker.run(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 / 0)
    assert await worker.run(max, 1, 2) == 2
    worker.close()
