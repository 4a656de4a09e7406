"""The platforms' own packages make of our payloads what we mean by them. What they send themselves is compared in tests/destinations."""

import asyncio
import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from langsmith.run_trees import _parse_dotted_order
from langsmith.schemas import Run

from destinations.client import client_for
from destinations.langsmith import LangSmithConfig
from destinations.langsmith_runs import run_of
from domain.destinations import Unavailable
from tests.destinations.fixture import BATCH, STARTED_AT, fixture_span, hostile, parcel
from tests.destinations.presets import config, told
from tests.destinations.sink import Reply, Sink
from tests.destinations.variants import VARIANTS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK's own
    from respan_sdk.respan_types.log_types import RespanLogParams

KEY = "lsv2_" + "pt_0123456789abcdef"

# LangSmith


@pytest.mark.parametrize("name", VARIANTS)
def test_langsmiths_package_reads_a_run_as_its_own(name):
    one = VARIANTS[name]()
    run = Run.model_validate(run_of(one, "mine"))
    assert run.id == UUID(one.span.id)
    assert [id_ for _, id_ in _parse_dotted_order(run.dotted_order)] == [run.trace_id] == [run.id]
    assert run.start_time == datetime.fromtimestamp(STARTED_AT / 10**9, UTC)
    assert (run.error is None) is (one.span.outcome == "ok")
    if one.span.latency_ms is not None:
        assert run.latency == one.span.latency_ms / 1000
    assert run.metadata["trace_id"] == one.span.trace_id


def test_langsmiths_package_reads_any_run():
    for one in hostile():
        run = json.loads(json.dumps(run_of(one, "mine")))
        assert Run.model_validate(run).id == UUID(one.span.id)


OFFICIAL = """
import json, sys
from datetime import datetime
from langsmith import Client
client = Client(api_url=sys.argv[1], api_key=sys.argv[2])
for run in json.load(sys.stdin):
    project = run.pop("session_name")
    times = {name: datetime.fromisoformat(run.pop(name)) for name in ("start_time", "end_time")}
    client.create_run(**run, **times, project_name=project)
client.flush(timeout=30)
"""
# A server that knows no multipart says so.
OLD = {
    "version": "0.5.0",
    "batch_ingest_config": {
        "size_limit": 100,
        "size_limit_bytes": 20 * 2**20,
        "use_multipart_endpoint": False,
        "scale_up_nthreads_limit": 16,
        "scale_up_qsize_trigger": 1000,
        "scale_down_nempty_trigger": 4,
    },
}


def by_langsmiths_package(url, runs):
    subprocess.run(
        [sys.executable, "-c", OFFICIAL, url, KEY],
        input=json.dumps(runs).encode(),
        env={**os.environ, "LANGSMITH_TRACING": "true"},
        timeout=90,
        check=True,
        capture_output=True,
    )


async def test_a_batch_is_that_of_langsmiths_package():
    """To a server without multipart: an answered call, a refused one and a streamed one."""
    parcels = [
        replace(one, span=replace(one.span, id=f"{number:032x}"))
        for number, one in enumerate([VARIANTS[name]() for name in ("full", "error", "streamed")], 1)
    ]

    def server(got):
        if got.method == "GET":
            return Reply(200, json.dumps(OLD).encode())
        return Reply(404) if got.path == "/runs/multipart" else Reply(202, b"{}")

    with Sink(server) as sink:
        await asyncio.to_thread(by_langsmiths_package, sink.url, [run_of(one, "mine") for one in parcels])
        official = [got for got in sink.got if got.method == "POST"]
        settings = LangSmithConfig(url=sink.url, api_key=KEY, project="mine", allow_private=True)
        async with client_for(settings) as client:
            destination = settings.build("mine", client)
            with pytest.raises(Unavailable):
                await destination.send(destination.encode(parcels, BATCH))
            await destination.send(destination.encode(parcels, BATCH))
        ours = sink.last
    assert {got.path for got in official} == {ours.path} == {"/runs/batch"}
    assert {got.headers["x-api-key"] for got in official} == {ours.headers["x-api-key"]}
    others = {run["id"]: run for got in official for run in json.loads(got.body)["post"]}
    mine = {run["id"]: run for run in json.loads(ours.body)["post"]}
    assert mine.keys() == others.keys()
    for id_, run in mine.items():
        for name, value in run.items():
            if name == "extra":
                assert value["metadata"].items() <= others[id_][name]["metadata"].items()
            elif name.endswith("_time"):
                assert datetime.fromisoformat(value).replace(tzinfo=None) == datetime.fromisoformat(others[id_][name]).replace(
                    tzinfo=None
                )
            else:
                assert value == others[id_][name], name
        assert others[id_].get("error") == run.get("error")


# Respan


def respan_log(one):
    """Return a call as a log of Respan's, put together from the attributes that it says it reads."""
    span, found = told(config("respan"), one)

    def messages(start):
        parts = [name.split(".") for name in found if name.startswith(f"{start}.")]
        numbers = sorted({int(part[2]) for part in parts if part[2].isdigit()})
        fields = (
            {name.split(".")[3]: value for name, value in found.items() if name.startswith(f"{start}.{n}.")} for n in numbers
        )
        return [
            {"content": None, **each, **({"tool_calls": json.loads(each["tool_calls"])} if "tool_calls" in each else {})}
            for each in fields
        ]

    fields = {
        "custom_identifier": found.get("respan.span_params.custom_identifier"),
        "customer_identifier": found.get("respan.customer_params.customer_identifier"),
        "session_identifier": found.get("respan.sessions.session_identifier"),
        "model": found.get("gen_ai.response.model"),
        "prompt_tokens": found.get("gen_ai.usage.prompt_tokens"),
        "completion_tokens": found.get("gen_ai.usage.completion_tokens"),
        "prompt_cache_hit_tokens": found.get("prompt_cache_hit_tokens"),
        "prompt_cache_creation_tokens": found.get("prompt_cache_creation_tokens"),
        "reasoning_tokens": found.get("llm.usage.reasoning_tokens"),
        "temperature": found.get("gen_ai.request.temperature"),
        "max_tokens": found.get("gen_ai.request.max_tokens"),
        "error_message": found.get("error.message"),
        "metadata": json.loads(found["respan.metadata"]),
        "tools": json.loads(found.get("respan.span.tools", "null")),
        "prompt_messages": messages("gen_ai.prompt"),
        "completion_messages": messages("gen_ai.completion"),
        "trace_unique_id": span.trace_id.hex(),
        "span_unique_id": span.span_id.hex(),
        "span_name": span.name,
    }
    return RespanLogParams.model_validate({name: value for name, value in fields.items() if value is not None})


def test_respans_package_reads_what_we_say_of_a_call():
    log = respan_log(parcel())
    span = fixture_span()
    assert (log.custom_identifier, log.trace_unique_id, log.span_unique_id) == (span.id, span.trace_id, span.span_id)
    assert (log.prompt_tokens, log.completion_tokens, log.prompt_cache_hit_tokens) == (1200, 80, 1024)
    assert (log.prompt_cache_creation_tokens, log.reasoning_tokens) == (16, 32)
    assert (log.model, log.temperature, log.max_tokens) == ("gpt-4o-mini-2024-07-18", 0.2, 256)
    assert (log.customer_identifier, log.session_identifier) == ("user-1", "sess-1")
    assert [message.role for message in log.prompt_messages] == ["system", "user"]
    [answer] = log.completion_messages
    assert answer.tool_calls[0].function.name == "get_weather"
    assert log.tools[0]["function"]["name"] == "get_weather"
    assert log.metadata["team"] == "search"


def test_respans_package_reads_an_error():
    assert respan_log(VARIANTS["error"]()).error_message == "429 rate limited"
