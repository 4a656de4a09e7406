"""A provider that keeps its own bill: it answers in the shapes of OpenAI, Anthropic and Gemini, and charges by a price list of its own.

The list was written down by hand from memory of the providers' published prices, not taken from ours (no page was called for it), in pico-USD for one token or
character. Nothing of ours is used to work out what is charged, so that our costs can be held against it.
"""

import asyncio
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["chat", "responses", "embeddings", "images", "speech", "spoken", "messages", "gemini"]
Fault = Literal["", "busy", "broken", "refused", "down", "cut", "left", "untold", "slow"]

# US dollars a million, times a million: pico-USD for one. `read` is from a cache, `write` into one for 5 minutes, `hour` for an hour.
PRICES: Mapping[str, Mapping[str, int]] = {
    "gpt-4o": {"in": 2_500_000, "read": 1_250_000, "out": 10_000_000},
    "gpt-4o-mini": {"in": 150_000, "read": 75_000, "out": 600_000},
    "gpt-4.1": {"in": 2_000_000, "read": 500_000, "out": 8_000_000},
    "gpt-4.1-mini": {"in": 400_000, "read": 100_000, "out": 1_600_000},
    "gpt-5": {"in": 1_250_000, "read": 125_000, "out": 10_000_000},
    "gpt-5-mini": {"in": 250_000, "read": 25_000, "out": 2_000_000},
    "o3": {"in": 2_000_000, "read": 500_000, "out": 8_000_000},
    "text-embedding-3-small": {"in": 20_000},
    "text-embedding-3-large": {"in": 130_000},
    "gpt-image-1": {"in": 5_000_000, "picture": 10_000_000, "out": 40_000_000},
    "tts-1": {"character": 15_000_000},
    "tts-1-hd": {"character": 30_000_000},
    "gpt-4o-mini-tts": {"in": 600_000, "out": 12_000_000},
    "claude-sonnet-4-5": {"in": 3_000_000, "read": 300_000, "write": 3_750_000, "hour": 6_000_000, "out": 15_000_000},
    "claude-haiku-4-5": {"in": 1_000_000, "read": 100_000, "write": 1_250_000, "hour": 2_000_000, "out": 5_000_000},
    "claude-opus-4-1": {"in": 15_000_000, "read": 1_500_000, "write": 18_750_000, "hour": 30_000_000, "out": 75_000_000},
    "gemini-2.5-flash": {"in": 300_000, "read": 30_000, "out": 2_500_000},
    "gemini-2.5-pro": {"in": 1_250_000, "read": 125_000, "out": 10_000_000},
}
# What these cost when the prompt is over 200,000 tokens.
LONG_PROMPT = 200_000
LONG: Mapping[str, Mapping[str, int]] = {
    "claude-sonnet-4-5": {"in": 6_000_000, "read": 600_000, "write": 7_500_000, "hour": 12_000_000, "out": 22_500_000},
    "gemini-2.5-pro": {"in": 2_500_000, "read": 250_000, "out": 15_000_000},
}
MODELS: Mapping[Kind, tuple[str, ...]] = {
    "chat": ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5-mini"),
    "responses": ("gpt-5", "o3", "gpt-4.1"),
    "embeddings": ("text-embedding-3-small", "text-embedding-3-large"),
    "images": ("gpt-image-1",),
    "speech": ("tts-1", "tts-1-hd"),
    "spoken": ("gpt-4o-mini-tts",),
    "messages": ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1"),
    "gemini": ("gemini-2.5-flash", "gemini-2.5-pro"),
}
# As the provider names what it serves, where that is more than what was asked for.
SNAPSHOTS = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
}
STREAMED = frozenset({"chat", "responses", "messages", "gemini"})
WORDS = (" capital", " city", " of", " France", " is", " Paris")  # a token each
_KINDS: tuple[Kind, ...] = (
    ("chat",) * 5 + ("responses",) * 2 + ("messages",) * 4 + ("gemini",) * 3 + ("embeddings", "images", "speech", "spoken")
)
_FAULTS: tuple[Fault, ...] = ("",) * 20 + ("busy", "busy", "broken", "broken", "refused", "down", "cut", "left", "untold")
_UNTOLD = frozenset({"cut", "left", "untold"})
_NUMBER = re.compile(rb"order-(\d{6})")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CREDENTIAL = re.compile(rb"\r\n(?:authorization: *bearer|x-api-key:|x-goog-api-key:) *([^\r]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Order:
    """One call as it is going to be: what is asked, how it ends, and what it comes to.

    `counts` are the quantities that are charged, none of them within another. `told` says whether the answer tells them.
    """

    number: int
    kind: Kind
    model: str
    stream: bool
    fault: Fault
    counts: Mapping[str, int]
    reasoning: int = 0

    @property
    def name(self) -> str:
        """What the request has in it, and the call's session is called."""
        return f"order-{self.number:06}"

    @property
    def billed(self) -> bool:
        """Whether the provider answers it at all."""
        return self.fault not in {"refused", "down"}

    @property
    def told(self) -> bool:
        """Whether the answer says what was used."""
        return self.billed and self.fault not in _UNTOLD

    @property
    def pico(self) -> int:
        """What it costs, in pico-USD."""
        prices = PRICES[self.model]
        if self.model in LONG and self.prompt > LONG_PROMPT:
            prices = LONG[self.model]
        return sum(prices[unit] * count for unit, count in self.counts.items())

    @property
    def prompt(self) -> int:
        """All tokens that are read."""
        return sum(count for unit, count in self.counts.items() if unit in {"in", "read", "write", "hour", "picture"})

    @property
    def words(self) -> list[str]:
        """What the answer says."""
        return [WORDS[place % len(WORDS)] for place in range(self.counts["out"] if self.fault in _UNTOLD else 3)]

    def target(self) -> str:
        """Return the path at the gateway."""
        if self.kind == "gemini":
            method = "streamGenerateContent?alt=sse" if self.stream else "generateContent"
            return f"/gemini/v1beta/models/{self.model}:{method}"
        return _PATHS[self.kind]

    def body(self) -> bytes:
        """Return the request's body."""
        return json.dumps(_BODIES[self.kind](self)).encode()


def order_of(number: int, seed: int, *, honest: bool = False) -> Order:
    """Return an order by its number. `honest`: no more is charged than the request's size and its own limits allow, as under a budget."""
    rng = random.Random(seed * 1_000_003 + number)
    kind = rng.choice(_KINDS)
    stream = kind in STREAMED and rng.random() < 0.6
    fault = rng.choice(_FAULTS)
    if fault in {"cut", "left"} and not stream:
        fault = ""
    if fault == "untold" and (kind != "chat" or stream):
        fault = ""
    counts, reasoning = _counts(kind, fault, rng, honest=honest)
    return Order(number, kind, rng.choice(MODELS[kind]), stream, fault, counts, reasoning)


def _counts(kind: Kind, fault: Fault, rng: random.Random, *, honest: bool) -> tuple[dict[str, int], int]:
    """Return what is used, and how much of what is written is reasoning."""
    if fault in _UNTOLD:
        return {"in": 5, "out": rng.randint(2, 40)}, 0
    much = 60 if honest else rng.choice((40, 3_000, 90_000))
    out = rng.randint(1, 200 if honest else 5_000)
    if kind in {"speech", "embeddings"}:
        return ({"character": len(_SENTENCE) + 12} if kind == "speech" else {"in": rng.randint(1, 30)}), 0
    if kind == "images":
        return {
            "in": rng.randint(5, 30),
            **({} if honest else {"picture": rng.choice((0, 323))}),
            "out": rng.choice((272, 1056, 4160)),
        }, 0
    if kind == "spoken":
        return {"in": rng.randint(5, 12), "out": rng.randint(20, 90)}, 0
    parts = {"in": rng.randint(1, much), "read": rng.choice((0, rng.randint(1, much)))}
    if kind == "messages":
        parts |= {"write": rng.choice((0, rng.randint(1, much))), "hour": rng.choice((0, 0, rng.randint(1, much)))}
    if honest:
        parts = {unit: count // 3 + 1 for unit, count in parts.items() if count}
    return parts | {"out": out}, (rng.randint(0, out - 1) if kind in {"responses", "gemini"} else 0)


_SENTENCE = "The capital city of France is Paris, and the river that flows through it is the Seine."
_PATHS: Mapping[str, str] = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
    "images": "/v1/images/generations",
    "speech": "/v1/audio/speech",
    "spoken": "/v1/audio/speech",
    "messages": "/anthropic/v1/messages",
}
_MOST_OUT = 300


def _chat_asked(order: Order) -> dict[str, Any]:
    limit = "max_tokens" if order.model.startswith("gpt-4") else "max_completion_tokens"
    said = [{"role": "user", "content": f"{order.name} {_SENTENCE}"}]
    return {"model": order.model, "messages": said, limit: _MOST_OUT, "service_tier": "default"} | (
        {"stream": True} if order.stream else {}
    )


def _gemini_asked(order: Order) -> dict[str, Any]:
    said = [{"role": "user", "parts": [{"text": f"{order.name} {_SENTENCE}"}]}]
    return {"contents": said, "generationConfig": {"maxOutputTokens": _MOST_OUT}}


_BODIES: Mapping[Kind, Callable[[Order], dict[str, Any]]] = {
    "chat": _chat_asked,
    "responses": lambda order: {
        "model": order.model,
        "input": f"{order.name} {_SENTENCE}",
        "max_output_tokens": _MOST_OUT,
        "stream": order.stream,
    },
    "embeddings": lambda order: {"model": order.model, "input": [f"{order.name} {_SENTENCE}"]},
    "images": lambda order: {"model": order.model, "prompt": f"{order.name} {_SENTENCE}", "size": "1024x1024", "quality": "high"},
    "speech": lambda order: {"model": order.model, "voice": "alloy", "input": f"{order.name}{_SENTENCE}"},
    "spoken": lambda order: {
        "model": order.model,
        "voice": "alloy",
        "stream_format": "sse",
        "input": f"{order.name} {_SENTENCE}",
    },
    "messages": lambda order: {
        "model": order.model,
        "max_tokens": _MOST_OUT,
        "stream": order.stream,
        "messages": [{"role": "user", "content": f"{order.name} {_SENTENCE}"}],
    },
    "gemini": _gemini_asked,
}


class Bill:
    """What the provider charged, order by order. With a `limit`, every charge notes whether it took the sum over it."""

    def __init__(self, limit: int | None = None) -> None:
        """Begin with nothing; `limit` is in pico-USD."""
        self.limit = limit
        self.charges: Counter[int] = Counter()
        self.pico = 0
        self.over: list[tuple[int, int]] = []
        self._lock = threading.Lock()

    def charge(self, order: Order) -> None:
        """Charge an order, as it is accepted: before anything of it is answered."""
        with self._lock:
            self.charges[order.number] += 1
            self.pico += order.pico
            if self.limit is not None and self.pico > self.limit:
                self.over.append((order.number, self.pico))


@dataclass
class Tries:
    """The credentials with which an order came, try by try."""

    credentials: list[bytes] = field(default_factory=list)


class BillingProvider:
    """Serves orders on a socket of the loopback interface, in a thread of its own."""

    def __init__(self, limit: int | None = None) -> None:
        """Begin to listen."""
        self.bill = Bill(limit)
        self.orders: dict[int, Order] = {}
        self.tries: dict[int, Tries] = {}
        self.unknown: list[bytes] = []
        self.port = 0
        self._listening, self._stopping, self._released = threading.Event(), asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        self._listening.wait(30)

    def take(self, orders: list[Order]) -> None:
        """Know these orders, and forget those before, with what was charged."""
        self.bill = Bill(self.bill.limit)
        self.orders = {order.number: order for order in orders}
        self.tries = {order.number: Tries() for order in orders}

    def release(self) -> None:
        """Answer the slow orders, too."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._released.set)

    def close(self) -> None:
        """Stop, and close all connections."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(30)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stopping.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length is not None else b""
                if not await self._answer(head, body, reader, writer):
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    async def _answer(self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection lives on."""
        number, credential = _NUMBER.search(body), _CREDENTIAL.search(head)
        if number is None or credential is None or int(number[1]) not in self.orders:
            self.unknown.append(head)
            return False
        order = self.orders[int(number[1])]
        tries = self.tries[order.number].credentials
        tries.append(credential[1])
        status = _turned_down(order.fault, len(tries))
        if status is not None:
            writer.write(_sized(status, b'{"error":{"message":"no","type":"server_error","param":null,"code":null}}'))
            return True
        self.bill.charge(order)
        if order.fault == "slow":
            await self._released.wait()
        if not order.stream and order.kind != "spoken":
            writer.write(_plain(order))
            return True
        told = order.kind != "chat" or b'"include_usage":true' in body.replace(b" ", b"")
        events = _EVENTS[order.kind](order)
        events = events if told else [event for event in events if b'"choices": [], "usage"' not in event]
        writer.write(_STREAM + b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events))
        if order.fault == "left":
            await reader.read()
        if order.fault in {"cut", "left"}:
            return False
        writer.write(b"0\r\n\r\n")
        return True


def _turned_down(fault: Fault, tries: int) -> bytes | None:
    """Return the status with which a try is turned down, None where it is answered."""
    if fault == "refused":
        return b"400 Bad Request"
    if fault == "down" or (fault == "broken" and tries == 1):
        return b"500 Internal Server Error"
    return b"429 Too Many Requests\r\nretry-after: 0" if fault == "busy" and tries == 1 else None


_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _sized(status: bytes, body: bytes, kind: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (status, kind, len(body), body)


def _plain(order: Order) -> bytes:
    if order.kind == "speech":
        return _sized(b"200 OK", b"\xff\xfb\x90\x00" * 300, b"audio/mpeg")
    return _sized(b"200 OK", json.dumps(_ANSWERS[order.kind](order)).encode())


# Answers, whole


def _served(order: Order) -> str:
    return SNAPSHOTS.get(order.model, order.model)


def _chat_usage(order: Order) -> dict[str, Any]:
    read, out = order.counts.get("read", 0), order.counts["out"]
    return {
        "prompt_tokens": order.prompt,
        "completion_tokens": out,
        "total_tokens": order.prompt + out,
        "prompt_tokens_details": {"cached_tokens": read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": order.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _response_usage(order: Order) -> dict[str, Any]:
    out = order.counts["out"]
    return {
        "input_tokens": order.prompt,
        "input_tokens_details": {"cached_tokens": order.counts.get("read", 0)},
        "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": order.reasoning},
        "total_tokens": order.prompt + out,
    }


def _message_usage(order: Order, out: int) -> dict[str, Any]:
    counts = order.counts
    write, hour = counts.get("write", 0), counts.get("hour", 0)
    return {
        "input_tokens": counts["in"],
        "cache_creation_input_tokens": write + hour,
        "cache_read_input_tokens": counts.get("read", 0),
        "cache_creation": {"ephemeral_5m_input_tokens": write, "ephemeral_1h_input_tokens": hour},
        "output_tokens": out,
        "service_tier": "standard",
    }


def _gemini_usage(order: Order) -> dict[str, Any]:
    out, read = order.counts["out"], order.counts.get("read", 0)
    usage = {
        "promptTokenCount": order.prompt,
        "candidatesTokenCount": out - order.reasoning,
        "totalTokenCount": order.prompt + out,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": order.prompt}],
    }
    thoughts: dict[str, Any] = {"thoughtsTokenCount": order.reasoning} if order.reasoning else {}
    cached: dict[str, Any] = {"cachedContentTokenCount": read} if read else {}
    return usage | thoughts | cached


def _image_usage(order: Order) -> dict[str, Any]:
    out = order.counts["out"]
    return {
        "input_tokens": order.prompt,
        "input_tokens_details": {"text_tokens": order.counts["in"], "image_tokens": order.counts.get("picture", 0)},
        "output_tokens": out,
        "total_tokens": order.prompt + out,
    }


def _chat_answer(order: Order) -> dict[str, Any]:
    said = {"role": "assistant", "content": "".join(order.words)}
    answer = {
        "id": f"chatcmpl-{order.name}",
        "object": "chat.completion",
        "created": 1,
        "model": _served(order),
        "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
    }
    return answer if order.fault == "untold" else answer | {"usage": _chat_usage(order), "service_tier": "default"}


def _response_answer(order: Order) -> dict[str, Any]:
    content = [{"type": "output_text", "text": "".join(order.words), "annotations": []}]
    return {
        "id": f"resp-{order.name}",
        "object": "response",
        "status": "completed",
        "model": _served(order),
        "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}],
        "service_tier": "default",
        "usage": _response_usage(order),
    }


def _message_answer(order: Order) -> dict[str, Any]:
    return {
        "id": f"msg-{order.name}",
        "type": "message",
        "role": "assistant",
        "model": _served(order),
        "content": [{"type": "text", "text": "".join(order.words)}],
        "stop_reason": "end_turn",
        "usage": _message_usage(order, order.counts["out"]),
    }


def _gemini_answer(order: Order) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": "".join(order.words)}]}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": _gemini_usage(order),
        "modelVersion": order.model,
        "responseId": f"gem-{order.name}",
    }


_ANSWERS: Mapping[str, Callable[[Order], dict[str, Any]]] = {
    "chat": _chat_answer,
    "responses": _response_answer,
    "messages": _message_answer,
    "gemini": _gemini_answer,
    "embeddings": lambda order: {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
        "model": order.model,
        "usage": {"prompt_tokens": order.counts["in"], "total_tokens": order.counts["in"]},
    },
    "images": lambda order: {
        "created": 1,
        "data": [{"b64_json": "aGVsbG8="}],
        "size": "1024x1024",
        "quality": "high",
        "usage": _image_usage(order),
    },
}


# Answers, event by event; those that are cut or left end after the last word


def _event(value: Mapping[str, Any]) -> bytes:
    kind = value.get("type")
    return (b"event: %b\n" % str(kind).encode() if kind else b"") + b"data: %b\n\n" % json.dumps(value).encode()


def _ends(order: Order, words: list[bytes], end: list[bytes]) -> list[bytes]:
    return words if order.fault in {"cut", "left"} else [*words, *end]


def _chat_events(order: Order) -> list[bytes]:
    chunk = {"id": f"chatcmpl-{order.name}", "object": "chat.completion.chunk", "created": 1, "model": _served(order)}
    words = [
        _event(chunk | {"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}) for word in order.words
    ]
    end = [
        _event(chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        _event(chunk | {"choices": [], "usage": _chat_usage(order)}),
        b"data: [DONE]\n\n",
    ]
    return _ends(order, words, end)


def _response_events(order: Order) -> list[bytes]:
    begun = _response_answer(order) | {"status": "in_progress", "output": [], "usage": None}
    words = [
        _event({"type": "response.created", "response": begun}),
        *(
            _event({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": word})
            for word in order.words
        ),
    ]
    return _ends(order, words, [_event({"type": "response.completed", "response": _response_answer(order)})])


def _message_events(order: Order) -> list[bytes]:
    begun = _message_answer(order) | {"content": [], "stop_reason": None, "usage": _message_usage(order, 1)}
    deltas = [
        _event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}) for word in order.words
    ]
    words = [
        _event({"type": "message_start", "message": begun}),
        _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        *deltas,
    ]
    end = [
        _event({"type": "content_block_stop", "index": 0}),
        _event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": order.counts["out"]}}),
        _event({"type": "message_stop"}),
    ]
    return _ends(order, words, end)


def _gemini_events(order: Order) -> list[bytes]:
    words = [
        _event(
            {"candidates": [{"content": {"role": "model", "parts": [{"text": word}]}, "index": 0}], "modelVersion": order.model}
        )
        for word in order.words
    ]
    return _ends(order, words, [_event(_gemini_answer(order))])


def _spoken_events(order: Order) -> list[bytes]:
    read, out = order.counts["in"], order.counts["out"]
    usage = {"input_tokens": read, "output_tokens": out, "total_tokens": read + out}
    return [_event({"type": "speech.audio.delta", "audio": "aGVsbG8="}), _event({"type": "speech.audio.done", "usage": usage})]


_EVENTS: Mapping[str, Callable[[Order], list[bytes]]] = {
    "chat": _chat_events,
    "responses": _response_events,
    "messages": _message_events,
    "gemini": _gemini_events,
    "spoken": _spoken_events,
}
