"""`faregate destinations` and `doctor` on a whole running Faregate, which sends to a real receiver."""

import json
import urllib.request

import pytest

from tests.cli.installation import Up, until
from tests.cli.test_asking import app
from tests.destinations.sink import Reply, Sink

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SETTINGS = """
[destinations.hook]
type = "webhook"
url = "{url}/calls"
secret = "{secret}"
allow_private = true

[destinations.bell]
type = "webhook"
url = "{url}/events"
secret = "{secret}"
allow_private = true

[[rules]]
name = "all calls"
send_to = ["hook"]

[[rules]]
name = "what happens here"
events = ["budget.*"]
send_to = ["bell"]

[[budgets]]
scope = "all"
limit_requests = 2
window = "month"
mode = "soft"
warn_at = [0.5]
"""


@pytest.fixture(scope="module")
def sink():
    with Sink(Reply(204)) as sink:
        yield sink


@pytest.fixture(scope="module")
def running(tmp_path_factory, sink):
    """A Faregate with two destinations, on which two calls were made."""
    folder = tmp_path_factory.mktemp("delivering")
    (folder / "faregate.toml").write_text(SETTINGS.format(url=sink.url, secret=SECRET))
    running = Up(folder)
    try:
        running.event("ready")
        running.event("dashboard")
        calls = running.run("run", "--", *app(2))
        assert calls.returncode == 0, calls.stderr
        yield running
    finally:
        running.stop()


def told(running, *arguments):
    run = running.run(*arguments)
    assert run.returncode == 0, run.stderr + run.stdout
    return run.stdout


def listed(running):
    return {one["name"]: one for one in json.loads(told(running, "destinations", "list", "--json"))}


def got(sink, path):
    return [json.loads(one.body) for one in sink.got if one.path == path]


def test_calls_arrive_and_are_counted_and_shown(running, sink):
    until(lambda: listed(running)["hook"]["counts"]["delivered"] == 2, "they are not delivered")
    calls = json.loads(f"[{','.join(told(running, 'calls', '--json').splitlines())}]")
    assert {one["data"]["id"] for one in got(sink, "/calls")} == {call["id"] for call in calls}
    assert {delivery["state"] for call in calls for delivery in call["deliveries"]} == {"delivered"}
    assert "sent to   hook: delivered, 1 attempt" in told(running, "call", calls[0]["id"])
    hook = listed(running)["hook"]
    assert (hook["place"], hook["counts"]["accepted"], hook["counts"]["dead"]) == ("faregate.toml:2", 2, 0)


def test_a_budget_that_is_used_up_is_an_event_that_a_rule_sends_on(running, sink):
    until(lambda: len(got(sink, "/events")) >= 2, "no event came")
    events = {event["type"]: event for event in got(sink, "/events")}
    assert set(events) == {"budget.warning", "budget.exceeded"}
    assert "is used up: 2 requests of 2 requests spent" in json.dumps(events["budget.exceeded"])


def test_a_test_arrives_and_doctor_has_a_line_for_each(running, sink):
    assert told(running, "destinations", "test", "hook").startswith("✓")
    assert "faregate.test" in json.dumps(got(sink, "/calls")[-1])
    found = running.run("doctor", "--json")
    checks = {one["name"]: one for one in json.loads(found.stdout)["checks"]}
    assert checks["⇒ hook"]["ok"], checks["⇒ hook"]
    assert "last success" in checks["⇒ hook"]["fact"]
    assert checks["⇒ bell"]["ok"], checks["⇒ bell"]


def test_the_gate_tells_prometheus_what_the_office_delivered(running):
    url = running.event("ready")["url"]

    def text():
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def there():
        return 'faregate_deliveries_total{destination="hook",state="delivered"} ' in text()

    until(there, "no deliveries among the metrics")
    assert 'faregate_destination_state{destination="bell"' in text()
