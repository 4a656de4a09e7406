"""Providers that we know: what an operator need not say about them.

What each line rests on, as far as it was checked on 2026-11-21 (in stored copies of the pages, which may be older; nothing was called):

- address and credential, on the provider's own pages: cerebras, deepinfra, deepseek (`/v1` is their second spelling of it), groq, ollama,
  openrouter, perplexity, together, vllm, xai; openai and azure in OpenAI's own Python SDK.
- anthropic: `x-api-key` on its own pages, the address in its own Python SDK.
- gemini: the address on its own pages, which show the key in the query; `x-goog-api-key` in many programs of others.
- nvidia: a search engine's copy of its own page.
- fireworks, mistral: pages and programs of others only; they agree.

Which providers take `stream_options`, and have slashes in their models' names, was not checked one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.exchange import Dialect
from domain.keys import PREFIX
from domain.upstreams import AuthStyle

SIMULATED = "sim"
RESERVED = frozenset({"v1", "api", "otlp", "healthz", "readyz", "metrics", "static", "assets", SIMULATED})
ALWAYS = ("openai", "anthropic", "gemini")


@dataclass(frozen=True, slots=True)
class Known:
    """A provider: its address, how it wants to be asked, and the environment variables that hold its key.

    `base_url` is None where each customer has an address of its own. `needs_key` is False for servers that people run themselves.
    """

    base_url: str | None
    variables: tuple[str, ...] = ()
    dialect: Dialect = "openai"
    auth: AuthStyle = "bearer"
    own_slashes: bool = False
    ask_usage: bool = True
    needs_key: bool = True


KNOWN: Mapping[str, Known] = {
    "openai": Known("https://api.openai.com/v1", ("OPENAI_API_KEY",)),
    "anthropic": Known("https://api.anthropic.com", ("ANTHROPIC_API_KEY",), "anthropic", "x-api-key"),
    "gemini": Known(
        "https://generativelanguage.googleapis.com", ("GEMINI_API_KEY", "GOOGLE_API_KEY"), "gemini", "x-goog-api-key"
    ),
    "azure": Known(None, ("AZURE_OPENAI_API_KEY",), auth="api-key"),
    "groq": Known("https://api.groq.com/openai/v1", ("GROQ_API_KEY",), own_slashes=True),
    # Its streams have usage in their last chunk unasked, and unknown fields are errors to it.
    "mistral": Known("https://api.mistral.ai/v1", ("MISTRAL_API_KEY",), ask_usage=False),
    "deepseek": Known("https://api.deepseek.com/v1", ("DEEPSEEK_API_KEY",)),
    "xai": Known("https://api.x.ai/v1", ("XAI_API_KEY",)),
    "openrouter": Known("https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",), own_slashes=True),
    "together": Known("https://api.together.ai/v1", ("TOGETHER_API_KEY",), own_slashes=True),
    "fireworks": Known("https://api.fireworks.ai/inference/v1", ("FIREWORKS_API_KEY",), own_slashes=True),
    "cerebras": Known("https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",)),
    "perplexity": Known("https://api.perplexity.ai", ("PERPLEXITY_API_KEY",)),
    "deepinfra": Known("https://api.deepinfra.com/v1/openai", ("DEEPINFRA_API_KEY",), own_slashes=True),
    "nvidia": Known("https://integrate.api.nvidia.com/v1", ("NVIDIA_API_KEY",), own_slashes=True),
    "ollama": Known("http://127.0.0.1:11434/v1", own_slashes=True, needs_key=False),
    "vllm": Known("http://127.0.0.1:8000/v1", own_slashes=True, needs_key=False),
}


def taken(name: str) -> str:
    """Return why an upstream may not have a reserved name."""
    by = "the simulated upstream, which is always there" if name == SIMULATED else "the gateway itself"
    return f"this name is taken by {by}; use another"


def defaults_for(name: str) -> dict[str, Any]:
    """Return the settings that a known provider has without being told; none for others."""
    known = KNOWN.get(name)
    if known is None:
        return {}
    values = {
        "dialect": known.dialect,
        "auth": known.auth,
        "own_slashes": known.own_slashes,
        "usage_in_streams": "ask" if known.ask_usage else "leave",
    }
    return values | ({"base_url": known.base_url} if known.base_url else {})


def key_in(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """Return the variable that holds the key of provider `name`, and the key.

    A key of ours is never taken: a shell into which the exports of `faregate up` were pasted has one in `OPENAI_API_KEY`.
    """
    for variable in KNOWN[name].variables if name in KNOWN else ():
        value = environ.get(variable, "").strip()
        if value and not value.startswith(PREFIX):
            return variable, value
    return None


def found_in(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return every known provider, with an address, whose key is in the environment: name, and the variable and the key."""
    found = {name: key_in(environ, name) for name, known in KNOWN.items() if known.base_url}
    return {name: key for name, key in found.items() if key is not None}
