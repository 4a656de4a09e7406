"""The scenarios, each giving the figures of one subject. Goals are those of the project; a figure without one is for information."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench import delivery, office
from bench.figures import Figure
from bench.gateway import CAPPED, KEY, Faregate, help_cpu_seconds, start_seconds
from bench.processes import Memory, memory
from bench.routes import choosing_us
from bench.sick import gate_beside_sick
from bench.tools import Address, Work
from bench.windows import Bench, Round, middle, office_apart, percentile

CHUNKS = 64
THINK_US = 30_000
STREAMS = 1000
# A p99 of fewer samples says nothing.
FEW = 200


def _ratios(name: str, unit: str, rounds: Sequence[Round], goals: tuple[float | None, float | None]) -> Iterator[Figure]:
    cost = middle(list(rounds))
    ratios = [one.cost.times_nginx() for one in rounds]
    each = "; rounds: " + ", ".join(f"{ratio:.1f}" for ratio in ratios if ratio) if all(ratios) else ""
    yield Figure(f"{name}: gate, CPU per {unit}", cost.times_nginx("gate"), "x", goals[0], note=cost.detail())
    yield Figure(f"{name}: whole tree, CPU per {unit}", cost.times_nginx(), "x", goals[1], note=f"µs: {cost.tree:.1f}{each}")


def plain(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """Plain calls, 32 at a time."""
    yield from _ratios("plain", "call", bench.compare(faregate, Work(bench.seconds)), (4, 7))


def budget(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """Plain calls of a key under a strict budget, in turn with those of a key without: what holding costs the gate."""
    added = []
    # On one CPU the office would be stopped in the middle of settling, and the gate would wait for what that has locked.
    with bench.undisturbed(faregate), office_apart(faregate):
        for _ in range(bench.rounds):
            without, under = (middle(bench.compare(faregate, Work(bench.seconds), key=key)) for key in (KEY, CAPPED))
            added.append(under.parts["gate"] - without.parts["gate"])
    yield Figure(
        "plain, under one budget: CPU that the gate adds", median(added), "µs", 60, note=f"without {without.parts['gate']:.0f}"
    )


def pricing(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """A chat call's price by a warm card, as the office works it out."""
    del bench, faregate
    yield Figure("pricing a call in the office, warm card", office.pricing_us(), "µs", 10)


def delivering(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """What a span that is owed to one OTLP destination costs the office on top of recording it."""
    del faregate
    # The cheapest round counts, since others use this machine too.
    owing, courier = min([delivery.delivery_us(3000 if bench.rounds == 1 else 5000) for _ in range(bench.rounds)], key=sum)
    note = f"owing it {owing:.0f}, the courier {courier:.0f}; redaction as it is by default"
    yield Figure("a span delivered to one OTLP destination: CPU that the office adds", owing + courier, "µs", 400, note=note)


def draining(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """How fast a backlog goes to one destination."""
    del faregate
    rates = [delivery.drained_per_second(5000) for _ in range(bench.rounds)]
    yield Figure("a backlog drains, spans per second", max(rates), "/s", 1500, "at least")


def lagging(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """What three destinations that hang, refuse and crawl do to calls, and to spans for a well one, at 100 calls a second."""
    del faregate
    gate = gate_beside_sick(bench)
    note = f"{gate.sick / 1e3:.1f} ms, and {gate.well / 1e3:.1f} ms; windows of {gate.samples:,} calls, in turn"
    yield Figure("latency beside three sick destinations, p99, to that beside well ones", gate.sick / gate.well, "x", note=note)
    seconds = 10 if bench.rounds == 1 else 30
    alone, beside = (delivery.lag_seconds(seconds, sick=sick) for sick in (False, True))
    note = f"alone {percentile(alone, 0.99):.2f} s; {len(beside):,} spans"
    yield Figure("lag of a well destination beside three sick ones, p99", percentile(beside, 0.99), "s", 2, note=note)


def routes(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """Choosing an upstream by ten routes with conditions, the last of which matches: what that adds to a call of the gate."""
    del bench, faregate
    known, new = choosing_us()
    yield Figure(
        "choosing by ten routes", new, "µs", 20, note=f"each call a session of its own; {known:.1f} where sessions come again"
    )


def plain_without_barrier(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """Plain calls that wait for no commit."""
    yield from _ratios('plain, barrier = "off"', "call", bench.compare(faregate, Work(bench.seconds)), (None, None))


def secure(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """Plain calls to an upstream over TLS."""
    rounds = bench.compare(faregate, Work(bench.seconds), upstream="secure", secure=True)
    yield from _ratios("https upstream (nginx too)", "call", rounds, (None, None))


def burst(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """Streams without a pause in them, 16 at a time."""
    work = Work(bench.seconds, 16, chunks=CHUNKS)
    yield from _ratios("burst stream", "chunk", bench.compare(faregate, work), (None, 4))
    yield from _ratios("burst stream, usage asked for", "chunk", bench.compare(faregate, work, upstream="asking"), (None, None))


def paced(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """Streams at the pace of a model: CPU of each chunk, first byte, and how much later chunks come."""
    work = Work(bench.seconds + 1, 16, 20, CHUNKS, 10_000, THINK_US, samples=True)
    with bench.undisturbed(faregate):
        rounds = bench.compare(faregate, work)
        direct = _direct(bench, work)
        asked = bench.compare(faregate, work, upstream="asking") if bench.thorough else []
    yield from _ratios("paced stream", "chunk", rounds, (1.75, 2.25))
    if asked:
        yield from _ratios("paced stream, usage asked for", "chunk", asked, (None, None))
    yield from _added("chunk delay", "chunk_delay_us", rounds=rounds, without=direct, most_p99_us=1000)
    yield from _added("first byte of a stream", "first_us", rounds=rounds, without=direct)


def latency(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """Plain calls, 100 a second: what Faregate adds to a provider that thinks 30 ms, and to one that does not."""
    for think_us, goals, name in (
        (THINK_US, (2.0, 3.0), "latency at 100/s"),
        (0, (None, None), "latency at 100/s, provider thinks 0 ms"),
    ):
        work = Work(bench.seconds + 1, 8, 100, think_us=think_us, samples=True)
        with bench.undisturbed(faregate):
            rounds = bench.compare(faregate, work)
            direct = _direct(bench, work)
        yield from _added(name, "latency_us", rounds=rounds, without=direct, goals=goals)
        if think_us:
            yield from _ratios("plain at 100/s", "call", rounds, (None, None))


def _direct(bench: Bench, work: Work) -> list[dict[str, Any]]:
    return [bench.load.run(Address(bench.mock.port), work) for _ in range(bench.rounds)]


def _added(  # noqa: PLR0913 - what is compared, and with what
    name: str,
    kind: str,
    *,
    rounds: Sequence[Round],
    without: Sequence[dict[str, Any]],
    goals: tuple[float | None, float | None] = (None, None),
    most_p99_us: float | None = None,
) -> Iterator[Figure]:
    """Give what is added to a direct call, and that beside what nginx adds.

    The percentile is that of the middle window, so that one stall of the machine counts for nobody.
    """
    proxied = [result for one in rounds for result in one.nginx]
    count = sum(len(one.own[f"{kind}_all"]) for one in rounds)
    for part, label, goal, most in ((0.5, "p50", goals[0], None), (0.99, "p99", goals[1], most_p99_us)):
        if part > 0.5 and count < FEW:
            continue
        direct = _middle_percentile(without, kind, part)
        added = _middle_percentile([one.own for one in rounds], kind, part) - direct
        beside = _middle_percentile(proxied, kind, part) - direct if proxied else 0.0
        note = f"direct {direct:,.0f} µs" + (f", nginx adds {beside:,.0f}" if proxied else "") + f"; {count:,} samples"
        yield Figure(f"added {name}, {label}", added, "µs", most, note=note)
        if beside > 0:
            yield Figure(f"added {name}, {label}, beside nginx's", added / beside, "x", goal)


def _middle_percentile(results: Sequence[dict[str, Any]], kind: str, part: float) -> float:
    return median(percentile(result[f"{kind}_all"], part) for result in results)


def throughput(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """Calls per second of a gate that has one core (the office is on the other one)."""
    work = Work(bench.seconds)
    ours, ratios = [], []
    with bench.undisturbed(faregate), office_apart(faregate):
        for _ in range(bench.rounds):
            before = _nginx_rate(bench, work)
            ours.append(bench.call(faregate, work)["per_second"])
            faregate.tree.wait_until_quiet()
            if before is not None:
                ratios.append(ours[-1] * 2 / (before + (_nginx_rate(bench, work) or before)))
    faregate.check()
    yield Figure("calls per second on one core", median(ours), "/s")
    yield Figure("calls per second on one core, beside nginx's", median(ratios) if ratios else None, "x", 0.35, "at least")


def _nginx_rate(bench: Bench, work: Work) -> float | None:
    return None if bench.nginx is None else float(bench.load.run(Address(bench.nginx.plain), work)["per_second"])


def idle(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """Memory and CPU of doing nothing."""
    del bench
    held = _memory(faregate)
    detail = ", ".join(f"{part} {one.rss:.0f} (PSS {one.pss:.0f})" for part, one in held.items())
    yield Figure("idle memory: gate", held["gate"].rss, "MiB", 60, note=f"RSS, MiB: {detail}")
    whole, shared = sum(one.rss for one in held.values()), sum(one.pss for one in held.values())
    yield Figure("idle memory: gate, office, supervisor", whole, "MiB", 160, note=f"RSS; PSS {shared:.0f} MiB")
    yield Figure("idle CPU of the tree, in a second", faregate.tree.idle * 1e3, "ms")


def _memory(faregate: Faregate) -> dict[str, Memory]:
    return {part: memory(pid) for part, pid in faregate.tree.parts.items()}


def open_streams(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """Memory that 1,000 streams cost while they are open."""
    work = Work(30, STREAMS, chunks=24, gap_us=200_000, calls=STREAMS)
    before, most = _memory(faregate), 0.0
    running = bench.load.begin(faregate.address(), work)
    while running.poll() is None:
        most = max(most, memory(faregate.tree.parts["gate"]).rss)
        time.sleep(0.1)
    result = bench.load.result(running)
    bench.made += result["calls"]
    faregate.tree.wait_until_quiet()
    after = _memory(faregate)
    note = f"RSS of the gate {before['gate'].rss:.0f} → {most:.0f} → {after['gate'].rss:.0f} MiB; office {before['office'].rss:.0f} → {after['office'].rss:.0f}"
    yield Figure("memory of 1,000 open streams", most - before["gate"].rss, "MiB", 30, note=note)


def slope(bench: Bench, faregate: Faregate, calls: int) -> Iterator[Figure]:
    """Whether memory grows with the calls: the line through what is held after each twentieth of them, but for the first fifth."""
    step, held = calls // 20, []
    for number in range(20):
        bench.call(faregate, Work(120, 32, calls=step))
        if number >= 3:
            faregate.tree.wait_until_quiet()
            held.append({part: one.rss for part, one in _memory(faregate).items()})
    faregate.check()
    for part, goal in (("gate", 10.0), ("office", 20.0)):
        values = [one[part] * 1024 for one in held]
        note = f"KiB; {values[0] / 1024:.1f} → {values[-1] / 1024:.1f} MiB over the last {step * (len(held) - 1):,} of {calls:,}"
        yield Figure(f"memory slope in 1,000 calls: {part}", _slope(values) * 1000 / step, "KiB", goal, note=note)


def _slope(values: Sequence[float]) -> float:
    middle_x, middle_y = (len(values) - 1) / 2, sum(values) / len(values)
    over = sum((x - middle_x) * (y - middle_y) for x, y in enumerate(values))
    return over / sum((x - middle_x) ** 2 for x in range(len(values)))


def everything_recorded(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    """Whether every call that was made is in the store: figures of a gateway that loses calls would mean nothing."""
    faregate.tree.wait_until_quiet()
    recorded = faregate.recorded()
    yield Figure(
        "calls that are not in the store", bench.made - recorded, "", 0, note=f"{bench.made:,} made, {recorded:,} recorded"
    )


def starting(folder: Path, settings: str, times: int) -> Iterator[Figure]:
    """How soon after its start the gate answers, and what `--help` costs."""
    gate = [start_seconds(folder / f"gate-{number}", settings, "gate") for number in range(times)]
    up = [start_seconds(folder / f"up-{number}", settings, "up", "--quiet") for number in range(times)]
    helps = [help_cpu_seconds() for _ in range(2 * times + 1)]
    yield Figure("start to first answer: faregate gate", median(gate), "s", 1, note=_each(gate))
    yield Figure("start to first answer: faregate up", median(up), "s", note=_each(up))
    yield Figure("CPU of faregate --help", median(helps), "s", 0.4, note=_each(helps))


def _each(seconds: list[float]) -> str:
    return "each: " + ", ".join(f"{one:.2f}" for one in seconds)
