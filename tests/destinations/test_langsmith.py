import asyncio
import base64
import email.parser
import email.policy
import json
import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
import zstandard
from langsmith.schemas import InputCostDetails, InputTokenDetails, OutputCostDetails, OutputTokenDetails, UsageMetadata
from pydantic import ValidationError

from destinations.client import client_for, make_client
from destinations.langsmith import ASK_AGAIN, LangSmith, LangSmithConfig
from destinations.langsmith_info import Told, asked_of
from destinations.langsmith_runs import run_of, usage_metadata
from domain.calls import Usage
from domain.destinations import Misconfigured, Rejected, TooLarge, Unavailable
from domain.spans import usd
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import (
    BATCH,
    CALL_ID,
    QUESTION,
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
        name = part.get_param("name", header="content-disposition")
        assert int(part["content-length"]) == len(data)
        if name.startswith("attachment."):
            assert len(name.split(".")) == 3, "LangSmith's own client leaves out an attachment with a dot in its name"
            found[name] = (part.get_content_type(), data)
        else:
            assert part.get_content_type() == "application/json"
            found[name] = json.loads(data)
    return found


def files_of(payload):
    """Return the attachments by run and name."""
    parts = parts_of(payload.body, payload.content_type)
    return {tuple(name.split(".")[1:]): file for name, file in parts.items() if name.startswith("attachment.")}


def runs_of(payload):
    if payload.content_type == "application/json":
        told = json.loads(payload.body)
        assert set(told) == {"post", "patch"}
        return told["post"]
    runs = {}
    for name, value in parts_of(payload.body, payload.content_type).items():
        verb, id_, *field = name.split(".")
        if verb == "attachment":
            assert id_ in runs
            continue
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

    def __init__(self, *, multipart=True, poison=frozenset(), info=None):
        self.runs = {}
        self.files = {}
        self._info = info
        self._multipart = multipart
        self._poison = poison

    def __call__(self, got):  # noqa: PLR0911 - one for each answer that there is
        if got.path == "/info":
            return Reply(404) if self._info is None else Reply(200, json.dumps(self._info).encode())
        if got.headers.get("x-api-key") != KEY:
            return Reply(403, b'{"error":"Forbidden"}')
        if got.path == "/runs/multipart" and not self._multipart:
            return Reply(404, b'{"detail":"Not Found"}')
        assert got.path == ("/runs/multipart" if got.headers["content-type"].startswith("multipart/") else "/runs/batch")
        if len(got.body) > MOST_BYTES:
            return Reply(413)
        got = replace(got, body=self._unpacked(got))
        found = runs_of(_Payload(got.body, got.headers["content-type"]))
        if any(run["id"] in self._poison for run in found):
            return Reply(422, b'{"detail":"dotted_order must contain a single part for root runs"}')
        for run in found:
            is_run(run)
        if any(run["id"] in self.runs for run in found):
            return Reply(409, b'{"error":"payloads already received"}')
        self.runs |= {run["id"]: run for run in found}
        if got.path == "/runs/multipart":
            self.files |= files_of(_Payload(got.body, got.headers["content-type"]))
        return Reply(202, b'{"message":"Runs batch ingested"}')

    def _unpacked(self, got):
        if got.headers.get("content-encoding") != "zstd":
            return got.body
        assert (self._info or {})["instance_flags"]["zstd_compression_enabled"], "not every server understands zstd"
        body = zstandard.ZstdDecompressor().stream_reader(got.body).read()
        # Their own client counts only what the parts hold.
        assert 0 < int(got.headers["x-pre-compressed-size"]) <= len(body)
        assert got.headers["x-post-compressed-size"] == str(len(got.body))
        return body


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
            sink.script(Reply(404), Reply(404))
            with pytest.raises(Unavailable):
                await destination.send(destination.encode([parcel()], BATCH))
            payload = destination.encode(many(2), BATCH)
            is_taken(payload)
            assert (await destination.send(payload)).status == 202
            assert [got.path for got in sink.got] == ["/info", "/runs/multipart", "/runs/batch"]
            sink.script(Reply(404))
            with pytest.raises(Misconfigured):
                await destination.send(payload)


def test_bears_anything():
    for one in hostile():
        is_taken(destination_of().encode([one], BATCH))


async def test_a_server_has_each_run_once_however_often_it_is_sent():
    server = Simulator()
    with Sink(server) as sink:
        [first] = await sent(sink, many(3))
        again = await sent(sink, *([one] for one in many(3)))
    assert [receipt.note for receipt in (first, *again)] == ["", *["it was there already"] * 3]
    assert sorted(server.runs) == sorted(str(UUID(one.span.id)) for one in many(3))


async def test_a_server_that_has_one_of_several_runs_does_not_lose_the_others():
    """All of a request is refused for one run that is there; nobody says which, so that each is sent alone."""
    server = Simulator()
    with Sink(server) as sink:
        await sent(sink, many(1))
        with pytest.raises(Rejected):
            await sent(sink, many(3))
        await sent(sink, *([one] for one in many(3)))
    assert len(server.runs) == 3


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
    assert [got.headers.get("x-tenant-id") for got in sink.got if got.method == "POST"] == [workspace, None]


async def test_asked_too_often_it_waits_as_their_own_client_does():
    with Sink(Reply(429)) as sink:
        with pytest.raises(Unavailable) as caught:
            await sent(sink, [parcel()])
        assert (caught.value.throttled, caught.value.retry_after) == (True, 30.0)
        sink.answering = Reply(429, headers={"retry-after": "90"})
        with pytest.raises(Unavailable) as caught:
            await sent(sink, [parcel()])
        assert caught.value.retry_after == 90


# What a server says of itself


def info_of(*, flags=None, **limits):
    return {"version": "0.10.1", "batch_ingest_config": limits, "instance_flags": flags or {}}


async def learned(info, *batches, **settings):
    """Send to a server that says this of itself; return the server, its sink's requests, and the limits in the end."""
    server = Simulator(info=info)
    with Sink(server) as sink:
        told = config(sink.url, **settings)
        async with client_for(told) as client:
            destination = told.build("mine", client)
            for parcels in batches:
                with suppress(TooLarge):
                    await destination.send(destination.encode(parcels, BATCH))
            return server, sink.got, destination.limits


async def test_a_server_that_takes_less_at_once_is_not_sent_more():
    server, got, limits = await learned(info_of(size_limit=2, size_limit_bytes=5_000_000), many(3), many(2), many(1))
    assert (limits.items, limits.body_bytes) == (2, 5_000_000)
    assert [one.path for one in got] == ["/info", "/runs/multipart", "/runs/multipart"], "it is asked of itself once"
    assert len(server.runs) == 2
    large = replace(fixture_content(), input={"messages": [{"role": "user", "content": "x" * 70_000}]})
    _, got, _ = await learned(info_of(size_limit_bytes=65_536), [parcel(fixture_span(), large)])
    assert [one.path for one in got] == ["/info"]


@pytest.mark.parametrize(
    "info",
    [
        None,
        {},
        [],
        "soon",
        {"batch_ingest_config": None, "instance_flags": []},
        info_of(size_limit=0, size_limit_bytes=-1),
        info_of(size_limit=True, size_limit_bytes="20971520"),
        info_of(size_limit=None, size_limit_bytes=1),
        info_of(size_limit=2**70, size_limit_bytes=2**70, use_multipart_endpoint="no"),
        {"x": "y" * 100_000},
    ],
)
async def test_what_a_server_cannot_mean_changes_nothing(info):
    server, _, limits = await learned(info, many(3))
    assert limits == config().limits()
    assert len(server.runs) == 3


async def test_the_settings_can_only_be_narrowed():
    _, _, limits = await learned(info_of(size_limit=1_000, size_limit_bytes=2**30), many(1), batch_items=7, batch_mb=1)
    assert (limits.items, limits.body_bytes) == (7, 2**20)


@pytest.mark.parametrize(
    "reply", [Reply(500), Reply(307, headers={"location": "/elsewhere"}), Reply(200, b"<html>"), Reply(reset=True)]
)
async def test_runs_are_sent_where_a_server_says_nothing_of_itself(reply):
    with Sink(Reply(202)) as sink:
        sink.script(reply)
        [receipt] = await sent(sink, many(2))
    assert (receipt.status, [got.path for got in sink.got]) == (202, ["/info", "/runs/multipart"])


async def test_a_server_that_takes_its_time_is_not_waited_for():
    """It would answer in the end: its hold is shorter than the client's own limit."""
    answered = threading.Event()
    with Sink(Reply(200, b"{}", after=answered)) as sink:
        async with make_client(True, timeout=600) as client:
            assert await asked_of(client, sink.url, {}, patience=0.05) is None
            answered.set()
            assert await asked_of(client, sink.url, {}) == Told()


async def test_a_server_is_asked_again_after_a_while():
    clock = [0.0]
    server = Simulator(info=info_of(size_limit=1))
    with Sink(server) as sink:
        told = config(sink.url)
        async with client_for(told) as client:
            destination = LangSmith(
                client, sink.url, {"x-api-key": KEY}, project="mine", limits=told.limits(), now=lambda: clock[0]
            )
            await destination.send(destination.encode(many(1), BATCH))
            assert destination.limits.items == 1
            server._info = info_of(size_limit=50)
            clock[0] = ASK_AGAIN - 1
            with pytest.raises(TooLarge):
                await destination.send(destination.encode(many(2), BATCH))
            clock[0] = ASK_AGAIN
            await destination.send(destination.encode(many(3)[1:], BATCH))
            assert destination.limits.items == 50


async def test_a_server_that_says_it_knows_no_multipart_is_sent_batches():
    server = Simulator(info=info_of(use_multipart_endpoint=False), multipart=False)
    with Sink(server) as sink:
        told = config(sink.url)
        async with client_for(told) as client:
            destination = told.build("mine", client)
            with pytest.raises(Unavailable):  # what was written before it was asked
                await destination.send(destination.encode(many(1), BATCH))
            payload = destination.encode(many(2), BATCH)
            assert payload.content_type == "application/json"
            await destination.send(payload)
    assert len(server.runs) == 2


async def test_what_a_server_unpacks_is_packed():
    server, got, _ = await learned(info_of(flags={"zstd_compression_enabled": True}), many(3))
    assert len(server.runs) == 3
    assert got[-1].headers["content-encoding"] == "zstd"
    assert len(got[-1].raw) < len(destination_of().encode(many(3), BATCH).body) / 2


async def test_a_packed_request_that_fails_says_no_prompt():
    with Sink() as sink:
        info = Reply(200, json.dumps(info_of(flags={"zstd_compression_enabled": True})).encode())
        sink.answering = lambda got: (
            info if got.method == "GET" else Reply(400, QUESTION.encode() + got.headers["x-api-key"].encode())
        )
        with pytest.raises(Rejected) as caught:
            await sent(sink, [parcel()])
    assert QUESTION not in caught.value.message
    assert KEY not in caught.value.message


# Attachments: what they are taken from is tested in test_attachments.py

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8


def pictured(**changes):
    asked = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": data_url(PICTURE)}}]}]}
    kept = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": {"bytes": len(PICTURE)}}}]}]}
    return parcel(fixture_span(), replace(fixture_content(), request=json.dumps(asked).encode(), input=kept, **changes))


def data_url(data, media_type="image/png"):
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


async def test_a_picture_stands_beside_its_run():
    server, _, _ = await learned(None, [pictured()])
    assert server.files == {(str(UUID(CALL_ID)), "request-1-image"): ("image/png", PICTURE)}


def test_each_run_has_its_own_attachments():
    payload = destination_of().encode([pictured(), *many(2)[1:]], BATCH)
    assert {run for run, _ in files_of(payload)} == {str(UUID(CALL_ID))}
    is_taken(payload)


def test_an_attachment_cannot_end_the_part_it_is_in():
    one = pictured(
        response=b"\x00" * 10 + f"\r\n--faregate-{BATCH}--\r\n".encode(), response_headers=(("content-type", "audio/mpeg"),)
    )
    payload = destination_of().encode([one], BATCH)
    assert [name for _, name in files_of(payload)] == ["request-1-image"]


# The official package as the oracle: the same run through it and through us


OFFICIAL_INFO = {
    "version": "0.10.1",
    "batch_ingest_config": {
        "size_limit": 100,
        "size_limit_bytes": MOST_BYTES,
        "scale_up_nthreads_limit": 16,
        "scale_up_qsize_trigger": 1000,
        "use_multipart_endpoint": True,
        "scale_down_nempty_trigger": 4,
    },
}
ORACLE = """
import json, sys, time
from base64 import b64decode
from datetime import datetime
from langsmith import Client
run = json.load(sys.stdin)
project = run.pop("session_name")
client = Client(api_url=sys.argv[1], api_key=sys.argv[2])
while sys.argv[3] == "True" and client.compressed_traces is None:
    time.sleep(0.01)  # its thread asks the server first; a run that comes before goes out as it is
times = {name: datetime.fromisoformat(run.pop(name)) for name in ("start_time", "end_time")}
files = {name: (kind, b64decode(data)) for name, (kind, data) in run.pop("files").items()}
client.create_run(**run, **times, project_name=project, attachments=files)
client.flush(timeout=30)
"""


def by_the_official_package(url, run, files=None, *, packed=False):
    environment = {**os.environ, "LANGSMITH_DISABLE_RUN_COMPRESSION": str(not packed).lower(), "LANGSMITH_TRACING": "true"}
    told = {name: (kind, base64.b64encode(data).decode()) for name, (kind, data) in (files or {}).items()}
    subprocess.run(
        [sys.executable, "-c", ORACLE, url, KEY, str(packed)],
        input=json.dumps({**run, "files": told}).encode(),
        env=environment,
        timeout=90,
        check=True,
        capture_output=True,
    )


async def test_the_wire_is_that_of_the_official_package():
    run = run_of(streamed_variant(), "mine")

    def server(got):
        return Reply(200, json.dumps(OFFICIAL_INFO).encode()) if got.method == "GET" else Reply(202, b"{}")

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


@pytest.mark.parametrize("packed", [False, True])
async def test_attachments_are_those_of_the_official_package(packed):
    """Also within zstd, where the server understands it."""
    server = Simulator(info=OFFICIAL_INFO | {"instance_flags": {"zstd_compression_enabled": packed}})
    run = run_of(pictured(), "mine")
    with Sink(server) as sink:
        await asyncio.to_thread(
            by_the_official_package, sink.url, run, {"request-1-image": ("image/png", PICTURE)}, packed=packed
        )
        theirs, server.runs, server.files = (server.runs, server.files), {}, {}
        official = sink.last
        await sent(sink, [pictured()], project="mine")
        ours = sink.last
    assert server.files == theirs[1]
    assert server.runs.keys() == theirs[0].keys()
    encodings = [got.headers.get("content-encoding") for got in (official, ours)]
    assert encodings == (["zstd", "zstd"] if packed else [None, None])


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
