"""Through a whole gateway: what calls cost, by the lists and by prices in the settings, as the API shows it."""

import json

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.records import Records
from tests.harness.steps import ReadBody, Send
from tests.harness.upstream import ScriptedUpstream
from tests.pricing.shapes import chat
from tests.whole.test_estimates import call_of

OWN = """
[[prices]]
id = "ours"
match = { upstream = "openai", model = "llama-*" }
per_million_usd = { input = "0.10", output = "0.40" }
"""


@pytest.mark.parametrize("whole", [OWN], indirect=True)
def test_a_call_has_its_cost_and_what_has_no_price_is_unknown(whole: Gate, upstream: ScriptedUpstream) -> None:
    costs = {}
    for model in ("gpt-4o-2024-08-06", "llama-3.3-70b", "gpt-9"):
        answer = {"id": "c", "model": model, "choices": [], "usage": chat(1_000, 100)}
        body = json.dumps(answer).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        upstream.plan((ReadBody(), Send(head + body)))
        with RawClient(whole.address) as client, Records(whole) as records:
            client.send(request(body=b'{"model":"%b","messages":[]}' % model.encode()))
            client.until_got(body[-20:])
            call = records.one(call_of(client))
        costs[model] = (call["cost_usd"], call["cost_status"], (call["price_ref"] or "").partition("/")[2], call["notes"])
    assert costs == {
        "gpt-4o-2024-08-06": ("0.0035", "exact", "openai/gpt-4o/standard", []),
        "llama-3.3-70b": ("0.00014", "exact", "llama-3.3-70b/standard/override:ours", []),
        "gpt-9": (None, "unknown", "", ["no price for gpt-9 at openai"]),
    }
