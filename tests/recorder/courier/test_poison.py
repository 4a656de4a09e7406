"""Poison: exactly what will never be taken dies, with its reason and its payload, and holds up nobody else."""

import asyncio
import json
import math
import threading
from dataclasses import replace
from timeit import timeit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.calls import ToolCall
from domain.deliveries import Claimed, Owed
from domain.destinations import Misconfigured, Parcel, Receipt, Rejected, TooLarge
from recorder.courier.configured import Configured, Made
from recorder.courier.packing import Packer
from recorder.courier.sending import MOST_REFUSED
from recorder.courier.shrinking import LONGEST_TEXT, shrunk
from recorder.courier.worker import Worker
from recorder.courier.workroom import MOST_LEFT_BEHIND, Stuck, Workroom
from tests.recorder.courier.world import Fake, World
from tests.storage.samples import a_content, a_span


def rejecting(poison):
    def answer(request):
        if poison & set(request.calls):
            raise Rejected("bad span", status=400)
        return Receipt(200)

    return answer


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 49), max_size=50))
def test_exactly_the_poison_dies_in_few_requests(places):
    fake = Fake(items=50)
    with World({"d": fake}) as world:
        owed = world.owe("d", 50)
        poison = {owed[place] for place in places}
        fake.answer = rejecting(poison)
        world.run(60)
        assert world.queue.died("d") == dict.fromkeys(poison, "rejected")
        assert fake.taken == [call for call in owed if call not in poison]
        assert len(fake.requests) <= 1 + 2 * len(poison) * math.ceil(math.log2(50))


def test_the_dead_have_what_was_sent_of_them_alone_and_why():
    fake = Fake(items=50)
    with World({"d": fake}) as world:
        owed = world.owe("d", 50, content=a_content(text="a" * 400_000))
        fake.answer = rejecting({owed[7]})
        world.run(60)
        (dead,) = world.queue.dead["d"].values()
        assert (dead.status, dead.error, dead.content_type) == (400, "bad span", "application/json")
        assert len(dead.payload) == 256 * 1024
        assert owed[7].encode() in dead.payload
        assert owed[6].encode() not in dead.payload


def test_what_a_receipt_says_of_each_is_heeded():
    seen = set()
    with World({"d": Fake(items=10)}) as world:
        fake = world.fakes["d"]
        owed = world.owe("d", 10)

        def answer(request):
            again = {owed[2]: "busy"} if owed[2] in request.calls and owed[2] not in seen else {}
            seen.update(request.calls)
            rejected = {owed[5]: "bad"} if owed[5] in request.calls else {}
            return Receipt(207, rejected=rejected, again=again, refused=2 if len(request.calls) > 5 else 0, note="look")

        fake.answer = answer
        world.run(600)
        assert world.queue.died("d") == {owed[5]: "rejected"}
        assert json.loads(world.queue.dead["d"][owed[5]].payload)[0] == [owed[5]]
        assert world.queue.delivered["d"] == 9
        assert world.queue.refused["d"] == 2
        assert len(fake.requests) == 2
        assert world.queue.outcomes["d"][0].note == "look"


def test_a_count_of_what_was_refused_is_believed_within_reason():
    fake = Fake(lambda _: Receipt(200, refused=10**29))
    with World({"d": fake}) as world:
        owed = world.owe("d", 3)
        world.run(10)
        assert fake.taken == owed
        assert world.queue.refused["d"] == MOST_REFUSED


def test_a_batch_that_is_too_large_is_halved():
    def answer(request):
        if len(request.calls) > 8:
            raise TooLarge("too large", status=413)
        return Receipt(200)

    fake = Fake(answer, items=100)
    with World({"d": fake}) as world:
        owed = world.owe("d", 100)
        world.run(100)
        assert fake.taken == owed
        assert world.queue.died("d") == {}


@pytest.mark.parametrize(
    ("most", "shortened"), [(1_000_000, None), (60_000, "media"), (9_000, "texts"), (500, "content"), (40, "dead")]
)
def test_a_call_that_is_too_large_alone_loses_as_little_as_it_takes(most, shortened):
    def answer(request):
        if len(request.body) > most:
            raise TooLarge("too large", status=413)
        return Receipt(200)

    picture = "data:image/png;base64," + "iVBORw0KGgo" * 10_000
    content = a_content(text="word " * 10_000)
    content.input["messages"].append({"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture}}]})
    fake = Fake(answer)
    with World({"d": fake}) as world:
        (owed,) = world.owe("d", 1, content=content)
        world.run(60)
        if shortened == "dead":
            assert world.queue.died("d") == {owed: "too_large"}
            assert len(fake.requests) == 4
            return
        assert fake.taken == [owed]
        assert world.queue.outcomes["d"][-1].shortened == shortened


def test_what_is_over_the_limits_is_not_even_sent():
    fake = Fake(items=10, body_bytes=20_000, item_bytes=5_000)
    with World({"d": fake}) as world:
        owed = world.owe("d", 10, content=a_content(text="word " * 1_500))
        world.run(100)
        assert sorted(fake.taken) == sorted(owed)
        assert max(len(request.body) for request in fake.requests) <= 20_000


def test_shrinking_changes_nothing_that_was_given_and_says_what_it_left_out():
    content = a_content(text="b64 " + "QUJD" * 1000, answer="long " * 5000)
    span = a_span(tool_calls=(ToolCall("1", "search", "x" * 5000),))
    parcel = Parcel(span, content)
    before = (repr(span), repr(content))
    media = shrunk(parcel)
    texts = shrunk(media)
    nothing = shrunk(texts)
    assert shrunk(nothing) is None
    assert (repr(span), repr(content)) == before
    assert media.content.input["messages"][0]["content"] == "b64 [media of 4000 characters left out]"
    answer = texts.content.output["choices"][0]["message"]["content"]
    assert answer.endswith(f"[{25_000 - LONGEST_TEXT} more characters left out]")
    assert nothing.content is None
    assert nothing.span.tool_calls[0].arguments == ""
    assert nothing.span.notes[-3:] == tuple(f"shortened for a destination: {level}" for level in ("media", "texts", "content"))


@settings(max_examples=30, deadline=None)
@given(st.recursive(st.none() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_anything_can_be_shrunk_to_nothing(value):
    parcel = Parcel(a_span(), replace(a_content(), input=value, output=value))
    for _ in range(3):
        parcel = shrunk(parcel)
    assert parcel.content is None


@pytest.mark.parametrize("unit", ["A" * 1023 + " ", "A", "data:a/b;base64,", "=" * 50, "A" * 1023 + "="])
def test_looking_for_media_is_linear(unit):
    def seconds(size):
        parcel = Parcel(a_span(), a_content(text=unit * (size // len(unit))))
        return min(timeit(lambda: shrunk(parcel), number=1) for _ in range(3))

    assert seconds(2_000_000) < 60 * seconds(200_000) + 0.01


def test_a_call_that_we_cannot_encode_dies_alone_without_a_word_of_its_content():
    class Picky(Fake):
        def encode(self, parcels, batch):
            if any(parcel.span.model == "bad" for parcel in parcels):
                raise ValueError("cannot encode: my secret prompt")
            return super().encode(parcels, batch)

    fake = Picky(items=20)
    with World({"d": fake}) as world:
        good = world.owe("d", 10)
        bad = a_span(model="bad")
        world.queue.owe("d", bad)
        good += world.owe("d", 5)
        world.run(60)
        assert fake.taken == good
        assert world.queue.died("d") == {bad.id: "transform"}
        error = world.queue.dead["d"][bad.id].error
        assert error.startswith("could not be encoded: ValueError ")
        assert "secret" not in error
        assert world.status().state == "idle"


def test_calls_that_cannot_be_encoded_only_together_die_rather_than_go_round_for_ever():
    class Odd(Fake):
        def encode(self, parcels, batch):
            if len(parcels) > 1:
                raise ValueError
            return super().encode(parcels, batch)

    with World({"d": Odd()}) as world:
        world.owe("d", 5)
        world.run(60)
        assert world.queue.counts()["d"].pending == 0


def test_what_cannot_be_read_any_more_dies_as_unreadable():
    fake = Fake()
    with World({"d": fake}) as world:
        owed = world.owe("d", 3)
        world.queue.rows["d"][owed[1]].unreadable = "the row is damaged"
        world.run(10)
        assert fake.taken == [owed[0], owed[2]]
        assert world.queue.died("d") == {owed[1]: "unreadable"}


def test_a_transformation_changes_drops_and_fails_for_each_call_alone():
    def transform(parcel):
        if parcel.span.model == "drop":
            return None
        if parcel.span.model == "odd":
            return "parcel"
        if parcel.span.model == "bad":
            raise KeyError("prompt")
        return replace(parcel, span=replace(parcel.span, project="changed"))

    class Projects(Fake):
        def encode(self, parcels, batch):
            self.projects = {parcel.span.project for parcel in parcels}
            return super().encode(parcels, batch)

    fake = Projects()
    fake.transform = transform
    with World({"d": fake}) as world:
        spans = [a_span(model=model) for model in ("good", "drop", "odd", "bad", "good")]
        for span in spans:
            world.queue.owe("d", span)
        world.run(10)
        assert fake.taken == [spans[0].id, spans[4].id]
        assert fake.projects == {"changed"}
        assert world.queue.died("d") == {spans[1].id: "dropped", spans[2].id: "transform", spans[3].id: "transform"}
        (told,) = [event for event in world.events if event.type == "deliveries.dead"]
        assert told.data["dead"] == {"transform": 2}


async def test_a_step_that_does_not_end_is_left_behind_and_the_others_go_on():

    hang = threading.Event()

    def transform(parcel):
        if parcel.span.model == "hang":
            hang.wait()
        return parcel

    fake = Fake()
    made = Made(fake, transform=transform)
    packer = Packer(Configured("d", lambda: made, fake.limits), made)
    room = Workroom(lambda: Worker("test"), step_seconds=0.3)
    claims = [Claimed(n, "live", Owed("d"), 0, 0, a_span(model="hang" if n == 3 else "good"), None) for n in range(6)]
    try:
        with pytest.raises(Stuck) as stuck:
            await room.run(packer.items, claims)
        assert stuck.value.at == 3
        items = await room.run(packer.items, [claim for claim in claims if claim.number != 3])
        assert [item.claim.number for item in items] == [0, 1, 2, 4, 5]
    finally:
        hang.set()
        room.close()


@pytest.mark.parametrize(
    ("configured", "ruled", "sent"),
    [("none", None, False), ("full", None, True), ("none", "full", True), ("full", "none", False)],
)
def test_content_goes_out_as_the_destination_wants_it_and_before_that_as_the_rule_does(configured, ruled, sent):
    fake = Fake()
    with World({"d": fake}, d={"content": configured}) as world:
        span = a_span()
        world.queue.owe("d", span, a_content(text="hello"), ruled=ruled)
        world.run(10)
        assert (b"hello" in fake.requests[0].body) is sent


async def test_a_step_that_nobody_waits_for_any_more_does_not_keep_the_next_from_beginning():
    begun, hang = threading.Event(), threading.Event()

    def never_ends(progress):
        progress.begin(0)
        begun.set()
        hang.wait()

    def ends(progress):
        progress.begin(0)
        return "done"

    room = Workroom(lambda: Worker("packing"), step_seconds=3600)
    try:
        given_up = asyncio.create_task(room.run(never_ends))
        await asyncio.to_thread(begun.wait)
        given_up.cancel()
        await asyncio.wait({given_up})
        assert await asyncio.wait_for(room.run(ends), 30) == "done"
    finally:
        hang.set()
        room.close()


async def test_too_many_steps_that_never_end_are_a_matter_of_settings():
    hang = threading.Event()
    room = Workroom(lambda: Worker("test"), step_seconds=0.02)

    def forever(progress):
        progress.begin(0)
        hang.wait()

    try:
        for _ in range(MOST_LEFT_BEHIND):
            with pytest.raises(Stuck):
                await room.run(forever)
        with pytest.raises(Misconfigured, match="did not end"):
            await room.run(forever)
    finally:
        hang.set()
        room.close()


class Extras(Fake):
    """It keeps the fields that rules set, by call."""

    def encode(self, parcels, batch):
        self.extras = {**getattr(self, "extras", {}), **{parcel.span.id: dict(parcel.extra) for parcel in parcels}}
        return super().encode(parcels, batch)


def test_what_a_transformation_adds_to_one_call_is_not_in_others_that_are_owed_on_the_same_terms():
    def transform(parcel):
        parcel.extra["seen"] = parcel.extra.get("seen", 0) + 1
        return parcel

    fake = Extras()
    fake.transform = transform
    with World({"d": fake}) as world:
        terms = {}
        owed = world.owe("d", 3, extra=terms)
        world.run(10)
        assert fake.extras == {id_: {"seen": 1} for id_ in owed}
        assert terms == {}


@pytest.mark.parametrize("content", ["full", "none"])
def test_what_rules_set_is_redacted_like_the_labels_that_it_was_made_of(content):
    fake = Extras()
    with World({"d": fake}, d={"content": content, "redact": ("card",)}) as world:
        (owed,) = world.owe("d", 1, extra={"note": "card 4111 1111 1111 1111", "team": "a"})
        world.run(10)
        assert fake.extras == {owed: {"note": "card [card]", "team": "a"}}


@pytest.mark.parametrize("odd", [{"span": None}, {"content": "text"}, {"shortened": "much"}, {"extra": None}])
def test_an_odd_parcel_of_a_transformation_dies_alone_and_does_not_stop_the_lane(odd):
    def transform(parcel):
        return replace(parcel, **odd) if parcel.span.model == "odd" else parcel

    fake = Fake(items=10)
    fake.transform = transform
    with World({"d": fake}) as world:
        spans = [a_span(model=model) for model in ("good", "odd", "good")]
        for span in spans:
            world.queue.owe("d", span)
        world.run(10)
        assert fake.taken == [spans[0].id, spans[2].id]
        assert world.queue.died("d") == {spans[1].id: "transform"}


def test_a_call_that_cannot_be_shrunk_dies_alone_and_does_not_stop_the_lane():
    encoded = []

    class Odd(dict):
        def items(self):
            if encoded:
                raise KeyError("prompt")
            encoded.append(True)
            return super().items()

    fake = Fake(body_bytes=5000)
    with World({"d": fake}) as world:
        odd = a_span()
        world.queue.owe("d", odd, replace(a_content(), input=Odd(text="long " * 9000)))
        world.run(10)
        assert encoded
        owed = world.owe("d", 2)
        world.run(30)
        assert fake.taken == owed
        (dead,) = world.queue.dead["d"].values()
        assert (dead.claim.span, dead.kind) == (odd, "transform")
        assert dead.error.startswith("could not be shortened: KeyError")
