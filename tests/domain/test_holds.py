"""What the journal carries of a hold comes back as it was, and nothing else is taken for one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.holds import HeldClaim, Hold, hold_text, read_hold
from domain.ledger import Claim

AMOUNTS = st.integers(0, 9 * 10**15)
CLAIMS = st.builds(Claim, st.text(), AMOUNTS, st.none() | AMOUNTS, st.none() | AMOUNTS, st.just(0), st.just(0)) | st.builds(
    Claim, st.text(), AMOUNTS, st.none() | AMOUNTS, AMOUNTS, st.integers(1, 10**9), AMOUNTS
)


@given(st.text(), st.lists(st.tuples(CLAIMS, st.sampled_from(["usd", "tokens", "requests"])), max_size=4))
def test_a_hold_comes_back_as_it_was(name, pairs) -> None:
    claims, units = [claim for claim, _ in pairs], [unit for _, unit in pairs]
    text = hold_text(name, claims, units)
    text.encode()
    found = read_hold(text)
    assert found.id == name
    assert [claim.claim() for claim in found.claims] == claims
    assert [claim.unit for claim in found.claims] == units


def test_the_text_is_short() -> None:
    claims = [Claim("b1@usd:1+2", 5, 10, 99), Claim("b2@usd:total", 5, None)]
    assert hold_text("abc", claims, ["usd", "tokens"]) == (
        '{"id":"abc","claims":[["b1@usd:1+2",5,"usd",10,99],["b2@usd:total",5,"tokens",null,null]]}'
    )


def test_the_shortest_claim_has_a_counter_an_amount_and_a_unit() -> None:
    assert read_hold('{"id":"h","claims":[["b@usd:total",5,"usd"]]}') == Hold("h", (HeldClaim("b@usd:total", 5, "usd"),))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"x"',
        "{}",
        '{"id":"h"}',
        '{"id":1,"claims":[]}',
        '{"id":"h","claims":[["c",5]]}',
        '{"id":"h","claims":[["c",-5,"usd"]]}',
        '{"id":"h","claims":[["c",5.5,"usd"]]}',
        '{"id":"h","claims":[["c",true,"usd"]]}',
        '{"id":"h","claims":[["c",5,"eur"]]}',
        '{"id":"h","claims":[["c",5,["usd"]]]}',
        '{"id":"h","claims":[["c",5,"usd",1,2,3,4,5]]}',
        '{"id":"h","claims":5}',
        "[" * 100_000,
    ],
)
def test_anything_else_is_no_hold(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_hold(text)


def test_hold_text_is_json() -> None:
    assert json.loads(hold_text("\ud800", [], [])) == {"id": "\ud800", "claims": []}
