"""One module for each API: how to read what was asked and answered. This is the table of them.

To add an API: write a module with a tuple `APIS` of rows, add it to `TABLE` here, and golden cases to `tests/recorder/golden/`.
"""

import re
from functools import lru_cache

from domain.exchange import Dialect
from recorder.apis import (
    anthropic,
    audio,
    batches,
    bedrock,
    completions,
    embeddings,
    files,
    gemini,
    generic,
    images,
    moderations,
    ocr,
    openai_chat,
    realtime,
    responses,
    responses_session,
)
from recorder.apis.reading import Api, Reader, Reading, described, text_of

__all__ = ["TABLE", "Api", "Reader", "Reading", "api_for", "described", "text_of"]

# Within a dialect the first row whose pattern matches counts.
TABLE: tuple[Api, ...] = (
    *openai_chat.APIS,
    *responses.APIS,
    *responses_session.APIS,
    *embeddings.APIS,
    *moderations.APIS,
    *completions.APIS,
    *anthropic.APIS,
    *gemini.APIS,
    *images.APIS,
    *audio.APIS,
    *batches.APIS,
    *files.APIS,
    *realtime.APIS,
    *bedrock.APIS,
    *ocr.APIS,
    *generic.APIS,
)

_Rows = tuple[tuple[re.Pattern[str], Api], ...]


def _rows(dialect: Dialect, method: str) -> _Rows:
    """Return the rows to try for a dialect and a method: its own, then the others', since gateways serve foreign APIs too."""
    fitting = [api for api in TABLE if method in api.methods]
    own_first = sorted(fitting, key=lambda api: dialect not in api.dialects)
    return tuple((re.compile(rf"(?:^|/)(?:{api.pattern})$"), api) for api in own_first)


_DIALECTS: tuple[Dialect, ...] = ("openai", "anthropic", "gemini")
_ROWS: dict[tuple[Dialect, str], _Rows] = {
    (dialect, method): _rows(dialect, method) for dialect in _DIALECTS for method in {m for api in TABLE for m in api.methods}
}


@lru_cache(maxsize=1024)
def api_for(dialect: Dialect, method: str, path: str) -> Api:
    """Return the API that `method` on `path` is, in a dialect; the generic one if nobody knows it.

    `path` is without its query. Its beginning does not matter: `/v1/…`, `/api/v1/…`, `/openai/deployments/x/…` or nothing.
    """
    for pattern, api in _ROWS.get((dialect, method), ()):
        if pattern.search(path):
            return api
    return generic.UNKNOWN
