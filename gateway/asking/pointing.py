"""What points an app at the gateway: the variables that SDKs and frameworks read, with labels in the URL."""

from collections.abc import Mapping
from urllib.parse import quote

OPENAI_URLS = ("OPENAI_BASE_URL", "OPENAI_API_BASE")
ANTHROPIC_URL = "ANTHROPIC_BASE_URL"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
# A shell that signs in to Anthropic in this way has its credential; a key beside it would contradict it.
_INSTEAD = {"ANTHROPIC_API_KEY": "ANTHROPIC_AUTH_TOKEN"}


def base_urls(url: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the base-URL variables. `labels` go into the path, for apps that can set nothing else."""
    root = f"{url}/@{','.join(f'{_quoted(name)}={_quoted(value)}' for name, value in labels.items())}" if labels else url
    # OpenAI's SDKs add the path below the version, Anthropic's the version too.
    return dict.fromkeys(OPENAI_URLS, f"{root}/v1") | {ANTHROPIC_URL: root}


def keys_for(environ: Mapping[str, str], key: str | None) -> dict[str, str]:
    """Return the key variables that a shell lacks. A provider's key that is there stays: it passes through."""
    if key is None:
        return {}
    return {name: key for name in KEYS if not environ.get(name) and not environ.get(_INSTEAD.get(name, name))}


def label_values(session: str | None, section: str | None, customer: str | None, tags: Mapping[str, str]) -> dict[str, str]:
    """Return labels by their names in a path, without those that are not set."""
    named = {"session": session, "section": section, "customer": customer}
    return {name: value for name, value in named.items() if value} | {f"tag.{name}": value for name, value in tags.items()}


def _quoted(text: str) -> str:
    return quote(text, safe="")
