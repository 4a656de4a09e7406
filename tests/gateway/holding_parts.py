"""Holdings put together for tests: real prices, a real ledger in memory, and a clock that stands still until it is told to go on."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from domain.budget_text import scope_of, usd_nano, window_rule_of
from domain.budgets import Budget
from domain.exchange import Labels
from domain.keys import ApiKey
from domain.ledger import LedgerUnavailable
from domain.prices import ATTO_PER_USD, Override
from domain.upstreams import Upstream
from gateway.budgets.bounding import Bounding
from gateway.budgets.hold import Asking
from gateway.budgets.holding import Holdings
from gateway.budgets.in_force import Budgets
from gateway.budgets.pace import Pace
from pricing.book import PriceBook
from storage.ledger.memory import MemoryLedger

# 2026-11-21 12:00 UTC
NOON = 1_795_262_400.0
KEY = ApiKey("key-ci", "ci", "x", project="search")
OWN = Upstream("own", "http", "127.0.0.1", 9, "/v1")
DEAR = Upstream("dear", "http", "127.0.0.1", 9, "/v1")
# One nano-USD for a token read, two for one written; ten times that at the dear one.
NANO = ATTO_PER_USD // 10**9
PRICES = (
    Override("own", {"input": NANO, "output": 2 * NANO}, upstream="own", model="m*"),
    Override("dear", {"input": 10 * NANO, "output": 20 * NANO}, upstream="dear", model="m*"),
    Override("free", {"input": 0, "output": 0}, upstream="own", model="free"),
)
PATHS = {"openai": b"/v1/chat/completions", "anthropic": b"/v1/messages"}


class Clock:
    """A clock that somebody sets."""

    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


class Switched(MemoryLedger):
    """A ledger that can be away."""

    away = False

    def _check(self):
        if self.away:
            raise LedgerUnavailable("away")
        super()._check()


def budget(scope="key:ci", limit=1_000, **fields):
    """A budget; `limit` is in nano-USD."""
    given = {"window": "month", "mode": "strict", "id": f"b-{scope}"} | fields
    rule = window_rule_of(given.pop("window"))
    return Budget(scope=scope_of(scope), limit=limit, window=rule, **given)


def house(*budgets, ledger=None, **parts):
    """Holdings over `budgets`, with what they are made of."""
    made = SimpleNamespace(
        ledger=ledger if ledger is not None else Switched(),
        clock=Clock(),
        budgets=Budgets(Path("/nowhere/budgets.json"), budgets),
        bounding=Bounding(PriceBook.packaged().with_overrides(PRICES)),
    )
    made.holdings = Holdings(
        budgets=made.budgets,
        ledger=made.ledger,
        bounding=made.bounding,
        pace=parts.pop("pace", None) or Pace(),
        clock=made.clock,
        **parts,
    )
    made.number = 0

    def asking(
        text="x" * 10, *, key=KEY, upstream=OWN, model="m", customer=None, tags=None, path=b"/v1/chat/completions", **fields
    ):
        made.number += 1
        stream = fields.get("stream")
        fields = {"max_tokens": 100, "service_tier": "default"} | fields
        content = json.dumps(
            {"model": model, **{name: value for name, value in fields.items() if value is not None}, "messages": [text]}
        )
        return Asking(
            f"call-{made.number}",
            key,
            Labels(customer=customer, tags=tags or {}),
            upstream,
            model,
            b"POST",
            path,
            content.encode(),
            stream=stream,
        )

    made.asking = asking
    return made


def cost(asking, output=100, rate=1):
    """What the bytes and so much output cost at most, in nano-USD."""
    return rate * (len(asking.body) + 2 * output)


def spend(made, holding, *amounts):
    """Settle a hold, as the office does."""
    made.ledger.settle({holding.name: amounts}, now=made.clock())


def usd(text):
    """US dollars in nano-USD."""
    return usd_nano(text)


def limited(key, limits):
    """`key` with limits."""
    return replace(key, limits=limits)
