"""Through a whole gateway: a call under a route, its tries, its copy, and what each of them cost, as the API shows it."""

import json

import httpx
import pytest

from storage.folder import DataFolder
from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.records import Records
from tests.harness.steps import answer
from tests.harness.upstream import ScriptedUpstream
from tests.harness.wire import until
from tests.pricing.shapes import chat
from tests.wire.settings import MANAGED

ROUTES = """
[[routes]]
name = "other models"
when = 'model.startsWith("claude")'
deny = "Not here."

[[routes]]
name = "by a cheaper name"
when = 'model == "gpt-4o"'
try = ["openai/gpt-4o-mini"]
retries = { times = 1, backoff = "1ms" }
mirror = { to = "sim/echo", budget = "1/day" }
"""


def sized(status: int, value: object) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 %d Oh\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize("whole", [ROUTES], indirect=True)
def test_a_routed_call_explains_itself(whole: Gate, upstream: ScriptedUpstream) -> None:
    # The answer does not say its model: what it costs follows from the name that the route gave it.
    upstream.plan(answer(sized(503, {})), answer(sized(200, {"id": "c", "choices": [], "usage": chat(1_000, 100)})))
    body = b'{"model":"gpt-4o","max_tokens":50,"messages":[{"role":"user","content":"Hello"}]}'
    with RawClient(whole.address) as client, Records(whole) as records:
        client.send(request(body=body, credential=b"Bearer " + MANAGED.encode()))
        got = client.answer()
        call = records.one(got.header("x-faregate-call"))
        until(lambda: any(one["mirror_of"] == call["id"] for one in records.all()), "the copy is not recorded")
        copy = next(one for one in records.all() if one["mirror_of"] == call["id"])
        token = DataFolder(whole.data).local().admin_token
        shown = httpx.get(
            f"{whole.url}/api/v1/calls/{call['id']}/routing", headers={"authorization": f"Bearer {token}"}, trust_env=False
        ).json()

    assert (got.status, got.header("x-faregate-attempts")) == (200, "2")
    assert [(one["upstream"], one["status"]) for one in shown["attempts"]] == [("openai", 503), ("openai", 200)]
    assert shown["attempts"][1]["model"] == "gpt-4o-mini"
    assert shown["changes"] == ["model"]
    assert shown["rules"][0] == {"kind": "route", "rule": "other models", "matched": False, "why": "does not match"}
    assert shown["rules"][1]["matched"] is True
    assert shown["rules"][1]["why"] == "goes to openai/gpt-4o-mini; a copy goes to sim/echo"
    # 1,000 tokens of gpt-4o-mini read and 100 written; gpt-4o would be $0.0035.
    assert (call["model"], call["served_model"], call["cost_usd"]) == ("gpt-4o", "gpt-4o-mini", "0.00021")
    assert (copy["key"], copy["upstream"], copy["status"], copy["cost_status"]) == (
        "mirror:by a cheaper name",
        "sim",
        200,
        "free",
    )
    assert copy["id"] != call["id"]
