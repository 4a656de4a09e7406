"""Targets: what is compared is what is sent on, and nothing can be read in two ways."""

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.errors import InvalidRequest
from gateway.wire.targets import Place, checked_target, is_proxied, place_of

UPSTREAMS = frozenset({b"openai", b"anthropic", b"gemini", b"groq"})


@pytest.mark.parametrize(
    ("target", "place"),
    [
        (b"/v1/chat/completions", Place(None, b"/v1/chat/completions")),
        (b"/v1", Place(None, b"/v1")),
        (b"/v1/", Place(None, b"/v1/")),
        (b"/v1?a=b", Place(None, b"/v1?a=b")),
        (b"/v1/files?limit=2&after=%2Fx", Place(None, b"/v1/files?limit=2&after=%2Fx")),
        (b"/v1/files?", Place(None, b"/v1/files?")),
        (b"/v1/x?next=/../y//z", Place(None, b"/v1/x?next=/../y//z")),
        (b"/v1/mod%C3%A8le", Place(None, b"/v1/mod%C3%A8le")),
        (b"/v1/mod\xc3\xa8le", Place(None, b"/v1/mod\xc3\xa8le")),
        (b"/v1/a;b=c/d", Place(None, b"/v1/a;b=c/d")),
        (b"/v1/a..b/.well-known/x...", Place(None, b"/v1/a..b/.well-known/x...")),
        (b"/v1/%25/x", Place(None, b"/v1/%25/x")),
        (b"/anthropic/v1/messages", Place("anthropic", b"/v1/messages")),
        (b"/gemini/v1beta/models/g:generateContent?alt=sse", Place("gemini", b"/v1beta/models/g:generateContent?alt=sse")),
        (b"/openai", Place("openai", b"/")),
        (b"/openai?x=1", Place("openai", b"/?x=1")),
        (b"/@session=s/v1/models", Place(None, b"/v1/models", (("session", "s"),))),
        (b"/@session=s,run=r/groq/v1/x?y", Place("groq", b"/v1/x?y", (("session", "s"), ("run", "r")))),
        (b"/@section=agent:a%2Ftool:b/v1/x", Place(None, b"/v1/x", (("section", "agent:a/tool:b"),))),
        (b"/@tag.team=a%2Cb%3Dc/v1/x", Place(None, b"/v1/x", (("tag.team", "a,b=c"),))),
        (b"/@user=%C3%BC%20x,customer=a=b/v1/x", Place(None, b"/v1/x", (("user", "ü x"), ("customer", "a=b")))),
        (b"/@/v1/x", Place(None, b"/v1/x")),
        (b"/@nothing,=x,a=/v1/x", Place(None, b"/v1/x", (("a", ""),))),
        (b"/@user=\xc3\xbc/v1/x", Place(None, b"/v1/x", (("user", "ü"),))),
        (b"/@user=%FF/v1/x", Place(None, b"/v1/x", (("user", "\N{REPLACEMENT CHARACTER}"),))),
    ],
)
def test_where_a_request_wants_to_go(target, place):
    checked_target(target)

    assert is_proxied(target, UPSTREAMS)
    assert place_of(target) == place


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/?x",
        b"/v10/x",
        b"/V1/x",
        b"/api/v1/calls",
        b"/healthz",
        b"/@a=b",
        b"/@a=b/",
        b"/@a=b/api/v1/calls",
        b"/@a=b/@c=d/v1/x",
        b"/otlp/v1/traces",
        b"/x/v10/y",
        b"/x.y/v1/z",
        b"/x/y/v1/z",
        b"/?/v1/x",
    ],
)
def test_what_is_not_proxied(target):
    checked_target(target)

    assert not is_proxied(target, UPSTREAMS)


@pytest.mark.parametrize("target", [b"/OpenAI/v1/x", b"/openai2/v1", b"/x/v1beta/models/g:generateContent", b"/@a=b/x/v1/y?z"])
def test_native_paths_of_upstreams_that_there_are_not_are_ours_to_answer(target):
    checked_target(target)

    assert is_proxied(target, UPSTREAMS)
    assert place_of(target).upstream not in {name.decode() for name in UPSTREAMS}


HOSTILE = [
    b"",
    b"*",
    b"v1/models",
    b"http://127.0.0.1/v1/models",
    b"//v1/models",
    b"/v1//models",
    b"/v1/models//",
    b"/v1/../api/v1/keys",
    b"/v1/..",
    b"/v1/.",
    b"/v1/./models",
    b"/../v1/models",
    b"/v1/..?x=1",
    b"/v1/%2e%2e/api",
    b"/v1/%2E./api",
    b"/v1/.%2e/api",
    b"/v1/a%2fb",
    b"/v1/a%2Fb",
    b"/v1%2Fmodels",
    b"/v1/a%5cb",
    b"/v1/a\\b",
    b"/v1\\..\\api",
    b"/v1/a%00b",
    b"/v1/a\x00b",
    b"/v1/a b",
    b"/v1/a\tb",
    b"/v1/a\r\nb",
    b"/v1/a\x7fb",
    b"/v1/x?a b",
    b"/v1/x?a\r\nx: y",
    b"/v1/x?a\x00",
    b"/v1/x#fragment",
    b"/v1/x?y#fragment",
    b"/@a=b/v1/../x",
    b"/@a=b//v1/x",
    b"/@a=b/groq/%2e%2e/x",
    b"/@a=b/v1/x\\y",
]


@pytest.mark.parametrize("target", HOSTILE)
def test_a_target_that_could_be_read_in_two_ways_is_refused(target):
    with pytest.raises(InvalidRequest):
        checked_target(target)


@pytest.mark.parametrize("target", HOSTILE)
def test_a_hostile_target_is_refused_again_when_it_comes_again_or_is_long(target):
    for _ in range(2):
        with pytest.raises(InvalidRequest):
            checked_target(target)
    with pytest.raises(InvalidRequest):
        checked_target(target + (b"&" if b"?" in target else b"?") + b"x" * 2000)


PARTS = st.sampled_from(
    [
        b"/",
        b"/",
        b"v1",
        b"groq",
        b"@a=b",
        b"@",
        b"?",
        b"..",
        b".",
        b"%2e",
        b"%2F",
        b"\\",
        b"a",
        b"=",
        b",",
        b"#",
        b"%40",
        b" ",
        b"\n",
    ]
)
TARGETS = st.lists(PARTS, max_size=12).map(lambda parts: b"/" + b"".join(parts))


@given(TARGETS)
@settings(max_examples=1500)
@example(b"/@a=b?/v1/%2e%2e/admin")
@example(b"/@a=b?/v1//x")
def test_what_passed_the_check_is_harmless_where_it_is_sent(target):
    try:
        checked_target(target)
    except InvalidRequest:
        return
    if not is_proxied(target, UPSTREAMS):
        return

    path = place_of(target).path.partition(b"?")[0]

    assert path.startswith(b"/")
    assert b"//" not in path
    assert b"\\" not in unquote_to_bytes(path)
    assert not {b"..", b"."} & set(unquote_to_bytes(path).split(b"/"))
    assert unquote_to_bytes(path).count(b"/") == path.count(b"/")
    assert not any(byte <= 0x20 or byte == 0x7F for byte in place_of(target).path)


@pytest.mark.parametrize(
    "target",
    [b"/@a=b?/v1/%2e%2e/admin", b"/@a=b?x/groq/../admin", b"/@?/v1//x", b"/@a=b?c/v1/models"],
)
def test_a_question_mark_among_the_labels_ends_the_path(target):
    """RFC 3986: the path ends at the first question mark, whatever stands behind it."""
    try:
        checked_target(target)
    except InvalidRequest:
        return

    assert not is_proxied(target, UPSTREAMS)
