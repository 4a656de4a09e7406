"""A batch that passes the gate is priced at its tier, once: by its results, or by the object once it has ended."""

import json
from contextlib import closing

import pytest

from pricing.book import PriceBook
from recorder.interpret import call_of
from recorder.pricing import Pricer
from recorder.spans import record_of
from storage.database import open_database
from storage.spans import SpanStore
from tests.recorder.exchanges import closing as ending
from tests.recorder.exchanges import exchange

AT = 1_793_491_200 * 10**9  # 1 November 2026: the lists have no prices of batches from before that October
HOSTS = {"openai": "api.openai.com/v1", "anthropic": "api.anthropic.com"}


@pytest.fixture
def office(tmp_path):
    """Record an exchange as the office does, and return its span as it was saved."""
    pricer = Pricer(lambda: PriceBook.packaged(), HOSTS)  # noqa: PLW0108 - a class method is no value
    with closing(open_database(f"sqlite:///{tmp_path}/calls.db")) as database:
        database.upgrade()
        store, numbers = SpanStore(database), iter(range(100))

        def recorded(path, body, end=None, **changes):
            one = exchange(next(numbers), b"", body, end, method="GET", path=path, at=AT, **changes)
            span, content = record_of(one, call_of(one), price=pricer.of_call)
            store.save([(span, content)])
            return store.span(span.id)

        yield recorded


def results(model="gpt-4o-mini-2024-07-18", lines=2, prompt=1_000_000, completion=1_000_000):
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    line = {
        "id": "b",
        "custom_id": "1",
        "response": {"status_code": 200, "body": {"model": model, "usage": usage}},
        "error": None,
    }
    return b"\n".join([json.dumps(line).encode()] * lines)


def batch(status="completed", model="gpt-4o-mini-2024-07-18", tokens=2_000_000, file="file-out"):
    usage = {"input_tokens": tokens, "output_tokens": tokens, "total_tokens": 2 * tokens}
    return json.dumps(
        {"id": "batch_1", "object": "batch", "status": status, "model": model, "output_file_id": file, "usage": usage}
    ).encode()


# 2 x (1 x 0.075 + 1 x 0.30) US dollars: half of what gpt-4o-mini costs
WHOLE = 750_000_000_000


def test_results_are_priced_at_the_tier_of_batches(office):
    span = office("/v1/files/file-out/content", results())
    assert (span.cost, span.cost_status) == (WHOLE, "exact")
    assert "batch" in span.price_ref


def test_the_object_and_the_results_are_charged_once_in_either_order(office):
    first = office("/v1/batches/batch_1", batch())
    assert (first.cost, first.cost_status, first.response_id) == (WHOLE, "exact", "file-out")
    for path, body in (("/v1/files/file-out/content", results()), ("/v1/batches/batch_1", batch())):
        assert office(path, body).cost_status == "none"
    assert office("/v1/files/file-2/content", results()).cost == WHOLE
    assert office("/v1/batches/batch_2", batch(file="file-2")).cost_status == "none"


@pytest.mark.parametrize(
    "body",
    [
        batch("in_progress"),
        batch("validating"),
        batch(file=None),
        batch(model=None),
        batch(tokens=0),
        b'{"object": "list", "data": []}',
    ],
)
def test_a_batch_that_runs_or_tells_too_little_is_not_charged(office, body):
    span = office("/v1/batches/batch_1", body)
    assert (span.cost, span.cost_status, span.usage) == (None, "none", None)
    assert office("/v1/files/file-out/content", results()).cost == WHOLE


def test_a_sum_does_not_tell_how_long_each_request_was(office):
    """Two million tokens in all may be short requests: only the results say which tier each of them was in."""
    summed = office("/v1/batches/batch_1", batch(model="gpt-5.4-2026-03-05"))
    assert (summed.cost, summed.cost_status) == (None, "unknown")
    assert any("results" in note for note in summed.notes)
    # 2 x (0.1 x 1.25 + 0.1 x 7.50)
    results_of = results("gpt-5.4-2026-03-05", prompt=100_000, completion=100_000)
    assert office("/v1/files/file-out/content", results_of).cost == 1_750_000_000_000


def test_results_whose_copy_was_cut_are_an_estimate_and_those_not_read_to_their_end_are_not_charged_yet(office):
    left = office("/v1/files/file-out/content", results(), ending(ending="client_gone"))
    assert (left.cost, left.cost_status) == (None, "none")
    cut = office("/v1/files/file-out/content", results(), ending(response_cut=True, response_bytes=10**9))
    assert (cut.cost, cut.cost_status) == (WHOLE, "estimated")
    assert office("/v1/files/file-out/content", results()).cost_status == "none"


def test_anthropics_results_are_charged_once(office):
    usage = {"input_tokens": 1_000_000, "output_tokens": 1_000_000, "service_tier": "batch"}
    message = {"type": "message", "model": "claude-haiku-4-5-20251001", "usage": usage}
    line = {"custom_id": "1", "result": {"type": "succeeded", "message": message}}
    path, where = "/v1/messages/batches/msgbatch_1/results", {"upstream": "anthropic", "dialect": "anthropic"}
    end = ending(attempts=())
    first, second = (office(path, json.dumps(line).encode(), end, **where) for _ in range(2))
    # half of 1 + 5 US dollars
    assert (first.cost, first.cost_status) == (3_000_000_000_000, "exact")
    assert second.cost_status == "none"


def test_a_response_in_the_background_is_charged_when_it_is_looked_at(office):
    usage = {"input_tokens": 1_000_000, "output_tokens": 0, "total_tokens": 1_000_000}
    done = {
        "id": "resp_1",
        "object": "response",
        "model": "gpt-4o-2024-08-06",
        "status": "completed",
        "output": [],
        "usage": usage,
    }
    running = {**done, "status": "in_progress", "usage": None}
    waits = office("/v1/responses/resp_1", json.dumps(running).encode())
    assert waits.cost is None
    first, second = (office("/v1/responses/resp_1", json.dumps(done).encode()) for _ in range(2))
    assert (first.cost, second.cost, second.cost_status) == (2_500_000_000_000, None, "none")
