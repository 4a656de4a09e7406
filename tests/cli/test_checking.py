"""`faregate config`, `doctor` and `db`."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from storage.folder import DataFolder, Local
from tests.cli.installation import faregate, until

OURS = "fg-" + "key-of-the-checking-tests-01"
PROVIDERS = "sk-" + "of-a-provider-0003"


def checks(run):
    return {one["name"]: one for one in json.loads(run.stdout)["checks"]}


def test_show_says_where_each_value_came_from_and_no_secret(tmp_path):
    (tmp_path / "faregate.toml").write_text(f'[server]\nport = 1\n[keys.ci]\nsecret = "{OURS}"\n')
    environ = {
        "FAREGATE_SERVER__DRAIN": "5s",
        "OPENAI_API_KEY": PROVIDERS,
        "FAREGATE_STORAGE__DATABASE_URL": "postgresql://u:hidden@h/n",
    }
    shown = faregate("config", "show", "--origin", cwd=tmp_path, **environ).stdout
    assert "server.port = 1   # faregate.toml:2" in shown
    assert 'server.drain = "5s"   # FAREGATE_SERVER__DRAIN' in shown
    assert "server.workers = 1   # default" in shown
    assert "upstreams.openai.api_key" in shown
    assert "# OPENAI_API_KEY" in shown
    whole = shown + faregate("config", "show", "--json", cwd=tmp_path, **environ).stdout
    for secret in (OURS, PROVIDERS, "hidden"):
        assert secret not in whole


def test_check_is_quiet_about_what_is_right_and_names_all_that_is_wrong(tmp_path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text("[server]\nport = 1\n")
    bad.write_text("[server]\nprot = 1\n[[rules]]\nsned_to = []\n")
    assert faregate("config", "check", str(good), cwd=tmp_path).returncode == 0
    run = faregate("config", "check", "--json", str(bad), cwd=tmp_path)
    assert run.returncode == 1
    assert len(json.loads(run.stdout)["problems"]) == 2
    assert "server.port" in run.stderr


def test_the_schema_knows_the_settings(tmp_path):
    schema = json.loads(faregate("config", "schema", cwd=tmp_path).stdout)
    server = schema["$defs"]["ServerSettings"]["properties"]
    assert all(field.get("description") for field in server.values())
    assert schema["additionalProperties"] is False


class Provider(BaseHTTPRequestHandler):
    """Answers 200 to the right credential, and 401 to others."""

    def do_GET(self):
        good = self.headers.get("authorization") == f"Bearer {PROVIDERS}" and self.path == "/api/v1/models"
        self.send_response(200 if good else 401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def provider():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/v1"
    server.shutdown()
    thread.join(5)
    server.server_close()


def test_all_is_well_with_a_running_gateway(up):
    run = up.run("doctor")
    assert run.returncode == 0, run.stdout
    assert all(line.startswith("✓ ") for line in run.stdout.splitlines())
    named = checks(up.run("doctor", "--json"))
    assert {
        "config",
        "data",
        "disk",
        "keys",
        "gate",
        "office",
        "store",
        "journal",
        "recorder",
        "ledger",
        "→ sim",
        "clock",
    } <= set(named)


def test_each_trouble_has_a_line_and_what_mends_it(tmp_path, provider):
    (tmp_path / "faregate.toml").write_text(
        f'[upstreams.good]\nbase_url = "{provider}"\napi_key = "${{GOOD}}"\n'
        f'[upstreams.refusing]\nbase_url = "{provider}"\napi_key = "${{BAD}}"\n'
        '[upstreams.away]\nbase_url = "http://127.0.0.1:9/v1"\n'
    )
    run = faregate("doctor", "--json", cwd=tmp_path, GOOD=PROVIDERS, BAD="sk-" + "wrong")
    assert run.returncode == 1
    found = checks(run)
    assert {name for name, one in found.items() if not one["ok"]} == {"gate", "→ refusing", "→ away"}
    assert "its key is good" in found["→ good"]["fact"]
    assert "status 401" in found["→ refusing"]["fact"]
    assert found["gate"]["mend"] == "faregate up"
    assert all(one["mend"] for one in found.values() if not one["ok"])
    assert PROVIDERS not in run.stdout
    text = faregate("doctor", cwd=tmp_path, GOOD=PROVIDERS, BAD="x").stdout
    assert "✗ gate" in text
    assert "→ faregate up" in text


def test_settings_that_are_wrong_are_the_first_trouble(tmp_path):
    (tmp_path / "faregate.toml").write_text("[server]\nprot = 1\n")
    run = faregate("doctor", cwd=tmp_path)
    assert run.returncode == 1
    assert run.stdout.startswith("✗ config")
    assert "server.port" in run.stdout


def test_a_gateway_that_stopped_is_noticed(tmp_path):
    folder = DataFolder(tmp_path / "faregate-data")
    folder.prepare()
    folder.save_local(Local("http://127.0.0.1:9", "token" * 5, OURS, 1))
    found = checks(faregate("doctor", "--json", cwd=tmp_path))
    assert not found["gate"]["ok"]
    assert "127.0.0.1:9" in found["gate"]["fact"]


def test_a_store_is_copied_and_put_back(begin, tmp_path):
    running = begin()
    running.event("ready")
    running.event("dashboard")
    assert running.run("demo", timeout=90).returncode == 0
    count = until(lambda: len(running.run("calls", "--json", "--limit", "100").stdout.splitlines()), "nothing is recorded")
    copied = running.run("db", "backup", "copy.db")
    assert copied.returncode == 0, copied.stderr
    assert running.run("db", "backup", "copy.db").returncode == 1
    refused = running.run("db", "restore", "copy.db")
    assert refused.returncode == 1
    assert "stop it first" in refused.stderr
    assert running.stop() == 0

    (tmp_path / "faregate-data" / "faregate.db").write_bytes(b"not a database at all")
    (tmp_path / "faregate-data" / "faregate.db").unlink()
    restored = faregate("db", "restore", "copy.db", cwd=tmp_path)
    assert restored.returncode == 0, restored.stderr
    again = begin()
    again.event("dashboard")
    try:
        assert len(again.run("calls", "--json", "--limit", "100").stdout.splitlines()) >= count
    finally:
        assert again.stop() == 0
    kept = faregate("db", "restore", "copy.db", cwd=tmp_path)
    assert kept.returncode == 0, kept.stderr
    assert len(list((tmp_path / "faregate-data").glob("faregate.db.before-*"))) == 1


def test_what_is_no_copy_is_not_put_in_the_stores_place(tmp_path):
    (tmp_path / "text").write_text("no database")
    (tmp_path / "empty").write_text("")
    for name in ("text", "empty"):
        run = faregate("db", "restore", name, cwd=tmp_path)
        assert run.returncode == 1
        assert "copy of a store" in run.stderr


def test_upgrade_and_prune_work_on_a_store_that_is_new(tmp_path):
    assert faregate("db", "upgrade", cwd=tmp_path).returncode == 0
    run = faregate("db", "prune", "--json", cwd=tmp_path)
    assert json.loads(run.stdout) == {"contents": 0, "spans": 0}


def test_a_store_that_is_away_is_told_without_its_password(tmp_path):
    run = faregate("db", "upgrade", cwd=tmp_path, FAREGATE_STORAGE__DATABASE_URL="postgresql://u:hidden@127.0.0.1:9/n")
    assert run.returncode == 1
    assert "hidden" not in run.stderr
    assert "Traceback" not in run.stderr
