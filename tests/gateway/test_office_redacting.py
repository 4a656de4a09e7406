"""A whole office with what operators set of redaction: their own kinds at capture and at a destination, and Presidio where it is not there."""

import gzip
import importlib.util
import json

import pytest

from config.errors import SettingsError
from gateway.running.starting import plan_for
from tests.dashboard.conftest import until
from tests.gateway.test_office import journal, office, recorded  # noqa: F401 - fixtures

OWN = {"clients": {"words": ["Acme Corp"]}, "tickets": {"patterns": [r"TICKET-\d{4,8}"], "profile": "secrets"}}
SAID = b'{"model":"gpt-4o","messages":[{"role":"user","content":"ACME  corp has ticket-12345"}]}'


def content(running, id_):
    return running.get(f"/api/v1/calls/{id_}/request").text


def test_own_kinds_are_redacted_at_capture(office, journal):  # noqa: F811
    running = office(record={"content": "redacted"}, redaction={"own": OWN, "actions": {"clients": "hash"}}).start()
    [id_] = journal(running.folder, 1, request=SAID)
    until(lambda: len(recorded(running)) == 1)
    said = content(running, id_)
    assert "[clients:" in said
    assert "has [tickets]" in said
    assert "corp" not in said.lower()
    assert any("1 clients (1.00), 1 tickets (1.00)" in note for note in recorded(running)[0]["notes"])
    assert running.end() == 0


def test_a_destination_gets_none_of_the_own_kinds_that_it_names_and_the_store_keeps_them(office, journal, tmp_path):  # noqa: F811
    sent = tmp_path / "sent"
    here = {"type": "folder", "path": str(sent), "redact": ["clients"], "flush": 0.05}
    running = office(destinations={"here": here}, redaction={"own": OWN}).start()
    [id_] = journal(running.folder, 1, request=SAID)
    until(lambda: any(sent.rglob("*.gz")), 30)
    said = b"".join(gzip.decompress(path.read_bytes()) for path in sent.rglob("*.gz")).decode()
    assert "[clients] has ticket-12345" in said
    assert "ACME" not in said
    assert "ACME" in content(running, id_)
    assert running.end() == 0


@pytest.mark.skipif(importlib.util.find_spec("presidio_analyzer") is not None, reason="Presidio is there")
def test_without_presidio_a_start_is_refused_and_an_office_keeps_no_content(office, journal, tmp_path):  # noqa: F811
    presidio = {"models": {"en": "en_core_web_sm"}}
    file = tmp_path / "faregate.toml"
    file.write_text(f"[storage]\ndata = '{tmp_path}/other'\n[redaction.presidio]\nmodels = {{en = 'en_core_web_sm'}}\n")
    with pytest.raises(SettingsError, match=r"pip install 'faregate\[presidio\]'"):
        plan_for(file, {}, {})
    running = office(record={"content": "redacted"}, redaction={"presidio": presidio}).start()
    journal(running.folder, 1, request=SAID)
    until(lambda: len(recorded(running)) == 1)
    [call] = recorded(running)
    assert (call["content"], call["model"], call["operation"]) == ("none", "gpt-4o", "chat")
    assert "could not be redacted: Presidio could not be started" in call["notes"][-1]
    assert "corp" not in json.dumps(call).lower()
    assert running.end() == 0
    assert "neither kept nor sent" in running.log.read_text()
