"""The members of a body that decide something, as they stand in it. Read by msgspec, and so not to be compiled (tools/compiling.py)."""

from typing import Any

import msgspec
from msgspec import UNSET


class Fields(msgspec.Struct):
    """What there may be at the top of a body; `UNSET` where it is not."""

    model: Any = UNSET
    stream: Any = UNSET
    stream_options: Any = UNSET
    faregate: Any = UNSET
    max_tokens: Any = UNSET
    max_completion_tokens: Any = UNSET
    max_output_tokens: Any = UNSET
    n: Any = UNSET
    best_of: Any = UNSET
    service_tier: Any = UNSET
