"""Which provider an upstream is, and the names under which its list may have a model. Nothing is guessed: an unknown name stays unknown.

Sources: the providers' documentation of their addresses and model names, as `config.upstreams` lists them, read 2026-11-21; Google's
resource names (https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference) and Amazon's
(https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html).
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from pricing.snapshot import Snapshot

# Names of upstreams that say which provider it is, where the address does not.
PROVIDERS: Mapping[str, str] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "google": "google",
    "vertex": "google",
    "azure": "azure",
    "bedrock": "aws",
    "aws": "aws",
    "groq": "groq",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "xai": "x-ai",
    "x-ai": "x-ai",
    "openrouter": "openrouter",
    "together": "together",
    "fireworks": "fireworks",
    "cerebras": "cerebras",
    "perplexity": "perplexity",
    "cohere": "cohere",
    "voyage": "voyageai",
    "moonshot": "moonshotai",
    "zai": "zai",
    "minimax": "minimax",
    "novita": "novita",
    "baseten": "baseten",
    "databricks": "databricks",
    "cloudflare": "cloudflare",
}
# Addresses that the list of genai-prices 0.2.3 does not have.
_HOSTS = (
    (re.compile(r"(?:[a-z0-9-]+\.)?api\.openai\.com$"), "openai"),
    (re.compile(r"api\.together\.(?:ai|xyz)$"), "together"),
    (re.compile(r"[a-z0-9-]+\.api\.x\.ai$"), "x-ai"),
    (re.compile(r"codestral\.mistral\.ai$"), "mistral"),
    (re.compile(r"bedrock-(?:runtime|mantle)[a-z0-9-]*\.[a-z0-9.-]+$"), "aws"),
    (re.compile(r"[a-z0-9-]+\.api\.cognitive\.microsoft\.com$"), "azure"),
)
_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "openai": ("openai/",),
    "anthropic": ("anthropic/",),
    "google": ("google/", "gemini/", "anthropic/"),
    "mistral": ("mistral/", "mistralai/"),
    "deepseek": ("deepseek/",),
    "x-ai": ("x-ai/", "xai/"),
    "cohere": ("cohere/",),
    "perplexity": ("perplexity/",),
    "groq": ("groq/",),
    "together": ("together/",),
    "voyageai": ("voyage/", "voyageai/"),
    "aws": ("bedrock/",),
    "azure": ("azure/",),
}
LONGEST = 512


def provider_of(snapshot: Snapshot, upstream: str, host: str | None) -> str | None:
    """Return the provider whose prices count: that of the address, else the one that the upstream is named for, else none.

    `host` may have a port and a path behind it.
    """
    if host:
        address = host.lower()
        name = address.partition("/")[0].partition(":")[0]
        found = next((provider for pattern, provider in _HOSTS if pattern.match(name)), None) or snapshot.provider_at(address)
        if found is not None:
            return found
    named = PROVIDERS.get(upstream.lower())
    return named if named in snapshot.providers else None


def names_of(provider: str | None, model: str, upstream: str = "") -> Iterator[str]:
    """Yield the names that a model may be listed under: as it was written, then without what only says where it is.

    `upstream` is the name of ours that may stand in front of it.
    """
    if not model or len(model) > LONGEST:
        return
    name = unquote(model).strip().lower()
    yield name
    if provider == "google" and "models/" in name:
        yield name.rpartition("models/")[2]
    if provider == "aws" and name.startswith("arn:"):
        yield name.rpartition("/")[2]
    for prefix in (*_PREFIXES.get(provider or "", ()), f"{upstream.lower()}/"):
        if name.startswith(prefix):
            yield name.removeprefix(prefix)
