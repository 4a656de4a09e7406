"""Make the packaged limits of models again: `python -m tools.model_limits LIST`, with litellm's list of models.

The list is `litellm/model_prices_and_context_window_backup.json` in litellm's wheel (MIT). Only names and numbers are taken from it: the
most input and the most output of models of the providers that we have prices for.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pricing.limits import FILE

PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "vertex_ai-language-models": "google",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "azure": "azure",
    "mistral": "mistral",
    "deepseek": "deepseek",
    "xai": "x-ai",
    "groq": "groq",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "perplexity": "perplexity",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "cerebras": "cerebras",
    "voyage": "voyageai",
    "moonshot": "moonshotai",
    "zai": "zai",
    "openrouter": "openrouter",
}


def limits(listed: dict[str, Any]) -> dict[str, dict[str, list[int | None]]]:
    """Return for each provider its models, and the most input and output of each."""
    found: dict[str, dict[str, list[int | None]]] = {}
    for name, model in listed.items():
        provider = PROVIDERS.get(model.get("litellm_provider", ""))
        pair = [_count(model.get("max_input_tokens")), _count(model.get("max_output_tokens"))]
        if provider is not None and any(pair):
            found.setdefault(provider, {}).setdefault(_bare(name, model["litellm_provider"]), pair)
    return {provider: dict(sorted(models.items())) for provider, models in sorted(found.items())}


def _bare(name: str, prefix: str) -> str:
    return name.removeprefix(f"{prefix}/").removeprefix("vertex_ai/").lower()


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value > 0 else None


def write(path: Path) -> None:
    """Write the file: one line for each provider, so that one can be read without the others."""
    lines = (
        json.dumps([provider, models], separators=(",", ":"))
        for provider, models in limits(json.loads(path.read_bytes())).items()
    )
    FILE.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
