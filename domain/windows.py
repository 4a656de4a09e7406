"""Windows of time: where the hour, day, week, month or quarter around a moment begins and ends, in any time zone; and the counters named by them.

The windows of one rule tile time: each second is in one, and where one ends the next begins. So they are made from a row of boundaries, and
a moment belongs between two of them, whatever its local clock shows: a day of 23 or 25 hours, a midnight that does not exist or comes
twice, and a day that a country skipped are all covered. `at` and the ends of windows are Unix seconds.
"""

from calendar import monthrange
from collections.abc import Callable
from datetime import date, datetime, timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo

from domain.budgets import Budget, Window, WindowRule
from domain.ledger import PARTS, Claim

DAY = 86_400
HOUR = 3_600
DAYS_IN_WEEK = 7
MONTHS = {"month": 1, "quarter": 3}
LONGEST_MEMBER = 120
_ONE_DAY = timedelta(days=1)


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of this name.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}; write one such as Europe/Paris, or UTC") from error


def window_of(rule: WindowRule, at: float) -> Window:
    """Return the window of `rule` around the moment `at`.

    A rolling window has no place of its own; for it this is the part of it that `at` falls into (see `part_of`).

    Raises:
        ValueError: the rule's time zone does not exist.
    """
    if rule.kind == "total":
        return Window(0, None)
    if rule.kind == "rolling":
        width = part_seconds(rule.seconds)
        start = int(at // width) * width
        return Window(start, start + width)
    zone = zone_of(rule.timezone)
    if rule.kind == "hour":
        return _hour(zone, at)
    previous, following = _steps(rule)
    return _between(zone, previous(_day_before(zone, at)), following, at)


def part_seconds(rolling: int) -> int:
    """Return how long one part of a rolling window of `rolling` seconds is."""
    return max(-(-rolling // PARTS), 1)


def part_of(rule: WindowRule, at: float) -> int:
    """Return the number of the part of a rolling window that `at` falls into; 0 for other windows, which have only one part."""
    return int(at // part_seconds(rule.seconds)) if rule.kind == "rolling" else 0


def counter_name(budget: Budget, member: str | None, window: Window) -> str:
    """Return the name of the counter of one window: `budget[|member]@unit:start+seconds`, with `total` or `rolling+seconds` for windows without a start.

    The length and the unit are in it, so that a budget whose window or unit was changed begins a counter of its own. A member's name
    comes from outside: what is not plain text, or long, is replaced by its digest.
    """
    who = budget.id if member is None else f"{budget.id}|{_plain(member)}"
    if budget.window.kind == "rolling":
        return f"{who}@{budget.unit}:rolling+{budget.window.seconds}"
    if window.end is None:
        return f"{who}@{budget.unit}:total"
    return f"{who}@{budget.unit}:{window.start}+{window.end - window.start}"


def claim_on(budget: Budget, member: str | None, window: Window, amount: int, *, limit: int | None) -> Claim:
    """Return a claim of `amount` on the counter of `window`, which is `window_of(budget.window, at)`; `limit` None refuses nothing."""
    rule = budget.window
    rolling = rule.seconds if rule.kind == "rolling" else 0
    part = part_of(rule, window.start)
    forget_at = None if window.end is None else window.end + rolling + DAY
    return Claim(counter_name(budget, member, window), amount, limit, forget_at, rolling, part)


def _plain(member: str) -> str:
    if len(member) <= LONGEST_MEMBER and member.isprintable():
        return member
    mark = blake2b(member.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    plain = "".join(letter if letter.isprintable() else "?" for letter in member[:LONGEST_MEMBER])
    return f"{plain}…{mark}"


def _hour(zone: ZoneInfo, at: float) -> Window:
    """Return the hour around `at`, counted from the start of the local day; a day that is not of whole hours ends in a shorter one."""
    day = _between(zone, _day_before(zone, at), lambda known: known + _ONE_DAY, at)
    start = day.start + int(at - day.start) // HOUR * HOUR
    return Window(start, start + HOUR if day.end is None else min(start + HOUR, day.end))


def _steps(rule: WindowRule) -> tuple[Callable[[date], date], Callable[[date], date]]:
    """Return what finds the first day of the window around a day, and the first day of the window after a first day."""
    if rule.kind == "day":
        return lambda day: day, lambda day: day + _ONE_DAY
    if rule.kind == "week":
        week = timedelta(days=DAYS_IN_WEEK)
        return lambda day: day - timedelta(days=(day.isoweekday() - rule.anchor) % DAYS_IN_WEEK), lambda day: day + week
    months, anchor = MONTHS[rule.kind], rule.anchor
    return lambda day: _first_day(day, months, anchor), lambda day: _anchored(day.year, day.month + months, anchor)


def _first_day(day: date, months: int, anchor: int) -> date:
    """Return the first day of the window of `months` months around `day`."""
    month = (day.month - 1) // months * months + 1
    first = _anchored(day.year, month, anchor)
    return first if first <= day else _anchored(day.year, month - months, anchor)


def _anchored(year: int, month: int, anchor: int) -> date:
    """Return the day `anchor` of a month, or its last; a month may be up to a year before January or after December."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return date(year, month, min(anchor, monthrange(year, month)[1]))


def _between(zone: ZoneInfo, first: date, following: Callable[[date], date], at: float) -> Window:
    """Return the window around `at`, of those that begin at the midnights of `first`, which is not after it, and of the days after that."""
    start, after = _midnight(zone, first), following(first)
    end = _midnight(zone, after)
    while end <= at:
        start, after = end, following(after)
        end = _midnight(zone, after)
    return Window(start, end)


def _midnight(zone: ZoneInfo, day: date) -> int:
    """Return when `day` begins: of a midnight that comes twice the first; of one that the clock jumps over, the time that it would have been."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _day_before(zone: ZoneInfo, at: float) -> date:
    """Return the local date before that of `at`: its midnight is past, whatever was done to the clock in the night between."""
    return datetime.fromtimestamp(at, zone).date() - _ONE_DAY
