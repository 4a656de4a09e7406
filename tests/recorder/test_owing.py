"""What a finished call owes: the truth in each budget's unit, rounded up; where nobody knows it, the hold."""

import pytest

from domain.calls import Usage
from domain.exchange import Attempt, Closing, Exchange, Labels, Opening
from domain.holds import HeldClaim, Owed, Settlement, hold_text
from domain.ledger import Claim
from recorder.owing import settlement_of
from tests.storage.samples import a_span

CLAIMS = [Claim("usd", 900, 1000), Claim("tokens", 5000, None), Claim("requests", 1, 10)]
UNITS = ["usd", "tokens", "requests"]


def exchange(*, hold: str | None = None, closed: bool = True, ending: str = "complete", status: int = 200, sent: bool = True):
    text = hold_text("call-1-away", CLAIMS, UNITS) if hold is None else hold
    opening = Opening("call-1", 1, "POST", "/v1/x", "openai", "openai", "k", "ci", "default", Labels(), hold=text)
    closing = Closing(2, ending, status, (), (), (), 0, 0, sent_us=5 if sent else None) if closed else None
    return Exchange(opening, closing, b"", b"")


def owed(exchange: Exchange, **span) -> list[tuple[int, bool]]:
    found = settlement_of(exchange, a_span(id="call-1", **span))
    assert found is not None
    assert found.hold == "call-1-away"
    return [(one.amount, one.at_hold) for one in found.owed]


def test_a_call_without_a_hold_owes_nothing() -> None:
    call = exchange()
    call.opening.hold = None
    assert settlement_of(call, a_span()) is None


def test_a_call_owes_its_cost_rounded_up_its_tokens_and_one_request() -> None:
    assert owed(exchange(), cost=333_001) == [(334, False), (1280, False), (1, False)]
    assert owed(exchange(), cost=333_000) == [(333, False), (1280, False), (1, False)]
    assert owed(exchange(), cost=1) == [(1, False), (1280, False), (1, False)]
    assert owed(exchange(), cost=0, cost_status="free") == [(0, False), (1280, False), (1, False)]


def test_the_claims_keep_their_order_and_their_counters() -> None:
    found = settlement_of(exchange(), a_span(cost=5000))
    assert found == Settlement(
        "call-1-away",
        (
            Owed(HeldClaim("usd", 900, "usd", 1000), 5, priced=True),
            Owed(HeldClaim("tokens", 5000, "tokens"), 1280),
            Owed(HeldClaim("requests", 1, "requests", 10), 1),
        ),
    )


def test_only_what_follows_the_price_of_the_call_is_said_to() -> None:
    silent = Attempt("openai", "1", 0, sent=True, held=(40, 50, 1))
    cases = [
        (exchange(), {"cost": 5000}, [(True, 0), (False, 0), (False, 0)]),
        (exchange(), {"cost": None, "cost_status": "unknown"}, [(True, 0), (False, 0), (False, 0)]),
        (exchange(closed=False), {"cost": 5000, "cost_status": "estimated"}, [(False, 0)] * 3),
        (exchange(ending="refused"), {"cost": None, "cost_status": "none"}, [(False, 0)] * 3),
    ]
    for call, span, wanted in cases:
        found = settlement_of(call, a_span(**span))
        assert found is not None
        assert [(one.priced, one.beside) for one in found.owed] == wanted
    call = exchange()
    assert call.closing is not None
    call.closing.attempts = (silent, Attempt("openai", "1", 0, 200))
    found = settlement_of(call, a_span(cost=5000))
    assert found is not None
    assert [(one.amount, one.priced, one.beside) for one in found.owed[:2]] == [(45, True, 40), (1330, False, 50)]


def test_what_is_unknown_is_owed_at_the_hold() -> None:
    assert owed(exchange(), cost=None, cost_status="unknown") == [(900, True), (1280, False), (1, False)]
    assert owed(exchange(), cost=None, cost_status="unknown", usage=None) == [(900, True), (5000, True), (1, False)]
    assert owed(exchange(), cost=None, cost_status="unknown", usage=Usage()) == [(900, True), (5000, True), (1, False)]


def test_a_call_that_was_interrupted_with_its_gate_owes_its_hold_whatever_was_seen_of_it() -> None:
    assert owed(exchange(closed=False), outcome="interrupted", cost=10) == [(900, True), (5000, True), (1, True)]


@pytest.mark.parametrize(("ending", "sent"), [("refused", False), ("refused", True), ("failed", False), ("client_gone", False)])
def test_a_call_that_was_never_sent_owes_nothing(ending: str, sent: bool) -> None:
    found = owed(exchange(ending=ending, sent=sent), outcome="error", cost=None, cost_status="none", usage=None)
    assert found == [(0, False), (0, False), (0, False)]


def test_a_call_that_was_sent_and_failed_owes_its_hold_and_the_request() -> None:
    call = exchange(ending="failed", status=504)
    unknown = {"outcome": "error", "status": 504, "cost": None, "cost_status": "unknown", "usage": None}
    call.closing.attempts = (Attempt("openai", "1", 1, error="silent", sent=True),)
    assert owed(call, **unknown) == [(900, True), (5000, True), (1, False)]
    # A further try was refused by the budget, after one that was answered with an error.
    call.closing.attempts = (Attempt("openai", "1", 1, 500, sent=True),)
    assert owed(call, **unknown) == [(0, False), (0, False), (1, False)]


def test_a_try_that_was_sent_and_never_answered_is_owed_at_what_it_held() -> None:
    call = exchange()
    silent, refused = Attempt("openai", "1", 1, error="silent", sent=True), Attempt("openai", "2", 2, 429, sent=True)
    unreachable, answered = Attempt("openai", "3", 3, error="cannot be reached"), Attempt("openai", "4", 4, 200, sent=True)
    call.closing.attempts = (silent, refused, unreachable, answered)
    assert owed(call, cost=1000) == [(1 + 900, False), (1280 + 5000, False), (1, False)]
    call.closing.attempts = (answered,)
    assert owed(call, cost=1000) == [(1, False), (1280, False), (1, False)]


def test_a_call_that_the_upstream_turned_down_owes_the_request_alone() -> None:
    found = owed(exchange(status=429), outcome="error", status=429, cost=None, cost_status="unknown", usage=None)
    assert found == [(0, False), (0, False), (1, False)]
    billed = owed(exchange(status=500), outcome="error", status=500, cost=None, cost_status="unknown")
    assert billed == [(900, True), (1280, False), (1, False)]


def test_what_is_never_billed_owes_no_money_and_no_tokens() -> None:
    assert owed(exchange(), cost=None, cost_status="none", usage=None) == [(0, False), (0, False), (1, False)]


def test_a_hold_that_cannot_be_read_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert settlement_of(exchange(hold="{"), a_span(id="call-1")) is None
    assert "call-1" in caplog.text


def test_a_try_that_was_never_answered_is_charged_what_was_held_for_it_at_its_own_upstream() -> None:
    """The second upstream is dearer than the first, and silent; the third answers."""
    call = exchange()
    call.closing.attempts = (
        Attempt("cheap", "1", 1, sent=True),
        Attempt("dearer", "1", 1, sent=True, held=(7000, 6000, 0)),
        Attempt("cheap", "1", 1, 200, sent=True, held=(900, 5000, 0)),
    )
    assert owed(call, cost=5000) == [(5 + 900 + 7000, False), (1280 + 5000 + 6000, False), (1, False)]
