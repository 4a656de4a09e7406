"""Presidio itself, in its own environment, asked as the office asks it."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from domain.spans import Content
from recorder.fitting import fitted
from recorder.presidio import Analyzer, Options
from recorder.presidio.analyzer import SCRIPT
from recorder.profiles import Redaction
from recorder.redaction import CannotRedact
from recorder.spans import record_of
from tests.destinations.fixture import fixture_span
from tests.receivers.servers import INSTALLED
from tests.recorder.test_spans import CALL, exchange

pytestmark = pytest.mark.slow
PYTHON = INSTALLED / "presidio" / "bin" / "python"
ENTITIES = ("PERSON", "LOCATION", "ORGANIZATION", "EMAIL_ADDRESS", "MAC_ADDRESS")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    if not PYTHON.exists():
        pytest.skip("no Presidio: not installed; `make test` installs it")
    folder = tmp_path_factory.mktemp("model") / "en"
    subprocess.run([PYTHON, Path(__file__).with_name("presidio_model.py"), folder], check=True, env={"PATH": os.environ["PATH"]})
    return str(folder)


@pytest.fixture(scope="module")
def make(model):
    """Make analyzers, and end them."""
    made = []

    def one(**options):
        options = {"models": {"en": model}, "entities": ENTITIES, "seconds": 60.0} | options
        made.append(Analyzer(Options(**options), command=(str(PYTHON), "-P", str(SCRIPT))))
        return made[-1]

    yield one
    for analyzer in made:
        analyzer.close()


@pytest.fixture(scope="module")
def analyzer(make):
    return make()


def said(analyzer, text):
    return [(text[begin:end], kind) for begin, end, kind in analyzer.places([text]).get(text, ())]


def test_names_and_places_are_found_where_they_are(analyzer):
    text = "Ann Lee of Initech, ZOË — in Berlin \U0001f600 Berlin; ann@x.org has 00:1A:2B:3C:4D:5E"
    assert said(analyzer, text) == [
        ("Ann Lee", "person"),
        ("Initech", "organization"),
        ("ZOË", "person"),
        ("Berlin", "location"),
        ("Berlin", "location"),
        ("ann@x.org", "email_address"),
        ("00:1A:2B:3C:4D:5E", "mac_address"),
    ]


@pytest.mark.parametrize(
    "text", ["\0\ud800 Ann Lee", "a" * 60_000, "Ann " * 9_000, "\n" * 30_000 + "Ann Lee", "@" * 20_000 + "ab", "é\u0301" * 9_000]
)
def test_hostile_texts_are_borne(analyzer, text):
    found = said(analyzer, text)
    assert ("Ann Lee" in text) == bool(found)


def test_a_long_text_is_looked_through_whole(analyzer):
    text = "x, " * 3_331 + "Ann Lee " + "x, " * 20_000 + "in Berlin"
    assert said(analyzer, text) == [("Ann Lee", "person"), ("Berlin", "location")]


def test_a_call_is_recorded_and_sent_without_what_was_found(analyzer):
    policy = Redaction(kinds=("person", "location"), outside=analyzer)
    call = replace(CALL, input={"messages": [{"content": "I am Ann Lee from Berlin"}]})
    span, content = record_of(exchange(capture="redacted"), call, redaction=policy)
    assert content.input == {"messages": [{"content": "I am [person] from [location]"}]}
    assert "redacted: 1 location (0.50), 1 person (0.50)" in span.notes
    _, bodies = fitted(fixture_span(), Content(input={"a": "Zoë"}), mode="full", profile=("pii",), policy=policy)
    assert bodies.input == {"a": "[person]"}


def test_several_languages_and_a_score_of_its_own(make, model):
    both = make(models={"en": model, "de": model}, entities=("PERSON",))
    assert said(both, "Ann Lee in Berlin") == [("Ann Lee", "person")]
    assert said(make(score=0.99), "Ann Lee at ann@x.org") == [("ann@x.org", "email_address")]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"models": {"en": "en_core_web_lg"}}, "python -m spacy download en_core_web_lg"),
        ({"models": {"en": "/nowhere"}}, "there is no model '/nowhere'"),
        ({"entities": ("PERSONS",)}, "there is no entity 'PERSONS'; there are AGE"),
        ({"memory": 64 * 1024 * 1024}, "could not be started"),
        ({"characters": 3}, "most_kb"),
    ],
)
def test_what_cannot_be_asked_says_why(make, options, why):
    with pytest.raises(CannotRedact, match=why):
        make(**options).places(["Ann Lee"])


def test_memory_and_time_are_bounded(make):
    # A model's memory grows with the text; what is more than may be ends in an error, not in the machine's last memory.
    poor = make(memory=1_200 * 1024 * 1024)
    assert said(poor, "Ann Lee")
    hurried = make(seconds=0.05)
    hurried.start()
    with pytest.raises(CannotRedact, match="took longer"):
        hurried.places([f"Ann Lee {number} " + "so it is, " * 900 for number in range(25)])
