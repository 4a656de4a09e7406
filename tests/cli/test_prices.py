"""`faregate prices` on a whole Faregate whose upstream is a server of our own, without a price until one is set."""

import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.cli.installation import Up, faregate, until
from tests.pricing.published_list import published_list

USAGE = {"prompt_tokens": 1_000_000, "completion_tokens": 500_000, "total_tokens": 1_500_000}
CHAT = {
    "id": "chatcmpl-1",
    "model": "llama-3-8b",
    "choices": [{"message": {"role": "assistant", "content": "hi"}}],
    "usage": USAGE,
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "llama-3-8b",
    "status": "completed",
    "output": [],
    "usage": {"input_tokens": 1_000_000, "output_tokens": 0, "total_tokens": 1_000_000},
}
REPORTED = {**CHAT, "model": "llama-3-70b", "usage": {**USAGE, "cost": 0.33}}


class Provider(BaseHTTPRequestHandler):
    def _answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self._answer(RESPONSE)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._answer(RESPONSE if "input" in asked else REPORTED if asked["model"] == "llama-3-70b" else CHAT)

    def log_message(self, *_):
        pass


class Shop:
    """A Faregate with the upstream `own`."""

    def __init__(self, folder):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        (folder / "faregate.toml").write_text(
            f"""
[upstreams.own]
base_url = "http://127.0.0.1:{self.server.server_port}/v1"
api_key = "sk-none-at-all"
[[prices]]
match = {{ upstream = "own", model = "llama-3-70b" }}
per_million_usd = {{ input = "0.20", output = "0.20" }}
"""
        )
        self.up = Up(folder)
        self.ready = self.up.event("ready")
        self.up.event("dashboard")
        self.calls = 0

    def call(self, path, body=None):
        request = urllib.request.Request(
            f"{self.ready['url']}/own/v1{path}",
            None if body is None else json.dumps(body).encode(),
            {"authorization": f"Bearer {self.ready['key']}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
        self.calls += 1

    def recorded(self):
        """Return all calls, the oldest first, once they are recorded."""

        def found():
            told = [json.loads(line) for line in self.up.run("calls", "--json", "--limit", "100").stdout.splitlines()]
            return told[::-1] if len(told) == self.calls else None

        return until(found, "not every call was recorded")

    def asked(self, *arguments, code=0):
        run = self.up.run("prices", *arguments)
        assert run.returncode == code, (run.stdout, run.stderr)
        return run.stdout

    def json(self, *arguments, code=0):
        return json.loads(self.asked(*arguments, "--json", code=code))

    def stop(self):
        self.up.stop()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    shop = Shop(tmp_path_factory.mktemp("prices"))
    yield shop
    shop.stop()


def test_a_price_that_is_missing_is_found_set_and_applied_to_the_past(shop):
    for _ in range(2):
        shop.call("/chat/completions", {"model": "llama-3", "messages": []})
    shop.call("/responses", {"model": "llama-3", "input": "hi"})
    shop.call("/responses/resp_1")
    before = shop.recorded()
    assert [call["cost_status"] for call in before] == ["unknown"] * 4
    assert shop.json("unpriced")["unpriced"][0]["calls"] == 4
    assert "llama-3-8b" in shop.asked("unpriced")

    made = shop.json("set", "--id", "llamas", "--model", "llama-3-8b", "--upstream", "own", "input=0.10", "output=0.40")
    assert made["past_calls"]["priceable"] == 4
    start = made["past_calls"]["from"]
    dry = shop.json("reprice", "--from", start, "--to", "now", "--dry-run")
    assert (dry["scanned"], dry["changed"], dry["run"]) == (4, 4, None)
    done = shop.json("reprice", "--from", start, "--to", "now")
    assert done["changed"] == 4
    after = shop.recorded()
    # 1 x 0.10 + 0.5 x 0.40 for a chat, 1 x 0.10 for the response, which is charged to the call that made it
    assert [call["cost_usd"] for call in after] == ["0.3", "0.3", "0.1", None]
    assert [call["cost_status"] for call in after] == ["exact", "exact", "exact", "none"]
    again = shop.json("reprice", "--from", start, "--to", "now")
    assert (again["scanned"], again["changed"]) == (4, 0)
    assert [one["run"] for one in shop.json("adjustments", after[0]["id"])] == [done["run"]]
    assert len(shop.json("adjustments", done["run"])) == 4
    assert shop.json("unpriced")["unpriced"] == []

    shop.call("/chat/completions", {"model": "llama-3", "messages": []})
    assert shop.recorded()[-1]["price_ref"].endswith("override:llamas")
    shop.call("/responses/resp_1")
    assert shop.recorded()[-1]["cost_status"] == "none"


def test_own_prices_are_listed_shown_and_taken_back(shop):
    shop.json("set", "--id", "other", "--model", "other-*", "--times", "0.5", "--each", "images=0.04", "--from", "2026-01-01")
    own = {one["id"]: one for one in shop.json("own")}
    assert own["file-1"]["locked"] is True
    assert own["other"]["each_usd"] == {"images": "0.04"}
    assert "llama-3-70b" in shop.asked("own")
    assert "file-1" in shop.asked("show", "llama-3-70b")
    shown = shop.json("show", "llama-3-70b", "--upstream", "own")["upstreams"][0]
    assert {rate["unit"]: rate["usd_per_million"] for rate in shown["tiers"][0]["rates"]} == {"input": "0.2", "output": "0.2"}
    assert [row["model"] for row in shop.json("list", "--upstream", "own", "--model", "llama-3-70b")] == ["llama-3-70b"]
    assert "override:file-1" in shop.asked("list", "--source", "override")
    shop.asked("remove", "other")
    assert "other" not in {one["id"] for one in shop.json("own")}
    shop.asked("remove", "other", code=1)
    shop.asked("remove", "file-1", code=1)


def test_drift_between_reported_costs_and_ours_is_shown_with_its_calls(shop):
    shop.call("/chat/completions", {"model": "llama-3-70b", "messages": []})
    call = shop.recorded()[-1]
    assert (call["cost_usd"], call["cost_status"]) == ("0.33", "reported")
    found = shop.json("check", code=1)
    assert found["apart"][0]["furthest"] == [{"call": call["id"], "reported_usd": "0.33", "ours_usd": "0.3"}]
    assert call["id"] in shop.asked("check", code=1)


def test_another_list_is_compared_with_the_prices_in_force(shop, tmp_path):
    listed = {"gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 2e-05}}
    (tmp_path / "map.json").write_text(json.dumps(listed))
    found = shop.json("check", "--against", str(tmp_path / "map.json"), code=1)
    assert [(one["unit"], one["ours"], one["theirs"]) for one in found["apart"]] == [("output", "10", "20")]
    (tmp_path / "map.json").write_text(json.dumps({"gpt-4o": listed["gpt-4o"] | {"output_cost_per_token": 1e-05}}))
    assert "1 equal" in shop.asked("check", "--against", str(tmp_path / "map.json"))
    (tmp_path / "map.json").write_text("no list")
    shop.asked("check", "--against", str(tmp_path / "map.json"), code=2)
    assert faregate("prices", "check", "--against", "nowhere.json", cwd=tmp_path).returncode == 2


def test_what_is_asked_wrong_is_said(shop):
    shop.asked("set", "--model", "x", code=1)
    shop.asked("set", "input", code=2)
    shop.asked("reprice", "--from", "2026-01-01", code=2)
    shop.asked("reprice", "--from", "soon", "--to", "now", code=1)
    shop.asked("show", "no-such-model", code=1)
    shop.asked("list", "--upstream", "nobody", code=1)
    shop.asked("refresh", code=1)
    assert "price_refresh.url" in shop.up.run("prices", "refresh").stderr


def test_the_gate_can_read_the_prices_in_force(shop):
    file = shop.up.folder / "faregate-data" / "prices.json"
    # The office writes it within seconds of a change.
    until(lambda: {"file-1", "llamas"} <= {one["id"] for one in json.loads(file.read_text())["overrides"]}, "it is not written")
    assert json.loads(file.read_text())["snapshot"] is None


def test_a_list_that_the_settings_name_is_fetched_by_the_office_and_put_in_force(tmp_path, begin):
    raw = published_list()
    openai = next(one for one in raw if one["id"] == "openai")
    next(model for model in openai["models"] if model["id"] == "gpt-4o")["prices"] = {"input_mtok": "2.75", "output_mtok": "10"}
    body = json.dumps(raw).encode()

    class Mirror(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/data.json"
        (tmp_path / "faregate.toml").write_text(f'[price_refresh]\nurl = "{url}"\n[upstreams.openai]\napi_key = "sk-none"\n')
        up = begin()
        up.event("dashboard")
        asked = ("prices", "list", "--upstream", "openai", "--model", "gpt-4o", "--json")

        def in_force():
            run = up.run(*asked)
            assert run.returncode == 0, run.stderr
            (row,) = json.loads(run.stdout)
            return row if row["input_usd_per_million"] == "2.75" else None

        row = until(in_force, "the list was not fetched")
        assert "fetched-" in row["source"]
        dry = json.loads(up.run("prices", "refresh", "--dry-run", "--json").stdout)
        assert (dry["moved"], dry["in_force"]) == ([], False)
        assert "moved" in up.run("prices", "refresh").stdout
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
