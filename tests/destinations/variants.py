"""The fixture call and its variants by name, for golden files."""

from collections.abc import Callable, Mapping

from domain.destinations import Parcel
from tests.destinations.fixture import bare_variant, error_variant, fixture_span, parcel, streamed_variant

VARIANTS: Mapping[str, Callable[[], Parcel]] = {
    "full": parcel,
    "error": error_variant,
    "streamed": streamed_variant,
    "bare": bare_variant,
    "without_content": lambda: parcel(fixture_span(), None),
}
