"""A gate with a key for each thing that a budget can do, and the calls that the tests of budgets make."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from domain.prices import ATTO_PER_USD, Override
from pricing.published import FILE, published_text
from storage.folder import DataFolder
from storage.ledger.sqlite import SqliteSettling
from tests.harness.client import Answer, RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate
from tests.harness.messages import chunked
from tests.wire.settings import SERVER, upstream_table

# One nano-USD for a token read (a byte, before anybody knows better), two for one written.
NANO = ATTO_PER_USD // 10**9
PRICES = (
    Override("ours", {"input": NANO, "output": 2 * NANO}, model="m*"),
    Override("free", {"input": 0, "output": 0}, model="free"),
)
TRIES = tuple("sk-" + f"try-{number}" for number in (1, 2))
LENGTH = 100

# What each key may do, in its own words; limits are in nano-USD. Each test has keys of its own, since nobody settles here.
KEYS: dict[str, dict[str, Any]] = {
    name: {"limit": 500, **fields}
    for name, fields in {
        "spent": {},
        "spent-402": {"status": 402},
        "per-call": {"limit": 10_000, "per_call_usd": "0.0000009"},
        "waiting": {"limit": 1_500},
        "plenty": {"limit": 100_000},
        "warned": {"limit": 1_100, "mode": "soft"},
        "clamped": {"limit": 700, "clamp": True},
        "clamped-gemini": {"limit": 700, "clamp": True},
        "clamped-stream": {"limit": 10_000_000, "clamp": True},
        "nothing": {"limit": 0},
        "nothing-by-tokens": {"limit_tokens": 0},
        "calls": {"limit_requests": 2},
        "cut": {"limit": 3_000, "mode": "balanced"},
        "cut-inside": {"limit": 3_000, "mode": "balanced"},
        "cut-inside-usage": {"limit": 3_000, "mode": "balanced"},
        "cut-responses": {"limit": 3_000, "mode": "balanced"},
        "cut-anthropic": {"limit": 3_000, "mode": "balanced"},
        "cut-gemini": {"limit": 3_000, "mode": "balanced"},
        "cut-gzip": {"limit": 3_000, "mode": "balanced"},
        "cut-gzip-usage": {"limit": 3_000, "mode": "balanced"},
        "cut-usage": {"limit": 3_000, "mode": "balanced"},
        "cut-warm": {"limit": 3_000, "mode": "balanced"},
        "cut-warm-exact": {"limit": 3_000, "mode": "balanced"},
        "cut-locked": {"limit": 100_000, "mode": "balanced", "when_ledger_is_down": "closed"},
        "cut-locked-open": {"limit": 100_000, "mode": "balanced", "when_ledger_is_down": "open"},
        "cut-asked-again": {"limit": 3_000, "mode": "balanced"},
        "in-a-row": {"limit": 2_500},
        "warm": {"limit": 1_000_000},
        "cut-until-close": {"limit": 3_000, "mode": "balanced"},
        "grown": {"limit": 100_000, "mode": "balanced"},
        "session": {"limit": 3_000, "mode": "balanced"},
        "session-strict": {"limit": 100_000},
        "upload": {"limit": 900_000_000, "mode": "balanced"},
        "upload-strict": {"limit": 500},
        "tried-401": {"limit": 100_000},
        "tried-429": {"limit": 100_000},
        "tried-500": {"limit": 100_000},
        "once-401": {"limit": 1_500},
        "once-429": {"limit": 1_500},
        "once-500": {"limit": 1_500},
        "locked-closed": {"limit": 100_000, "when_ledger_is_down": "closed"},
        "locked-open": {"limit": 100_000, "when_ledger_is_down": "open"},
    }.items()
}
LIMITED = {"often": "rpm = 2", "much": "tpm = 400", "side-by-side": "parallel = 1"}
PASSED = b"sk-" + b"somebodys-own"


def secret(name: str) -> bytes:
    """Return the secret of a key."""
    return f"fg-{name}-of-the-tests-of-budgets-0001".encode()


def for_budgets(port: int, extra: str = "") -> str:
    """Return the configuration."""
    upstreams = [
        upstream_table("openai", port),
        upstream_table("anthropic", port, path="", dialect="anthropic"),
        upstream_table("gemini", port, path="", dialect="gemini"),
        upstream_table("picky", port),
        *(upstream_table(f"tries-{status}", port, keys=TRIES) for status in ("401", "429", "500")),
        *(upstream_table(f"once-{status}", port, keys=TRIES) for status in ("401", "429", "500")),
    ]
    keys = [*KEYS, "unlimited"]
    tables = [f'[keys.{name}]\nsecret = "{secret(name).decode()}"\n' for name in keys]
    tables += [f'[keys.{name}]\nsecret = "{secret(name).decode()}"\n{limit}\n' for name, limit in LIMITED.items()]
    tables += [_budget(name, dict(fields)) for name, fields in KEYS.items()]
    return SERVER + extra + "".join(upstreams) + "\n".join(tables)


def _budget(name: str, fields: dict[str, Any]) -> str:
    limit = fields.pop("limit")
    if not {"limit_tokens", "limit_requests"} & set(fields):
        fields["limit_usd"] = f"{limit / 10**9:.9f}"
    lines = "".join(f"{field} = {json.dumps(value)}\n" for field, value in ({"mode": "strict"} | fields).items())
    return f'[[budgets]]\nscope = "key:{name}"\nwindow = "total"\n{lines}'


def prepare(data: Path) -> None:
    """Write the prices, and make an empty ledger, as an office does; none runs here."""
    data.mkdir(mode=0o700, exist_ok=True)
    (data / FILE).write_bytes(published_text(None, PRICES))
    ledger = SqliteSettling(DataFolder(data).ledger)
    assert ledger.rebuild([], {}, now=0.0, lease=0.0)
    ledger.close()


def chat(most: int | None = 450, *, length: int = LENGTH, **fields: Any) -> bytes:
    """Return a call of so many bytes: with the usual ones it may cost 1,000 nano-USD."""
    wanted = {
        "model": "m",
        **({} if most is None else {"max_tokens": most}),
        **fields,
        "messages": [{"role": "user", "content": ""}],
    }
    missing = length - len(json.dumps(wanted))
    assert missing >= 0
    wanted["messages"] = [{"role": "user", "content": "x" * missing}]
    return json.dumps(wanted).encode()


def asked(
    key: str,
    body: bytes | None = None,
    *,
    target: bytes = b"/v1/chat/completions",
    method: bytes = b"POST",
    headers: bytes = b"",
) -> bytes:
    """Return a request of a key."""
    content = chat() if body is None else body
    return request(method, target, content, headers=headers, credential=b"Bearer " + secret(key))


def call(gate: Gate, *of: Any, method: bytes = b"POST", **fields: Any) -> Answer:
    """Make one call on a connection of its own; the rest is that of `asked`."""
    with RawClient(gate.address) as client:
        client.send(asked(*of, method=method, **fields))
        return client.answer(method)


@contextmanager
def locked(gate: Gate) -> Iterator[None]:
    """Hold the ledger's file as somebody does who writes and does not end."""
    connection = sqlite3.connect(gate.data / "ledger.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


# Streams

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
DELTA = b'data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
# More tokens than a first slice holds.
ENOUGH = 1_050
# What a first slice pays for at least, into however small pieces a busy machine cuts the stream.
LEAST = 950


def chunk(data: bytes) -> bytes:
    """Return one chunk."""
    return chunked([data])[0]
