"""What `faregate doctor` says of destinations: one line each, of the first thing that is wrong, with what mends it."""

import pytest

from destinations.webhook import WebhookConfig
from gateway.asking.destination_checks import destination_findings, resolved

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
COUNTS = {"accepted": 9, "delivered": 9, "pending": 0, "dead": 0, "refused": 0, "dead_kept": 0}
WELL = {
    "name": "hook",
    "state": "idle",
    "why": None,
    "last_ok_at": "2026-01-01T00:00:00.000000Z",
    "last_error": None,
    "oldest_age_seconds": None,
    "counts": COUNTS,
}


def hook(**more):
    return WebhookConfig(**{"url": "https://hooks.example.com/x", "secret": SECRET} | more)


def found(config, told, addresses=("93.184.215.14",)):
    configs = {"hook": config} if config is not None else {}
    [finding] = destination_findings(configs, told, lambda *_: addresses)
    assert finding.name == "⇒ hook"
    assert finding.ok == (finding.mend is None)
    return finding.fact, finding.mend


def test_one_that_is_well_says_when_it_took_something_last():
    fact, mend = found(hook(), [WELL])
    assert fact.startswith("last success 01-01")
    assert fact.endswith("9 delivered, 0 pending")
    assert mend is None
    assert found(hook(), [WELL | {"last_ok_at": None}])[0].startswith("nothing sent since the start")


@pytest.mark.parametrize(
    ("changes", "said", "mend"),
    [
        ({"state": "misconfigured", "why": "401: no such key"}, "misconfigured: 401: no such key", "config show --origin"),
        ({"state": "disabled", "last_error": "410"}, "disabled: 410", "destinations test hook"),
        ({"state": "open", "last_error": "503 busy"}, "open: 503 busy", "faregate destinations test hook"),
        ({"counts": COUNTS | {"dead": 5, "dead_kept": 3}}, "3 dead, 0 pending", "faregate destinations failed hook"),
        ({"oldest_age_seconds": 1234.5}, "0 pending, the oldest for 1234 s", "faregate destinations show hook"),
    ],
)
def test_what_is_wrong_is_said_with_what_mends_it(changes, said, mend):
    fact, told = found(hook(), [WELL | changes])
    assert said in fact
    assert mend in told


def test_dead_ones_that_were_given_up_are_no_trouble():
    assert found(hook(), [WELL | {"counts": COUNTS | {"dead": 5}}])[1] is None


def test_where_it_is_must_be_known_and_allowed():
    def unknown(host, port):
        raise OSError("no such name")

    [finding] = destination_findings({"hook": hook()}, [WELL], unknown)
    assert finding.fact == "the name of hooks.example.com is not known"
    assert "destinations.hook.url" in finding.mend
    fact, mend = found(hook(), [WELL], ["93.184.215.14", "10.1.2.3"])
    assert "hooks.example.com is at 10.1.2.3" in fact
    assert "allow_private" in fact
    assert "destinations.hook.url" in mend
    assert found(hook(allow_private=True), [WELL], ["10.1.2.3"])[1] is None
    assert "link-local" in found(hook(allow_private=True), [WELL], ["169.254.169.254"])[0]


def test_without_a_gateway_only_settings_and_address_are_checked():
    assert found(hook(), None) == ("its settings are right; no gateway says how it stands", None)
    assert "10.1.2.3" in found(hook(), None, ["10.1.2.3"])[0]


def test_a_gateway_that_runs_on_other_settings_is_told():
    assert "does not have it yet" in found(hook(), [])[0]
    gone = WELL | {"state": "removed"}
    assert found(None, [gone])[1] is None
    fact, mend = found(None, [gone | {"counts": COUNTS | {"pending": 2}}])
    assert "any more; 2 pending" in fact
    assert "discard hook --pending --all" in mend


def test_names_are_looked_up():
    assert "127.0.0.1" in resolved("127.0.0.1", 80)


def test_one_that_is_no_place_on_the_network_is_not_looked_up():
    assert found(type("Folder", (), {"url": None})(), [WELL], ["169.254.169.254"])[1] is None
