"""The settings of redaction."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from config.redaction import RedactionSettings
from config.settings import Settings
from recorder.profiles import STANDARD


def test_without_settings_it_is_the_standard():
    assert RedactionSettings().value() == STANDARD


def test_everything_can_be_set():
    said = RedactionSettings.model_validate(
        {"kinds": ["secrets", "card"], "actions": {"card": "hash"}, "regions": ["DE"]}
    ).value()
    assert (said.kinds, said.actions, said.regions) == (("secrets", "card"), {"card": "hash"}, ("DE",))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kinds": ["e-mail"]}, "did you mean 'email'"),
        ({"actions": {"emial": "hash"}}, "did you mean 'email'"),
        ({"actions": {"gdpr": "hash"}}, "one by one"),
        ({"actions": {"email": "burn"}}, "mask"),
        ({"regions": ["de"]}, "two capitals"),
        ({"regions": ["DEU"]}, "two capitals"),
        ({"kind": []}, "Extra inputs"),
        ({"key": "short"}, "at least 16"),
    ],
)
def test_what_is_wrong_is_told(wrong, told):
    with pytest.raises(ValidationError, match=told):
        Settings.model_validate({"redaction": wrong})


@pytest.mark.parametrize(("content", "kept"), [("full", "redacted"), ("redacted", "redacted"), ("none", "none")])
def test_strict_keeps_nothing_that_is_not_redacted(content, kept):
    assert RedactionSettings(kinds=("strict",)).capture(content) == kept
    assert RedactionSettings().capture(content) == content


def test_reading_settings_loads_no_recogniser():
    code = "import sys; import config.redaction; assert not [name for name in sys.modules if name.startswith(('recorder.recognising', 'phonenumbers'))]"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_key_of_hashes_is_that_of_the_settings_or_the_installations():
    given = RedactionSettings.model_validate({"key": "0123456789abcdef"})
    assert given.key_bytes(b"a") == given.key_bytes(b"b")
    assert RedactionSettings().key_bytes(b"a") != RedactionSettings().key_bytes(b"b")
    assert b"0123456789abcdef" not in given.key_bytes(b"a")
    assert "0123456789abcdef" not in repr(given)
