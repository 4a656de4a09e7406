"""What holds for each platform that is sent to by OTLP."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from destinations import KINDS, config_class
from destinations.client import client_for
from destinations.exporter import cut_texts, request_for
from destinations.genai import genai
from destinations.otlp import OtlpConfig, PresetConfig
from domain.destinations import Misconfigured, Receipt
from domain.exchange import Labels
from tests.destinations.fixture import (
    BATCH,
    TRACE_ID,
    error_variant,
    fixture_content,
    fixture_span,
    many,
    parcel,
    streamed_variant,
)
from tests.destinations.otlp_reading import attributes, request_in
from tests.destinations.presets import KEY, SETTINGS, config, told
from tests.destinations.simulators.platforms import Collector
from tests.destinations.simulators.receiver import PAGE, PROTOBUF
from tests.destinations.simulators.shown import READERS, assert_shows_ours
from tests.destinations.sink import Sink

PARENT = "00f067aa0ba902b7"
# By which of its attributes a platform puts the calls of a session together.
SESSIONS = {
    "langwatch": "langwatch.thread.id",
    "respan": "respan.threads.thread_identifier",
    "opik": "thread_id",
    "weave": "wandb.thread_id",
    "sentry": "gen_ai.conversation.id",
}


def test_these_are_all_presets():
    presets = {kind for kind in KINDS if issubclass(config_class(kind), PresetConfig)} - {"otlp", "langfuse"}
    assert presets == set(SETTINGS) == set(READERS)


def test_the_page_of_all_has_a_row_for_each_kind():
    page = (Path(__file__).parents[2] / "docs" / "destinations.md").read_text()
    assert not [kind for kind in KINDS if f"[`{kind}`](destinations/{kind}.md)" not in page]


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_examples_of_a_page_are_settings(kind):
    page = (Path(__file__).parents[2] / "docs" / "destinations" / f"{kind}.md").read_text()
    for example in re.findall(r"```toml\n(.*?)```", page, re.DOTALL):
        filled = re.sub(r"\$\{SENTRY_DSN\}", f"https://{KEY.replace('-', '')}@o1.ingest.sentry.io/42", example)
        for table in tomllib.loads(re.sub(r"\$\{\w+\}", KEY, filled))["destinations"].values():
            assert config_class(kind).model_validate(table).type == table["type"] == kind


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_page_says_where_cost_and_age_differ(kind):
    """What a platform shows other figures for, or refuses for its age, is said on its page and in the table of all."""
    docs = Path(__file__).parents[2] / "docs"
    (row,) = [line for line in (docs / "destinations.md").read_text().splitlines() if line.startswith(f"| [`{kind}`]")]
    cost = row.split("|")[3].strip()
    assert (cost == "ours") is (kind in {"arize", "langwatch", "braintrust", "mlflow"})
    assert any(letter.isdecimal() for letter in row.split("|")[4]) is (config(kind).limits().max_age is not None)
    assert "ost" in (docs / "destinations" / f"{kind}.md").read_text()


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_call_is_shown_as_we_have_it(kind):
    read, without = READERS[kind]
    _, found = told(config(kind), parcel())
    assert_shows_ours(read(found), without=without)


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_failed_call_is_an_error_without_usage_and_cost(kind):
    span, found = told(config(kind), error_variant())
    shown = READERS[kind][0](found)
    assert (shown.input, shown.output, shown.cost) == (None, None, None)
    assert (span.status.code, span.status.message) == (2, "429 rate limited")
    assert found["error.type"] == "rate_limit_exceeded"


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_parent_that_the_platform_never_saw_makes_no_orphan(kind):
    one = parcel(replace(fixture_span(), parent_span_id=PARENT), None)
    root, found = told(config(kind), one)
    assert not root.parent_span_id
    assert found["faregate.parent_span_id"] == PARENT
    child, _ = told(config(kind, parents="keep"), one)
    assert child.parent_span_id.hex() == PARENT


@pytest.mark.parametrize("kind", SETTINGS)
def test_calls_of_one_session_and_one_run_stand_together(kind):
    labels = Labels(session="sess-1", run="run-1")
    first, second = (replace(one.span, trace_id=TRACE_ID, labels=labels) for one in many(2))
    (one, about_one), (other, about_other) = (told(config(kind), parcel(span, None)) for span in (first, second))
    assert one.trace_id == other.trace_id
    assert one.span_id != other.span_id
    for name in {"session.id", "gen_ai.conversation.id", SESSIONS.get(kind, "session.id")}:
        assert (about_one[name], about_other[name]) == ("sess-1", "sess-1")


@pytest.mark.parametrize("kind", ["respan", "weave", "braintrust"])
def test_the_name_of_a_prompt_is_taken_for_no_message(kind):
    _, found = told(config(kind), parcel(fixture_span(), None))
    assert not [name for name in found if name.startswith("gen_ai.prompt")]
    assert [name for name, value in found.items() if isinstance(value, str) and '"prompt":"weather@3"' in value]


@pytest.mark.parametrize("kind", SETTINGS)
def test_without_a_session_none_is_made_up(kind):
    _, found = told(config(kind), parcel(replace(fixture_span(), labels=Labels(run="run-1")), None))
    assert not [name for name in found if "session" in name or "thread" in name or "conversation" in name]


@pytest.mark.parametrize("kind", SETTINGS)
def test_all_are_sent_protobuf_and_never_more_than_they_take(kind):
    settings = config(kind)
    assert settings.build("mine", None).encode([streamed_variant()], BATCH).content_type == PROTOBUF
    limits = settings.limits()
    assert limits.items <= 200
    assert limits.body_bytes <= 8 * 1024 * 1024
    assert settings.look_at


@pytest.mark.parametrize("kind", SETTINGS)
async def test_a_web_page_at_a_wrong_path_is_no_receiver(kind):
    with Sink(PAGE) as sink:
        settings = config(kind, sink.url)
        async with client_for(settings) as client:
            destination = settings.build("mine", client)
            with pytest.raises(Misconfigured, match="look at the URL"):
                await destination.send(destination.encode([parcel()], BATCH))


@pytest.mark.parametrize("kind", SETTINGS)
def test_no_setting_can_begin_another_header(kind):
    fields = {name for name, value in SETTINGS[kind].items() if isinstance(value, str)}
    shown = config(kind).preset().headers.values()
    for name in [one for one in fields if any(SETTINGS[kind][one] in value for value in shown)]:
        for bad in ("a\r\nx: y", "ä", "a ", ""):
            with pytest.raises(ValidationError) as raised:
                config(kind, **{name: KEY + bad if bad else bad})
            assert KEY not in str(raised.value)


@pytest.mark.parametrize("kind", [kind for kind in SETTINGS if kind != "sentry"])
def test_plain_http_is_for_private_addresses(kind):
    with pytest.raises(ValidationError, match="write https"):
        config(kind, "http://platform.test", allow_private=False)


async def test_a_collector_that_drops_some_is_believed():
    """What it refused is counted and not sent again; the rest is kept, whichever way it was written."""
    for encoding in ("protobuf", "json"):
        collector = Collector(drops=lambda seen: seen.span_id.endswith("3"))
        with Sink(collector) as sink:
            settings = OtlpConfig(url=sink.url, allow_private=True, encoding=encoding)
            async with client_for(settings) as client:
                destination = settings.build("mine", client)
                receipt = await destination.send(destination.encode(many(4), BATCH))
        assert receipt == Receipt(200, refused=1, note="dropped by a processor")
        assert len(collector.kept) == 3


def test_texts_are_cut_where_a_platform_drops_longer_ones():
    text = "ü" * 3_000
    content = replace(fixture_content(), input={"messages": [{"role": "user", "content": text}]})
    request = request_for([parcel(fixture_span(), content), error_variant()], (genai,), {})
    cut_texts(request, 4_095)
    spans = request.resource_spans[0].scope_spans[0].spans
    values = [one for span in spans for one in attributes(span).values() if isinstance(one, str)]
    assert max(len(one.encode()) for one in values) <= 4_095
    assert attributes(spans[0])["gen_ai.input.messages"].endswith("üü…")
    assert len(attributes(spans[0])["gen_ai.input.messages"].encode()) >= 4_090
    # what is short stays as it is
    assert attributes(spans[0])["gen_ai.usage.input_tokens"] == 1200
    short = request_for([parcel()], (genai,), {})
    before = short.SerializeToString()
    cut_texts(short, 4_095)
    assert short.SerializeToString() == before


def test_the_sender_is_named_as_the_settings_say():
    for kind in SETTINGS:
        settings = config(kind, service="shop-llm", resource={"service.namespace": "shop"})
        request = request_in(settings.build("mine", None).encode([parcel()], BATCH))
        found = attributes(request.resource_spans[0].resource)
        assert (found["service.name"], found["service.namespace"]) == ("shop-llm", "shop")
