"""The most that a call can cost, before it is sent: what it may read and write at the dearest rates that may hold for it.

A byte is at least a token, so no tokenizer is needed: `tokens <= bytes` holds for byte-level tokenizers on the text itself, and what a provider's
own template adds was measured (`reference/pricing.md` section 4): nothing beyond the body's own JSON without tools, at most 570 tokens with them.

Source of the figures below: that section; providers' pages where named. Read 2026-11-21.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from domain.prices import ATTO_PER_USD, PICO_PER_NANO
from pricing.cards import PriceCard, Rate
from pricing.tokens.image_sizes import Size
from pricing.tokens.images import LARGEST, Picture, image_tokens

Kind = Literal["generate", "embed", "image", "speech", "transcribe", "rerank", "session", "batch", "job", "free"]

TEMPLATE_WITH_TOOLS = 1024
ATTO_PER_NANO = ATTO_PER_USD // (10**12 // PICO_PER_NANO)
# The longest side is 2,048 pixels and the shorter one 768 after shrinking: a picture of this shape has the most tiles.
_WIDE: Size = (100_000, 37_500)
# Speech coders that anybody uses take 6 kbit/s and more; at 500 bytes a second even silence is longer than it can be in practice.
LEAST_AUDIO_BYTES_A_SECOND = 500
# Gemini takes 32 tokens a second of audio, OpenAI 10.
MOST_AUDIO_TOKENS_A_SECOND = 32
# A voice says a character in 0.07 s at the usual speed, in 0.28 s at a quarter of it, and a second is 21 tokens of sound.
MOST_SPEECH_TOKENS_A_CHARACTER = 8
# The most tokens that OpenAI's page on image generation names for one picture: high quality, 1024 by 1536, and 100 for each partial picture.
MOST_PICTURE_TOKENS, PARTIAL_PICTURE_TOKENS, MOST_PARTIAL_PICTURES = 6_240, 100, 3
_PICTURE_PIXELS = 1024 * 1536
_EXPLICIT_TIERS = frozenset({"fast", "ultrafast"})
_STANDARD = frozenset({"", "default", "standard"})
_DEAREST = frozenset({None, "auto"})
# The tiers that serve what asks for one by name, beside the standard one. OpenAI echoes `fast` as `priority`, so that either may mean the other.
_FAST = frozenset({"priority", "fast", "ultrafast"})
_NAMED: Mapping[str | None, frozenset[str]] = {
    **dict.fromkeys(("", "default", "standard", "standard_only", "on_demand"), frozenset()),
    **dict.fromkeys(("priority", "fast", "ultrafast"), _FAST),
    "flex": frozenset({"flex"}),
}


@dataclass(slots=True)
class Requested:
    """What of a request decides how dear it can be.

    `text_bytes` are the bytes that may be text, `audio_bytes` those of sounds. `max_output` is what the request allows, for each of `choices` answers.
    `open_input` says why the input may be as long as the model's context, `open_cost` why nothing bounds the cost. `passes` is how often the model
    may read its input; `fees` are units of hosted tools and how often each may be used. `tier` is the service tier as it was asked for, None where it was not.
    `only_text` says of a call that generates that it brings, opens and asks for nothing beside text: all other fields are at their defaults then, but
    for the tier and what the answers may be.
    """

    kind: Kind
    text_bytes: int = 0
    max_output: int | None = None
    choices: int = 1
    tier: str | None = None
    geo: str | None = None
    speed: str | None = None
    tools: bool = False
    caches: bool = True
    pictures: tuple[Picture, ...] = ()
    audio_bytes: int = 0
    open_input: str | None = None
    open_cost: str | None = None
    passes: int = 1
    fees: dict[str, int] = field(default_factory=dict)
    writes_audio: bool = False
    writes_pictures: bool = False
    characters: int = 0
    pixels: int = _PICTURE_PIXELS
    other_models: tuple[str, ...] = ()
    only_text: bool = False


@dataclass(slots=True)
class Bound:
    """The most that a call can cost, in nano-USD, and the most tokens it can be billed for; None where nothing bounds them.

    `input_nano` is the part that does not depend on what the model writes, and `output_atto` what one more token of each answer costs at most
    (1e-24 US dollars), so that a lower maximum of output can be worked out. `why` says why there is no bound; `unpriced` that it is for want of a price.
    """

    nano: int | None
    tokens: int | None = None
    input_tokens: int = 0
    output_tokens: int | None = None
    input_nano: int = 0
    output_atto: int = 0
    why: str | None = None
    unpriced: bool = False

    def slice_nano(self, output_tokens: int) -> int:
        """Return what the input and so much output cost at most, in nano-USD."""
        most = output_tokens if self.output_tokens is None else min(output_tokens, self.output_tokens)
        return self.input_nano + -(-most * self.output_atto // ATTO_PER_NANO)


FREE = Bound(0, 0, output_tokens=0)


class Rates(NamedTuple):
    """What a token of each kind costs at most (1e-24 US dollars)."""

    text: int
    picture: int
    audio: int
    output: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """The dearest of the cards that may hold for a call, unit by unit. None of its numbers is less than any card's.

    `rates` hold from zero input tokens on, and from beyond each of `thresholds`. `fees` are by unit; one that some card does not know is not in it.
    `free` says that nothing costs anything, `known` that there is a price at all.
    """

    known: bool = False
    free: bool = False
    thresholds: tuple[int, ...] = ()
    rates: tuple[Rates, ...] = (Rates(0, 0, 0, 0),)
    fees: Mapping[str, int] = field(default_factory=dict)

    def at(self, input_tokens: int) -> Rates:
        """Return the rates of a call with up to so much input."""
        rates = self.rates
        return rates[0] if not self.thresholds else rates[bisect_left(self.thresholds, input_tokens)]


NO_PRICE = Tariff()
NOTHING_TO_PAY = Tariff(known=True, free=True)


def tariff_of(requested: Requested, cards: Iterable[PriceCard]) -> Tariff:
    """Return the tariff of what may serve `requested`; `NO_PRICE` where no card says what such a call costs."""
    fitting = [card for card in cards_for(requested, cards) if _covers(card, requested.kind)]
    if not fitting:
        return NO_PRICE
    thresholds = sorted({threshold for card in fitting for rate in card.rates.values() for threshold, _ in rate.above})
    totals = (0, *(threshold + 1 for threshold in thresholds))
    shared = set.intersection(*(set(card.rates) for card in fitting)) | {
        "request",
        "images",
        "characters",
        "audio_seconds",
        "rerank",
    }
    return Tariff(
        known=True,
        free=all(card.free for card in fitting),
        thresholds=tuple(thresholds),
        rates=tuple(_rates(requested, fitting, total) for total in totals),
        fees={unit: _dearest(fitting, (unit,), totals[-1]) for unit in shared},
    )


def profile_of(requested: Requested) -> tuple[object, ...]:
    """Return all of a request that its tariff depends on."""
    return (
        requested.kind,
        requested.tier,
        requested.geo,
        requested.speed,
        requested.caches,
        requested.writes_audio,
        requested.writes_pictures,
    )


def bound_of(
    requested: Requested, model: str | None, tariff: Tariff, context_window: int | None, max_output: int | None
) -> Bound:
    """Return the most that `requested` can cost.

    Args:
        requested: what the request asks for.
        model: as the provider names it; for the tokens of pictures.
        tariff: what `tariff_of` made of it.
        context_window: the most tokens that the model reads and writes, None where that is not known.
        max_output: the most tokens that it writes, None where that is not known.

    """
    if requested.only_text and tariff.known and not tariff.free and max_output is not None:
        return _bound_of_text(requested, tariff, context_window, max_output)
    if requested.kind == "free":
        return FREE
    text, pictures, audio, why = _input(requested, model, context_window)
    reads = text + pictures + audio
    writes = _output(requested, context_window, max_output)
    why = why or requested.open_cost
    tokens = None if why is not None or writes is None else reads * requested.passes + writes * requested.choices
    if not tariff.known:
        return Bound(None, tokens, reads, writes, why="the model has no known price", unpriced=True)
    if tariff.free:
        return Bound(0, tokens, reads, writes)
    rates = tariff.at(reads)
    if writes is None:
        # How much it writes does not matter where that costs nothing.
        writes, why = (None, why or "the model's longest answer is not known") if rates.output else (0, why)
    fees, unknown = _fees(requested, tariff)
    atto = requested.passes * (text * rates.text + pictures * rates.picture + audio * rates.audio) + fees
    found = Bound(None, tokens, reads, writes, -(-atto // ATTO_PER_NANO), rates.output * requested.choices, why or unknown)
    if found.why is None and writes is not None:
        found.nano = found.slice_nano(writes)
    return found


def _bound_of_text(requested: Requested, tariff: Tariff, window: int | None, max_output: int) -> Bound:
    """Return the same as `bound_of` for a call with nothing but text in it, in fewer steps: most calls are such."""
    reads, writes, choices = requested.text_bytes, max_output, requested.choices
    if requested.max_output is not None and requested.max_output < writes:
        writes = requested.max_output
    if window is not None:
        reads, writes = min(reads, window), min(writes, window)
    rates = tariff.at(reads)
    output = rates.output * choices
    read_nano = -(-(reads * rates.text + tariff.fees.get("request", 0)) // ATTO_PER_NANO)
    nano = read_nano + -(-writes * output // ATTO_PER_NANO)
    return Bound(nano, reads + writes * choices, reads, writes, read_nano, output)


def cards_for(requested: Requested, cards: Iterable[PriceCard]) -> list[PriceCard]:
    """Return the cards of the tiers that may serve the request: where it leaves the tier open, every one but those that must be asked for.

    A tier that is asked for by name may be served as standard, where there is no room in it; so the standard card always counts.
    """
    asked = requested.tier.strip().lower() if requested.tier is not None else None
    speed = (requested.speed or "").lower()
    return [card for card in cards if _may_serve(card.tier.lower(), asked, speed)]


def _may_serve(tier: str, asked: str | None, speed: str) -> bool:
    words = set(tier.split("+"))
    if "batch" in words:
        return False
    if words <= _STANDARD or speed in words:
        return True
    if asked in _NAMED:
        return bool(words & _NAMED[asked])
    # It is open, or nobody knows what it means.
    return asked not in _DEAREST or not words & _EXPLICIT_TIERS


# What it reads and writes


def _input(requested: Requested, model: str | None, window: int | None) -> tuple[int, int, int, str | None]:
    """Return the tokens of text, pictures and sounds that the model may read at once, and why there is no bound to them."""
    text = requested.text_bytes + (TEMPLATE_WITH_TOOLS if requested.tools else 0)
    pictures = sum(picture_tokens(picture, model) for picture in requested.pictures) if requested.pictures else 0
    audio = -(-requested.audio_bytes * MOST_AUDIO_TOKENS_A_SECOND // LEAST_AUDIO_BYTES_A_SECOND)
    if window is None:
        return text, pictures, audio, requested.open_input
    if requested.open_input:
        text = window
    # The dearest kinds first: together they cannot be more than the window.
    audio = min(audio, window)
    pictures = min(pictures, window - audio)
    return min(text, window - audio - pictures), pictures, audio, None


def picture_tokens(picture: Picture, model: str | None) -> int:
    """Return the most tokens that a picture can be; one whose size is not known can be of any."""
    if picture.size is not None:
        return image_tokens(picture, model)
    return max(image_tokens(picture, model, unknown=LARGEST), image_tokens(picture, model, unknown=_WIDE))


def _output(requested: Requested, window: int | None, max_output: int | None) -> int | None:
    """Return the most tokens of one answer."""
    if requested.kind in {"embed", "rerank"}:
        return 0
    if requested.kind == "image":
        partial = PARTIAL_PICTURE_TOKENS * MOST_PARTIAL_PICTURES
        return -(-MOST_PICTURE_TOKENS * max(requested.pixels, _PICTURE_PIXELS) // _PICTURE_PIXELS) + partial
    if requested.kind == "speech":
        return requested.characters * MOST_SPEECH_TOKENS_A_CHARACTER
    known = [most for most in (requested.max_output, max_output, window) if most is not None]
    return min(known) if known else None


# What that costs

# The rates that a price must have for each kind of call: one of each group. A card that has none of them does not say what the call costs.
_NEEDED: Mapping[Kind, tuple[tuple[str, ...], ...]] = {
    "generate": (("input", "input_text", "request"), ("output", "output_text", "output_audio", "output_image", "request")),
    "session": (("input", "input_text", "input_audio"), ("output", "output_text", "output_audio")),
    "embed": (("input", "input_text", "request"),),
    "image": (("output", "output_image", "images", "request"),),
    "speech": (("characters", "output", "output_audio", "input", "request"),),
    "transcribe": (("audio_seconds", "input", "input_audio", "request"),),
    "rerank": (("rerank", "input", "request"),),
}


def _covers(card: PriceCard, kind: Kind) -> bool:
    return all(any(unit in card.rates for unit in group) for group in _NEEDED.get(kind, ()))


def _rates(requested: Requested, cards: Sequence[PriceCard], input_tokens: int) -> Rates:
    inputs = _input_units(requested)
    return Rates(
        text=_dearest(cards, inputs, input_tokens),
        picture=_dearest(cards, ("input_image", *inputs), input_tokens),
        audio=_dearest(cards, ("input_audio", *inputs), input_tokens),
        output=_dearest(cards, _output_units(requested), input_tokens),
    )


def _input_units(requested: Requested) -> tuple[str, ...]:
    if requested.kind in {"embed", "rerank"} or not requested.caches:
        return ("input", "input_text")
    return ("input", "input_text", "cache_write", "cache_write_5m", "cache_write_30m", "cache_write_1h", "cache_write_12h")


def _output_units(requested: Requested) -> tuple[str, ...]:
    if requested.kind == "speech":
        return ("output", "output_audio")
    if requested.kind == "image":
        return ("output", "output_image")
    sounds = ("output_audio",) if requested.writes_audio else ()
    pictures = ("output_image",) if requested.writes_pictures else ()
    return ("output", "output_text", "reasoning", *sounds, *pictures)


def _dearest(cards: Iterable[PriceCard], units: Iterable[str], input_tokens: int) -> int:
    """Return the highest rate that any card has for any of `units` in a call of up to so much input; 0 where there is none."""
    units = tuple(units)
    return max((_highest(card.rates[unit], input_tokens) for card in cards for unit in units if unit in card.rates), default=0)


def _highest(rate: Rate, input_tokens: int) -> int:
    return max(rate.base, *(higher for threshold, higher in rate.above if input_tokens > threshold), 0)


def _fees(requested: Requested, tariff: Tariff) -> tuple[int, str | None]:
    """Return what is charged beside tokens, and which fee of a hosted tool is not known.

    Seconds, characters and pictures count beside tokens: a price has a rate for one or the other.
    """
    fees = tariff.fees
    atto = fees.get("request", 0)
    if requested.kind in _COUNTED:
        unit = _COUNTED[requested.kind]
        atto += fees.get(unit, 0) * _counted(requested)
    for unit, count in requested.fees.items():
        if unit not in fees:
            return atto, f"the fee of a hosted tool ({unit}) is not known"
        atto += fees[unit] * count
    return atto, None


# What is billed by something else than tokens.
_COUNTED: Mapping[Kind, str] = {"image": "images", "speech": "characters", "transcribe": "audio_seconds", "rerank": "rerank"}


def _counted(requested: Requested) -> int:
    if requested.kind == "speech":
        return requested.characters
    if requested.kind == "transcribe":
        return -(-requested.audio_bytes // LEAST_AUDIO_BYTES_A_SECOND)
    return requested.choices
