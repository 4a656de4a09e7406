"""What the office counts of deliveries, as the gate tells it to Prometheus."""

import json

from domain.deliveries import Counts
from gateway.metrics import OFFICE_FILE, SharedCounters
from gateway.office_metrics import OfficeCounters, delivery_samples
from recorder.courier.status import DestinationStatus, Lag, LagMeter
from tests.gateway.test_metrics import a_dead_process, read

SECOND = 10**9
ODD = 'a"b\\c\nd'


def gate(folder):
    return SharedCounters(folder, 0, lambda: [("faregate_calls_running", (), 1)])


def told(folder, counts, status=None, now=100.0):
    OfficeCounters(folder, lambda: delivery_samples(counts, status or {}, now)).write()
    return read(gate(folder).text())


def test_deliveries_are_told_by_destination_and_add_up(tmp_path):
    found = told(tmp_path, {"hook": Counts(10, 6, 3, 1, 2, 40 * SECOND), "idle": Counts()})
    of = '{destination="hook"}'
    assert found[f"faregate_deliveries_accepted{of}"] == 10
    assert found['faregate_deliveries_total{destination="hook",state="delivered"}'] == 6
    assert found['faregate_deliveries_total{destination="hook",state="refused"}'] == 2
    assert (found[f"faregate_deliveries_pending{of}"], found[f"faregate_deliveries_dead{of}"]) == (3, 1)
    assert found[f"faregate_delivery_oldest_age_seconds{of}"] == 60
    assert found['faregate_delivery_oldest_age_seconds{destination="idle"}'] == 0
    assert found["faregate_calls_running"] == 1


def test_a_clock_that_went_back_makes_no_age_below_zero(tmp_path):
    found = told(tmp_path, {"hook": Counts(1, 0, 1, 0, 0, 200 * SECOND)})
    assert found['faregate_delivery_oldest_age_seconds{destination="hook"}'] == 0


def test_what_the_courier_does_is_told(tmp_path):
    meter = LagMeter()
    for seconds in (0.1, 0.7, 20.0, 10**6):
        meter.note(seconds)
    status = DestinationStatus(
        "hook",
        "open",
        breaker="half-open",
        in_flight=2,
        sent_bytes=1000,
        outcomes={"delivered": 5, "unavailable": 2},
        lag=meter.lag(),
    )
    found = told(tmp_path, {}, {"hook": status, "calm": DestinationStatus("calm", "idle", lag=Lag())})
    of = '{destination="hook"}'
    assert found['faregate_delivery_attempts_total{destination="hook",outcome="delivered"}'] == 5
    assert found['faregate_delivery_attempts_total{destination="hook",outcome="unavailable"}'] == 2
    assert (found[f"faregate_delivery_sent_bytes_total{of}"], found[f"faregate_delivery_in_flight{of}"]) == (1000, 2)
    assert found[f"faregate_delivery_breaker_open{of}"] == 1
    assert found['faregate_delivery_breaker_open{destination="calm"}'] == 0
    assert found['faregate_destination_state{destination="hook",state="open"}'] == 1
    buckets = {
        key: value for key, value in found.items() if key.startswith('faregate_delivery_lag_seconds_bucket{destination="hook"')
    }
    assert list(buckets.values()) == sorted(buckets.values()), "the buckets stand in the order of their bounds"
    assert list(buckets)[-1].endswith('le="+Inf"}')
    assert (min(buckets.values()), max(buckets.values())) == (1, 4)
    assert found[f"faregate_delivery_lag_seconds_count{of}"] == 4
    assert found[f"faregate_delivery_lag_seconds_sum{of}"] == 10**6 + 20.8


def test_names_of_destinations_cannot_break_out_of_their_label(tmp_path):
    found = told(tmp_path, {ODD: Counts(1, 1)}, {ODD: DestinationStatus(ODD, "idle")})
    assert found['faregate_deliveries_accepted{destination="a\\"b\\\\c\\nd"}'] == 1


def test_an_office_that_is_gone_keeps_what_it_counted_and_nothing_that_was_of_the_moment(tmp_path):
    status = {"hook": DestinationStatus("hook", "open", breaker="open", in_flight=2, outcomes={"delivered": 5})}
    told(tmp_path, {"hook": Counts(10, 6, 3, 1)}, status)
    path = tmp_path / OFFICE_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": a_dead_process()}))
    found = read(gate(tmp_path).text())
    assert found['faregate_deliveries_total{destination="hook",state="delivered"}'] == 6
    assert found['faregate_delivery_attempts_total{destination="hook",outcome="delivered"}'] == 5
    assert found['faregate_delivery_lag_seconds_count{destination="hook"}'] == 0
    assert not any(name in key for key in found for name in ("pending", "in_flight", "breaker", "state{"))


def test_the_file_is_written_only_when_something_changed(tmp_path):
    counters = OfficeCounters(tmp_path, lambda: delivery_samples({"hook": Counts(1, 1)}, {}, 5.0))
    counters.write()
    before = (tmp_path / OFFICE_FILE).stat().st_ino
    counters.write()
    assert (tmp_path / OFFICE_FILE).stat().st_ino == before
