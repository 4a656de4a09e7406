"""Which upstream serves a call, and its path there."""

import pytest

from domain.errors import UnknownUpstream
from gateway.sending.routes import Routes, dialect_at, model_in, native_path
from gateway.wire.targets import place_of
from tests.gateway.heads import an_upstream

UPSTREAMS = {
    upstream.name: upstream
    for upstream in (
        an_upstream(name="openai"),
        an_upstream(name="groq", base_path="/openai/v1", own_slashes=True),
        an_upstream(name="openrouter", base_path="/api/v1", own_slashes=True),
        an_upstream(name="deepseek", base_path="/v1"),
        an_upstream(name="anthropic", base_path="", dialect="anthropic", auth="x-api-key"),
        an_upstream(name="gemini", base_path="", dialect="gemini", auth="x-goog-api-key"),
        an_upstream(name="azure", base_path="/openai", auth="api-key"),
        an_upstream(name="bare", base_path=""),
        an_upstream(name="sim", scheme="sim", base_path=""),
    )
}
ROUTES = Routes(UPSTREAMS, "openai")


def route(target: bytes, model: str | None = None, *, anthropic: bool = False, routes: Routes = ROUTES):
    found = routes.route_for(place_of(target), model, anthropic=anthropic)
    return found.upstream.name, found.path, found.model


@pytest.mark.parametrize(
    ("base", "target", "path"),
    [
        # `/v1/x` goes below the base, whatever the base is.
        ("/v1", b"/v1/chat/completions", b"/v1/chat/completions"),
        ("/v1", b"/v1/files?limit=1", b"/v1/files?limit=1"),
        ("/v1", b"/v1", b"/v1"),
        ("/v1", b"/v1?x", b"/v1?x"),
        ("/v1", b"/v1/", b"/v1/"),
        ("/openai/v1", b"/v1/models", b"/openai/v1/models"),
        ("/openai/v1", b"/v1?x", b"/openai/v1?x"),
        ("/v1beta/openai", b"/v1/models", b"/v1beta/openai/models"),
        ("/api", b"/v1/models", b"/api/models"),
        ("", b"/v1/models", b"/v1/models"),
        ("", b"/v1?x", b"/v1?x"),
        # `/{upstream}/x` is the upstream's own path; the base is put in front where it is not there.
        ("/v1", b"/up/chat/completions", b"/v1/chat/completions"),
        ("/v1", b"/up/v1/chat/completions", b"/v1/chat/completions"),
        ("/v1", b"/up/v1", b"/v1"),
        ("/v1", b"/up/v10/x", b"/v1/v10/x"),
        ("/openai/v1", b"/up/v1/models", b"/openai/v1/models"),
        ("/openai/v1", b"/up/openai/v1/models", b"/openai/v1/models"),
        ("/openai/v1", b"/up/models?x=/v1/", b"/openai/v1/models?x=/v1/"),
        (
            "/openai",
            b"/up/openai/deployments/d/chat/completions?api-version=1",
            b"/openai/deployments/d/chat/completions?api-version=1",
        ),
        ("/openai", b"/up/deployments/d/chat/completions", b"/openai/deployments/d/chat/completions"),
        ("/openai", b"/up/v1/models", b"/openai/v1/models"),
        ("", b"/up/v1/messages", b"/v1/messages"),
        ("", b"/up/v1beta/models/g:generateContent?alt=sse", b"/v1beta/models/g:generateContent?alt=sse"),
        ("", b"/up", b"/"),
        ("/openai/v1", b"/up/openai/v1", b"/openai/v1"),
        ("/openai/v1", b"/up/openai/v1?x", b"/openai/v1?x"),
    ],
)
def test_the_path_at_the_upstream(base, target, path):
    place = place_of(target)

    assert native_path(an_upstream(base_path=base), place, place.path) == path


@pytest.mark.parametrize(
    ("target", "model", "expected"),
    [
        (b"/v1/chat/completions", "gpt-4o", ("openai", b"/v1/chat/completions", "gpt-4o")),
        (b"/v1/chat/completions", None, ("openai", b"/v1/chat/completions", None)),
        (b"/v1/chat/completions", "groq/llama-3", ("groq", b"/openai/v1/chat/completions", "llama-3")),
        (b"/v1/chat/completions", "groq/meta/llama-3", ("groq", b"/openai/v1/chat/completions", "meta/llama-3")),
        (b"/v1/chat/completions", "openai/gpt-4o", ("openai", b"/v1/chat/completions", "gpt-4o")),
        (b"/v1/chat/completions", "unknown/gpt-4o", ("openai", b"/v1/chat/completions", "unknown/gpt-4o")),
        (b"/v1/chat/completions", "groq/", ("openai", b"/v1/chat/completions", "groq/")),
        (b"/v1/chat/completions", "/gpt", ("openai", b"/v1/chat/completions", "/gpt")),
        (b"/v1/chat/completions", "sim/echo", ("sim", b"/v1/chat/completions", "echo")),
        (b"/v1/chat/completions", "anthropic/claude", ("anthropic", b"/v1/chat/completions", "claude")),
        # An upstream named in the path stays; its own name in front of the model is taken off.
        (b"/deepseek/chat/completions", "deepseek/r1", ("deepseek", b"/v1/chat/completions", "r1")),
        (b"/deepseek/chat/completions", "groq/llama", ("deepseek", b"/v1/chat/completions", "groq/llama")),
        # Upstreams whose own names have slashes.
        (b"/openrouter/v1/chat/completions", "openai/gpt-4o", ("openrouter", b"/api/v1/chat/completions", "openai/gpt-4o")),
        (b"/openrouter/v1/chat/completions", "openrouter/auto", ("openrouter", b"/api/v1/chat/completions", "openrouter/auto")),
        (b"/v1/chat/completions", "openrouter/openai/gpt", ("openrouter", b"/api/v1/chat/completions", "openai/gpt")),
        # Models in the query and in the path.
        (b"/v1/realtime?model=gpt-realtime", None, ("openai", b"/v1/realtime?model=gpt-realtime", "gpt-realtime")),
        (b"/v1/realtime?x=1&model=openai/gpt-r", None, ("openai", b"/v1/realtime?x=1&model=gpt-r", "gpt-r")),
        (b"/v1/realtime?model=openai%2Fgpt-r", None, ("openai", b"/v1/realtime?model=gpt-r", "gpt-r")),
        (b"/v1/realtime?model=groq%2fm&y", None, ("groq", b"/openai/v1/realtime?model=m&y", "m")),
        (b"/gemini/v1beta/models/g-2:generateContent", None, ("gemini", b"/v1beta/models/g-2:generateContent", "g-2")),
        (b"/azure/openai/deployments/d/x?api-version=1", "gpt", ("azure", b"/openai/deployments/d/x?api-version=1", "d")),
        (b"/v1/models", None, ("openai", b"/v1/models", None)),
        (b"/v1/models/gpt-4o", None, ("openai", b"/v1/models/gpt-4o", None)),
        # Anthropic's paths and callers.
        (b"/v1/messages", "claude", ("anthropic", b"/v1/messages", "claude")),
        (b"/v1/messages?beta=true", "claude", ("anthropic", b"/v1/messages?beta=true", "claude")),
        (b"/v1/messages/count_tokens", "claude", ("anthropic", b"/v1/messages/count_tokens", "claude")),
        (b"/v1/complete", "claude", ("anthropic", b"/v1/complete", "claude")),
        (b"/v1/completions", "x", ("openai", b"/v1/completions", "x")),
        (b"/v1/messagesx", "x", ("openai", b"/v1/messagesx", "x")),
        (b"/v1/messages", "sim/echo", ("sim", b"/v1/messages", "echo")),
        (b"/openai/v1/messages", "x", ("openai", b"/v1/messages", "x")),
        (b"/@session=a/groq/openai/v1/models", None, ("groq", b"/openai/v1/models", None)),
    ],
)
def test_where_a_call_goes(target, model, expected):
    assert route(target, model) == expected


def test_a_caller_that_speaks_anthropic_goes_there_by_any_path():
    assert route(b"/v1/models", anthropic=True)[0] == "anthropic"
    assert route(b"/v1/messages", "claude", routes=Routes({"openai": UPSTREAMS["openai"]}, "openai"))[0] == "openai"


def test_a_default_with_slashes_in_its_names_keeps_all_of_them():
    routes = Routes(UPSTREAMS, "openrouter")

    for model in ("openai/gpt-4o", "anthropic/claude", "openrouter/auto", "plain"):
        assert route(b"/v1/chat/completions", model, routes=routes) == ("openrouter", b"/api/v1/chat/completions", model)


def test_a_renamed_model_is_told_from_one_that_stays():
    assert ROUTES.route_for(place_of(b"/v1/x"), "groq/llama", anthropic=False).renamed
    assert not ROUTES.route_for(place_of(b"/v1/x"), "gpt-4o", anthropic=False).renamed
    assert ROUTES.route_for(place_of(b"/v1/x"), "groq/llama", anthropic=False).asked_model == "groq/llama"


def test_an_upstream_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(UnknownUpstream, match="anthropic, azure"):
        route(b"/nowhere/v1/x")


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (b"/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini-2.5-pro"),
        (b"/v1beta/models/a%20b:generateContent", "a b"),
        (b"/openai/deployments/my-gpt/chat/completions", "my-gpt"),
        (b"/v1/realtime?model=a&model=b", "a"),
        (b"/v1/realtime?intent=x", None),
        (b"/v1/realtime?model=", None),
        (b"/v1/realtime?supermodel=x", None),
        (b"/v1/models", None),
        (b"/v1/models/x", None),
        (b"/v1/x?next=/models/y:z", None),
    ],
)
def test_the_model_that_a_path_names(path, model):
    assert model_in(path) == model


@pytest.mark.parametrize(
    ("target", "anthropic", "dialect"),
    [
        (b"/v1/chat/completions", False, "openai"),
        (b"/v1/messages", False, "anthropic"),
        (b"/v1/models", True, "anthropic"),
        (b"/anthropic/v1/anything", False, "anthropic"),
        (b"/gemini/v1beta/x", False, "gemini"),
        (b"/openai/v1/messages", False, "openai"),
        (b"/sim/v1/messages", False, "anthropic"),
        (b"/sim/v1/chat/completions", False, "openai"),
        (b"/nowhere/v1/x", False, "openai"),
    ],
)
def test_errors_are_told_in_the_callers_dialect(target, anthropic, dialect):
    assert ROUTES.dialect_of(place_of(target), anthropic=anthropic) == dialect


@pytest.mark.parametrize(
    ("upstream", "path", "dialect"),
    [
        ("openai", b"/v1/chat/completions", "openai"),
        ("sim", b"/v1/messages", "anthropic"),
        ("anthropic", b"/v1/messages", "anthropic"),
        ("gemini", b"/v1beta/models/g:x", "gemini"),
        ("sim", b"/v1/complete?x", "anthropic"),
        ("openai", b"/v1/completions", "openai"),
    ],
)
def test_the_dialect_that_a_call_speaks(upstream, path, dialect):
    assert dialect_at(UPSTREAMS[upstream], path) == dialect
