"""The admin API of prices: own ones, lists, what has no price, pricing the past again."""

from domain.calls import Usage
from tests.dashboard.spans import AT, span

LLAMA = {"match": {"upstream": "vllm", "model": "llama-*"}, "per_million_usd": {"input": "0.10", "output": "0.40"}}
USED = Usage(input_tokens=1_000_000, output_tokens=500_000, raw={"prompt_tokens": 1_000_000})


def llama(index=0, **changes):
    return span(index, upstream="vllm", model="llama-3", served_model="llama-3-8b", usage=USED, **changes)


def save(office, *spans):
    office.spans.save([(one, None) for one in spans])


def test_a_price_is_set_shown_and_taken_back(office):
    with office.client() as client:
        made = client.post("/api/v1/prices", json={**LLAMA, "id": "llamas", "from": "2026-01-01"})
        assert made.status_code == 201
        shown = client.get("/api/v1/prices/llamas").json()
        assert shown["per_million_usd"] == {"input": "0.1", "output": "0.4"}
        assert (shown["origin"], shown["locked"], shown["removed_at"]) == ("database", False, None)
        assert [one["id"] for one in client.get("/api/v1/prices").json()["prices"]] == ["file-1", "llamas"]
        gone = client.delete("/api/v1/prices/llamas")
        assert gone.json()["removed_at"] is not None
        assert [one["id"] for one in client.get("/api/v1/prices").json()["prices"]] == ["file-1"]
        assert client.get("/api/v1/prices/llamas").json()["removed_at"] is not None
        assert client.delete("/api/v1/prices/llamas").status_code == 404


def test_a_price_of_the_file_is_shown_locked_and_cannot_be_changed(office):
    with office.client() as client:
        (own,) = client.get("/api/v1/prices").json()["prices"]
        assert (own["id"], own["locked"], own["origin"]) == ("file-1", True, "file")
        refused = client.delete("/api/v1/prices/file-1")
        assert refused.status_code == 409
        assert refused.headers["content-type"] == "application/problem+json"
        assert client.post("/api/v1/prices", json={**LLAMA, "id": "file-1"}).status_code == 409


def test_what_is_wrong_about_a_price_is_said(office):
    wrong = [
        ({}, "match"),
        ({"match": {"model": "x"}}, "amounts"),
        ({"match": {"model": "x"}, "per_million_usd": {"inputs": "1"}}, "did you mean `input`"),
        ({"match": {"model": "x"}, "per_million_usd": {"input": "-1"}}, "not negative"),
        ({"match": {"model": "x"}, "per_million_usd": {"input": "NaN"}}, "amount"),
        ({"match": {"model": "re:("}, "per_million_usd": {"input": "1"}}, "regular expression"),
        ({"match": {"modle": "x"}, "per_million_usd": {"input": "1"}}, "did you mean `model`"),
        ({"match": {"model": "x"}, "per_million_usd": {"input": "1"}, "from": "soon"}, "`from`"),
        ({"match": {"model": "x"}, "per_million_usd": {"input": "1"}, "form": "2026-01-01"}, "did you mean `from`"),
    ]
    with office.client() as client:
        for body, said in wrong:
            answer = client.post("/api/v1/prices", json=body)
            assert answer.status_code == 400, body
            assert said in answer.json()["detail"], answer.json()
        assert len(client.get("/api/v1/prices").json()["prices"]) == 1


def test_an_id_is_used_once_even_after_its_price_was_taken_back(office):
    with office.client() as client:
        client.post("/api/v1/prices", json={**LLAMA, "id": "llamas"})
        client.delete("/api/v1/prices/llamas")
        assert client.post("/api/v1/prices", json={**LLAMA, "id": "llamas"}).status_code == 409


def test_setting_a_price_says_how_many_past_calls_it_would_price_and_repricing_prices_them(office):
    save(office, *(llama(index) for index in range(3)), span(9, upstream="vllm", model="other", served_model="other", usage=USED))
    with office.client() as client:
        unpriced = client.get("/api/v1/prices/unpriced").json()
        assert [(one["model"], one["calls"]) for one in unpriced["unpriced"]] == [("llama-3-8b", 3), ("other", 1)]
        past = client.post("/api/v1/prices", json=LLAMA).json()["past_calls"]
        assert past["priceable"] == 3
        assert past["complete"] is True
        assert past["reprice"].startswith("faregate prices reprice --from 2026-01-01T00:00:00")
        body = {"from": past["from"], "to": "2026-02-01"}
        dry = client.post("/api/v1/prices/reprice", json={**body, "dry_run": True}).json()
        assert (dry["changed"], dry["run"]) == (3, None)
        assert client.get("/api/v1/prices/unpriced").json()["calls"] == 4
        done = client.post("/api/v1/prices/reprice", json=body).json()
        assert (done["scanned"], done["changed"], done["after"]) == (4, 3, None)
        assert done["moved"][0]["new_usd"] == "0.9"
        again = client.post("/api/v1/prices/reprice", json=body).json()
        assert (again["scanned"], again["changed"]) == (4, 0)
        assert client.get("/api/v1/prices/unpriced").json()["calls"] == 1


def test_an_adjusted_call_is_shown_with_its_new_cost_and_the_trace_of_it(office):
    made = llama()
    save(office, made)
    with office.client() as client:
        client.post("/api/v1/prices", json={**LLAMA, "id": "llamas"})
        run = client.post("/api/v1/prices/reprice", json={"from": "2026-01-01", "to": "2026-02-01"}).json()["run"]
        shown = client.get(f"/api/v1/calls/{made.id}").json()
        assert (shown["cost_usd"], shown["cost_status"]) == ("0.3", "exact")
        assert "override:llamas" in shown["price_ref"]
        assert [line["cost_usd"] for line in shown["cost_lines"]] == ["0.1", "0.2"]
        assert client.get("/api/v1/calls").json()["calls"][0]["cost_usd"] == "0.3"
        for asked in ({"call": made.id}, {"run": run}):
            (one,) = client.get("/api/v1/prices/adjustments", params=asked).json()["adjustments"]
            assert (one["call"], one["run"], one["old_cost_usd"], one["new_cost_usd"]) == (made.id, run, None, "0.3")
        assert client.get("/api/v1/prices/adjustments").status_code == 400


def test_only_calls_that_meet_the_condition_are_priced_again(office):
    save(office, llama(0, key_name="a"), llama(1, key_name="b"))
    with office.client() as client:
        client.post("/api/v1/prices", json=LLAMA)
        body = {"from": "2026-01-01", "to": "2026-02-01", "where": 'key == "a"'}
        assert client.post("/api/v1/prices/reprice", json=body).json()["changed"] == 1
        assert client.post("/api/v1/prices/reprice", json={**body, "where": "key =="}).status_code == 400


def test_pricing_again_is_refused_without_a_time_or_with_a_place_of_ones_own(office):
    with office.client() as client:
        for body in (
            {},
            {"from": "x"},
            {"from": "2026-02-01", "to": "2026-01-01"},
            {"from": "2026-01-01", "after": [1]},
            {"from": "2026-01-01", "after": [1, 2**70]},
            {"from": "2026-01-01", "run": "../x"},
            {"from": "2026-01-01", "dry_run": 1},
            {"from": 5},
        ):
            assert client.post("/api/v1/prices/reprice", json=body).status_code == 400, body


def test_models_are_listed_by_upstream_with_filters(office):
    with office.client() as client:
        every = client.get("/api/v1/prices/models").json()
        assert {row["upstream"] for row in every["models"]} == {"openai", "anthropic"}
        asked = {"upstream": "openai", "model": "gpt-4o-mini"}
        (row,) = client.get("/api/v1/prices/models", params=asked).json()["models"]
        assert (row["input_usd_per_million"], row["output_usd_per_million"], row["cache_read_usd_per_million"]) == (
            "0.15",
            "0.6",
            "0.075",
        )
        assert row["source"].startswith("genai-prices")
        first = client.get("/api/v1/prices/models", params={"limit": 1}).json()
        assert len(first["models"]) == 1
        assert first["more"] == len(every["models"]) - 1
        assert client.get("/api/v1/prices/models", params={"upstream": "nobody"}).status_code == 404


def test_a_model_is_shown_with_its_tiers_limits_and_where_each_rate_is_from(office):
    with office.client() as client:
        own = {"match": {"model": "gpt-5.4"}, "per_million_usd": {"output": "12"}}
        client.post("/api/v1/prices", json={**own, "id": "mine"})
        (shown,) = client.get("/api/v1/prices/models/gpt-5.4", params={"upstream": "openai"}).json()["upstreams"]
        assert shown["provider"] == "openai"
        assert shown["context_window"] > 200_000
        tiers = {tier["tier"]: {rate["unit"]: rate for rate in tier["rates"]} for tier in shown["tiers"]}
        assert {"standard", "batch"} <= tiers.keys()
        assert tiers["standard"]["input"]["tiers"][0]["above_input_tokens"] == 272_000
        assert tiers["standard"]["output"]["from"] == "override:mine"
        assert tiers["standard"]["input"]["from"].startswith("genai-prices")
        assert [one["id"] for one in shown["overrides"]] == ["mine"]
        assert client.get("/api/v1/prices/models/no-such-model").status_code == 404


def test_what_providers_reported_is_compared_with_our_prices(office):
    used = Usage(input_tokens=1_000_000, output_tokens=0, reported_cost=2 * 10**12, raw={})
    cheaper = Usage(input_tokens=1_000_000, output_tokens=0, reported_cost=25 * 10**11, raw={})
    one = span(0, model="gpt-4o", usage=used, cost=used.reported_cost, cost_status="reported")
    other = span(1, model="gpt-4o", usage=cheaper, cost=cheaper.reported_cost, cost_status="reported")
    save(office, one, other)
    with office.client() as client:
        found = client.get("/api/v1/prices/drift", params={"from": "2026-01-01", "to": "2026-02-01"}).json()
        (model,) = found["models"]
        assert (model["calls"], model["reported_usd"], model["ours_usd"], model["unknown"]) == (2, "4.5", "5", 0)
        assert [call["call"] for call in model["furthest"]] == [one.id]
        assert client.get("/api/v1/prices/drift", params={"after": "x"}).status_code == 400


def test_without_a_url_there_is_nothing_to_refresh_from(office):
    with office.client() as client:
        answer = client.post("/api/v1/prices/refresh", json={})
        assert answer.status_code == 409
        assert "price_refresh.url" in answer.json()["detail"]


def test_prices_are_for_those_who_are_signed_in(office):
    with office.client(token=None) as client:
        assert client.get("/api/v1/prices").status_code == 401
        assert client.post("/api/v1/prices", json=LLAMA).status_code == 401


def test_times_before_the_call_was_made_do_not_count(office):
    save(office, llama())
    with office.client() as client:
        past = client.post("/api/v1/prices", json={**LLAMA, "from": "2026-01-02"}).json()["past_calls"]
        assert past["priceable"] == 0
        assert past["reprice"] is None
        assert AT // 10**9 == 1_767_225_600
