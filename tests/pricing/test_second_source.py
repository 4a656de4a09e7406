"""Another price list beside ours."""

import json

import pytest

from pricing.book import PriceBook
from pricing.second_source import compared, read_list

AT = 1_793_491_200 * 10**9


def litellm(**models):
    return json.dumps({"sample_spec": {"input_cost_per_token": 0, "litellm_provider": "one of …"}, **models}).encode()


def of_openai(**costs):
    return {"litellm_provider": "openai", "mode": "chat", **costs}


@pytest.fixture(scope="module")
def book():
    return PriceBook.packaged()


def test_litellms_map_is_compared_unit_by_unit(book):
    listed = litellm(
        **{
            "gpt-4o": of_openai(
                input_cost_per_token=2.5e-06, output_cost_per_token=1.1e-05, cache_read_input_token_cost=1.25e-06
            ),
            "gpt-4o-mini": of_openai(input_cost_per_token=1.5e-07, output_cost_per_token=6e-07),
            "groq/llama-3.3-70b-versatile": {"litellm_provider": "groq", "input_cost_per_token": 5.9e-07},
            "nobody-knows": of_openai(input_cost_per_token=1e-06),
            "elsewhere/x": {"litellm_provider": "elsewhere", "input_cost_per_token": 1e-06},
            "broken": "text",
            "text": of_openai(input_cost_per_token="free"),
        }
    )
    found = compared(book, read_list(listed), AT)
    assert found["apart"] == [{"provider": "openai", "model": "gpt-4o", "unit": "output", "ours": "10", "theirs": "11"}]
    assert (found["format"], found["compared"], found["equal"], found["only_theirs"]) == ("litellm", 3, 2, 1)


def test_one_percent_apart_is_equal_and_more_is_not(book):
    close = litellm(**{"gpt-4o": of_openai(input_cost_per_token="0.000002525")})
    apart = litellm(**{"gpt-4o": of_openai(input_cost_per_token="0.00000253")})
    assert compared(book, read_list(close), AT)["apart"] == []
    assert len(compared(book, read_list(apart), AT)["apart"]) == 1


def test_the_published_list_of_genai_prices_is_compared(book):
    models = [
        {"id": "gpt-4o", "match": {"equals": "gpt-4o"}, "prices": {"input_mtok": 2.5, "output_mtok": 12}},
        {"id": "gpt-4o-mini", "match": {"equals": "gpt-4o-mini"}, "prices": {"input_mtok": 0.15, "output_mtok": 0.6}},
    ]
    listed = [{"id": "openai", "api_pattern": r"https://api\.openai\.com", "models": models}]
    found = compared(book, read_list(json.dumps(listed).encode()), AT)
    assert [(one["model"], one["unit"], one["ours"], one["theirs"]) for one in found["apart"]] == [
        ("gpt-4o", "output", "10", "12")
    ]
    assert (found["format"], found["compared"]) == ("genai-prices", 2)


@pytest.mark.parametrize("text", [b"", b"no json", b"{}", b"5", b"[1]", b'{"a": {"litellm_provider": 5}}', b"[" * 100_000])
def test_what_is_neither_is_refused(text):
    with pytest.raises(ValueError, match=r"it |a provider|the price list"):
        read_list(text)
