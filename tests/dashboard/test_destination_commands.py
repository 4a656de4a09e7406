"""`faregate destinations`, asking a real office with a real courier and a real receiver."""

import json
import re
import threading

import pytest
from click.testing import CliRunner

from destinations.webhook import WebhookConfig
from gateway.__main__ import command_line
from gateway.commands.destinations import age_text
from tests.dashboard.conftest import TOKEN, until
from tests.dashboard.spans import content, span
from tests.dashboard.test_deliveries import POISON, answer_to, dead, save, settled
from tests.dashboard.test_destinations import SECRET
from tests.destinations.sink import Reply, Sink


@pytest.fixture
def sink():
    with Sink(answer_to) as sink:
        yield sink


@pytest.fixture
def configs(sink):
    return {"hook": WebhookConfig(url=sink.url, secret=SECRET, allow_private=True)}


@pytest.fixture
def run(office):
    until(lambda: all(one.why != "It has not started yet." for one in office.desk.courier.status().values()))

    def run(*arguments, code=0):
        environ = {"FAREGATE_URL": office.url, "FAREGATE_ADMIN_TOKEN": TOKEN}
        result = CliRunner().invoke(command_line, ["destinations", *arguments], env=environ)
        assert result.exit_code == code, result.output
        return result.output

    return run


def rows(text):
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


def test_a_list_has_a_row_for_each(office, run):
    dead(office)
    [headings, row] = rows(run("list"))
    shown = dict(zip(headings, row, strict=True))
    assert (shown["name"], shown["type"], shown["defined in"]) == ("hook", "webhook", "faregate.toml:12")
    assert (shown["accepted"], shown["delivered"], shown["pending"], shown["dead"]) == ("4", "1", "0", "3")
    assert json.loads(run("list", "--json"))[0]["counts"]["dead"] == 3


def test_one_is_shown_with_what_is_wrong_and_without_its_secrets(office, run):
    dead(office)
    run("replay", "hook", "--where", 'model == "none"')
    office.desk.replays.step()
    text = run("show", "hook")
    assert "4 accepted, 1 delivered, 0 pending, 3 dead, 0 refused" in text
    assert "secrets, card, iban, national_id" in text
    assert "begun" in text
    assert SECRET not in text
    assert json.loads(run("show", "hook", "--json"))["name"] == "hook"


def test_a_test_says_where_to_look_and_fails_with_code_1(run, sink):
    text = run("test", "hook")
    assert text.startswith("✓ ")
    assert json.loads(sink.last.body)["data"]["id"] in text
    sink.script(Reply(403))
    assert run("test", "hook", code=1).startswith("✗ ")
    assert json.loads(run("test", "hook", "--json"))["ok"] is True


def test_what_died_is_listed_with_its_reason_sent_again_and_given_up(office, run, sink):
    bad = dead(office)
    text = run("failed", "hook")
    assert [one.id in text for one in bad] == [True] * 3
    assert "rejected" in text
    assert "retry hook" in text
    assert len(json.loads(run("failed", "hook", "--limit", "2", "--json"))["deliveries"]) == 2
    assert "There are more" in run("failed", "hook", "--limit", "2")
    assert bad[1].id not in run("failed", "hook", "--id", bad[0].id)
    assert "once here" in run("failed", "hook", "--id", bad[0].id, "--id", bad[1].id, code=2)
    sink.answering = Reply(204)
    assert run("retry", "hook", "--id", bad[0].id) == "One delivery to hook is sent again.\n"
    assert run("retry", "hook", "--where", "latency_ms > 11.5") == "One delivery to hook is sent again.\n"
    settled(office)
    assert "Say which" in run("discard", "hook", code=2)
    assert run("discard", "hook", "--kind", "expired") == "No deliveries to hook are given up.\n"
    assert json.loads(run("discard", "hook", "--all", "--json")) == {"discarded": 1}
    assert run("failed", "hook") == "Nothing is dead on its way to hook.\n"


def test_what_waits_for_a_destination_that_is_gone_is_given_up(office, run):
    save(office, span(0), to="gone")
    assert "removed" in run("list")
    assert run("discard", "gone", "--pending", "--all") == "One delivery to gone is given up.\n"


def test_a_replay_from_its_dry_run_to_its_end(office, run):
    office.spans.save([(span(number), content()) for number in range(3)])
    text = run("replay", "hook", "--dry-run", "--rate", "1", "--where", 'model == "gpt-4o"')
    assert text == "3 of 3 calls would be sent to hook: bodies of 12 B, 3s at 1 a second.\n"
    begun = json.loads(run("replay", "hook", "--rate", "1", "--json"))
    assert "A replay to hook begins.\n" in run("replay", "hook", "--all", "--rate", "1000", "--from", "2026-01-01")
    office.desk.replays.step()
    assert begun["id"] in run("replays")
    assert "stopped: 1 of 1 calls are owed to hook" in run("stop", begun["id"])
    assert [one["state"] for one in json.loads(run("replays", "--json"))] == ["done", "stopped"]
    assert json.loads(run("stop", begun["id"], "--json"))["state"] == "stopped"


def test_a_replay_is_waited_for(office, run):
    office.spans.save([(span(number), content()) for number in range(3)])
    thread = threading.Thread(target=office.desk.replays.run)
    thread.start()
    try:
        text = run("replay", "hook", "--rate", "1000", "--wait")
    finally:
        office.desk.replays.stop()
        thread.join(30)
    assert "done: 3 of 3 calls are owed to hook" in text


def test_a_destination_is_tried_again_now(run):
    assert run("resume", "hook") == "hook is tried again.\n"
    assert json.loads(run("resume", "hook", "--json"))["name"] == "hook"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "hok"], 1, "did you mean `hook`?"),
        (["test", "hok"], 1, "did you mean `hook`?"),
        (["failed", "hok"], 1, "did you mean `hook`?"),
        (["retry", "hok"], 1, "did you mean `hook`?"),
        (["replay", "hook", "--where", "modle == 1"], 1, "did you mean"),
        (["replay", "hook", "--rate", "0"], 2, "--rate"),
        (["stop", "abc"], 1, "no replay with this id"),
        (["nothing"], 2, "nothing"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(run, arguments, code, said):
    assert said in run(*arguments, code=code)


@pytest.mark.parametrize("command", ["list", "replays"])
class TestWithoutAny:
    """An office without destinations."""

    @pytest.fixture
    def configs(self):
        return {}

    def test_that_there_is_none_is_said_with_what_makes_one(self, run, command):
        assert run(command).startswith("There ")
        assert json.loads(run(command, "--json")) == []


def test_a_call_shows_where_it_was_sent(office, run):
    [bad] = dead(office, 1)
    environ = {"FAREGATE_URL": office.url, "FAREGATE_ADMIN_TOKEN": TOKEN}
    text = CliRunner().invoke(command_line, ["call", bad.id], env=environ).output
    assert "sent to   hook: dead, 1 attempt: " in text
    assert POISON in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, None), (0.4, "0s"), (59.9, "59s"), (60, "1m"), (3 * 3600 + 5, "3h"), (10**6, "11d")]
)
def test_ages_are_short(seconds, text):
    assert age_text(seconds) == text
