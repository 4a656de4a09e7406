"""Count, for any model, what a request and an answer are in tokens: the likeliest number, and one that the bill will not pass."""

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from pricing.tokens.answers import answered_of
from pricing.tokens.counting import MOST_CHARACTERS, count
from pricing.tokens.encodings import Encodings
from pricing.tokens.families import Family, family_of
from pricing.tokens.images import LARGEST, Picture, image_tokens
from pricing.tokens.prompts import Prompt, json_text, prompt_of
from pricing.tokens.tools import JOINED, TEMPLATE, rendered

SAMPLED, SIZE_GUESSED = "extrapolated", "image_size_guessed"

# What a bound adds: a tenth of the texts for what is not known of templates, and for tools their bytes and as much as any was seen to add.
_MARGIN_PERCENT, _MARGIN = 110, 16
_OF_TOOLS = 1_024


@dataclass(frozen=True, slots=True)
class Estimate:
    """So many tokens, as the model would count them; `flags` says how they were counted, and what could not be."""

    tokens: int
    flags: tuple[str, ...]


class TokenCounter:
    """Counts by the tokenizers of this process. From any thread; it may take a second at first, and a tenth of one after."""

    def __init__(self, encodings: Encodings) -> None:
        """Take the tokenizers."""
        self._encodings = encodings

    def input(self, body: Any, model: str | None, *, embeds: bool = False) -> Estimate | None:
        """Return how many tokens the JSON body of a request is, None if it is no request that a model reads (see `prompt_of`).

        Raises:
            RanksDamaged: the shipped ranks are not there.
        """
        prompt = prompt_of(body, embeds=embeds)
        if prompt is None:
            return None
        family = family_of(model)
        texts = [*prompt.texts, *_tool_texts(prompt, family)]
        counted = count(texts, self._encodings.encoding(family.encoding))
        template = prompt.template + _tools_template(prompt, family)
        tokens = family.scaled(counted.tokens, output=False) + template + prompt.ready_tokens
        tokens += sum(image_tokens(picture, model) for picture in prompt.pictures)
        guessed = any(picture.size is None for picture in prompt.pictures)
        flags = (
            family.method(output=False),
            *(() if counted.whole else (SAMPLED,)),
            *((SIZE_GUESSED,) if guessed else ()),
            *sorted(prompt.missing),
        )
        return Estimate(tokens, flags)

    def output(self, answer: Any, model: str | None, *, share: float = 1.0) -> Estimate:
        """Return how many tokens an answer is. `share` is how much of it `answer` is, where only its beginning was kept.

        Raises:
            RanksDamaged: the shipped ranks are not there.
        """
        family = family_of(model)
        answered = answered_of(answer)
        if not answered.texts:
            return Estimate(0, (family.method(output=True),))
        counted = count(answered.texts, self._encodings.encoding(family.encoding))
        tokens = family.scaled(counted.tokens, output=True) + answered.template
        whole = counted.whole and share >= 1.0
        return Estimate(round(tokens / min(share, 1.0)), (family.method(output=True), *(() if whole else (SAMPLED,))))

    def bound(self, body: Any, model: str | None) -> int | None:
        """Return a number of input tokens that the provider will not count more than, None where there is no telling.

        There is one only for models whose tokenizer is known, and for requests whose whole input is in their body.

        Raises:
            RanksDamaged: the shipped ranks are not there.
        """
        prompt, family = prompt_of(body), family_of(model)
        if prompt is None or prompt.missing or not family.exact:
            return None
        characters = sum(map(len, prompt.texts))
        counted = count(prompt.texts, self._encodings.encoding(family.encoding), most=max(characters, MOST_CHARACTERS))
        if not counted.whole:
            return None
        tokens = -(-(counted.tokens + prompt.template) * _MARGIN_PERCENT // 100) + _MARGIN + prompt.ready_tokens
        tokens += sum(image_tokens(_dearest(picture), model, unknown=LARGEST) for picture in prompt.pictures)
        # A byte is a token at least: so much for what is not known to be read, and for tools, which are shown in a form of the provider's own.
        tokens += len(msgspec.json.encode(prompt.unread)) if prompt.unread else 0
        return tokens + (len(msgspec.json.encode(prompt.tools)) + _OF_TOOLS if prompt.tools else 0)


def _dearest(picture: Picture) -> Picture:
    """Return a picture in the detail that costs most, unless it was asked for in low detail."""
    return picture if picture.detail == "low" else replace(picture, detail="original")


def _tool_texts(prompt: Prompt, family: Family) -> list[str]:
    """Return the tools as the model is shown them: OpenAI's as types, the others' as the JSON that they are."""
    if not prompt.tools:
        return []
    return [rendered(prompt.tools)] if _is_openai(family) else [json_text(tool) for tool in prompt.tools]


def _tools_template(prompt: Prompt, family: Family) -> int:
    if not prompt.tools:
        return 0
    return TEMPLATE - JOINED * prompt.has_system if _is_openai(family) else max(family.tools, TEMPLATE)


def _is_openai(family: Family) -> bool:
    return family.name.startswith("openai")
