"""What the OpenTelemetry GenAI conventions call a provider and an operation.

Source: ../shared/reference/destinations.md section 3.4.
"""

from collections.abc import Mapping

from domain.spans import Span

# By the name of an upstream.
_NAMES: Mapping[str, str] = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
# By the end of an upstream's host, where its operator gave it a name of his own.
_HOSTS: Mapping[str, str] = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "amazonaws.com": "aws.bedrock",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity",
    "api.cohere.com": "cohere",
    "api.moonshot.ai": "moonshot_ai",
}
_OPERATIONS: Mapping[str, str] = {
    "responses": "chat",
    "responses.compact": "chat",
    "responses.session": "chat",
    "responses.retrieve": "fetch_response",
    "chat.retrieve": "fetch_response",
}
# What asks a model for something, of all that a gateway passes on.
_GENERATIONS = frozenset({"chat", "text_completion", "generate_content", "realtime"})


def provider_of(span: Span, server: tuple[str, int] | None) -> str:
    """Return the conventions' name of a span's provider: by its host where that is a known one's, else by the upstream's name."""
    host = server[0].lower() if server else ""
    found = next((name for end, name in _HOSTS.items() if host == end or host.endswith(("." + end, "-" + end))), None)
    return found or _NAMES.get(span.upstream, span.upstream) or "_OTHER"


def operation_of(span: Span) -> str:
    """Return the conventions' name of a span's operation; one that they have none for keeps ours."""
    return _OPERATIONS.get(span.operation, span.operation)


def is_generation(span: Span) -> bool:
    """Tell whether a span is a model's own work, rather than an embedding, a file, a list of models."""
    return operation_of(span) in _GENERATIONS


def name_of(span: Span) -> str:
    """Return a span's name: its operation, and the model that was asked for where there is one."""
    operation = operation_of(span)
    return f"{operation} {span.model}" if span.model else operation
