"""`[[prices]]` in the file."""

import pytest

from config.errors import SettingsError
from config.loading import load_settings

MICRO = 10**18
EXAMPLE = """
[[prices]]
match = { upstream = "vllm", model = "llama-*" }
per_million_usd = { input = "0.10", output = "0.40", cache_read = "0.02" }
from = 2026-01-01
"""


def prices(tmp_path, text):
    path = tmp_path / "faregate.toml"
    path.write_text(text)
    return load_settings(path, {}, {}).settings.price_values()


def test_the_example_of_the_public_surface(tmp_path):
    (price,) = prices(tmp_path, EXAMPLE)
    assert (price.id, price.origin, price.upstream, price.model, price.key) == ("file-1", "file", "vllm", "llama-*", None)
    assert price.rates == {"input": MICRO // 10, "output": MICRO * 4 // 10, "cache_read": MICRO // 50}
    assert (price.since, price.until) == (1_767_225_600 * 10**9, None)


def test_everything_that_a_price_may_say(tmp_path):
    text = """
    [[prices]]
    id = "deal"
    match = { model = "re:^gpt-", key = "ci", project = "default" }
    per_million_usd = { input = 0.1, output = 1 }
    each_usd = { images = "0.04" }
    times = "0.85"
    same_as = "gpt-4o"
    from = 2026-01-01T12:00:00Z
    until = 2026-02-01
    [prices.tiers.batch]
    per_million_usd = { input = "0.05" }
    """
    (price,) = prices(tmp_path, text)
    assert (price.id, price.key, price.project, price.times, price.same_as) == ("deal", "ci", "default", (17, 20), "gpt-4o")
    assert price.rates == {"input": MICRO // 10, "output": MICRO, "images": 4 * 10**22}
    assert price.tiers == {"batch": {"input": MICRO // 20}}
    assert (price.since, price.until) == (1_767_268_800 * 10**9, 1_769_904_000 * 10**9)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[prices]]\nper_million_usd = { input = 1 }", "faregate.toml:1: prices.0.match: it must be set"),
        ("[[prices]]\nmatch = {}\nper_million_usd = { input = 1 }", "`match` says what the price is for"),
        ('[[prices]]\nmatch = { model = "x" }\nper_million_usd = { inputs = 1 }', "did you mean `input`?"),
        ('[[prices]]\nmatch = { model = "x" }\nper_million_usd = { input = -1 }', "not negative"),
        ('[[prices]]\nmatch = { model = "x" }\neach_usd = { input = 1 }', "there is no unit"),
        ('[[prices]]\nmatch = { model = "re:(" }\nper_million_usd = { input = 1 }', "no regular expression"),
        ('[[prices]]\nmatch = { modle = "x" }\nper_million_usd = { input = 1 }', "did you mean"),
        (
            '[[prices]]\nmatch = { model = "x" }\nper_million_usd = { input = 1 }\nfrom = 2026-02-01\nuntil = 2026-01-01',
            "not after",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, says):
    with pytest.raises(SettingsError) as raised:
        prices(tmp_path, text)
    assert len(raised.value.problems) == 1
    assert says in raised.value.problems[0]
