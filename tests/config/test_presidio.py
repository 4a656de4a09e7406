"""`[redaction.presidio]`: read, checked, and known wherever kinds are named."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from config.redaction import RedactionSettings
from config.settings import Settings
from recorder.presidio import Options

MODELS = {"en": "en_core_web_lg"}


def read(**presidio):
    return Settings.model_validate({"redaction": {"presidio": {"models": MODELS} | presidio}}).redaction


def test_everything_can_be_set_and_what_looks_through_is_one_for_all():
    said = read(entities=["PERSON", "NRP"], score=0.4, timeout="5s", most_kb=64, memory_mb=512)
    outside = said.value().outside
    assert outside is said.value().outside
    assert outside.options == Options(MODELS, ("PERSON", "NRP"), 0.4, 5.0, 64 * 1024, 512 * 1024 * 1024)
    assert read().value().outside.options == Options(MODELS)
    assert RedactionSettings().value().outside is None


def test_its_entities_are_kinds():
    said = Settings.model_validate(
        {
            "redaction": {"kinds": ["person", "secrets"], "actions": {"location": "hash"}, "presidio": {"models": MODELS}},
            "destinations": {"here": {"type": "folder", "path": "/tmp/x", "redact": ["location"]}},
            "rules": [{"send_to": "here", "redact": ["person", "location"]}],
        }
    )
    assert said.redaction.value().groups() == {"person": "pii", "location": "pii"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"models": {}}, "at least 1"),
        ({"models": {"english": "x"}}, "models"),
        ({"models": {"en": ""}}, "models"),
        ({"entities": []}, "at least 1"),
        ({"entities": ["person"]}, "entities"),
        ({"entities": ["US_SSN"]}, "redaction.presidio.entities: US_SSN is a kind or a profile that is built in"),
        ({"entities": ["CUSTOMER"]}, "CUSTOMER is a kind or a profile"),
        ({"score": 1.1}, "score"),
        ({"timeout": "16s"}, "at most 15s"),
        ({"timeout": "0s"}, "longer than 0"),
        ({"most_kb": 0}, "most_kb"),
        ({"memory_mb": 100}, "memory_mb"),
        ({"model": "x"}, "Extra inputs"),
    ],
)
def test_what_is_wrong_is_told(wrong, told):
    with pytest.raises(ValidationError, match=told):
        read(**wrong)


def test_an_own_kind_has_another_name():
    with pytest.raises(ValidationError, match=r"redaction\.own\.person: this is also one of presidio\.entities"):
        Settings.model_validate({"redaction": {"presidio": {"models": MODELS}, "own": {"person": {"words": ["Ann Lee"]}}}})


def test_reading_settings_loads_neither_presidio_nor_a_recogniser():
    code = (
        "import sys; from config.settings import Settings; Settings.model_validate({'redaction': {'presidio': {'models': {'en': 'x'}}, 'own': {'a1': {'words': ['Acme']}}}});"
        "assert not [name for name in sys.modules if name.startswith(('recorder.recognising', 'recorder.presidio', 'presidio', 'spacy', 'phonenumbers'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
