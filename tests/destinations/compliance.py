"""What every destination promises, whatever its own format is.

    async def test_complies():
        with Sink(taken) as sink:
            await assert_complies(LangfuseConfig(host=sink.url, …, allow_private=True), sink)

`Sink` gets the answer that means "taken" there. A destination that does not speak HTTP gives no sink.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from uuid import UUID

from destinations import KINDS, config_class
from destinations.base import DestinationConfig
from destinations.client import client_for
from domain.destinations import (
    DeliveryFailed,
    Destination,
    Limits,
    Misconfigured,
    Parcel,
    Payload,
    Receipt,
    Rejected,
    TakesEvents,
    TooLarge,
    Unavailable,
)
from domain.events import Event
from tests.destinations.fixture import (
    BATCH,
    CALL_ID,
    QUESTION,
    REASONING,
    SPAN_ID,
    STARTED_AT,
    bare_variant,
    error_variant,
    fixture_span,
    hostile,
    many,
    parcel,
    streamed_variant,
)
from tests.destinations.sink import Got, Reply, Sink

DOCS = Path(__file__).parents[2] / "docs"
# What must not be in a payload that is to hold no content.
PROMPTS = (QUESTION, REASONING, "You are terse")
LONGEST_MESSAGE = 1_000

Failure = type[DeliveryFailed] | None
# What becomes of each status, where a kind says nothing else (../shared/reference/destinations.md section 8). None: taken.
OUTCOMES: Mapping[int, Failure] = {
    200: None,
    **dict.fromkeys((301, 302, 307, 308), Misconfigured),
    **dict.fromkeys((400, 409, 422), Rejected),
    **dict.fromkeys((401, 402, 403, 404, 405, 407, 410, 415, 507), Misconfigured),
    **dict.fromkeys((408, 425, 429, 500, 502, 503, 504, 520), Unavailable),
    413: TooLarge,
}
EVENT = Event(
    id="4bf92f3577b34da6a3ce929d0e0e4736",
    type="budget.warning",
    at=STARTED_AT,
    severity="warning",
    subject="budget team-search",
    message="80% of the budget team-search is spent.",
    data={"limit_usd": "100", "spent_usd": "80.5"},
)
Valid = Callable[[Payload], None]


async def assert_complies(
    config: DestinationConfig,
    sink: Sink | None = None,
    *,
    outcomes: Mapping[int, Failure] | None = None,
    valid: Valid | None = None,
    page: Path | None = None,
    unsealed: Callable[[bytes], bytes] = bytes,
    hears_retry_after: bool = True,
    says_busy: Collection[int] = (429,),
) -> None:
    """Check everything that a destination promises.

    Args:
        config: its settings, complete, with each secret that it can have; its URL leads to `sink`.
        sink: a running server, whose standing answer means "taken"; None where the destination does not send by HTTP.
        outcomes: where its view of a status differs from `OUTCOMES`; None means taken.
        valid: raises unless a payload is one that the platform could read; by default payloads must be JSON or OTLP protobuf.
        page: its page of docs, `docs/destinations/<type>.md` by default.
        unsealed: takes a credential out of a body that came, where a platform wants it there, or unpacks it.
        hears_retry_after: whether it is told how long a platform wants to be left alone; not through somebody's library.
        says_busy: the statuses by which the platform says that it has too much to do.

    """
    valid = valid or is_readable
    assert_is_known(config)
    assert_page_names_every_option(config, page)
    async with client_for(config) as client:
        destination = config.build("mine", client)
        assert_limits(destination)
        assert_encodes(destination, config, valid)
        assert_bears_anything(destination, config, valid)
        if isinstance(destination, TakesEvents):
            assert_encodes_events(destination, config)
        if sink is not None:
            assert not sink.got, "build and encode must do no I/O"
            await assert_sorts_outcomes(
                destination,
                config,
                sink,
                {**OUTCOMES, **(outcomes or {})},
                unsealed,
                wait=7 if hears_retry_after else None,
                says_busy=says_busy,
            )
            await assert_bears_any_answer(destination, config, sink)


def assert_is_known(config: DestinationConfig) -> None:
    """The kind is in the table (or offered by a package), under the name that it has in settings; settings are closed and frozen."""
    assert config_class(config.type) is type(config)
    assert type(config).model_config.get("extra") == "forbid"
    assert type(config).__doc__, "the docstring of a kind's settings is the first line of its page"
    for name, secret in type(config).model_fields.items():
        assert secret.description or name == "type", f"{name} has no description"
    assert isinstance(config.look_at.format(trace="0af7"), str)
    shown = f"{config!r} {config.model_dump_json()}"
    assert not [one for one in config.secrets() if one in shown], "settings show their secrets"


def assert_page_names_every_option(config: DestinationConfig, page: Path | None = None) -> None:
    """Each option is on the page of the kind or, where all destinations have it, on the page of all."""
    own = page or DOCS / "destinations" / f"{config.type}.md"
    assert own.exists(), f"{own} is missing"
    text = own.read_text()
    assert f'type = "{config.type}"' in text, f"{own} shows no settings of this type"
    missing = [name for name in own_options(type(config)) if f"`{name}`" not in text]
    assert not missing, f"{own} does not name {missing}"


def own_options(kind: type[DestinationConfig]) -> list[str]:
    """Return the options of a kind that not all destinations have."""
    return [name for name in kind.model_fields if name not in DestinationConfig.model_fields]


def assert_limits(destination: Destination) -> None:
    limits = destination.limits
    assert isinstance(limits, Limits)
    assert limits.items > 0
    assert limits.body_bytes > 0
    assert limits.parallel > 0
    assert 0 < limits.timeout <= 120
    assert 0 <= limits.flush <= 3_600


def assert_encodes(destination: Destination, config: DestinationConfig, valid: Valid) -> None:
    """The same parcels give the same bytes, with the calls' own ids, without credentials; without content there is none in it."""
    for variant in (parcel(), error_variant(), streamed_variant(), bare_variant()):
        payload = destination.encode([variant], BATCH)
        assert destination.encode([variant], BATCH) == payload, "the same parcels must give the same payload"
        assert payload.calls == (variant.span.id,)
        assert payload.content_type or not payload.body
        valid(payload)
        assert_holds_no_secret(payload, config)
        assert _is_named(payload, variant), "neither the call's id nor its span's is in the payload"
    several = many(3)
    payload = destination.encode(several, BATCH)
    assert payload.calls == tuple(one.span.id for one in several)
    valid(payload)
    bare = destination.encode([parcel(fixture_span(), None)], BATCH)
    valid(bare)
    told = bare.body.decode("utf-8", "replace")
    assert not [text for text in PROMPTS if text in told], "without content no text of the request or the answer may be sent"


def assert_bears_anything(destination: Destination, config: DestinationConfig, valid: Valid) -> None:
    """Whatever a content, a label or a parameter holds, there is a payload that can be read."""
    for odd in hostile():
        payload = destination.encode([odd], BATCH)
        valid(payload)
        assert_holds_no_secret(payload, config)
    valid(destination.encode(hostile(), BATCH))


def assert_encodes_events(destination: TakesEvents, config: DestinationConfig) -> None:
    payload = destination.encode_event(EVENT)
    assert payload == destination.encode_event(EVENT)
    assert payload.calls == (EVENT.id,)
    assert EVENT.message.encode() in payload.body.replace(b"\\u0025", b"%")
    assert_holds_no_secret(payload, config)


async def assert_sorts_outcomes(
    destination: Destination,
    config: DestinationConfig,
    sink: Sink,
    outcomes: Mapping[int, Failure],
    unsealed: Callable[[bytes], bytes],
    *,
    wait: float | None,
    says_busy: Collection[int],
) -> None:
    """Each status is what it should be, is asked for once, and is told without credentials and prompts."""
    payload = destination.encode([parcel()], BATCH)
    receipt = await destination.send(payload)
    assert isinstance(receipt, Receipt)
    assert not receipt.rejected
    assert not receipt.again
    assert sink.got, "send must send"
    assert unsealed(sink.last.body) == payload.body
    for status, failure in outcomes.items():
        if status == 200:
            continue
        found = await _assert_one(destination, config, sink, payload, status, failure)
        if isinstance(found, Unavailable):
            assert found.retry_after == wait
            assert found.throttled is (status in says_busy)
    await _assert_unavailable_without_an_answer(destination, sink, payload)


async def _assert_one(  # noqa: PLR0917 - what a row is about
    destination: Destination, config: DestinationConfig, sink: Sink, payload: Payload, status: int, failure: Failure
) -> DeliveryFailed | None:
    before = len(sink.got)
    headers = {"location": f"{sink.url}/elsewhere"} if 300 <= status < 400 else {"retry-after": "7"}
    sink.script(Reply(status, b'{"error": "no"}', headers=headers))
    found = await _failure_of(destination, payload)
    assert type(found) is (failure or type(None)), f"HTTP {status} is {found!r}"
    assert len(sink.got) == before + 1, f"HTTP {status} made it ask again, or elsewhere"
    if isinstance(found, DeliveryFailed):
        assert found.status == status
        assert str(status) in found.message
        assert_says_nothing_secret(found.message, config)
    if isinstance(found, Misconfigured):
        assert found.gone is (status == 410)
    return found


async def _assert_unavailable_without_an_answer(destination: Destination, sink: Sink, payload: Payload) -> None:
    sink.script(Reply(reset=True))
    assert isinstance(await _failure_of(destination, payload), Unavailable)


async def assert_bears_any_answer(destination: Destination, config: DestinationConfig, sink: Sink) -> None:
    """An answer that repeats our request, is huge, or is none of what was expected, does no harm."""
    payload = destination.encode([parcel()], BATCH)
    for status in (200, 400, 401, 503):
        sink.script(Reply(status, b"x" * (6 * 1024 * 1024), "text/plain"))
        found = await _failure_of(destination, payload)
        if isinstance(found, DeliveryFailed):
            assert len(found.message) <= LONGEST_MESSAGE
        sink.script(Reply(status, b"\xff\0{\x1b[31m", "application/octet-stream", {"retry-after": "\u00fe soon"}))
        await _failure_of(destination, payload)
    for status in (400, 403, 500):
        sink.script(_echo(sink.last, payload, status))
        failed = await _failure_of(destination, payload)
        assert isinstance(failed, DeliveryFailed)
        assert_says_nothing_secret(failed.message, config)


def _echo(got: Got, payload: Payload, status: int) -> Reply:
    """Return an answer that repeats the headers that came, and what the body says in plain words."""
    prompt = QUESTION if QUESTION.encode() in payload.body else ""
    return Reply(status, json.dumps({"prompt": prompt, "error": dict(reversed(got.headers.items()))}).encode())


async def _failure_of(destination: Destination, payload: Payload) -> DeliveryFailed | None:
    try:
        await destination.send(payload)
    except DeliveryFailed as failure:
        return failure
    return None


def assert_holds_no_secret(payload: Payload, config: DestinationConfig) -> None:
    told = b"\n".join([payload.body, repr((payload.headers, payload.name, payload.content_type)).encode()])
    assert not [secret for secret in config.secrets() if secret.encode() in told], "a credential is in the payload"


def assert_says_nothing_secret(message: str, config: DestinationConfig) -> None:
    assert len(message) <= LONGEST_MESSAGE
    assert not [secret for secret in config.secrets() if secret in message], "a credential is in an error"
    assert not [text for text in PROMPTS if text in message], "a prompt is in an error"


def is_readable(payload: Payload) -> None:
    """Raise unless a payload is JSON, lines of JSON, or OTLP protobuf."""
    kind = payload.content_type.partition(";")[0]
    if kind == "application/x-protobuf":
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest  # noqa: PLC0415

        assert ExportTraceServiceRequest.FromString(payload.body).resource_spans
    elif kind in {"application/json", "application/cloudevents+json", "application/cloudevents-batch+json"}:
        json.loads(payload.body.decode())
    elif kind in {"application/x-ndjson", "application/jsonl"}:
        assert [json.loads(line) for line in payload.body.decode().splitlines()]
    else:
        raise AssertionError(f"give `valid`: how to read {payload.content_type} is not known here")


def _is_named(payload: Payload, variant: Parcel) -> bool:
    span = variant.span
    told = payload.body + json.dumps(dict(payload.headers)).encode() + payload.name.encode()
    names: Sequence[bytes] = (span.id.encode(), str(UUID(span.id)).encode(), span.span_id.encode(), bytes.fromhex(span.span_id))
    return any(name in told for name in names) or payload.content_type == "application/gzip"


__all__ = ["BATCH", "CALL_ID", "EVENT", "KINDS", "OUTCOMES", "SPAN_ID", "assert_complies"]
