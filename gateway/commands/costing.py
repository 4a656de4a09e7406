"""What recorded exchanges cost: JSON lines in, JSON lines out, one for one. Read and priced exactly as the office does, without any office."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from domain.prices import Override
from domain.spans import Span, as_json
from gateway.commands.exchanges import Told, Unreadable, told_by
from pricing.book import PriceBook
from pricing.override_documents import WrongPrice, override_of
from pricing.tokens.counter import TokenCounter
from pricing.tokens.encodings import Encodings
from recorder.estimating import Estimator
from recorder.pricing import Pricer
from recorder.spans import span_of

LONGEST_LINE = 128 * 2**20
_MOST_PRICES = 10_000
_SHOWN = ("cost_usd", "cost_status", "usage", "cost_lines", "price_ref", "served_model")
_NOTHING: dict[str, Any] = {
    "cost_usd": None,
    "cost_status": "unknown",
    "usage": None,
    "cost_lines": [],
    "price_ref": None,
    "served_model": None,
}
_encode = msgspec.json.Encoder().encode


class Coster:
    """Prices one line after another. Nothing is kept of them but cards."""

    def __init__(self, book: PriceBook) -> None:
        """Take the prices that count where a line has none of its own."""
        self._book = book
        self._interpret = Estimator(TokenCounter(Encodings())).interpret
        self._own: tuple[bytes, PriceBook] | None = None

    def answer(self, line: bytes) -> bytes:
        """Return what the exchange in `line` cost, as a line of JSON. Never raises, whatever the line holds."""
        try:
            return _packed(self._shown(told_by(line)))
        except (Unreadable, WrongPrice) as error:
            return _packed(_NOTHING | {"error": str(error)})
        except Exception as error:  # noqa: BLE001 - one line must not cost the others their answers
            return _packed(_NOTHING | {"error": f"the exchange cannot be read: {type(error).__name__}"})

    def _shown(self, told: Told) -> dict[str, Any]:
        span = self._span(told)
        shown = as_json(span)
        return {name: shown[name] for name in _SHOWN} | ({"notes": list(dict.fromkeys(shown["notes"]))} if shown["notes"] else {})

    def _span(self, told: Told) -> Span:
        book = self._book if told.prices is None else self._with(told.prices)
        pricer = Pricer(lambda: book, {told.exchange.opening.upstream: told.address})
        return span_of(told.exchange, self._interpret(told.exchange), pricer.of_call)

    def _with(self, documents: Any) -> PriceBook:
        """Return the book with a line's own prices. Lines that follow each other often have the same."""
        text = json.dumps(documents).encode()
        if self._own is None or self._own[0] != text:
            self._own = (text, self._book.with_overrides([*self._book.overrides, *_overrides(documents)]))
        return self._own[1]


def answers(lines: BinaryIO, coster: Coster) -> Iterator[bytes]:
    """Yield the answer to each line, in order; no more than one line is held at a time."""
    while line := lines.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            _skip(lines)
            yield _packed(_NOTHING | {"error": f"the line is longer than {LONGEST_LINE // 2**20} MiB"})
            continue
        yield coster.answer(line)


def _skip(lines: BinaryIO) -> None:
    """Read on to the end of a line."""
    while (rest := lines.readline(2**20)) and not rest.endswith(b"\n"):
        pass


def _overrides(documents: Any) -> Iterator[Override]:
    if isinstance(documents, dict):
        documents = [documents]
    if not isinstance(documents, list) or len(documents) > _MOST_PRICES:
        raise WrongPrice("`prices` is a list of prices, as in [[prices]]")
    for number, document in enumerate(documents, 1):
        try:
            yield override_of(document, price_id=f"line-{number}", origin="line")
        except WrongPrice as error:
            raise WrongPrice(f"price {number} of `prices`: {error}") from None


def _packed(value: dict[str, Any]) -> bytes:
    try:
        return _encode(value) + b"\n"
    except (OverflowError, TypeError, ValueError, RecursionError):
        return json.dumps(value).encode() + b"\n"
