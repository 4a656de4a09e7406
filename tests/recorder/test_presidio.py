"""Asking Presidio's process, which a script stands in for here; tests/receivers asks the real one."""

import json
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from domain.calls import CallError, ToolCall
from domain.deliveries import Claimed, Owed
from domain.destinations import Limits
from domain.exchange import Labels
from domain.spans import Content
from recorder.courier.configured import Configured, Made
from recorder.courier.packing import Packer, Progress
from recorder.fitting import fitted, fitted_extra
from recorder.presidio import Analyzer, Options
from recorder.presidio.analyzer import OVERLAP, REST_SECONDS, SCRIPT, SLICE
from recorder.profiles import Redaction, kinds_of
from recorder.redaction import CannotRedact, Redactor
from recorder.spans import record_of
from tests.destinations.fixture import fixture_span
from tests.recorder.test_spans import CALL, exchange

STUB = (sys.executable, str(Path(__file__).with_name("presidio_stub.py")))


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def starts(tmp_path, monkeypatch):
    """How often a process was started."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return lambda: len((tmp_path / "starts").read_text()) if (tmp_path / "starts").exists() else 0


@pytest.fixture
def made(starts):
    """Make analyzers, and end them."""
    analyzers = []

    def make(*, clock=None, model="m", command=STUB, **options):
        analyzers.append(Analyzer(Options({"en": model}, **options), command=command, monotonic=clock or Clock()))
        return analyzers[-1]

    yield make
    for one in analyzers:
        one.close()


def asked(tmp_path):
    return [json.loads(line) for line in (tmp_path / "asked").read_text().splitlines()]


def test_where_something_is_found_is_said_for_each_text(made):
    told = made().places(["I am Ann Lee.", "in Berlin, Ann Lee", "nothing", "42", "", "Ann Lee \ud800 \0 é Berlin"])
    assert told == {
        "I am Ann Lee.": ((5, 12, "person"),),
        "in Berlin, Ann Lee": ((3, 9, "location"), (11, 18, "person")),
        "Ann Lee \ud800 \0 é Berlin": ((0, 7, "person"), (14, 20, "location")),
    }


def test_one_process_answers_all_and_no_text_twice(made, starts, tmp_path):
    one = made()
    for _ in range(3):
        assert one.places(["Ann Lee", "Ann Lee", "so"]) == {"Ann Lee": ((0, 7, "person"),)}
    assert one.places(["Berlin"]) == {"Berlin": ((0, 6, "location"),)}
    assert (starts(), len(asked(tmp_path))) == (1, 2)


def test_a_long_text_is_cut_in_slices_that_overlap_and_media_are_left_out(made, tmp_path):
    media = "data:image/png;base64," + "Berlin00" * 1000
    text = ("x " * (SLICE // 2 - 2) + "Ann Lee ") * 3 + media + " Berlin"
    [places] = made().places([text]).values()
    assert [text[begin:end] for begin, end, _ in places] == ["Ann Lee"] * 3 + ["Berlin"]
    assert max(max(lengths) for lengths in asked(tmp_path)) <= SLICE
    assert len("Ann Lee") < OVERLAP


@pytest.mark.parametrize(
    ("text", "why"), [("FAIL Ann Lee", "failed: ValueError"), ("DIE Ann Lee", "process ended"), ("NOISE it", "process ended")]
)
def test_what_fails_cannot_be_redacted_and_the_next_is_found(made, text, why):
    one = made()
    with pytest.raises(CannotRedact, match=why) as raised:
        one.places([text])
    assert "Ann" not in str(raised.value)
    assert one.places(["Ann Lee"])


def test_what_takes_too_long_is_ended(made, starts):
    one = made(seconds=0.3)
    with pytest.raises(CannotRedact, match=r"took longer than 0\.3 s"):
        one.places(["HANG"])
    patient = made(seconds=60.0)
    assert patient.places(["Ann Lee"])
    assert starts() == 2


def test_a_process_that_ended_is_begun_anew_once(made, starts):
    assert made().places(["ONCE Ann Lee"]) == {"ONCE Ann Lee": ((5, 12, "person"),)}
    assert starts() == 2


def test_more_text_than_may_be_is_not_asked_about(made, starts):
    one = made(characters=20)
    with pytest.raises(CannotRedact, match="21 characters are more than"):
        one.places(["Ann Lee" * 3])
    assert starts() == 0


@pytest.mark.parametrize(("model", "why"), [("none", "there is no model"), ("dies", "ended")])
def test_one_that_cannot_be_started_rests_and_is_tried_again_later(made, starts, model, why, caplog):
    clock = Clock()
    one = made(model=model, clock=clock)
    one.start()
    assert why in caplog.text
    assert "neither kept nor sent" in caplog.text
    for _ in range(3):
        with pytest.raises(CannotRedact, match=why):
            one.places(["Ann Lee"])
    assert starts() == 1
    clock.now += REST_SECONDS
    with pytest.raises(CannotRedact, match="could not be started"):
        one.places(["Ann Lee"])
    assert starts() == 2


def test_a_command_that_is_not_there_is_no_reason_to_fail_openly(made):
    with pytest.raises(CannotRedact, match="could not be started"):
        made(command=("/nowhere/python",)).places(["Ann Lee"])


def test_the_real_process_says_what_to_install_where_it_is_missing(made):
    if "presidio_analyzer" in sys.modules:
        pytest.skip("it is there")
    with pytest.raises(CannotRedact, match=r"pip install 'faregate\[presidio\]'"):
        made(command=(sys.executable, "-I", "-S", str(SCRIPT))).places(["Ann Lee"])


def test_closing_ends_the_process_also_while_somebody_waits(made, starts):
    one = made(seconds=600.0)
    one.start()
    failed = []

    def ask():
        with pytest.raises(CannotRedact) as raised:
            one.places(["HANG"])
        failed.append(str(raised.value))

    waiting = threading.Thread(target=ask, daemon=True)
    waiting.start()
    one.close()
    waiting.join()
    assert failed == ["Presidio's process has ended with the office"]
    assert starts() == 1


def test_the_process_ends_with_ours(starts):
    code = (
        "import sys; from recorder.presidio import Analyzer, Options; one = Analyzer(Options({'en': 'm'}), command=sys.argv[1:]); "
        "one.places(['Ann Lee']); print(one._process.pid, flush=True); import os; os._exit(0)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, *STUB], check=True, capture_output=True, text=True
    )  # its output ends when both have
    assert told.stdout.strip().isdigit()


def policy(analyzer, **more):
    return Redaction(outside=analyzer, **more)


def test_its_kinds_are_kinds_as_all_others(made):
    groups = policy(made()).groups()
    assert groups == {"person": "pii", "location": "pii"}
    assert kinds_of(["pii"], groups) >= {"person", "location", "email"}
    assert kinds_of(["person"], groups) == {"person"}


def a_call():
    span = replace(
        fixture_span(),
        error=CallError(None, None, "about Ann Lee"),
        tool_calls=(ToolCall("t", "n", '{"to":"Ann Lee"}'),),
        labels=Labels(user="Ann Lee", tags={"city": "Berlin"}),
        params={"stop_sequences": ["Ann Lee:"]},
    )
    return span, Content(request=b"Ann Lee here", input={"Ann Lee": ["to Berlin, x@y.org"]}, request_headers=(("x", "Ann Lee"),))


def test_a_destination_gets_nothing_of_what_was_found(made):
    span, content = a_call()
    terms = {
        "mode": "full",
        "profile": ("person", "location"),
        "key": b"k",
        "policy": policy(made(), actions={"location": "drop"}),
    }
    fit, bodies = fitted(span, content, **terms)
    assert "Ann" not in repr((fit, bodies))
    assert bodies.input == {"[person]": ["to [], x@y.org"]}
    assert fit.labels.user.startswith("[person:")
    assert fit.labels.tags["city"].startswith("[location:")
    assert fit.notes[-1] == "redacted: 2 location (0.50), 6 person (0.50)"
    assert fitted(fit, bodies, **terms) == (fit, bodies)
    assert fitted_extra({"who": "Ann Lee"}, **terms) == {"who": fit.labels.user}


def test_nobody_is_asked_where_nothing_of_it_is_wanted(made, starts):
    span, content = a_call()
    fitted(span, content, mode="full", profile=("email",), policy=policy(made()))
    assert starts() == 0


def test_what_is_in_a_mask_is_not_found_again(made):
    redacting = Redactor(frozenset({"person", "email"}), {}, own=made().kinds)
    text = "[email] x"
    assert redacting.knowing({text: ((1, 6, "person"),)}).text(text, Counter()) == text


@pytest.mark.parametrize("text", ["HANG", "DIE", "FAIL"])
def test_at_capture_no_content_is_kept_that_could_not_be_looked_through(made, text):
    call = replace(CALL, input={"a": f"{text} Ann Lee"}, error=CallError(None, None, "for Ann Lee"))
    span, content = record_of(exchange(capture="redacted"), call, redaction=policy(made(seconds=0.3)))
    assert content is None
    assert span.content == "none"
    assert "Ann" not in repr(span)
    assert span.notes[-1].startswith("content is not kept, since it could not be redacted: Presidio")
    assert (span.operation, span.model) == ("chat", "gpt-4o")


def test_at_capture_what_was_found_is_not_kept(made):
    call = replace(CALL, input={"a": "Ann Lee, x@y.org"})
    span, content = record_of(exchange(capture="redacted"), call, redaction=policy(made()))
    assert content.input == {"a": "[person], [email]"}
    assert span.content == "redacted"


def test_what_could_not_be_looked_through_is_not_sent_and_says_why(made):
    span, content = a_call()
    configured = Configured("hook", lambda: None, Limits(), redact=("person",), policy=policy(made(characters=5)))
    claim = Claimed(1, "live", Owed("hook"), 0, 0, span, content)
    [item] = Packer(configured, Made(None)).items([claim], Progress())
    assert item.parcel is None
    assert item.failed[0] == "transform"
    assert "could not be redacted: Presidio was not asked" in item.failed[1]
    assert "Ann" not in item.failed[1]
