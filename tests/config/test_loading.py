import datetime as dt
import os

import pytest

from config.errors import SettingsError
from config.loading import load_settings, settings_file
from domain.keys import digest
from domain.upstreams import Timeouts

OURS = "fg-" + "key-of-the-loading-tests-0001"
OTHER = "fg-" + "key-of-the-loading-tests-0002"
PROVIDERS = "sk-" + "of-a-provider-0001"


def load(tmp_path, text=None, environ=None, **flags):
    path = None
    if text is not None:
        path = tmp_path / "faregate.toml"
        path.write_text(text)
    return load_settings(path, environ or {}, {name.replace("__", "."): value for name, value in flags.items()})


def problems(tmp_path, text=None, environ=None):
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, environ)
    return list(caught.value.problems)


def test_without_anything_everything_has_a_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(None, {}, {})
    assert (loaded.path, dict(loaded.origins), loaded.warnings) == (None, {}, ())
    assert (loaded.settings.server.host, loaded.settings.server.port) == ("127.0.0.1", 8080)
    assert set(loaded.settings.upstream_values()) == {"openai", "anthropic", "gemini", "sim"}
    assert all(not one.credentials for one in loaded.settings.upstream_values().values())


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path):
    text = '[server]\nport = 1001\nhost = "::1"\nworkers = 2\n'
    environ = {"FAREGATE_SERVER__PORT": "1002", "FAREGATE_SERVER__HOST": "localhost"}
    loaded = load(tmp_path, text, environ, server__port=1003, server__workers=None)
    server = loaded.settings.server
    assert (server.port, server.host, server.workers, server.drain) == (1003, "localhost", 2, 30.0)
    assert dict(loaded.origins) == {
        "server.port": "--port",
        "server.host": "FAREGATE_SERVER__HOST",
        "server.workers": "faregate.toml:4",
    }


def test_the_file_is_looked_for_in_this_folder_and_then_in_the_users(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    (home / ".config" / "faregate").mkdir(parents=True)
    environ = {"HOME": str(home)}
    assert settings_file(environ) is None
    (home / ".config" / "faregate" / "faregate.toml").write_text("")
    assert settings_file(environ) == home / ".config" / "faregate" / "faregate.toml"
    assert settings_file({"HOME": str(home), "XDG_CONFIG_HOME": str(tmp_path)}) is None
    (tmp_path / "faregate.toml").write_text("")
    assert str(settings_file(environ)) == "faregate.toml"
    assert str(settings_file({**environ, "FAREGATE_CONFIG": "other.toml"})) == "other.toml"


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ('[server]\nmax_body_mb = 0.5\npass_through = "off"', ("server", "max_body_mb"), 0.5),
        ('[server]\nheader_timeout = "1m30s"', ("server", "header_timeout"), 90.0),
        ("[server]\nkeep_alive = 5", ("server", "keep_alive"), 5.0),
        ('[record]\nkeep_content = "1w"', ("record", "keep_content"), 604_800.0),
        ('[record]\nbarrier = "exact"\nbarrier_ms = 5', ("record", "barrier"), "exact"),
        ('[office]\nbind = "127.0.0.1:8090"', ("office", "bind"), "127.0.0.1:8090"),
        ('[storage]\ndatabase_url = "postgresql://u:p@h/n"', ("storage", "database_url"), "postgresql://u:p@h/n"),
    ],
)
def test_a_setting_of_the_file_is_taken(tmp_path, text, path, value):
    settings = load(tmp_path, text).settings
    assert getattr(getattr(settings, path[0]), path[1]) == value


def test_an_upstream_of_the_file_becomes_a_plain_value(tmp_path):
    text = """
[upstreams.mine]
base_url = "https://models.example.com:8443/api/v1/"
api_keys = ["${FIRST}", "${SECOND}"]
dialect = "anthropic"
auth = "x-api-key"
usage_in_streams = "leave"
own_slashes = true
timeout = { connect = "1s", first_byte = "2m" }
"""
    environ = {"FIRST": PROVIDERS + "a", "SECOND": PROVIDERS + "b"}
    mine = load(tmp_path, text, environ).settings.upstream_values()["mine"]
    assert (mine.scheme, mine.host, mine.port, mine.base_path) == ("https", "models.example.com", 8443, "/api/v1")
    assert (mine.dialect, mine.auth, mine.ask_usage, mine.own_slashes) == ("anthropic", "x-api-key", False, True)
    assert mine.credentials == (PROVIDERS + "a", PROVIDERS + "b")
    assert mine.timeouts == Timeouts(1.0, 120.0, 300.0)
    assert not mine.needs_key


def test_a_known_provider_needs_no_more_than_its_name(tmp_path):
    groq = load(tmp_path, "[upstreams.groq]\n").settings.upstream_values()["groq"]
    assert (groq.host, groq.base_path, groq.own_slashes, groq.needs_key) == ("api.groq.com", "/openai/v1", True, True)


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("OPENAI_API_KEY", "openai"),
        ("ANTHROPIC_API_KEY", "anthropic"),
        ("GEMINI_API_KEY", "gemini"),
        ("GOOGLE_API_KEY", "gemini"),
        ("GROQ_API_KEY", "groq"),
        ("MISTRAL_API_KEY", "mistral"),
        ("DEEPSEEK_API_KEY", "deepseek"),
        ("XAI_API_KEY", "xai"),
        ("OPENROUTER_API_KEY", "openrouter"),
        ("TOGETHER_API_KEY", "together"),
        ("FIREWORKS_API_KEY", "fireworks"),
    ],
)
def test_a_key_in_the_environment_makes_an_upstream(tmp_path, monkeypatch, variable, name):
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(None, {variable: PROVIDERS}, {})
    assert loaded.settings.upstream_values()[name].credentials == (PROVIDERS,)
    assert loaded.origins[f"upstreams.{name}.api_key"] == variable


def test_a_key_of_ours_in_the_environment_is_never_an_upstreams(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(None, {"OPENAI_API_KEY": OURS}, {})
    assert loaded.settings.upstream_values()["openai"].credentials == ()


def test_a_key_of_ours_in_the_file_is_never_an_upstreams(tmp_path):
    found = problems(tmp_path, '[upstreams.openai]\napi_key = "${OPENAI_API_KEY}"\n', {"OPENAI_API_KEY": OURS})
    assert len(found) == 1
    assert "upstreams.openai" in found[0]
    assert "key of this gateway" in found[0]
    assert OURS not in found[0]


def test_a_file_that_lists_upstreams_is_all_that_counts(tmp_path):
    environ = {"OPENAI_API_KEY": PROVIDERS, "GROQ_API_KEY": PROVIDERS}
    listed = load(tmp_path, '[upstreams.mine]\nbase_url = "http://127.0.0.1:9/v1"\n', environ).settings.upstream_values()
    assert set(listed) == {"openai", "anthropic", "gemini", "mine", "sim"}
    assert listed["openai"].credentials == ()
    unlisted = load(tmp_path, "[server]\nport = 1\n", environ).settings.upstream_values()
    assert unlisted["groq"].credentials == (PROVIDERS,)


def test_a_variable_can_set_what_has_a_dash_in_its_name(tmp_path):
    text = '[upstreams.my-models]\nbase_url = "http://127.0.0.1:9/v1"\n'
    environ = {"FAREGATE_UPSTREAMS__MY_MODELS__API_KEYS": f'["{PROVIDERS}"]'}
    assert load(tmp_path, text, environ).settings.upstream_values()["my-models"].credentials == (PROVIDERS,)


def test_a_key_of_the_file_becomes_a_digest(tmp_path):
    text = """
[projects.search]
[keys.ci]
secret = "${CI_KEY}"
project = "search"
models = ["gpt-4o*"]
tags = { team = "search" }
expires = 2030-01-01
"""
    loaded = load(tmp_path, text, {"CI_KEY": OURS})
    (key,) = loaded.settings.managed_keys()
    assert (key.name, key.digest, key.project, key.models, dict(key.tags)) == (
        "ci",
        digest(OURS),
        "search",
        ("gpt-4o*",),
        {"team": "search"},
    )
    assert key.expires_at == dt.datetime(2030, 1, 1, tzinfo=dt.UTC).timestamp()
    assert key.origin == "file"
    assert loaded.warnings == ()
    assert OURS not in repr(loaded)


def test_the_local_key_is_beside_those_of_the_file(tmp_path):
    settings = load(tmp_path, f'[keys.ci]\nsecret = "{OURS}"\n').settings.with_local_key(OTHER)
    assert {key.name: (key.origin, key.digest) for key in settings.managed_keys()} == {
        "ci": ("file", digest(OURS)),
        "local": ("local", digest(OTHER)),
    }


def test_a_secret_that_is_written_out_is_warned_of_and_not_shown(tmp_path):
    text = f'[keys.ci]\nsecret = "{OURS}"\n[upstreams.openai]\napi_keys = ["{PROVIDERS}"]\n'
    loaded = load(tmp_path, text)
    assert [warning.partition(" a secret")[0] for warning in loaded.warnings] == [
        "faregate.toml:2: keys.ci.secret:",
        "faregate.toml:4: upstreams.openai.api_keys.0:",
    ]
    assert all(OURS not in warning and PROVIDERS not in warning for warning in loaded.warnings)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[server]\nprot = 1", "faregate.toml:2: there is no setting server.prot; did you mean server.port?"),
        ("[sever]\nport = 1", "faregate.toml:1: there is no setting sever; did you mean server?"),
        ("port = 1", "faregate.toml:1: there is no setting port; did you mean server.port?"),
        (
            "[upstreams.openai]\ntimeout = { frist_byte = 1 }",
            "faregate.toml:2: there is no setting upstreams.openai.timeout.frist_byte; did you mean upstreams.openai.timeout.first_byte?",
        ),
        ('[server]\nport = "http"', "faregate.toml:2: server.port: write a whole number"),
        ('[server]\ndrain = "soon"', "faregate.toml:2: server.drain: write a duration"),
        ('[record]\n\nbarrier = "of"', "faregate.toml:3: record.barrier: 'off', 'begin' or 'exact'"),
        ('[office]\nbind = "8090"', "faregate.toml:2: office.bind: write host:port"),
        ("[upstreams.mine]\n", "faregate.toml:1: upstreams.mine.base_url: it must be set"),
        ('[upstreams.mine]\nbase_url = "ftp://x"', "faregate.toml:2: upstreams.mine.base_url: write an address"),
        ('[upstreams.mine]\nbase_url = "https://u:p@x/v1"', "faregate.toml:2: upstreams.mine.base_url: an address has no user"),
        ('[upstreams.mine]\nbase_url = "https://x:y/v1"', "faregate.toml:2: upstreams.mine.base_url: "),
        ('[upstreams.api]\nbase_url = "https://x/v1"', "faregate.toml:1: upstreams.api: this name is taken"),
        ("[upstreams.sim]\n", "faregate.toml:1: upstreams.sim: this name is taken by the simulated upstream"),
        ("[upstreams.sim]\nseed = 3\n", "faregate.toml:1: upstreams.sim: this name is taken by the simulated upstream"),
        ("[upstreams]\nsim = 3\n", "faregate.toml:2: upstreams.sim: this name is taken by the simulated upstream"),
        ('[upstreams.openai]\nca_file = "/nowhere.pem"', "faregate.toml:2: upstreams.openai.ca_file: there is no file"),
        (
            '[upstreams.openai]\napi_key = "${NOPE}"',
            "faregate.toml:2: upstreams.openai.api_key: the environment variable NOPE is not set",
        ),
        ('[keys.ci]\nsecret = "short"', "faregate.toml:2: keys.ci.secret: it must begin with fg-"),
        (f'[keys.ci]\nsecret = "{OURS}"\nproject = "x"', "faregate.toml:3: keys.ci.project: there is no project 'x'"),
        (f'[keys.local]\nsecret = "{OURS}"', "faregate.toml:1: keys.local: `faregate up` makes the key"),
        (
            f'[keys.a]\nsecret = "{OURS}"\n[keys.b]\nsecret = "{OURS}"',
            "faregate.toml:4: keys.b.secret: it is the same as that of keys.a",
        ),
        ('[server]\ndefault_upstream = "opnai"', "faregate.toml:2: server.default_upstream: there is no upstream 'opnai'"),
        ('[storage]\nredis_url = "http://u:hidden@x"', 'faregate.toml:2: storage.redis_url: write "redis://user:password@host'),
        ("[[routes]]\nwhen = 'true'", "faregate.toml:1: routes.0: this route does nothing: set try, split, model"),
        ('[[rules]]\nsend_to = ["x"]', "faregate.toml:2: rules.0.send_to: in the rule 'rule 1': there is no destination 'x'"),
        (
            '[destinations.hook]\ntype = "webhok"',
            "destinations.hook: there is no destination type 'webhok'; did you mean webhook?",
        ),
        (
            '[destinations.hook]\ntype = "webhook"\nurl = "https://x.example"\nsecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="\nsecrt = "y"',
            "did you mean secret?",
        ),
        ('[[prices]]\nmatch = { model = "x" }', "faregate.toml:1: prices.0: a price has amounts, such as"),
        ('[[prices]]\nmatch = { model = "x" }\nper_milion_usd = { input = 1 }', "did you mean prices.0.per_million_usd?"),
        ("[server\nport = 1", "faregate.toml: this is not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_what_would_be_right(tmp_path, text, line):
    found = problems(tmp_path, text)
    assert len(found) == 1, found
    assert line in found[0]


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    text = '[server]\nprot = 1\ndrain = "x"\n[[rules]]\nsampel = 1\n[upstreams.openai]\napi_key = "${NOPE}"\n[record]\ncopy_mb = -1\n'
    found = problems(tmp_path, text, {"FAREGATE_SERVER__PRT": "1"})
    assert len(found) == 6
    for part in ("server.prot", "server.drain", "rules", "NOPE", "record.copy_mb", "FAREGATE_SERVER__PRT"):
        assert sum(part in line for line in found) == 1


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"FAREGATE_SERVER__PORT": "x"}, "FAREGATE_SERVER__PORT: server.port: write a whole number"),
        ({"FAREGATE_SERVER__PRT": "1"}, "FAREGATE_SERVER__PRT: there is no setting server.prt; did you mean server.port?"),
        ({"FAREGATE_UPSTREAMS__OPENAI__API_KEYS": "[x"}, "FAREGATE_UPSTREAMS__OPENAI__API_KEYS: this begins like JSON"),
        ({"FAREGATE_STORAGE__REDIS_URL": "x"}, 'FAREGATE_STORAGE__REDIS_URL: storage.redis_url: write "redis://'),
        ({"FAREGATE_SERVER__": "1"}, "FAREGATE_SERVER__: write FAREGATE_SECTION__SETTING"),
        ({"FAREGATE_SERVER__PORT__X": "1"}, "server.port"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path, monkeypatch, environ, line):
    monkeypatch.chdir(tmp_path)
    found = problems(tmp_path, None, environ)
    assert len(found) == 1
    assert line in found[0]


def test_a_variable_that_lacks_an_underscore_is_warned_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(None, {"FAREGATE_SERVER_PORT": "1", "FAREGATE_PORT": "tcp://10.0.0.1:80"}, {})
    assert loaded.warnings == ("FAREGATE_SERVER_PORT is not a setting; did you mean FAREGATE_SERVER__PORT?",)
    assert loaded.settings.server.port == 8080


def test_a_reference_can_stand_anywhere_in_a_text(tmp_path):
    text = '[upstreams.mine]\nbase_url = "https://${HOST}/v1"\n[server]\nhost = "${BIND}"\n'
    settings = load(tmp_path, text, {"HOST": "models.example.com", "BIND": "127.0.0.1"}).settings
    assert settings.upstream_values()["mine"].host == "models.example.com"
    assert settings.server.host == "127.0.0.1"


def test_no_error_shows_a_secret(tmp_path):
    text = f'[keys.ci]\nsecret = "{OURS} x"\n[upstreams.openai]\napi_key = "{PROVIDERS} y"\n[storage]\ndatabase_url = "mysql://u:hidden@h"\n'
    said = "\n".join(problems(tmp_path, text))
    assert said.count("\n") == 2
    assert OURS not in said
    assert PROVIDERS not in said
    assert "hidden" not in said


@pytest.mark.skipif(os.geteuid() == 0, reason="an administrator can read everything")
def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "faregate.toml").write_text("")
    (tmp_path / "faregate.toml").chmod(0)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "faregate.toml", {}, {})


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.toml: it cannot be read: No such file"):
        load_settings(tmp_path / "nowhere.toml", {}, {})


HOOK = '[destinations.hook]\ntype = "webhook"\nurl = "https://x.example"\n'


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f'{HOOK}secret = "${{NOPE}}"', "faregate.toml:4: destinations.hook.secret"),
        (f'{HOOK}secret = ["${{NOPE}}"]', "faregate.toml:4: destinations.hook.secret.0"),
        ('[destinations.s]\ntype = "slack"\nurl = "${NOPE}"', "faregate.toml:3: destinations.s.url"),
        ('[keys.ci]\nsecret = "${NOPE}"', "faregate.toml:2: keys.ci.secret"),
        ('[server]\nport = "${NOPE}"', "faregate.toml:2: server.port"),
    ],
)
def test_a_variable_that_is_not_set_is_all_that_is_said_of_a_setting(tmp_path, text, place):
    assert problems(tmp_path, text) == [f"{place}: the environment variable NOPE is not set"]


def test_what_is_wrong_beside_a_variable_that_is_not_set_is_said_too(tmp_path):
    found = problems(tmp_path, f'{HOOK}secret = "${{NOPE}}"\nformat = "xml"')
    assert [line.partition(": ")[2].partition(": ")[0] for line in found] == [
        "destinations.hook.secret",
        "destinations.hook.format",
    ]


SIGNING = "whsec_" + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('[destinations.s]\ntype = "slack"\nurl = "https://hooks.slack.com/services/x"', "s.url"),
        ('[destinations.s]\ntype = "sentry"\ndsn = "https://abc@o1.ingest.sentry.io/2"', "s.dsn"),
        ('[destinations.s]\ntype = "apprise"\nurl = "discord://a/b"', "s.url"),
        (f'{HOOK}secret = "{SIGNING}"', "hook.secret"),
        (f'{HOOK}secret = ["${{A}}", "{SIGNING}"]', "hook.secret.1"),
        (f'{HOOK}secret = "${{A}}"\nheaders = {{ authorization = "Bearer x" }}', "hook.headers.authorization"),
        ('[destinations.lf]\ntype = "langfuse"\npublic_key = "pk-lf-x"\nsecret_key = "sk-lf-x"', "lf.secret_key"),
    ],
)
def test_each_secret_of_a_destination_that_is_written_out_is_warned_of(tmp_path, text, secret):
    (warning,) = load(tmp_path, text, {"A": SIGNING}).warnings
    assert f"destinations.{secret}: a secret is written out" in warning
    assert warning.startswith("faregate.toml:")


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "0.0.0.0", "[fe80::1]", "2852039166", "0xa9.0xfe.0xa9.0xfe", "255.255.255.255"]
)
def test_a_destination_is_not_at_an_address_that_is_never_allowed(tmp_path, address):
    text = f'[destinations.hook]\ntype = "otlp"\nallow_private = true\nurl = "https://{address}/v1"'
    (line,) = problems(tmp_path, text)
    assert line.startswith("faregate.toml:4: destinations.hook.url: no destination may be at such an address")
    assert "write the address" in line
