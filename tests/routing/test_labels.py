"""Labels from every place where apps say them, in their order of precedence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.exchange import Labels
from gateway.wire.heads import head_of
from routing.labels import LONGEST, MOST_TAGS, NAMES, NO_LABELS, labels_of

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def found(**headers: str) -> dict[bytes, bytes]:
    return {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}


def known(labels: Labels) -> dict:
    """Return what labels say, without what they leave open."""
    values = {name: getattr(labels, name) for name in (*NAMES, "trace_id", "parent_span_id") if getattr(labels, name)}
    return values | ({"tags": dict(labels.tags)} if labels.tags else {})


HEADERS = [
    # Ours.
    (b"X-Faregate-Session", b"s-1", {"session": "s-1"}),
    (b"x-faregate-run", b"r-1", {"run": "r-1"}),
    (b"x-faregate-section", b"agent:researcher/tool:search", {"section": "agent:researcher/tool:search"}),
    (b"x-faregate-customer", b"acme", {"customer": "acme"}),
    (b"x-faregate-user", b"u-1", {"user": "u-1"}),
    (b"x-faregate-env", b"prod", {"env": "prod"}),
    (b"x-faregate-release", b"1.2.3", {"release": "1.2.3"}),
    (b"x-faregate-prompt", b"greeting@3", {"prompt": "greeting@3"}),
    (b"x-faregate-tags", b"team=search,tier=pro", {"tags": {"team": "search", "tier": "pro"}}),
    (b"x-faregate-tags", b" team = search , flag ,, =x", {"tags": {"team": "search", "flag": "true"}}),
    (b"x-faregate-tags", b"a=b=c", {"tags": {"a": "b=c"}}),
    (b"x-faregate-tags", b"list=a%2Cb,eq=c%3Dd", {"tags": {"list": "a,b", "eq": "c=d"}}),
    (b"x-faregate-user", b"J%C3%BCrgen", {"user": "Jürgen"}),
    (b"x-faregate-user", "Jürgen".encode(), {"user": "Jürgen"}),
    (b"x-faregate-user", b"100%", {"user": "100%"}),
    (b"x-faregate-session", b"", {}),
    # W3C.
    (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode(), {"trace_id": TRACE, "parent_span_id": PARENT}),
    (b"traceparent", f"00-{'0' * 32}-{PARENT}-01".encode(), {}),
    (b"traceparent", f"00-{TRACE}-{'0' * 16}-01".encode(), {}),
    (b"traceparent", f"ff-{TRACE}-{PARENT}-01".encode(), {}),
    (b"traceparent", b"nonsense", {}),
    (b"baggage", b"session.id=s-2,user.id=u-2", {"session": "s-2", "user": "u-2"}),
    (b"baggage", b"session.id = s-2 ;meta=1 , other=x", {"session": "s-2"}),
    (b"baggage", b"faregate.customer=acme,faregate.tag.team=search", {"customer": "acme", "tags": {"team": "search"}}),
    (b"baggage", b"user.id=J%C3%BCrgen%20X", {"user": "Jürgen X"}),
    (b"baggage", b"session.id=a%2Cb,user.id=c%3Bd", {"session": "a,b", "user": "c;d"}),
    (b"baggage", b"user.id=50%2525", {"user": "50%25"}),
    # Other gateways'.
    (b"Helicone-Session-Id", b"s-3", {"session": "s-3"}),
    (b"Helicone-Session-Path", b"/parent/child", {"section": "/parent/child"}),
    (b"Helicone-User-Id", b"u-3", {"user": "u-3"}),
    (b"Helicone-Prompt-Id", b"p-3", {"prompt": "p-3"}),
    (b"Helicone-Property-Team", b"search", {"tags": {"team": "search"}}),
    (b"x-portkey-metadata", b'{"_user":"u-4","team":"search","n":3}', {"user": "u-4", "tags": {"team": "search", "n": "3"}}),
    (b"x-portkey-metadata", b"not json", {}),
    (b"x-portkey-metadata", b'["a"]', {}),
    (b"x-portkey-metadata", b'{"deep":{"a":1},"none":null}', {}),
    (b"x-portkey-metadata", b'{"on":true,"off":false}', {"tags": {"on": "true", "off": "false"}}),
    (b"x-portkey-metadata", b'{"rate":"50%25"}', {"tags": {"rate": "50%25"}}),
    (b"x-portkey-trace-id", b"r-4", {"run": "r-4"}),
    (b"x-litellm-tags", b"one, two,,", {"tags": {"one": "true", "two": "true"}}),
    (b"x-litellm-customer-id", b"acme", {"customer": "acme"}),
    (b"x-litellm-end-user-id", b"u-5", {"user": "u-5"}),
    (b"x-litellm-trace-id", b"r-5", {"run": "r-5"}),
    (b"x-litellm-spend-logs-metadata", b'{"job":"nightly"}', {"tags": {"job": "nightly"}}),
    (b"cf-aig-metadata", b'{"team":"search"}', {"tags": {"team": "search"}}),
    (b"x-session-id", b"s-6", {"session": "s-6"}),
    (b"X-Title", b"My App", {"tags": {"app": "My App"}}),
    (b"X-OpenRouter-Title", b"My App", {"tags": {"app": "My App"}}),
    (b"HTTP-Referer", b"https://app.test", {"tags": {"referer": "https://app.test"}}),
    # What says nothing.
    (b"x-faregate-nonsense", b"x", {}),
    (b"x-request-id", b"x", {}),
]


@pytest.mark.parametrize(("name", "value", "expected"), HEADERS)
def test_every_header_is_understood_as_it_comes_in(name, value, expected):
    head, _ = head_of(b"/v1/x", [(b"Host", b"gate.test"), (name, value)], http11=True)

    assert known(head.labels) == expected
    assert head.labels.shortened == ()


def test_a_call_that_says_nothing_has_no_labels():
    assert labels_of({}) is NO_LABELS
    assert labels_of(found(content_type="application/json")) is NO_LABELS


PLACES = {
    "header": {"found": found(x_faregate_session="header", x_faregate_tags="t=header")},
    "body": {"body": {"session": "body", "tags": {"t": "body"}}},
    "path": {"path": (("session", "path"), ("tag.t", "path"))},
    "baggage": {"found": found(baggage="session.id=baggage,faregate.tag.t=baggage")},
    "aliases": {"found": found(x_session_id="aliases", helicone_property_t="aliases")},
}


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_the_nearest_place_counts(first):
    places = list(PLACES.items())[first:]
    given_ones: dict = {"found": {}}
    for _, place in places:
        given_ones["found"] |= place.get("found", {})
        given_ones |= {key: value for key, value in place.items() if key != "found"}

    labels = labels_of(**given_ones, tags={"t": "key", "own": "key"})

    assert labels.session == places[0][0]
    assert labels.tags == {"t": places[0][0], "own": "key"}


def test_the_keys_own_tags_come_last():
    assert labels_of({}, tags={"team": "search"}).tags == {"team": "search"}
    assert labels_of(found(x_faregate_tags="team=mine"), tags={"team": "search", "x": "y"}).tags == {"team": "mine", "x": "y"}


def test_places_that_say_different_things_add_up():
    labels = labels_of(
        found(x_faregate_session="s", baggage="user.id=u", traceparent=f"00-{TRACE}-{PARENT}-00"),
        path=(("run", "r"),),
        body={"customer": "c"},
    )

    assert known(labels) == {
        "session": "s",
        "user": "u",
        "run": "r",
        "customer": "c",
        "trace_id": TRACE,
        "parent_span_id": PARENT,
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"session": "s", "run": 7, "env": 1.5}, {"session": "s", "run": "7", "env": "1.5"}),
        ({"tags": {"team": "search", "n": 3}}, {"tags": {"team": "search", "n": "3"}}),
        ({"tags": "team=search,flag"}, {"tags": {"team": "search", "flag": "true"}}),
        ({"tags": {"gone": None}}, {}),
        ({"tags": {"on": True}}, {"tags": {"on": "true"}}),
        ({"tags": {"deep": {"a": 1}, "list": [1]}}, {}),
        ({"tag.team": "search"}, {"tags": {"team": "search"}}),
        ({"session": None, "user": ["a"], "nonsense": "x"}, {}),
        ({"tags": [1, 2]}, {}),
        ("just text", {}),
        (["a"], {}),
        (7, {}),
    ],
)
def test_our_field_in_the_body(body, expected):
    assert known(labels_of({}, body=body)) == expected


# Limits


@pytest.mark.parametrize("name", NAMES)
def test_a_label_that_is_too_long_is_cut_and_flagged(name):
    exact = labels_of({f"x-faregate-{name}".encode(): b"x" * LONGEST})
    longer = labels_of({f"x-faregate-{name}".encode(): b"x" * (LONGEST + 1)})

    assert (getattr(exact, name), exact.shortened) == ("x" * LONGEST, ())
    assert (getattr(longer, name), longer.shortened) == ("x" * LONGEST, (name,))


def test_a_tag_that_is_too_long_is_cut_and_flagged():
    labels = labels_of({}, body={"tags": {"team": "x" * 300, "short": "x"}})

    assert labels.tags == {"team": "x" * LONGEST, "short": "x"}
    assert labels.shortened == ("tag.team",)


def test_a_tags_name_that_is_too_long_is_cut_and_flagged():
    labels = labels_of({}, body={"tags": {"n" * 300: "x"}})

    assert labels.tags == {"n" * LONGEST: "x"}
    assert labels.shortened


def test_tags_beyond_the_most_are_left_out_and_flagged():
    tags = {f"t{number}": "x" for number in range(MOST_TAGS)}

    assert labels_of({}, body={"tags": tags}).shortened == ()
    more = labels_of({}, body={"tags": {**tags, "one": "more", "two": "more"}})
    assert (dict(more.tags), more.shortened) == (tags, ("tags",))


def test_a_tag_that_is_there_already_does_not_count_twice():
    tags = {f"t{number}": "x" for number in range(MOST_TAGS)}

    labels = labels_of(found(x_faregate_tags="t0=header"), body={"tags": tags})

    assert labels.tags == tags | {"t0": "header"}
    assert labels.shortened == ()


@pytest.mark.parametrize("value", [b"a%0Ab", b"a%00b", b"a%0d%0ab", b"a%1bb", b"a%7Fb"])
def test_control_characters_are_taken_out(value):
    assert labels_of({b"x-faregate-user": value}).user == "ab"


@given(
    st.dictionaries(
        st.sampled_from([name.lower() for name, _, _ in HEADERS] + [b"helicone-property-x"]), st.binary(max_size=600), max_size=6
    ),
    st.lists(
        st.tuples(st.one_of(st.sampled_from([*NAMES, "tag.a", "tag."]), st.text(max_size=5)), st.text(max_size=300)), max_size=40
    ),
    st.recursive(st.one_of(st.none(), st.booleans(), st.floats(), st.text()), lambda inner: st.dictionaries(st.text(), inner)),
    st.dictionaries(st.text(), st.text(), max_size=40),
)
def test_whatever_comes_the_labels_are_bounded_text(headers, path, body, tags):
    labels = labels_of(headers, path=path, body=body, tags=tags)

    values = [getattr(labels, name) for name in NAMES if getattr(labels, name) is not None]
    for text in (*values, *labels.tags.keys(), *labels.tags.values()):
        assert 0 < len(text) <= LONGEST
        assert not any(ord(character) < 0x20 or ord(character) == 0x7F for character in text)
        json.dumps(text)
    assert len(labels.tags) <= MOST_TAGS
