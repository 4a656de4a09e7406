"""Upper bounds, each worked out by hand. Rates here are whole nano-USD for a token, so that the sums can be read."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.bounds import ATTO_PER_NANO, NO_PRICE, NOTHING_TO_PAY, Requested, bound_of, cards_for, picture_tokens, tariff_of
from pricing.cards import PriceCard, Rate
from pricing.tokens.images import Picture

EMPTY = Requested("generate")
WINDOW, MOST = 128_000, 16_384


def card(tier="standard", *, above=None, **nano):
    """A card with rates in nano-USD; `above` is a threshold beyond which everything costs double."""

    def rate(amount):
        base = amount * ATTO_PER_NANO
        return Rate(base, () if above is None else ((above, 2 * base),))

    return PriceCard("p", "m", tier, f"ref/{tier}", {unit: rate(amount) for unit, amount in nano.items()})


PLAIN = card(input=150, output=600)


def bound(requested, *cards, window=WINDOW, most=MOST, model="m"):
    tariff = tariff_of(requested, cards or (PLAIN,))
    found = bound_of(requested, model, tariff, window, most)
    if requested == replace(
        EMPTY, **{name: getattr(requested, name) for name in ("text_bytes", "max_output", "choices", "tier", "caches")}
    ):
        # The short way for what is only text says the same.
        assert bound_of(replace(requested, only_text=True), model, tariff, window, most) == found
    return found


def chat(**fields):
    return Requested("generate", **{"text_bytes": 1_000, "tier": "default", "caches": False} | fields)


@pytest.mark.parametrize(
    ("requested", "nano", "tokens"),
    [
        # 1,000 x 150 + 100 x 600
        (chat(max_output=100), 150_000 + 60_000, 1_100),
        # The model's own longest answer where the request has none: 1,000 x 150 + 16,384 x 600
        (chat(), 150_000 + 9_830_400, 17_384),
        # A request cannot allow more than the model can.
        (chat(max_output=10**9), 150_000 + 9_830_400, 17_384),
        # Three answers: 1,000 x 150 + 3 x 100 x 600
        (chat(max_output=100, choices=3), 150_000 + 180_000, 1_300),
        # Tools: what the provider's template adds, 1,024 tokens: 2,024 x 150 + 100 x 600
        (chat(max_output=100, tools=True), 303_600 + 60_000, 2_124),
        # A longer body than the model reads: 128,000 x 150 + 100 x 600
        (chat(text_bytes=10**7, max_output=100), 19_200_000 + 60_000, 128_100),
        # Stored input may fill the window: 128,000 x 150 + 100 x 600
        (chat(max_output=100, open_input="stored"), 19_200_000 + 60_000, 128_100),
        # Two searches: the input is read three times, 3 x 128,000 x 150, and 2 x 10,000,000 in fees, and 100 x 600
        (chat(max_output=100, passes=3, open_input="found", fees={"web": 2}), 57_600_000 + 20_000_000 + 60_000, 384_100),
        # Nothing to write at all.
        (chat(max_output=0), 150_000, 1_000),
        (Requested("embed", 1_000), 150_000, 1_000),
        (Requested("free"), 0, 0),
    ],
)
def test_the_bound_is_what_can_be_read_and_written_at_its_rates(requested, nano, tokens):
    found = bound(requested, card(input=150, output=600, web=10_000_000))
    assert (found.nano, found.tokens, found.why) == (nano, tokens, None)


@pytest.mark.parametrize(
    ("requested", "cards", "nano"),
    [
        # Caching may be paid for: 1,000 x 188 instead of 150.
        (chat(max_output=0, caches=True), [card(input=150, cache_write=188, output=600)], 188_000),
        (chat(max_output=0, caches=True), [card(input=150, cache_write=188, cache_write_1h=300, output=600)], 300_000),
        (chat(max_output=0, caches=False), [card(input=150, cache_write=188, output=600)], 150_000),
        # Reasoning has a rate of its own: 10 x 700
        (chat(text_bytes=0, max_output=10), [card(input=150, output=600, reasoning=700)], 7_000),
        # Sounds are only dear where they are asked for.
        (chat(text_bytes=0, max_output=10), [card(input=1, output=600, output_audio=9_000)], 6_000),
        (chat(text_bytes=0, max_output=10, writes_audio=True), [card(input=1, output=600, output_audio=9_000)], 90_000),
        (chat(text_bytes=0, max_output=10, writes_pictures=True), [card(input=1, output=600, output_image=900)], 9_000),
        # A fee for each request.
        (chat(text_bytes=0, max_output=10), [card(input=1, output=600, request=5_000)], 11_000),
        # 100 and 101 tokens of input, where a token costs double beyond 100, and those of output too.
        (chat(text_bytes=100, max_output=10), [card(above=100, input=150, output=600)], 15_000 + 6_000),
        (chat(text_bytes=101, max_output=10), [card(above=100, input=150, output=600)], 2 * 15_150 + 2 * 6_000),
    ],
)
def test_the_dearest_rate_that_may_hold_counts(requested, cards, nano):
    assert bound(requested, *cards).nano == nano


@pytest.mark.parametrize(
    ("tier", "speed", "names"),
    [
        (None, None, {"standard", "priority", "flex"}),
        ("auto", None, {"standard", "priority", "flex"}),
        ("default", None, {"standard"}),
        ("standard_only", None, {"standard"}),
        (" Auto ", None, {"standard", "priority", "flex"}),
        # What nobody knows may be anything.
        ("warp", None, {"standard", "priority", "flex", "fast"}),
        ("flex", None, {"standard", "flex"}),
        ("priority", None, {"standard", "priority", "fast"}),
        ("PRIORITY", None, {"standard", "priority", "fast"}),
        (None, "fast", {"standard", "priority", "flex", "fast"}),
    ],
)
def test_a_tier_that_is_open_counts_as_the_dearest(tier, speed, names):
    cards = [card(name, input=1, output=1) for name in ("standard", "priority", "flex", "fast", "batch", "batch+fast")]
    assert {one.tier for one in cards_for(Requested("generate", tier=tier, speed=speed), cards)} == names


def test_priority_costs_what_priority_costs():
    cards = [card(input=150, output=600), card("priority", input=250, output=1_000), card("batch", input=75, output=300)]
    # 1,000 x 250 + 100 x 1,000, and 1,000 x 150 + 100 x 600
    assert [bound(chat(max_output=100, tier=tier), *cards).nano for tier in ("auto", "default")] == [350_000, 210_000]


@pytest.mark.parametrize(
    ("requested", "cards", "limits", "why", "unpriced"),
    [
        (chat(max_output=100), [], (WINDOW, MOST), "no known price", True),
        # A price that does not say what an answer costs.
        (chat(max_output=100), [card(input=150)], (WINDOW, MOST), "no known price", True),
        (chat(), [PLAIN], (None, None), "longest answer is not known", False),
        (chat(max_output=100, open_input="a file"), [PLAIN], (None, MOST), "a file", False),
        (chat(max_output=100, open_cost="it searches"), [PLAIN], (WINDOW, MOST), "it searches", False),
        (chat(max_output=100, fees={"web": 1}), [PLAIN], (WINDOW, MOST), "fee of a hosted tool (web)", False),
        (Requested("job", open_cost="it starts work"), [PLAIN], (None, None), "it starts work", False),
    ],
)
def test_what_has_no_bound_says_why_and_is_not_free(requested, cards, limits, why, unpriced):
    found = bound_of(requested, "m", tariff_of(requested, cards), *limits)
    assert found.nano is None
    assert why in found.why
    assert found.unpriced is unpriced


def test_a_model_without_known_limits_is_bound_by_what_the_request_allows():
    # 1,000 x 150 + 100 x 600
    assert bound(chat(max_output=100), window=None, most=None).nano == 210_000


def test_a_free_model_costs_nothing_but_has_tokens():
    found = bound_of(chat(max_output=100), "m", NOTHING_TO_PAY, None, None)
    assert (found.nano, found.tokens, found.unpriced) == (0, 1_100, False)
    assert bound(chat(max_output=100), card(input=0, output=0)).nano == 0


def test_no_price_is_not_free():
    assert bound_of(chat(max_output=100), "m", NO_PRICE, WINDOW, MOST).nano is None


@pytest.mark.parametrize(
    ("requested", "rates", "nano"),
    [
        # Two pictures by piece: 2 x 40,000,000
        (Requested("image", choices=2), {"images": 40_000_000}, 80_000_000),
        # Two pictures by tokens: 500 x 5 read, and 2 x (6,240 + 300) x 40
        (Requested("image", 500, choices=2), {"input": 5, "output_image": 40}, 2_500 + 523_200),
        # A picture of four times the pixels: 4 x 6,240 + 300, at 40
        (Requested("image", choices=1, pixels=4 * 1024 * 1536), {"output_image": 40}, 1_010_400),
        # 300 characters at 15,000, which their bytes bound
        (Requested("speech", 400, characters=300), {"characters": 15_000}, 4_500_000),
        # 300 characters are at most 8 x 300 tokens of sound at 12, and 400 bytes of text at 1
        (Requested("speech", 400, characters=300), {"input": 1, "output_audio": 12}, 400 + 28_800),
        # 1,000,000 bytes are at most 2,000 seconds at 100,000
        (Requested("transcribe", audio_bytes=1_000_000), {"audio_seconds": 100_000}, 200_000_000),
        (Requested("rerank", 100), {"rerank": 2_000_000}, 2_000_000),
    ],
)
def test_what_is_not_billed_by_tokens_has_a_bound_too(requested, rates, nano):
    assert bound(requested, card(**rates), window=None, most=None).nano == nano


def test_sounds_and_pictures_cost_their_own_rates_and_fill_the_window_first():
    # 5,000 bytes of sound are at most 10 seconds of 32 tokens: 320 x 900. A picture of 512 by 512 is 85 + 170 tokens for gpt-4o: 255 x 150.
    requested = chat(text_bytes=100, max_output=0, audio_bytes=5_000, pictures=(Picture((512, 512)),))
    found = bound(requested, card(input=150, input_audio=900, output=600), model="gpt-4o")
    assert found.nano == 100 * 150 + 320 * 900 + 255 * 150
    # A window of 400: 320 of sound, 80 of the picture, and no text.
    small = bound(requested, card(input=150, input_audio=900, output=600), model="gpt-4o", window=400)
    assert (small.nano, small.input_tokens) == (320 * 900 + 80 * 150, 400)


def test_a_picture_whose_size_nobody_knows_is_the_largest_there_is():
    # gpt-4o: at most eight tiles of 512 pixels, 85 + 8 x 170; a quarter of the shape that has them has four.
    assert picture_tokens(Picture(None), "gpt-4o") == 85 + 8 * 170
    assert picture_tokens(Picture(None, "low"), "gpt-4o") == 85
    assert picture_tokens(Picture((512, 512)), "gpt-4o") == 85 + 170


def test_a_slice_is_the_input_and_so_much_output():
    found = bound(chat(max_output=5_000))
    # 1,000 x 150 + 1,000 x 600; never more than the whole bound
    assert found.slice_nano(1_000) == 750_000
    assert found.slice_nano(10**9) == found.nano == 150_000 + 3_000_000


def test_part_of_a_nano_dollar_counts_whole():
    fine = PriceCard("p", "m", "standard", "ref", {"input": Rate(1), "output": Rate(ATTO_PER_NANO + 1)})
    # One token of input costs next to nothing, and one of output a little more than a nano-USD.
    assert bound(chat(text_bytes=1, max_output=1), fine).nano == 1 + 2


@given(
    st.integers(0, 300_000),
    st.one_of(st.none(), st.integers(0, 200_000)),
    st.integers(0, 9),
    st.tuples(*[st.one_of(st.none(), st.integers(0, 200_000))] * 2),
    st.booleans(),
)
def test_the_short_way_for_text_says_what_the_long_one_says(size, max_output, choices, limits, dear):
    asked = chat(text_bytes=size, max_output=max_output, choices=choices)
    tariff = tariff_of(asked, (card(input=150, output=600, request=7, **({"above": 1_000} if dear else {})),))
    for one in (tariff, NO_PRICE, NOTHING_TO_PAY):
        assert bound_of(replace(asked, only_text=True), "m", one, *limits) == bound_of(asked, "m", one, *limits)
