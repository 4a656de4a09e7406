"""Slack, PagerDuty, Apprise: what tells people. E-mail has a file of its own."""

import json
import sys
import warnings
from dataclasses import replace

import pytest
from pydantic import ValidationError

from destinations import apprise as apprise_destination
from destinations.apprise import AppriseConfig
from destinations.client import client_for
from destinations.pagerduty import PagerDutyConfig
from destinations.slack import SlackConfig
from destinations.telling import call_line, one_line
from domain.destinations import DeliveryFailed, Misconfigured, Rejected, Unavailable
from tests.destinations.compliance import EVENT, assert_complies
from tests.destinations.fixture import BATCH, CALL_ID, QUESTION, error_variant, fixture_span, hostile, many, parcel
from tests.destinations.golden import golden
from tests.destinations.sink import Reply, Sink

ROUTING_KEY = "R0" + "a1b2c3d4e5" * 3


def without_key(body):
    told = json.loads(body)
    assert told.pop("routing_key") == ROUTING_KEY
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()


def slack(url="https://hooks.slack.test/services/T0/B0/" + "secret"):
    return SlackConfig(url=url, allow_private=True)


def pagerduty(url="https://events.test/v2/enqueue", **settings):
    return PagerDutyConfig(routing_key=ROUTING_KEY, url=url, allow_private=True, **settings)


async def test_slack_complies():
    with Sink(Reply(200, b"ok", "text/html")) as sink:
        await assert_complies(slack(sink.url + "/services/T0/B0/" + "secret"), sink)


async def test_pagerduty_complies():
    with Sink(Reply(202, b'{"status":"success","message":"Event processed"}')) as sink:
        await assert_complies(pagerduty(sink.url), sink, unsealed=without_key)


async def test_apprise_complies():
    await assert_complies(AppriseConfig(url="discord://" + "webhook_id/webhook_token"))


def test_channels_hear_of_calls_only_where_a_rule_says_so():
    assert all(kind.CHANNEL for kind in (SlackConfig, PagerDutyConfig, AppriseConfig))


# What is said


def test_a_call_is_one_line_without_a_word_of_its_content():
    line = call_line(parcel())
    assert line == f"chat gpt-4o-mini · ok 200 · $0.000333 · 1.2 s · key team-search · customer cust-1 · call {CALL_ID}"
    assert QUESTION not in line
    assert "error 429 · rate_limit_exceeded" in call_line(error_variant())
    for odd in hostile():
        assert "\n" not in call_line(odd)
        call_line(odd).encode()


def test_a_line_is_cut_and_prints():
    assert one_line("a\r\nb\0c\x1b[31md\u2028e") == "a b\ufffdc [31md e"
    assert len(one_line("x" * 10_000)) == 300


# Slack


def test_slack_can_be_made_to_call_nobody():
    evil = replace(EVENT, subject="<!channel> & <https://evil.test|here>", message="*bold* @here <@U1>\nsecond line")
    said = json.loads(slack().build("mine", None).encode_event(evil).body)
    assert "<" not in said["text"]
    assert "&lt;!channel&gt; &amp; &lt;https" in said["text"]
    assert said["text"].count("\n") == 1
    assert (said["mrkdwn"], said["unfurl_links"]) == (False, False)


async def slack_failure(reply):
    with Sink(reply) as sink:
        config = slack(sink.url)
        async with client_for(config) as client:
            destination = config.build("mine", client)
            with pytest.raises(DeliveryFailed) as caught:
                await destination.send(destination.encode_event(EVENT))
    return caught.value


async def test_slack_says_how_long_to_wait():
    failure = await slack_failure(Reply(429, b"rate_limited", headers={"retry-after": "30"}))
    assert isinstance(failure, Unavailable)
    assert (failure.retry_after, failure.throttled) == (30, True)


@pytest.mark.parametrize(
    ("status", "said", "failure", "gone"),
    [
        (400, b"invalid_payload", Rejected, None),
        (403, b"action_prohibited", Misconfigured, False),
        (404, b"no_service", Misconfigured, False),
        (410, b"channel_is_archived", Misconfigured, True),
        (500, b"rollup_error", Unavailable, None),
    ],
)
async def test_errors_of_slack(status, said, failure, gone):
    found = await slack_failure(Reply(status, said, "text/plain"))
    assert type(found) is failure
    assert getattr(found, "gone", None) is gone
    assert said.decode() in found.message


# PagerDuty


def alert(event):
    return json.loads(pagerduty().build("mine", None).encode_event(event).body)


def test_an_end_resolves_what_its_beginning_triggered():
    failing = alert(replace(EVENT, id="1", type="destination.failing", subject="hook"))
    broken = alert(replace(EVENT, id="2", type="destination.misconfigured", subject="hook"))
    other = alert(replace(EVENT, id="3", type="destination.failing", subject="bucket"))
    well = alert(replace(EVENT, id="4", type="destination.recovered", subject="hook", severity="info"))
    assert failing["dedup_key"] == broken["dedup_key"] == well["dedup_key"] != other["dedup_key"]
    assert [one["event_action"] for one in (failing, broken, other, well)] == ["trigger", "trigger", "trigger", "resolve"]


def test_each_warning_of_a_budget_is_an_alert_of_its_own_however_often_it_is_sent():
    first, again, second = alert(EVENT), alert(EVENT), alert(replace(EVENT, id="other"))
    assert first == again
    assert first["dedup_key"] != second["dedup_key"]
    assert len(alert(replace(EVENT, id="x" * 10_000))["dedup_key"]) <= 255


def test_an_alert_has_what_pagerduty_requires():
    for event in (EVENT, replace(EVENT, message="m" * 9_000, subject="s" * 9_000, severity="error")):
        said = alert(event)
        assert set(said["payload"]) >= {"summary", "source", "severity"}
        assert said["payload"]["severity"] in {"critical", "error", "warning", "info"}
        assert len(said["payload"]["summary"]) <= 1_024
    said = json.loads(pagerduty().build("mine", None).encode([error_variant()], BATCH).body)
    assert (said["event_action"], said["payload"]["severity"]) == ("trigger", "error")


async def test_a_wrong_key_is_a_matter_of_settings_and_a_bad_event_is_not():
    told = b'{"status":"invalid event","message":"Event object is invalid","errors":["Length of \'routing_key\' is incorrect"]}'
    other = b'{"status":"invalid event","message":"Event object is invalid","errors":["\'summary\' is missing"]}'
    with Sink() as sink:
        config = pagerduty(sink.url)
        async with client_for(config) as client:
            destination = config.build("mine", client)
            for body, failure in ((told, Misconfigured), (other, Rejected)):
                sink.script(Reply(400, body))
                with pytest.raises(failure):
                    await destination.send(destination.encode_event(EVENT))


# Apprise


@pytest.fixture
def apprise():
    """Apprise with its plug-ins loaded; importing them warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import apprise  # noqa: PLC0415 - where its warnings are caught

        apprise.Apprise().add("json://localhost")
        return apprise


async def test_apprise_tells_a_real_service(apprise):
    with Sink(Reply(200, b"{}")) as sink:
        config = AppriseConfig(url=sink.url.replace("http://", "json://") + "/hook", allow_private=True)
        destination = config.build("mine", None)
        await destination.send(destination.encode_event(EVENT))
        said = json.loads(sink.last.body)
        assert (said["title"], said["type"]) == ("[warning] budget.warning: budget team-search", "warning")
        assert said["message"] == EVENT.message
        sink.script(Reply(500))
        with pytest.raises(Unavailable):
            await destination.send(destination.encode_event(EVENT))


async def test_apprise_ends_in_time(apprise):
    with Sink() as sink:
        destination = AppriseConfig(url="json://127.0.0.1", timeout=0, allow_private=True).build("mine", None)
        with pytest.raises(Unavailable, match="in time"):
            await destination.send(destination.encode_event(EVENT))
    assert not sink.got


async def test_whatever_happens_inside_of_apprise_it_is_tried_again_later(apprise, monkeypatch):
    package = sys.modules["apprise"]
    monkeypatch.setattr(package.Apprise, "notify", lambda *_, **__: 1 / 0)
    destination = AppriseConfig(url="json://127.0.0.1", allow_private=True).build("mine", None)
    with pytest.raises(Unavailable, match="ZeroDivisionError"):
        await destination.send(destination.encode_event(EVENT))


async def test_apprise_says_that_a_url_is_wrong_without_repeating_it(apprise):
    destination = AppriseConfig(url="nosuch://" + "token").build("mine", None)
    with pytest.raises(Misconfigured) as caught:
        await destination.send(destination.encode_event(EVENT))
    assert "token" not in caught.value.message


@pytest.mark.parametrize(
    "url", ["json://127.0.0.1:{port}", "json://localhost:{port}", "mailto://u:p@x.test?smtp=127.0.0.1&from=a@b.test"]
)
async def test_apprise_is_not_at_a_private_address_unless_that_is_allowed(apprise, url):
    with Sink(Reply(200, b"{}")) as sink:
        destination = AppriseConfig(url=url.format(port=sink.url.rpartition(":")[2])).build("mine", None)
        with pytest.raises(Misconfigured, match="allow_private = true"):
            await destination.send(destination.encode_event(EVENT))
        assert not sink.got


@pytest.mark.parametrize(
    "url", ["json://169.254.169.254", "xml://[fe80::1]/x", "form://0.0.0.0:80", "json://[::ffff:169.254.169.254]"]
)
def test_apprise_is_never_at_a_forbidden_address(url):
    with pytest.raises(ValidationError, match="no destination may be at such an address"):
        AppriseConfig(url=url, allow_private=True)


@pytest.mark.parametrize("url", ["json://2852039166", "json://0xa9fea9fe", "ntfy://2852039166/topic"])
async def test_an_address_in_other_figures_is_none_the_less_forbidden_to_apprise(apprise, url):
    destination = AppriseConfig(url=url, allow_private=True).build("mine", None)
    with pytest.raises(Misconfigured, match="no destination may be at such an address"):
        await destination.send(destination.encode_event(EVENT))


async def test_a_token_in_the_place_of_a_host_is_no_address(apprise):
    """The id of a bot that would be 169.254.169.254 as a number."""
    telegram = apprise.Apprise.instantiate("tgram://2852039166:" + "A" * 35 + "/123")
    assert apprise_destination._check(telegram, allow_private=False) is None


async def test_apprise_follows_no_redirect(apprise):
    with Sink(Reply(200, b"{}")) as inside, Sink(Reply(307, headers={"location": inside.url})) as sink:
        destination = AppriseConfig(url=sink.url.replace("http://", "json://") + "?redirect=yes", allow_private=True).build(
            "mine", None
        )
        with pytest.raises(Unavailable):
            await destination.send(destination.encode_event(EVENT))
        assert (len(sink.got), len(inside.got)) == (1, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SlackConfig(url="hooks.slack.test"),
        SlackConfig,
        lambda: PagerDutyConfig(routing_key="short"),
        lambda: PagerDutyConfig(routing_key=ROUTING_KEY, source=""),
    ],
)
def test_settings_that_cannot_work_are_refused(make):
    with pytest.raises(ValidationError):
        make()


@pytest.mark.parametrize("kind", ["slack", "pagerduty", "apprise"])
def test_golden(kind):
    config = {"slack": slack, "pagerduty": pagerduty, "apprise": lambda: AppriseConfig(url="json://x")}[kind]()
    destination = config.build("mine", None)
    payloads = {
        "event": destination.encode_event(EVENT),
        "full": destination.encode([parcel()], BATCH),
        "error": destination.encode([error_variant()], BATCH),
        "several": destination.encode(many(3), BATCH),
    }
    for name, payload in payloads.items():
        golden(f"{kind}/{name}.json", json.dumps(json.loads(payload.body), indent=1, sort_keys=True).encode() + b"\n")


def test_the_cost_that_people_read_is_exact():
    assert "$0.000333" in call_line(parcel())
    assert "$12.345678901234" in call_line(parcel(replace(fixture_span(), cost=12_345_678_901_234)))
