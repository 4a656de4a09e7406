import asyncio
import email.parser
import email.policy
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
from langsmith.schemas import InputCostDetails, InputTokenDetails, OutputCostDetails, OutputTokenDetails, UsageMetadata
from pydantic import ValidationError

from destinations.client import client_for
from destinations.langsmith import LangSmithConfig, run_of, usage_metadata
from domain.calls import Usage
from domain.destinations import Misconfigured, Rejected, TooLarge, Unavailable
from domain.spans import usd
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import (
    BATCH,
    CALL_ID,
    bare_variant,
    error_variant,
    fixture_content,
    fixture_span,
    hostile,
    many,
    parcel,
    streamed_variant,
)
from tests.destinations.golden import golden
from tests.destinations.sink import Reply, Sink

KEY = "lsv2_" + "pt_0123456789abcdef"
DOTTED = re.compile(r"\d{8}T\d{12}Z[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FIELDS = {"id", "trace_id", "dotted_order", "name", "run_type", "session_name", "start_time", "end_time", "tags"}
PARTS = {"inputs", "outputs", "events", "extra", "error"}
TYPES = {"llm", "chain", "tool", "retriever", "embedding", "prompt", "parser"}
MOST_RUNS, MOST_BYTES = 100, 20 * 2**20


def config(url="https://langsmith.test", **settings):
    return LangSmithConfig(url=url, api_key=KEY, allow_private=True, **settings)


def destination_of(**settings):
    return config(**settings).build("mine", None)


# What LangSmith's servers check, as far as it is known (../shared/reference/destinations.md section 4.1)


def parts_of(body, content_type):
    """Return the parts of a multipart body by name, read by the standard library."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    found = {}
    for part in message.iter_parts():
        data = part.get_payload(decode=True)
        assert part.get_content_type() == "application/json"
        assert int(part["content-length"]) == len(data)
        found[part.get_param("name", header="content-disposition")] = json.loads(data)
    return found


def runs_of(payload):
    if payload.content_type == "application/json":
        told = json.loads(payload.body)
        assert set(told) == {"post", "patch"}
        return told["post"]
    runs = {}
    for name, value in parts_of(payload.body, payload.content_type).items():
        verb, id_, *field = name.split(".")
        assert verb == "post"
        if field:
            assert field[0] in PARTS
            runs[id_][field[0]] = value
        else:
            runs[id_] = value
    return list(runs.values())


def is_run(run):
    """Raise if LangSmith would refuse a run, and with it the whole request."""
    assert set(run) <= FIELDS | PARTS, set(run) - FIELDS - PARTS
    assert str(UUID(run["id"])) == run["id"] == run["trace_id"]
    assert DOTTED.fullmatch(run["dotted_order"]), "a root has one segment"
    assert run["dotted_order"].endswith("Z" + run["id"])
    assert run["run_type"] in TYPES
    start, end = datetime.fromisoformat(run["start_time"]), datetime.fromisoformat(run["end_time"])
    assert run["dotted_order"].startswith(start.strftime("%Y%m%dT%H%M%S%f"))
    assert end.tzinfo
    assert isinstance(run["inputs"], dict)
    assert isinstance(run.get("outputs", {}), dict)
    assert isinstance(run.get("error", ""), str)
    for holder in (run.get("outputs", {}), run["extra"]["metadata"]):
        if "usage_metadata" in holder:
            is_usage(holder["usage_metadata"])
    for event in run.get("events", ()):
        assert datetime.fromisoformat(event["time"]).tzinfo


def is_usage(usage):
    assert set(usage) <= set(UsageMetadata.__annotations__)
    assert {"input_tokens", "output_tokens", "total_tokens"} <= set(usage)
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    for name, known in (
        ("input_token_details", InputTokenDetails),
        ("output_token_details", OutputTokenDetails),
        ("input_cost_details", InputCostDetails),
        ("output_cost_details", OutputCostDetails),
    ):
        assert set(usage.get(name, {})) <= set(known.__annotations__)
    assert all(isinstance(usage[name], float) for name in ("input_cost", "output_cost", "total_cost") if name in usage)


def is_taken(payload):
    assert len(payload.body) <= MOST_BYTES
    runs = runs_of(payload)
    assert 0 < len(runs) <= MOST_RUNS
    for run in runs:
        is_run(run)


class Simulator:
    """A LangSmith server: takes a request whole or not at all, and says 409 of what it has."""

    def __init__(self, *, multipart=True, poison=frozenset()):
        self.runs = {}
        self._multipart = multipart
        self._poison = poison

    def __call__(self, got):
        if got.headers.get("x-api-key") != KEY:
            return Reply(403, b'{"error":"Forbidden"}')
        if got.path == "/runs/multipart" and not self._multipart:
            return Reply(404, b'{"detail":"Not Found"}')
        assert got.path == ("/runs/multipart" if got.headers["content-type"].startswith("multipart/") else "/runs/batch")
        if len(got.body) > MOST_BYTES:
            return Reply(413)
        found = runs_of(_Payload(got.body, got.headers["content-type"]))
        if any(run["id"] in self._poison for run in found):
            return Reply(422, b'{"detail":"dotted_order must contain a single part for root runs"}')
        for run in found:
            is_run(run)
        if any(run["id"] in self.runs for run in found):
            return Reply(409, b'{"error":"payloads already received"}')
        self.runs |= {run["id"]: run for run in found}
        return Reply(202, b'{"message":"Runs batch ingested"}')


class _Payload:
    def __init__(self, body, content_type):
        self.body, self.content_type = body, content_type


async def sent(sink, *batches, **settings):
    told = config(sink.url, **settings)
    async with client_for(told) as client:
        destination = told.build("mine", client)
        return [await destination.send(destination.encode(parcels, BATCH)) for parcels in batches]


async def test_complies():
    outcomes = {409: None, 404: Unavailable}
    with Sink(Reply(202)) as sink:
        await assert_complies(config(sink.url, workspace=str(UUID(int=7))), sink, outcomes=outcomes, valid=is_taken)


async def test_complies_where_there_is_no_multipart():
    with Sink(Reply(202)) as sink:
        told = config(sink.url)
        async with client_for(told) as client:
            destination = told.build("mine", client)
            sink.script(Reply(404))
            with pytest.raises(Unavailable):
                await destination.send(destination.encode([parcel()], BATCH))
            payload = destination.encode(many(2), BATCH)
            is_taken(payload)
            assert (await destination.send(payload)).status == 202
            assert [got.path for got in sink.got] == ["/runs/multipart", "/runs/batch"]
            sink.script(Reply(404))
            with pytest.raises(Misconfigured):
                await destination.send(payload)


def test_bears_anything():
    for one in hostile():
        is_taken(destination_of().encode([one], BATCH))


async def test_a_server_has_each_run_once_however_often_it_is_sent():
    server = Simulator()
    with Sink(server) as sink:
        first, again = await sent(sink, many(3), many(3))
    assert (first.note, again.note) == ("", "it was there already")
    assert sorted(server.runs) == sorted(str(UUID(one.span.id)) for one in many(3))


async def test_an_older_server_gets_the_same_runs_as_a_batch():
    new, old = Simulator(), Simulator(multipart=False)
    with Sink(new) as sink:
        await sent(sink, many(2))
    with Sink(old) as sink:
        told = config(sink.url)
        async with client_for(told) as client:
            destination = told.build("mine", client)
            with pytest.raises(Unavailable):
                await destination.send(destination.encode(many(2), BATCH))
            await destination.send(destination.encode(many(2), BATCH))
    assert new.runs == old.runs


async def test_one_bad_run_spoils_its_request_and_only_its_request():
    server = Simulator(poison={str(UUID(many(3)[1].span.id))})
    with Sink(server) as sink:
        with pytest.raises(Rejected):
            await sent(sink, many(3))
        await sent(sink, many(3)[:1], many(3)[2:])
    assert len(server.runs) == 2


async def test_too_much_at_once_is_too_large():
    content = replace(fixture_content(), input={"messages": [{"role": "user", "content": "x" * (MOST_BYTES + 1)}]})
    with Sink(Simulator()) as sink, pytest.raises(TooLarge):
        await sent(sink, [parcel(fixture_span(), content)])


async def test_keys_of_an_organisation_say_their_workspace():
    workspace = "01a1fb6b-6ecb-7081-b464-3563a4558808"
    with Sink(Reply(202)) as sink:
        await sent(sink, [parcel()], workspace=workspace)
        await sent(sink, [parcel()])
    assert [got.headers.get("x-tenant-id") for got in sink.got] == [workspace, None]


async def test_asked_too_often_it_waits_as_their_own_client_does():
    with Sink(Reply(429)) as sink:
        with pytest.raises(Unavailable) as caught:
            await sent(sink, [parcel()])
        assert (caught.value.throttled, caught.value.retry_after) == (True, 30.0)
        sink.script(Reply(429, headers={"retry-after": "90"}))
        with pytest.raises(Unavailable) as caught:
            await sent(sink, [parcel()])
        assert caught.value.retry_after == 90


# The official package as the oracle: the same run through it and through us


ORACLE = """
import json, sys
from datetime import datetime
from langsmith import Client
run = json.load(sys.stdin)
project = run.pop("session_name")
client = Client(api_url=sys.argv[1], api_key=sys.argv[2])
times = {name: datetime.fromisoformat(run.pop(name)) for name in ("start_time", "end_time")}
client.create_run(**run, **times, project_name=project)
client.flush(timeout=30)
"""


def by_the_official_package(url, run):
    environment = {**os.environ, "LANGSMITH_DISABLE_RUN_COMPRESSION": "true", "LANGSMITH_TRACING": "true"}
    subprocess.run(
        [sys.executable, "-c", ORACLE, url, KEY],
        input=json.dumps(run).encode(),
        env=environment,
        timeout=90,
        check=True,
        capture_output=True,
    )


async def test_the_wire_is_that_of_the_official_package():
    limits = {"size_limit": 100, "size_limit_bytes": MOST_BYTES, "scale_up_nthreads_limit": 16, "scale_up_qsize_trigger": 1000}
    limits |= {"use_multipart_endpoint": True, "scale_down_nempty_trigger": 4}
    info = {"version": "0.10.1", "batch_ingest_config": limits}
    run = run_of(streamed_variant(), "mine")

    def server(got):
        return Reply(200, json.dumps(info).encode()) if got.method == "GET" else Reply(202, b"{}")

    with Sink(server) as sink:
        await asyncio.to_thread(by_the_official_package, sink.url, run)
        [official] = [got for got in sink.got if got.method == "POST"]
        await sent(sink, [streamed_variant()], project="mine")
        ours = sink.last
    assert (ours.path, ours.method) == (official.path, official.method)
    assert ours.headers["x-api-key"] == official.headers["x-api-key"]
    mine = parts_of(ours.body, ours.headers["content-type"])
    other = parts_of(official.body, official.headers["content-type"])
    id_ = run["id"]
    assert (
        list(mine) == list(other) == [f"post.{id_}", *(f"post.{id_}.{part}" for part in ("inputs", "outputs", "events", "extra"))]
    )
    for part in ("inputs", "outputs", "events"):
        assert mine[f"post.{id_}.{part}"] == other[f"post.{id_}.{part}"]
    extra = mine[f"post.{id_}.extra"]
    assert extra["metadata"].items() <= other[f"post.{id_}.extra"]["metadata"].items()
    for name, value in mine[f"post.{id_}"].items():
        same = (lambda text: datetime.fromisoformat(text).replace(tzinfo=None)) if name in {"start_time", "end_time"} else str
        assert same(value) == same(other[f"post.{id_}"][name]), name


# What LangSmith shows


def test_tokens_and_costs_are_ours():
    usage = run_of(parcel(), "mine")["outputs"]["usage_metadata"]
    is_usage(usage)
    assert (usage["input_tokens"], usage["output_tokens"]) == (1200, 80)
    assert usage["input_token_details"] == {"cache_read": 1024, "cache_creation": 16}
    assert usage["output_token_details"] == {"reasoning": 32}
    assert (usage["input_cost"], usage["output_cost"], usage["total_cost"]) == (0.000111, 0.000222, 0.000333)
    assert f"{usage['total_cost']:.6f}" == usd(fixture_span().cost)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (replace(fixture_span(), usage=None, cost=None), {}),
        (
            replace(fixture_span(), usage=Usage(input_tokens=5), cost=None, cost_lines=()),
            {"input_tokens": 5, "output_tokens": 0, "total_tokens": 5},
        ),
        (
            replace(fixture_span(), usage=Usage(images=1), cost=40_000_000_000, cost_lines=()),
            {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "total_cost": 0.04},
        ),
        (
            replace(fixture_span(), usage=Usage(input_tokens=1, output_tokens=1), cost=0, cost_lines=()),
            {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "total_cost": 0.0},
        ),
    ],
)
def test_what_is_not_known_is_not_told(span, expected):
    assert usage_metadata(span) == expected


def test_a_run_is_found_by_its_model_its_session_and_its_trace():
    metadata = run_of(parcel(), "mine")["extra"]["metadata"]
    assert (metadata["ls_provider"], metadata["ls_model_name"], metadata["ls_model_type"]) == (
        "openai",
        "gpt-4o-mini-2024-07-18",
        "chat",
    )
    assert (metadata["ls_temperature"], metadata["ls_max_tokens"]) == (0.2, 256)
    assert (metadata["session_id"], metadata["user_id"], metadata["team"]) == ("sess-1", "user-1", "search")
    assert (metadata["gateway_request_id"], metadata["trace_id"]) == (CALL_ID, fixture_span().trace_id)
    assert "thread_id" not in metadata


def test_the_calls_of_a_run_without_a_session_are_a_thread():
    span = fixture_span()
    metadata = run_of(parcel(replace(span, labels=replace(span.labels, session=None, run="run-9"))), "mine")["extra"]["metadata"]
    assert metadata["thread_id"] == "run-9"
    assert "session_id" not in metadata


def test_only_a_stream_has_a_first_token():
    [event] = run_of(streamed_variant(), "mine")["events"]
    assert event == {"name": "new_token", "time": "2026-11-20T23:00:00.410000+00:00"}
    assert "events" not in run_of(parcel(), "mine")


def test_an_error_has_no_outputs():
    run = run_of(error_variant(), "mine")
    assert run["error"] == "rate_limit_error: 429 rate limited"
    assert "outputs" not in run


def test_a_call_that_was_cut_keeps_what_came_and_what_it_cost():
    one = parcel()
    one.span.outcome = "cancelled"
    run = run_of(one, "mine")
    assert run["error"] == "cancelled"
    assert run["outputs"]["choices"]
    one.content = None
    run = run_of(one, "mine")
    assert "outputs" not in run
    assert run["extra"]["metadata"]["usage_metadata"]["total_cost"] == 0.000333


def test_a_parent_that_langsmith_never_saw_makes_no_orphan():
    run = run_of(parcel(replace(fixture_span(), parent_span_id="00f067aa0ba902b7")), "mine")
    is_run(run)
    assert "parent_run_id" not in run
    assert run["extra"]["metadata"]["parent_span_id"] == "00f067aa0ba902b7"


def test_other_apis_are_put_so_that_langsmith_draws_them():
    content = replace(
        fixture_content(),
        input={"system": "Be terse.", "messages": [{"role": "user", "content": "hi"}], "model": "claude"},
        output={"role": "assistant", "content": [{"type": "text", "text": "hello"}]},
    )
    run = run_of(parcel(fixture_span(), content), "mine")
    assert [message["role"] for message in run["inputs"]["messages"]] == ["system", "user"]
    assert run["outputs"]["content"] == [{"type": "text", "text": "hello"}]
    content = replace(
        fixture_content(),
        input={
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "systemInstruction": {"parts": [{"text": "Be terse."}]},
        },
        output={"candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP"}]},
    )
    run = run_of(parcel(fixture_span(), content), "mine")
    assert run["inputs"] == {"messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "hi"}]}
    assert run["outputs"]["choices"] == [{"message": {"role": "assistant", "content": "hello"}}]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({}, "llm"), ({"operation": "embeddings"}, "embedding"), ({"operation": "files", "usage": None, "cost": None}, "chain")],
)
def test_runs_have_a_type(changes, kind):
    assert run_of(parcel(replace(fixture_span(), **changes)), "mine")["run_type"] == kind


def test_no_tag_and_no_rule_can_spoil_a_run():
    one = parcel()
    one.span.labels = replace(one.span.labels, tags={"usage_metadata": "x", "session_id": "y"})
    one.extra = {"usage_metadata": {"x": 1}, "team": "ours"}
    run = run_of(one, "mine")
    is_run(run)
    assert (run["extra"]["metadata"]["session_id"], run["extra"]["metadata"]["team"]) == ("sess-1", "ours")


@pytest.mark.parametrize("settings", [{"workspace": "mine"}, {"project": ""}, {"url": "langsmith.test"}])
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ValidationError):
        LangSmithConfig(**{"url": "https://langsmith.test", "api_key": KEY, **settings})


@pytest.mark.parametrize(
    ("variant", "one"),
    [("full", parcel()), ("error", error_variant()), ("streamed", streamed_variant()), ("bare", bare_variant())],
)
def test_golden(variant, one):
    payload = destination_of().encode([one], BATCH)
    [run] = runs_of(payload)
    golden(f"langsmith/{variant}.json", json.dumps(run, indent=1, sort_keys=True).encode() + b"\n")


def test_golden_bytes():
    golden("langsmith/bare.multipart", destination_of().encode([bare_variant()], BATCH).body)
