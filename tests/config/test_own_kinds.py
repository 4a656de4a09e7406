"""`[redaction.own.NAME]`: read, checked, and known wherever kinds are named."""

import pytest

from config.errors import SettingsError
from config.loading import load_settings
from config.own_kinds import LARGEST_FILE, MOST_WORDS
from recorder.profiles import OwnKind

HOOK = "[destinations.hook]\ntype = 'webhook'\nurl = 'https://hooks.example.com/llm'\nsecret = 'whsec_{}'\nallow_private = true\n".format(
    "c2VjcmV0" * 4
)


def load(tmp_path, text):
    path = tmp_path / "faregate.toml"
    path.write_text(text)
    return load_settings(path, {}, {}).settings


def wrong(tmp_path, text):
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, text)
    return raised.value.problems


def said(kind):
    return {name: getattr(kind, name) for name in OwnKind.__slots__}


def test_a_kind_is_what_the_settings_say(tmp_path):
    (tmp_path / "names.txt").write_text("\ufeff Blue Harbor \n\nAcme Corp\r\nBlue Harbor\n", "utf-8")
    settings = load(
        tmp_path,
        f"""
[redaction.own.clients]
words = ["Acme Corp", " Müller & Söhne "]
words_file = "{tmp_path}/names.txt"
match_case = true
whole_words = false
[redaction.own.tickets]
patterns = ['TICKET-\\d{{4,8}}']
profile = "secrets"
""",
    )
    clients, tickets = settings.redaction.value().own
    assert said(clients) == said(
        OwnKind("clients", ("Acme Corp", "Müller & Söhne", "Blue Harbor"), (), "pii", match_case=True, whole_words=False)
    )
    assert said(tickets) == said(OwnKind("tickets", (), (r"TICKET-\d{4,8}",), "secrets"))


def test_its_name_stands_wherever_that_of_a_kind_may(tmp_path):
    settings = load(
        tmp_path,
        "[redaction]\nkinds = ['secrets', 'clients']\nactions = {clients = 'hash'}\n[redaction.own.clients]\nwords = ['Acme']\n"
        + HOOK
        + "redact = ['clients']\n[[rules]]\nsend_to = 'hook'\nredact = ['clients', 'card']\n",
    )
    assert settings.redaction.value().kinds == ("secrets", "clients")
    assert settings.destinations["hook"].redact == ("clients",)
    assert settings.rules[0].redact == ("clients", "card")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[redaction.own.x]\nwords = ['Acme']", "redaction.own.x"),
        ("[redaction.own.Clients]\nwords = ['Acme']", "redaction.own.Clients"),
        ("[redaction.own.email]\nwords = ['Acme']", "redaction.own.email: there is a kind or a profile of this name"),
        ("[redaction.own.pii]\nwords = ['Acme']", "redaction.own.pii: there is a kind or a profile of this name"),
        ("[redaction.own.customer]\nwords = ['Acme']", "redaction.own.customer: there is"),
        ("[redaction.own.clients]\n", "it finds nothing"),
        ("[redaction.own.clients]\nwords = ['', ' ']", "it finds nothing"),
        ("[redaction.own.clients]\nwords = ['Acme', 'a']", "word 2 must have 2 to 200 characters"),
        ("[redaction.own.clients]\nwords = ['--']", "a letter or digit"),
        (f"[redaction.own.clients]\nwords = ['{'x' * 201}']", "2 to 200"),
        ("[redaction.own.clients]\npatterns = ['ab', 'a+']", "pattern 2 cannot be used: `+` at character 2 repeats without an end"),
        ("[redaction.own.clients]\npatterns = ['(a|aa){1,50}b']", "begin differently"),
        ("[redaction.own.acme_names]\nwords = ['ACME']", "redaction.own.acme_names: its name"),
        ("[redaction.own.clients]\nwords = ['lien']\nwhole_words = false", "redaction.own.clients: its name"),
        ("[redaction.own.clients]\nwords_file = '/nowhere/names.txt'", "/nowhere/names.txt cannot be read: No such file"),
        ("[redaction.own.clients]\nwords = ['Acme']\nprofile = 'gdpr'", "redaction.own.clients.profile"),
        ("[redaction.own.clients]\nword = ['Acme']", "did you mean redaction.own.clients.words?"),
        ("[redaction]\nkinds = ['client']\n[redaction.own.clients]\nwords = ['Acme']", "redaction.kinds: there is no kind or profile 'client'; did you mean 'clients'"),
        ("[redaction]\nactions = {client = 'hash'}\n[redaction.own.clients]\nwords = ['Acme']", "redaction.actions.client: there is no"),
        (HOOK + "redact = ['clients']", "destinations.hook.redact: there is no kind or profile 'clients'"),
        (HOOK + "[[rules]]\nsend_to = 'hook'\nredact = ['clients']", "rules.0.redact"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(tmp_path, text, told):
    problems = wrong(tmp_path, text)
    assert any(told in line for line in problems), problems
    assert all(line.startswith("faregate.toml") for line in problems)


def test_a_word_that_is_wrong_is_not_repeated(tmp_path):
    (tmp_path / "names.txt").write_text("Acme\nB\n")
    (tmp_path / "odd.txt").write_bytes(b"M\xfcller")
    [short] = wrong(tmp_path, f"[redaction.own.clients]\nwords_file = '{tmp_path}/names.txt'")
    assert "names.txt, word 2 must" in short
    [odd] = wrong(tmp_path, f"[redaction.own.clients]\nwords_file = '{tmp_path}/odd.txt'")
    assert "not written in UTF-8" in odd
    assert "ller" not in odd


def test_words_and_patterns_have_bounds(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"name{number}" for number in range(MOST_WORDS)))
    file = f"words_file = '{names}'"
    assert len(load(tmp_path, f"[redaction.own.clients]\n{file}").redaction.value().own[0].words) == MOST_WORDS
    assert "20,001 words" in wrong(tmp_path, f"[redaction.own.clients]\n{file}\n[redaction.own.more]\nwords = ['another']")[0]
    names.write_bytes(b"a" * (LARGEST_FILE + 1))
    assert "larger than" in wrong(tmp_path, f"[redaction.own.clients]\n{file}")[0]
    slow = "patterns = [" + ", ".join([r"'\d{1,20}\d{1,20}x'"] * 20) + "]"
    assert "all patterns together" in wrong(tmp_path, f"[redaction.own.clients]\n{slow}")[0]
