"""What every ledger does, in memory, in SQLite and in Redis: the protocol of `domain.ledger`."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from domain.ledger import Claim, Held, LedgerLost, LedgerUnavailable, Refused, Standing, Tally
from tests.storage.ledger.conftest import LEASE, NOW, Ledgers, a_claim

DAY = 86_400
LATER = NOW + LEASE + 1
TIME = {"now": NOW, "lease": LEASE}


def of(ledgers: Ledgers, counter: str = "b1@usd:total", now: float = NOW) -> tuple[int, int] | None:
    """Return what a counter holds: spent and held."""
    found = ledgers.office.standings([counter], now=now).get(counter)
    return None if found is None else (found.spent, found.held)


async def test_a_hold_fits_up_to_the_last_unit_and_no_further(ledgers: Ledgers) -> None:
    assert await ledgers.gate.hold("one", [a_claim(60)], **TIME) == Held((Standing(0, 60),))
    assert await ledgers.gate.hold("two", [a_claim(40)], **TIME) == Held((Standing(0, 100),))
    assert await ledgers.gate.hold("three", [a_claim(1)], **TIME) == Refused(a_claim(1), Standing(0, 100))


async def test_a_refused_hold_changes_nothing_on_any_counter(ledgers: Ledgers) -> None:
    claims = [a_claim(5, "key"), a_claim(5, "project", 4), a_claim(5, "all", 3)]
    refused = await ledgers.gate.hold("one", claims, **TIME)
    assert refused == Refused(claims[1], Standing(0, 0))
    assert ledgers.office.held(["one"]) == {}
    assert [of(ledgers, name) or (0, 0) for name in ("key", "project", "all")] == [(0, 0)] * 3
    assert ledgers.office.settle({"one": [5, 5, 5]}, now=NOW) == ["one"]


async def test_all_claims_are_held_and_the_answer_is_in_their_order(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(7, "project")], **TIME)
    held = await ledgers.gate.hold("two", [a_claim(5, "key"), a_claim(6, "project"), a_claim(2, "soft", None)], **TIME)
    assert held == Held((Standing(0, 5), Standing(0, 13), Standing(0, 2)))


async def test_a_hold_that_is_repeated_is_held_once(ledgers: Ledgers) -> None:
    first = await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    assert await ledgers.gate.hold("one", [a_claim(60)], **TIME) == first
    assert of(ledgers) == (0, 60)


async def test_nothing_is_refused_where_there_is_no_limit(ledgers: Ledgers) -> None:
    assert isinstance(await ledgers.gate.hold("one", [a_claim(10**15, limit=None)], **TIME), Held)
    assert isinstance(await ledgers.gate.hold("two", [a_claim(10**15, limit=None)], **TIME), Held)
    assert of(ledgers) == (0, 2 * 10**15)


async def test_one_counter_claimed_twice_is_counted_twice(ledgers: Ledgers) -> None:
    twice = [a_claim(60), a_claim(60)]
    assert await ledgers.gate.hold("one", twice, **TIME) == Refused(twice[1], Standing(0, 0))
    await ledgers.gate.hold("two", [a_claim(50), a_claim(50)], **TIME)
    assert of(ledgers) == (0, 100)
    ledgers.office.settle({"two": [1, 2]}, now=NOW)
    assert of(ledgers) == (3, 0)


async def test_a_settle_puts_the_truth_in_the_place_of_the_hold(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60, "key"), a_claim(60, "all")], **TIME)
    assert ledgers.office.settle({"one": [7, 8]}, now=NOW) == []
    assert (of(ledgers, "key"), of(ledgers, "all")) == ((7, 0), (8, 0))


async def test_a_second_settle_changes_nothing_and_is_told(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    ledgers.office.settle({"one": [7]}, now=NOW)
    assert ledgers.office.settle({"one": [7], "never": [3]}, now=NOW) == ["one", "never"]
    assert of(ledgers) == (7, 0)


async def test_what_is_settled_leaves_room_for_the_next(ledgers: Ledgers) -> None:
    for number in range(14):
        assert isinstance(await ledgers.gate.hold(f"h{number}", [a_claim(9)], **TIME), Held)
        ledgers.office.settle({f"h{number}": [7]}, now=NOW)
    assert await ledgers.gate.hold("last", [a_claim(3)], **TIME) == Refused(a_claim(3), Standing(98, 0))


async def test_a_truth_above_the_hold_is_counted_whole(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    ledgers.office.settle({"one": [130]}, now=NOW)
    assert of(ledgers) == (130, 0)
    assert await ledgers.gate.hold("two", [a_claim(0)], **TIME) == Refused(a_claim(0), Standing(130, 0))


async def test_a_settle_goes_to_the_window_it_was_held_in(ledgers: Ledgers) -> None:
    old, new = a_claim(60, "b1@usd:1+2"), a_claim(60, "b1@usd:3+2")
    await ledgers.gate.hold("one", [old], **TIME)
    await ledgers.gate.hold("two", [new], **TIME)
    ledgers.office.settle({"one": [9]}, now=NOW)
    assert (of(ledgers, old.counter), of(ledgers, new.counter)) == ((9, 0), (0, 60))


async def test_a_release_gives_the_hold_back_whole_and_only_once(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    await ledgers.gate.hold("two", [a_claim(30)], **TIME)
    await ledgers.gate.release("one", now=NOW)
    await ledgers.gate.release("one", now=NOW)
    assert of(ledgers) == (0, 30)
    assert ledgers.office.settle({"one": [60]}, now=NOW) == ["one"]


async def test_a_hold_that_comes_after_its_release_stays_out(ledgers: Ledgers) -> None:
    """A hold that was not answered in time is released; it may still be on its way."""
    await ledgers.gate.release("one", now=NOW)
    with pytest.raises(LedgerUnavailable, match="released before"):
        await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    assert (of(ledgers) or (0, 0)) == (0, 0)


async def test_a_top_up_adds_to_all_counters_or_to_none(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60, "key"), a_claim(60, "all", 70)], **TIME)
    refused = await ledgers.gate.top_up("one", [20, 20], **TIME)
    assert refused == Refused(a_claim(60, "all", 70), Standing(0, 60))
    assert of(ledgers, "key") == (0, 60)
    assert await ledgers.gate.top_up("one", [10, 10], **TIME) == Held((Standing(0, 70), Standing(0, 70)))
    assert ledgers.office.held(["one", "other"]) == {"one": (70, 70)}
    ledgers.office.settle({"one": [65, 66]}, now=NOW)
    assert (of(ledgers, "key"), of(ledgers, "all")) == ((65, 0), (66, 0))


async def test_what_is_no_longer_open_is_not_topped_up(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(10)], **TIME)
    ledgers.office.expire(now=LATER)
    charged = await ledgers.gate.top_up("one", [1], now=LATER, lease=LEASE)
    assert charged == Refused(a_claim(0), Standing(0, 0))
    ledgers.office.settle({"one": [10]}, now=LATER)
    assert isinstance(await ledgers.gate.top_up("one", [1], now=LATER, lease=LEASE), Refused)
    assert of(ledgers) == (10, 0)


async def test_a_hold_whose_lease_ran_out_is_charged_not_given_back(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    assert ledgers.office.expire(now=NOW + LEASE - 1) == []
    assert ledgers.office.expire(now=LATER) == ["one"]
    assert ledgers.office.expire(now=LATER) == []
    assert of(ledgers) == (60, 0)
    assert ledgers.office.tallies(["b1@usd:total"]) == {("b1@usd:total", 0): Tally(0, 60, 0)}
    assert isinstance(await ledgers.gate.hold("two", [a_claim(41)], **TIME), Refused)


async def test_a_late_truth_corrects_what_was_charged_and_only_once(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    ledgers.office.expire(now=LATER)
    assert ledgers.office.held(["one"]) == {"one": (60,)}
    assert ledgers.office.settle({"one": [4]}, now=LATER) == []
    assert ledgers.office.settle({"one": [4]}, now=LATER) == ["one"]
    assert of(ledgers) == (4, 0)


async def test_what_was_charged_is_not_released(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    ledgers.office.expire(now=LATER)
    await ledgers.gate.release("one", now=LATER)
    assert of(ledgers) == (60, 0)


async def test_renewed_and_topped_up_holds_stay_open(ledgers: Ledgers) -> None:
    for name in ("one", "two", "three"):
        await ledgers.gate.hold(name, [a_claim(10)], **TIME)
    assert await ledgers.gate.renew(["one"], now=NOW + LEASE / 2, lease=LEASE) == []
    await ledgers.gate.top_up("two", [1], now=NOW + LEASE / 2, lease=LEASE)
    assert ledgers.office.expire(now=LATER) == ["three"]
    assert await ledgers.gate.renew([], **TIME) == []


async def test_renewing_tells_which_holds_are_not_open(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("charged", [a_claim(10)], **TIME)
    ledgers.office.expire(now=LATER)
    await ledgers.gate.hold("open", [a_claim(10)], now=LATER, lease=LEASE)
    assert await ledgers.gate.renew(["open", "charged", "unknown"], now=LATER, lease=LEASE) == ["charged", "unknown"]
    await ledgers.gate.resume("charged", [a_claim(10)], now=LATER, lease=LEASE)
    assert of(ledgers) == (10, 10)


async def test_expiring_takes_a_few_at_a_time(ledgers: Ledgers) -> None:
    for number in range(7):
        await ledgers.gate.hold(f"h{number}", [a_claim(1)], **TIME)
    assert [len(ledgers.office.expire(now=LATER, most=3)) for _ in range(4)] == [3, 3, 1, 0]
    assert of(ledgers) == (7, 0)


def rolling(amount: int, part: int, limit: int = 100) -> Claim:
    """Claim in a rolling hour, whose parts are minutes."""
    return Claim("b1@usd:rolling+3600", amount, limit, (part + 61) * 60 + DAY, 3600, part)


async def test_a_rolling_window_counts_its_parts_and_the_oldest_whole(ledgers: Ledgers) -> None:
    first = int(NOW // 60)
    await ledgers.gate.hold("old", [rolling(60, first)], **TIME)
    ledgers.office.settle({"old": [50]}, now=NOW)
    await ledgers.gate.hold("new", [rolling(30, first + 30)], **TIME)
    assert isinstance(await ledgers.gate.hold("no", [rolling(21, first + 60)], **TIME), Refused)
    assert await ledgers.gate.hold("yes", [rolling(21, first + 61)], **TIME) == Held((Standing(0, 51),))
    name = "b1@usd:rolling+3600"
    assert of(ledgers, name, now=(first + 60) * 60) == (50, 51)
    assert of(ledgers, name, now=(first + 61) * 60) == (0, 51)
    assert of(ledgers, name, now=(first + 200) * 60) == (0, 0)


async def test_a_settle_goes_to_the_part_of_its_hold(ledgers: Ledgers) -> None:
    first = int(NOW // 60)
    await ledgers.gate.hold("long", [rolling(60, first)], **TIME)
    await ledgers.gate.hold("short", [rolling(40, first + 40)], **TIME)
    ledgers.office.settle({"long": [33]}, now=NOW)
    tallies = ledgers.office.tallies(["b1@usd:rolling+3600"])
    assert tallies == {
        ("b1@usd:rolling+3600", first): Tally(33, 0, 0),
        ("b1@usd:rolling+3600", first + 40): Tally(0, 0, 40),
    }


async def test_a_charge_without_a_hold_is_counted_once_for_each_entry(ledgers: Ledgers) -> None:
    for _ in range(2):
        ledgers.office.charge("entry", [a_claim(9), a_claim(4, "all")], now=NOW)
    ledgers.office.charge("another", [a_claim(1)], now=NOW)
    assert (of(ledgers), of(ledgers, "all")) == ((10, 0), (4, 0))


async def test_counters_are_raised_where_they_are_too_low_and_never_above(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    ledgers.office.settle({"one": [10]}, now=NOW)
    assert ledgers.office.raise_to([a_claim(25), a_claim(3, "new")], now=NOW) == 18
    assert ledgers.office.raise_to([a_claim(25), a_claim(2, "new")], now=NOW) == 0
    assert (of(ledgers), of(ledgers, "new")) == ((25, 0), (3, 0))


async def test_what_was_charged_does_not_stand_in_for_what_was_settled(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    ledgers.office.expire(now=LATER)
    ledgers.office.raise_to([a_claim(5)], now=NOW)
    assert of(ledgers) == (65, 0)


async def test_counters_are_lowered_once_by_what_is_too_much(ledgers: Ledgers) -> None:
    ledgers.office.raise_to([a_claim(25)], now=NOW)
    assert ledgers.office.lower([a_claim(5)], [25], now=NOW) == 5
    assert ledgers.office.lower([a_claim(5)], [25], now=NOW) == 0
    assert ledgers.office.lower([a_claim(5, "other")], [25], now=NOW) == 0
    assert of(ledgers) == (20, 0)


async def test_amounts_are_exact_up_to_the_largest_limit(ledgers: Ledgers) -> None:
    limit = 9 * 10**15
    await ledgers.gate.hold("one", [a_claim(limit - 2, limit=limit)], **TIME)
    ledgers.office.settle({"one": [limit - 2]}, now=NOW)
    assert await ledgers.gate.hold("two", [a_claim(1, limit=limit)], **TIME) == Held((Standing(limit - 2, 1),))
    assert isinstance(await ledgers.gate.hold("three", [a_claim(2, limit=limit)], **TIME), Refused)
    assert await ledgers.gate.hold("four", [a_claim(1, limit=limit)], **TIME) == Held((Standing(limit - 2, 2),))
    assert ledgers.office.held(["one", "two"]) == {"two": (1,)}


async def test_counters_may_be_called_anything(ledgers: Ledgers) -> None:
    names = ["o'brien", 'a"b', "{faregate}:epoch", "naïve 🚉 user", "a|b@usd:1+2", "x" * 300, "%s;--", " "]
    held = await ledgers.gate.hold("one", [a_claim(number, name) for number, name in enumerate(names)], **TIME)
    assert isinstance(held, Held)
    assert ledgers.office.standings(names, now=NOW) == {name: Standing(0, number) for number, name in enumerate(names)}
    ledgers.office.settle({"one": list(range(len(names)))}, now=NOW)
    assert ledgers.office.standings(names, now=NOW) == {name: Standing(number, 0) for number, name in enumerate(names)}


@pytest.mark.parametrize("workers", [2, 10, 50, 200])
async def test_however_many_hold_at_once_exactly_those_that_fit_pass(ledgers: Ledgers, workers: int) -> None:
    async def worker(number: int) -> int:
        claims = [a_claim(3, "key", 300), a_claim(3, "all", 100)]
        answers = [await ledgers.gate.hold(f"{number}-{turn}", claims, **TIME) for turn in range(400 // workers)]
        return sum(isinstance(answer, Held) for answer in answers)

    assert sum(await asyncio.gather(*(worker(number) for number in range(workers)))) == 33
    assert (of(ledgers, "key"), of(ledgers, "all")) == ((0, 99), (0, 99))


GATE: dict[str, Callable[[Ledgers], object]] = {
    "hold": lambda ledgers: ledgers.gate.hold("two", [a_claim(1)], **TIME),
    "top_up": lambda ledgers: ledgers.gate.top_up("one", [1], **TIME),
    "renew": lambda ledgers: ledgers.gate.renew(["one"], **TIME),
    "release": lambda ledgers: ledgers.gate.release("one", now=NOW),
    "resume": lambda ledgers: ledgers.gate.resume("one", [a_claim(60)], **TIME),
}
OFFICE: dict[str, Callable[[Ledgers], object]] = {
    "settle": lambda ledgers: ledgers.office.settle({"one": [1]}, now=NOW),
    "expire": lambda ledgers: ledgers.office.expire(now=LATER),
    "held": lambda ledgers: ledgers.office.held(["one"]),
    "standings": lambda ledgers: ledgers.office.standings(["b1@usd:total"]),
    "tallies": lambda ledgers: ledgers.office.tallies(["b1@usd:total"]),
    "charge": lambda ledgers: ledgers.office.charge("entry", [a_claim(1)], now=NOW),
    "raise_to": lambda ledgers: ledgers.office.raise_to([a_claim(1)], now=NOW),
    "lower": lambda ledgers: ledgers.office.lower([a_claim(1)], [1], now=NOW),
}


async def test_a_lost_ledger_says_so_whatever_it_is_asked(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    ledgers.lose()
    for ask in OFFICE.values():
        with pytest.raises(LedgerLost):
            ask(ledgers)
    for call in GATE.values():
        with pytest.raises(LedgerLost):
            await call(ledgers)


async def test_a_ledger_that_was_made_anew_knows_what_was_spent_and_held(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    ledgers.lose()
    old = rolling(5, int(NOW // 60))
    assert ledgers.office.rebuild([a_claim(30, limit=None), old], {"two": [a_claim(20), a_claim(20, "all")]}, **TIME)
    assert (of(ledgers), of(ledgers, "all"), of(ledgers, old.counter)) == ((30, 20), (0, 20), (5, 0))
    assert await ledgers.gate.renew(["one", "two"], **TIME) == ["one", "two"]
    await ledgers.gate.resume("one", [a_claim(60)], **TIME)
    assert of(ledgers) == (30, 80)
    assert ledgers.office.settle({"one": [3], "two": [4, 4]}, now=NOW) == []
    assert (of(ledgers), of(ledgers, "all")) == ((37, 0), (4, 0))


async def test_a_ledger_is_not_made_anew_while_it_is_whole(ledgers: Ledgers) -> None:
    await ledgers.gate.hold("one", [a_claim(60)], **TIME)
    assert not ledgers.office.rebuild([a_claim(30)], {}, **TIME)
    assert of(ledgers) == (0, 60)


async def test_what_was_topped_up_is_held_again_after_a_loss(ledgers: Ledgers) -> None:
    """The office knows from the journal what was held at first; the gate knows what was added to it."""
    ledgers.lose()
    ledgers.office.rebuild([a_claim(80)], {"one": [a_claim(10)]}, **TIME)
    for _ in range(2):
        await ledgers.gate.resume("one", [a_claim(25)], **TIME)
        assert of(ledgers) == (80, 25)
    assert await ledgers.gate.renew(["one"], **TIME) == []
    assert ledgers.office.held(["one"]) == {"one": (25,)}
    assert isinstance(await ledgers.gate.hold("two", [a_claim(1)], **TIME), Refused)
    assert isinstance(await ledgers.gate.top_up("one", [1], **TIME), Refused)
    ledgers.office.settle({"one": [20]}, now=NOW)
    assert of(ledgers) == (100, 0)


async def test_what_is_held_again_goes_on_as_before(ledgers: Ledgers) -> None:
    ledgers.lose()
    ledgers.office.rebuild([], {}, **TIME)
    await ledgers.gate.resume("one", [a_claim(60), a_claim(120, "over")], **TIME)
    assert (of(ledgers), of(ledgers, "over")) == ((0, 60), (0, 120))
    refused = await ledgers.gate.top_up("one", [1, 0], **TIME)
    assert refused == Refused(a_claim(120, "over"), Standing(0, 120))
    assert ledgers.office.expire(now=LATER) == ["one"]


async def test_holds_that_were_made_anew_are_released_renewed_and_topped_up_as_others(ledgers: Ledgers) -> None:
    ledgers.lose()
    ledgers.office.rebuild([], {name: [a_claim(10)] for name in ("one", "two", "three")}, **TIME)
    await ledgers.gate.release("one", now=NOW)
    await ledgers.gate.renew(["two"], now=NOW + LEASE / 2, lease=LEASE)
    assert isinstance(await ledgers.gate.top_up("three", [5], now=NOW + LEASE / 2, lease=LEASE), Held)
    assert ledgers.office.expire(now=LATER) == []
    assert of(ledgers) == (0, 25)


async def test_holds_that_were_made_anew_are_charged_if_nobody_renews_them(ledgers: Ledgers) -> None:
    ledgers.lose()
    ledgers.office.rebuild([], {"one": [a_claim(20)]}, **TIME)
    assert ledgers.office.expire(now=LATER) == ["one"]
    assert of(ledgers) == (20, 0)


async def test_a_hold_still_open_long_after_its_window_can_be_settled(ledgers: Ledgers) -> None:
    claim = a_claim(20, forget_at=int(NOW) + 10)
    await ledgers.gate.hold("one", [claim], now=NOW, lease=10 * DAY)
    ledgers.office.forget(now=NOW + DAY)
    assert ledgers.office.settle({"one": [6]}, now=NOW + DAY) == []
    assert of(ledgers) == (6, 0)


def test_a_claim_counts_from_its_oldest_part() -> None:
    assert rolling(1, 100).first_part == 40
    assert replace(a_claim(1), part=0).first_part == 0
