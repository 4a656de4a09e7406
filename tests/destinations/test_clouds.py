"""Azure Blob Storage and Google Cloud Storage, each as a server on a real socket that checks who asks and keeps what it takes."""

import base64
import gzip
import io
import json
import os
from dataclasses import replace

import obstore
import pyarrow.dataset
import pytest
from pyarrow import parquet

from destinations.client import client_for
from destinations.jsontext import json_bytes
from destinations.lines import full_line
from destinations.objects import AzureConfig, GcsConfig, S3Config
from domain.destinations import Misconfigured, TooLarge, Unavailable
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, STARTED_AT, fixture_content, fixture_span, many, parcel
from tests.destinations.simulators.blobs import Blobs, busy
from tests.destinations.simulators.buckets import EMAIL, Buckets, key_file, throttled
from tests.destinations.sink import Reply, Sink
from tests.destinations.test_objects import is_lines
from tests.destinations.test_store_addresses import S3, STORED

HOUR = 3_600 * 10**9
KEY = base64.b64encode(b"key of the account, 32 bytes....").decode()
TOKEN = "c2lnbmVk" * 4
KINDS = ("azure", "gcs")


def server(kind):
    return Blobs("acc", KEY) if kind == "azure" else Buckets()


def config(kind, url, **settings):
    if kind == "s3":
        return S3Config(endpoint=url, allow_private=True, **S3, **settings)
    if kind == "azure":
        told = {"account": "acc", "container": "traces", "account_key": KEY}
        told = told if "sas_token" not in settings else {"account": "acc", "container": "traces"}
        return AzureConfig(endpoint=url, allow_private=True, **{**told, **settings})
    told = {"bucket": "traces", "service_account_key": key_file()}
    told = told if "credentials_file" not in settings else {"bucket": "traces"}
    return GcsConfig(endpoint=url, allow_private=True, **{**told, **settings})


async def sent(settings, parcels=None, batch=BATCH):
    destination = settings.build("mine", None)
    return await destination.send(destination.encode(parcels or [parcel()], batch))


def read_back(settings, prefix=""):
    """Return the objects by name, as the library reads them from the store with the same access."""
    store = settings._made()
    found = [meta["path"] for page in obstore.list(store, prefix or None) for meta in page]
    return {name: bytes(obstore.get(store, name).bytes()) for name in found}


def emptied(got_body):
    return gzip.decompress(got_body)


@pytest.mark.parametrize("kind", [*KINDS, "s3"])
async def test_complies(kind):
    """Each status is asked for once. What the library does not hand on is how long a store wants to be left alone."""
    outcomes = {412: None, 409: Unavailable}
    with Sink(STORED if kind == "s3" else server(kind)) as sink:
        await assert_complies(
            config(kind, sink.url),
            sink,
            outcomes=outcomes,
            valid=is_lines,
            unsealed=emptied,
            hears_retry_after=False,
            says_busy=(429, 503),
        )


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_put_can_be_read_back_line_by_line(kind):
    with Sink(server(kind)) as sink:
        settings = config(kind, sink.url, prefix="faregate/prod")
        assert (await sent(settings, many(3))).note == ""
        later = [replace(one, span=replace(one.span, started_at=STARTED_AT + HOUR)) for one in many(2)]
        await sent(settings, later, "ab" * 16)
        found = read_back(settings, "faregate/prod")
    first, second = sorted(found)
    assert first.startswith(f"faregate/prod/traces/v1/dt=2026-11-20/hour=23/{BATCH}-")
    assert second.startswith("faregate/prod/traces/v1/dt=2026-11-21/hour=00/")
    lines = [json.loads(line) for line in gzip.decompress(found[first]).splitlines()]
    assert lines == [json.loads(json_bytes(full_line(one))) for one in many(3)]
    assert len(gzip.decompress(found[second]).splitlines()) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_parquet_in_a_store_is_a_table_with_partitions(kind, tmp_path):
    with Sink(server(kind)) as sink:
        settings = config(kind, sink.url, format="parquet")
        await sent(settings, many(3))
        later = [replace(one, span=replace(one.span, started_at=STARTED_AT + HOUR)) for one in many(2)]
        await sent(settings, later, "ab" * 16)
        found = read_back(settings)
    for name, data in found.items():
        assert parquet.read_table(io.BytesIO(data)).num_rows in {2, 3}
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    table = pyarrow.dataset.dataset(tmp_path / "traces" / "v1", partitioning="hive").to_table()
    assert (
        sorted(zip(table["dt"].to_pylist(), table["hour"].to_pylist(), strict=True))
        == [("2026-11-20", 23)] * 3 + [("2026-11-21", 0)] * 2
    )
    assert {str(cost) for cost in table["cost_usd"].to_pylist()} == {"0.000333000000"}


@pytest.mark.parametrize("kind", KINDS)
async def test_an_object_is_created_once_and_stays_as_it_was(kind):
    with Sink(server(kind)) as sink:
        settings = config(kind, sink.url)
        await sent(settings, many(3))
        before = read_back(settings)
        assert (await sent(config(kind, sink.url), many(3))).note == "it was there already"
        assert read_back(settings) == before
        assert len(before) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_an_object_of_megabytes_is_one_request(kind):
    content = replace(fixture_content(), input={"text": os.urandom(6 * 2**20).hex()})
    with Sink(server(kind)) as sink:
        settings = config(kind, sink.url)
        await sent(settings, [parcel(fixture_span(), content)])
        assert [got.method for got in sink.got] == ["PUT"]
        (data,) = read_back(settings).values()
    assert len(json.loads(gzip.decompress(data))["request"]["text"]) == 12 * 2**20


@pytest.mark.parametrize(
    ("kind", "settings", "status"),
    [
        ("azure", {"account_key": base64.b64encode(b"another key").decode()}, 403),
        ("azure", {"account": "other"}, 403),
        ("azure", {"container": "missing"}, 404),
        ("azure", {"sas_token": "sv=2023-11-03&sig=unknown"}, 403),
        ("gcs", {"service_account_key": key_file(number=1)}, 401),
        ("gcs", {"service_account_key": key_file(client_email="other@project.iam.gserviceaccount.com")}, 401),
        ("gcs", {"service_account_key": key_file(private_key_id="key-2")}, 401),
        ("gcs", {"bucket": "missing"}, 404),
    ],
)
async def test_who_may_not_or_does_not_find_it_waits_for_somebody(kind, settings, status):
    with Sink(server(kind)) as sink:
        told = config(kind, sink.url, **settings)
        with pytest.raises(Misconfigured) as caught:
            await sent(told)
        assert caught.value.status == status
        assert not [secret for secret in told.secrets() if secret in caught.value.message]
        assert len(sink.got) == 1


async def test_a_key_that_is_none_is_said_to_be_none():
    with Sink(server("gcs")) as sink:
        for broken in ("{}", "no json", key_file(private_key="no key")):
            with pytest.raises(Misconfigured) as caught:
                await sent(config("gcs", sink.url, service_account_key=broken))
            assert "settings" in caught.value.message
            assert "no key" not in caught.value.message
    assert not sink.got


async def test_a_service_account_that_may_only_read_is_told_so():
    with Sink(Buckets(readers=frozenset({EMAIL}))) as sink, pytest.raises(Misconfigured, match="AccessDenied") as caught:
        await sent(config("gcs", sink.url))
    assert caught.value.status == 403


async def test_a_token_of_google_is_for_an_hour_at_the_most():
    project = Buckets()
    with Sink(project) as sink:
        await sent(config("gcs", sink.url))
    (claims,) = project.claims
    assert claims["exp"] - claims["iat"] <= 3_600
    assert claims["sub"] == EMAIL


async def test_a_file_of_credentials_does_as_well(tmp_path):
    file = tmp_path / "credentials.json"
    file.write_text(key_file())
    with Sink(server("gcs")) as sink:
        settings = config("gcs", sink.url, credentials_file=file)
        await sent(settings)
        assert len(read_back(settings)) == 1


async def test_a_shared_access_signature_that_may_create_is_enough():
    account = Blobs("acc", KEY, tokens={TOKEN: "c"})
    with Sink(account) as sink:
        told = config("azure", sink.url, sas_token=f"sv=2023-11-03&sp=c&sr=c&sig={TOKEN}")
        await sent(told)
        assert len(account.containers["traces"]) == 1
        assert "authorization" not in sink.last.headers
        account.tokens[TOKEN] = "r"
        with pytest.raises(Misconfigured, match="AuthorizationPermissionMismatch") as caught:
            await sent(told, many(2))
        assert TOKEN not in caught.value.message


@pytest.mark.parametrize("code", ["ContainerBeingDeleted", "ContainerDisabled", "OperationTimedOut"])
async def test_a_container_in_trouble_has_nothing_already(code):
    """The library calls every 409 an object that is there; to believe it would lose the batch."""
    account = Blobs("acc", KEY, trouble={"traces": code})
    with Sink(account) as sink:
        with pytest.raises(Unavailable, match=code):
            await sent(config("azure", sink.url))
        assert not account.containers["traces"]
        account.trouble.clear()
        assert (await sent(config("azure", sink.url))).note == ""
        assert len(account.containers["traces"]) == 1


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted", ""])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_conflict_is_no_object(kind, code):
    with Sink(server(kind)) as sink:
        sink.script(Reply(409, f"<Error><Code>{code}</Code></Error>".encode()))
        with pytest.raises(Unavailable):
            await sent(config(kind, sink.url))
        assert (await sent(config(kind, sink.url))).note == ""


@pytest.mark.parametrize(("kind", "reply"), [("azure", busy()), ("gcs", throttled())])
async def test_a_busy_store_is_asked_again_later(kind, reply):
    with Sink(server(kind)) as sink:
        sink.script(reply)
        with pytest.raises(Unavailable) as caught:
            await sent(config(kind, sink.url))
        assert (caught.value.status, caught.value.throttled) == (reply.status, True)
        assert len(sink.got) == 1
        assert (await sent(config(kind, sink.url))).note == ""


async def test_what_azure_does_not_take_at_once_is_too_large():
    with Sink(Blobs("acc", KEY, largest=100)) as sink, pytest.raises(TooLarge):
        await sent(config("azure", sink.url))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_taken_and_not_acknowledged_is_there_once(kind):
    """The answer was lost on the way: the second try finds it there."""
    store = server(kind)

    def lost(got):
        store(got)
        return Reply(reset=True)

    with Sink(lost) as sink:
        with pytest.raises(Unavailable):
            await sent(config(kind, sink.url), many(2))
        sink.answering = store
        assert (await sent(config(kind, sink.url), many(2))).note == "it was there already"
        assert len(read_back(config(kind, sink.url))) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_building_needs_no_client_of_ours(kind):
    settings = config(kind, "http://127.0.0.1:1")
    async with client_for(settings) as client:
        assert settings.build("mine", client).limits == settings.limits()
