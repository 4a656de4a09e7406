"""The list of genai-prices as it is published: what `[price_refresh]` fetches."""

import json


def published_list():
    """Return the list that the packaged snapshot was made from, as JSON values."""
    from tools.price_snapshot import _provider, providers  # noqa: PLC0415 - genai-prices takes a second to import

    return json.loads(json.dumps([_provider(one) for one in providers], default=str))
