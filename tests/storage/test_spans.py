"""The span store's promises, the same on SQLite and PostgreSQL."""

from dataclasses import replace

import pytest

from domain.calls import CallError, SubCall, ToolCall, Usage
from domain.exchange import Attempt, Labels
from domain.spans import Content
from storage.spans import CallQuery, SpanStore
from tests.storage.samples import BEGIN, SECOND, a_content, a_span

HALF = "\ud83d"
HOSTILE = f"né\0ant 東京 🚉 {HALF}"


def everything():
    """Return a span with a value in every field, many of them hostile."""
    usage = Usage(
        input_tokens=10**30,
        cache_read_tokens=1,
        cache_write_1h_tokens=2,
        output_tokens=-5,
        audio_seconds=1.25,
        searches={"web": 3},
        sub_calls=(SubCall("other", "advisor", Usage(input_tokens=1, raw=[1])), SubCall(None, "compaction", Usage())),
        reported_cost=10**25,
        tier="flex",
        batch=True,
        source="estimated",
        flags=("anomalous",),
        raw={"deep": [{"n": 2**70}, None, True, 1.5, HOSTILE], HALF: 1},
    )
    labels = Labels(
        session=HOSTILE,
        run="r",
        section="agent:a/tool:b",
        customer="c" * 5000,
        user="",
        env="prod",
        release="1",
        prompt="p@3",
        tags={"team": "search", "": "", HOSTILE: HOSTILE, "long" * 200: "x" * 3000},
        trace_id="a" * 32,
        parent_span_id="b" * 16,
        shortened=("customer",),
    )
    return a_span(
        labels=labels,
        usage=usage,
        model="m" * 4000 + "\0",
        served_model=HOSTILE,
        path="/v1/" + HOSTILE,
        project="pröject",
        key_name=HOSTILE,
        parent_span_id="c" * 16,
        stream=True,
        outcome="interrupted",
        status=None,
        error=CallError("t", None, HOSTILE),
        cost=10**20,
        cost_status="estimated",
        chunk_gap_mean_ms=0.1,
        chunk_gap_max_ms=80.0,
        attempts=(Attempt("a", "1", BEGIN, None, None, HOSTILE), Attempt("b", "caller", BEGIN + 1, 200, 7)),
        tool_calls=(ToolCall(None, None, "{not json"), ToolCall("id", "name", HOSTILE)),
        finish_reasons=("tool_calls", "stop"),
        changes=("model",),
        notes=("odd",),
        cost_lines=({"what": "input", "usd": "0.1", "tokens": 5},),
        content="cut",
    )


@pytest.mark.parametrize(
    "span", [a_span(), everything(), a_span(usage=None, model=None, served_model=None, cost=None, latency_ms=None)]
)
def test_a_span_comes_back_as_it_was(store_spans: SpanStore, span) -> None:
    assert store_spans.save([(span, None)]) == 1
    assert store_spans.span(span.id) == span
    assert store_spans.calls(CallQuery()).spans == [span]


def test_a_content_comes_back_as_it_was(store_spans: SpanStore) -> None:
    span, content = a_span(), a_content(text=HOSTILE.replace(HALF, ""))
    store_spans.save([(span, content)])
    assert store_spans.content(span.id) == content


def test_what_is_not_there_is_none(store_spans: SpanStore) -> None:
    span = a_span()
    store_spans.save([(span, None)])
    assert store_spans.content(span.id) is None
    assert store_spans.content("0" * 32) is None
    assert store_spans.span("0" * 32) is None


def test_saving_again_changes_nothing(store_spans: SpanStore) -> None:
    first, second = a_span(1, labels=Labels(tags={"a": "b"})), a_span(2)
    assert store_spans.save([(first, a_content()), (first, a_content())]) == 1
    place = store_spans.last_place()
    assert store_spans.save([(replace(first, outcome="error"), Content(request=b"other")), (second, None)]) == 1
    assert store_spans.span(first.id) == first
    assert store_spans.content(first.id) == a_content()
    assert store_spans.recorded_after(place)[0] == [second]
    assert store_spans.calls(CallQuery(tags={"a": "b"})).spans == [first]


def test_saving_nothing_is_nothing(store_spans: SpanStore) -> None:
    assert store_spans.save([]) == 0


def test_a_save_is_all_or_nothing(store_spans: SpanStore) -> None:
    broken = replace(a_span(2), status="not a number at all" * 9, latency_ms=object())
    with pytest.raises(Exception, match="object"):
        store_spans.save([(a_span(1), a_content()), (broken, None)])
    assert store_spans.calls(CallQuery()).spans == []
    assert store_spans.last_place() == 0


def test_what_nests_too_deeply_loses_that_part_and_no_other_call(store_spans: SpanStore) -> None:
    abyss: list = []
    for _ in range(100_000):
        abyss = [abyss]
    deep = a_span(1, usage=Usage(input_tokens=5, raw=abyss))
    content = Content(request=b"[" * 100_000 + b"]" * 100_000, input=abyss, output={"fine": True})
    assert store_spans.save([(deep, content), (a_span(2), None)]) == 2
    kept = store_spans.span(deep.id)
    assert kept is not None
    assert kept.usage == Usage(input_tokens=5, flags=("raw_not_storable",))
    assert kept.notes == ("not_storable",)
    assert store_spans.content(deep.id) == replace(content, input=None)
    # Taken apart layer by layer: Python's own way of forgetting it is recursive for what compares it.
    while abyss:
        abyss = abyss[0]


FILTERED = [
    a_span(0, project="search", key="k1", key_name="ci", model="gpt-4o", served_model="gpt-4o-2024", labels=Labels(session="s1")),
    a_span(1, project="search", key="k2", key_name="dev", upstream="azure", outcome="error", status=500),
    a_span(2, key="k3", key_name="ci", labels=Labels(session="s1", customer="acme", user="u1", section="agent:a")),
    a_span(
        3, operation="embeddings", labels=Labels(tags={"team": "search", "env": "prod"}), model="gpt-4o-2024", served_model=None
    ),
    a_span(4, outcome="cancelled", status=None, labels=Labels(tags={"team": "search", "env": "dev"}, customer="acme")),
    a_span(5, outcome="error", status=429, labels=Labels(tags={"team=search": ""}, session=HOSTILE, customer="l" * 900)),
]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (CallQuery(), [5, 4, 3, 2, 1, 0]),
        (CallQuery(newest_first=False), [0, 1, 2, 3, 4, 5]),
        (CallQuery(since=BEGIN + 2 * SECOND, until=BEGIN + 4 * SECOND), [3, 2]),
        (CallQuery(since=10**30), []),
        (CallQuery(project="search"), [1, 0]),
        (CallQuery(project="search", upstream="azure"), [1]),
        (CallQuery(key="k3"), [2]),
        (CallQuery(key="ci", project="search"), [0]),
        (CallQuery(key="ci"), [5, 4, 3, 2, 0]),
        (CallQuery(key="ci", newest_first=False, limit=2), [0, 2]),
        (CallQuery(model="gpt-4o"), [0]),
        (CallQuery(model="gpt-4o-2024"), [3, 0]),
        (CallQuery(model="gpt-4o-2024", key="k1"), [3, 0]),
        (CallQuery(model="gpt-4o-2024", session="s1"), [0]),
        (CallQuery(upstream="azure"), [1]),
        (CallQuery(outcome="error"), [5, 1]),
        (CallQuery(outcome="ok"), [3, 2, 0]),
        (CallQuery(outcome="error", status=500), [1]),
        (CallQuery(operation="embeddings"), [3]),
        (CallQuery(session="s1"), [2, 0]),
        (CallQuery(session="s1", customer="acme"), [2]),
        (CallQuery(session=HOSTILE), [5]),
        (CallQuery(customer="acme"), [4, 2]),
        (CallQuery(customer="l" * 900), [5]),
        (CallQuery(customer="l" * 901), []),
        (CallQuery(section="agent:a"), [2]),
        (CallQuery(user="u1"), [2]),
        (CallQuery(tags={"team": "search"}), [4, 3]),
        (CallQuery(tags={"team": "search"}, newest_first=False, since=BEGIN + 4 * SECOND), [4]),
        (CallQuery(tags={"team": "search", "env": "prod"}), [3]),
        (CallQuery(tags={"team": "search", "env": "prod"}, outcome="error"), []),
        (CallQuery(tags={"team": "search"}, customer="acme"), [4]),
        (CallQuery(tags={"nobody": "has"}), []),
    ],
)
def test_a_list_has_the_calls_that_meet_every_condition(store_spans: SpanStore, query: CallQuery, found: list[int]) -> None:
    store_spans.save([(span, None) for span in FILTERED])
    assert [FILTERED.index(span) for span in store_spans.calls(query).spans] == found


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_a_size_within_reason(store_spans: SpanStore, limit: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        store_spans.calls(CallQuery(limit=limit))
