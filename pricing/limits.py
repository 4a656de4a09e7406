"""How much a model takes and gives at most: its context window and its largest output, in tokens.

Source: genai-prices 0.2.3 (context windows) and litellm 1.109.1 (both, `pricing/data/limits.jsonl`), both MIT; read 2026-11-20.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from pricing.names import names_of, provider_of
from pricing.snapshot import Snapshot

FILE = Path(__file__).parent / "data" / "limits.jsonl"
_line = msgspec.json.Decoder(tuple[str, dict[str, tuple[int | None, int | None]]]).decode
_Limits = Mapping[str, tuple[int | None, int | None]]


def limits_of(snapshot: Snapshot, upstream: str, host: str | None, model: str) -> tuple[int | None, int | None]:
    """Return the context window and the largest output of a model, each None where it is not known.

    The context is the larger one where two lists disagree, since it is for upper bounds.
    """
    provider = provider_of(snapshot, upstream, host)
    if provider is None:
        return None, None
    context, output = None, None
    for name in names_of(provider, model, upstream):
        found = snapshot.find(provider, name)
        seller, listed = found if found is not None else (provider, None)
        for place in dict.fromkeys((provider, seller)):
            given = _limits(place)
            most_in, most_out = given.get(name) or given.get(listed.id.lower() if listed is not None else "") or (None, None)
            context = _larger(context, most_in)
            output = output if output is not None else most_out
        context = _larger(context, listed.context if listed is not None else None)
    return context, output


def _larger(one: int | None, other: int | None) -> int | None:
    known = [count for count in (one, other) if count is not None]
    return max(known) if known else None


@lru_cache(maxsize=64)
def _limits(provider: str) -> _Limits:
    """Return the limits of one provider's models, by name."""
    start = f'["{provider}",'.encode()
    with FILE.open("rb") as lines:
        return next((_line(line)[1] for line in lines if line.startswith(start)), {})
