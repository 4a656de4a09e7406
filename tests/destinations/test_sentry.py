import pytest
from pydantic import ValidationError

from destinations.sentry import SentryConfig
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, error_variant, parcel
from tests.destinations.golden import golden
from tests.destinations.otlp_reading import readable
from tests.destinations.presets import SENTRY_KEY, config, told
from tests.destinations.simulators.receiver import taken
from tests.destinations.sink import Sink
from tests.destinations.variants import VARIANTS

HOST = "o123.ingest.de.sentry.io"


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("sentry", sink.url), sink)
        assert sink.last.path == "/api/42/integration/otlp/v1/traces/"
        auth = f"Sentry sentry_key={SENTRY_KEY}, sentry_version=7, sentry_client=faregate/1"
        assert sink.last.headers["x-sentry-auth"] == auth


@pytest.mark.parametrize("name", ["full", "error", "streamed"])
def test_a_payload_is_as_its_golden_file(name):
    golden(f"sentry/{name}.json", readable(config("sentry").build("mine", None).encode([VARIANTS[name]()], BATCH)))


def test_an_error_is_told_without_events():
    _, found = told(config("sentry"), error_variant())
    assert (found["exception.type"], found["exception.message"]) == ("rate_limit_exceeded", "429 rate limited")


def test_what_it_is_and_where_it_ran():
    _, found = told(config("sentry"), parcel())
    assert found["sentry.op"] == "gen_ai.chat"
    assert (found["sentry.environment"], found["sentry.release"]) == ("prod", "2026.11")


@pytest.mark.parametrize(
    ("dsn", "url"),
    [
        (f"https://{SENTRY_KEY}@{HOST}/42", f"https://{HOST}/api/42/integration/otlp/v1/traces/"),
        (f"https://{SENTRY_KEY}:old@{HOST}/42", f"https://{HOST}/api/42/integration/otlp/v1/traces/"),
        (f"https://{SENTRY_KEY}@sentry.test:8443/at/7", "https://sentry.test:8443/at/api/7/integration/otlp/v1/traces/"),
    ],
)
def test_a_dsn_says_where_it_is(dsn, url):
    assert SentryConfig.model_validate({"dsn": dsn}).preset().url == url


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "nonsense",
        f"https://{HOST}/42",
        f"https://{SENTRY_KEY}@{HOST}",
        f"https://{SENTRY_KEY}@{HOST}/shop",
        f"ftp://{SENTRY_KEY}@{HOST}/42",
        f"https://{SENTRY_KEY}@{HOST}:x/42",
        f"https://c a{SENTRY_KEY}@{HOST}/42",
        f"https://{SENTRY_KEY}@[::1/42",
    ],
)
def test_what_is_no_dsn_is_refused_without_repeating_it(dsn):
    with pytest.raises(ValidationError, match="write the DSN") as raised:
        SentryConfig.model_validate({"dsn": dsn})
    assert SENTRY_KEY not in str(raised.value)


def test_plain_http_is_for_private_addresses():
    with pytest.raises(ValidationError, match="write https"):
        SentryConfig.model_validate({"dsn": f"http://{SENTRY_KEY}@127.0.0.1:9000/1"})
