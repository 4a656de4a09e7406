"""The past that `faregate demo --history` makes: some thousand calls of a small company's apps, the same ones whenever it is asked again.

Time is cut into a few dozen stretches, each with chance of its own, so that a second run a day later adds a day and doubles nothing.
"""

from collections.abc import Iterator
from math import ceil, pi, sin
from random import Random

from domain.exchange import Exchange, Labels
from gateway.demo.calls import Caller
from gateway.demo.sessions import SESSIONS, Session

CALLS = 5_000
SHORTEST, LONGEST = 3_600.0, 366 * 86_400.0
DEMO = "demo"
_STRETCHES = 30
_DAY = 86_400.0
_WEEK = 7 * _DAY
_SECOND = 10**9
_CALLS_OF_A_SESSION = 3.0
# Mondays to Sundays; together seven, so that a whole week has what seven even days would have.
_DAYS = (1.25, 1.3, 1.3, 1.25, 1.1, 0.4, 0.4)
_EPOCH_WEEKDAY = 3
_CUSTOMERS = ("acme", "globex", "initech", "umbrella", "hooli", "stark")
_CUSTOMER_WEIGHTS = (30, 22, 16, 14, 10, 8)
_RELEASES = ("2.3.0", "2.3.1", "2.4.0")


def history(seed: int, now: float, seconds: float) -> Iterator[Exchange]:
    """Yield the calls of the last `seconds` before `now` (Unix seconds), about `CALLS` of them, in the order of their sessions."""
    length = seconds / _STRETCHES
    since = now - seconds
    for stretch in range(int(since // length), ceil(now / length)):
        chance = Random(f"{seed}|{seconds:.0f}|{stretch}")  # noqa: S311 - nothing here is a secret
        for start in _starts(chance, stretch * length, length, weekly=seconds >= _WEEK):
            # Each session gets its chance before it is known whether it lies in the time asked for: the others must not depend on that.
            own = Random(chance.getrandbits(64))  # noqa: S311 - as above
            if since <= start < now:
                yield from _before(now, _calls_of(own, start))


def _starts(chance: Random, begin: float, length: float, *, weekly: bool) -> list[float]:
    """Return when the sessions of a stretch begin: more in working hours than at night, and fewer at weekends, where there are some."""
    day = int(begin // _DAY + _EPOCH_WEEKDAY) % 7
    expected = CALLS / _STRETCHES / _CALLS_OF_A_SESSION * (_DAYS[day] if weekly and length <= _DAY else 1.0)
    count = int(expected) + (chance.random() < expected % 1)
    return sorted(_start(chance, begin, length) for _ in range(count))


def _start(chance: Random, begin: float, length: float) -> float:
    for _ in range(8):
        at = begin + chance.random() * length
        # Busiest at two in the afternoon, quietest twelve hours later.
        if chance.random() < 0.15 + 0.85 * max(sin((at % _DAY / _DAY - 1 / 3) * pi * 2), 0.0):
            return at
    return at


def _before(now: float, calls: Iterator[Exchange]) -> Iterator[Exchange]:
    """Yield the calls of a session until one that would not have ended by now."""
    for exchange in calls:
        if exchange.closing is not None and exchange.closing.at > now * _SECOND:
            return
        yield exchange


def _calls_of(chance: Random, start: float) -> Iterator[Exchange]:
    """Yield the calls of one session that begins at `start` (Unix seconds)."""
    session = _session(chance)
    caller = Caller(_labels(chance, session), chance)
    script = session.script(chance)
    at = int(start * _SECOND)
    answer = None
    first = True
    while True:
        try:
            step = next(script) if first else script.send(answer)
        except StopIteration:
            return
        first = False
        call = caller.made(step, at)
        yield call.exchange
        answer = call.answer
        at = call.ended + int(chance.lognormvariate(session.thinking, 0.8) * _SECOND)


def _session(chance: Random) -> Session:
    return chance.choices(SESSIONS, [session.weight for session in SESSIONS])[0]


def _labels(chance: Random, session: Session) -> Labels:
    customer = chance.choices(_CUSTOMERS, _CUSTOMER_WEIGHTS)[0]
    return Labels(
        session=f"{session.name}-{chance.getrandbits(32):08x}",
        customer=customer,
        user=f"{customer}-user-{chance.randint(1, 12)}" if session.has_user else None,
        env=DEMO,
        release=chance.choice(_RELEASES),
        tags={"team": session.team, "app": session.name},
    )
