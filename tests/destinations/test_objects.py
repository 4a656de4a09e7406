import errno
import gzip
import io
import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote

import pytest
from obstore.store import S3Store
from pyarrow import parquet
from pydantic import ValidationError

from destinations import object_stores
from destinations.client import client_for
from destinations.jsontext import json_bytes
from destinations.lines import full_line
from destinations.object_stores import failure_of
from destinations.objects import AzureConfig, FolderConfig, GcsConfig, S3Config
from domain.destinations import Misconfigured, Rejected, TooLarge, Unavailable
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import (
    BATCH,
    STARTED_AT,
    bare_variant,
    error_variant,
    fixture_span,
    hostile,
    many,
    parcel,
    streamed_variant,
)
from tests.destinations.golden import golden
from tests.destinations.sink import Reply, Sink
from tests.harness.tls import Certificate, make_certificate

SECRET = "sk-" + "of-the-bucket-0123456789"
HOUR = 3_600 * 10**9


def is_lines(payload):
    assert payload.body.endswith(b"\n")
    assert [json.loads(line) for line in payload.body.splitlines()]


def folder(path, **settings):
    return FolderConfig(path=path, **settings).build("mine", None)


def bucket(url, **settings):
    told = {"bucket": "traces", "region": "us-east-1", "access_key_id": "AKIA" + "TEST", "secret_access_key": SECRET}
    return S3Config(endpoint=url, allow_private=True, **{**told, **settings}).build("mine", None)


@pytest.mark.parametrize(
    "config",
    [
        FolderConfig(path="/tmp/never"),
        S3Config(bucket="b", secret_access_key=SECRET, session_token=SECRET),
        GcsConfig(bucket="b", service_account_key=SECRET),
        AzureConfig(account="a", container="c", account_key=SECRET, sas_token=SECRET),
    ],
    ids=lambda config: config.type,
)
async def test_complies(config):
    await assert_complies(config, valid=is_lines)


async def test_a_batch_is_one_file_by_the_hour_in_which_its_calls_began(tmp_path):
    destination = folder(tmp_path, prefix="prod/eu")
    payload = destination.encode(many(3), BATCH)
    await destination.send(payload)
    [file] = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert file.relative_to(tmp_path).as_posix() == payload.name
    assert payload.name.startswith(f"prod/eu/traces/v1/dt=2026-11-20/hour=23/{BATCH}-")
    assert payload.name.endswith(".jsonl.gz")
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert lines == [json.loads(json_bytes(full_line(one))) for one in many(3)]
    assert {line["cost_usd"] for line in lines} == {"0.000333"}
    later = replace(fixture_span(), started_at=STARTED_AT + HOUR)
    assert "/dt=2026-11-21/hour=00/" in destination.encode([parcel(later)], BATCH).name


async def test_a_batch_that_is_sent_again_is_the_same_object_and_changes_nothing(tmp_path):
    destination = folder(tmp_path)
    assert (await destination.send(destination.encode(many(3), BATCH))).note == ""
    [file] = [path for path in tmp_path.rglob("*") if path.is_file()]
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    receipt = await folder(tmp_path).send(folder(tmp_path).encode(many(3), BATCH))
    assert receipt.note == "it was there already"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


async def test_a_part_of_a_batch_never_takes_the_place_of_the_whole(tmp_path):
    destination = folder(tmp_path)
    for parcels in (many(4), many(4)[:2], many(4)[2:]):
        assert (await destination.send(destination.encode(parcels, BATCH))).note == ""
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3


def test_calls_of_a_batch_stay_together_in_one_hour_for_a_minute():
    limits = FolderConfig(path="x").limits()
    assert (limits.keeps_batches, limits.by_hour, limits.flush) == (True, True, 60.0)
    assert 8 * 2**20 <= limits.body_bytes <= 32 * 2**20


async def test_a_folder_that_cannot_be_written_to_waits_for_somebody(tmp_path):
    (tmp_path / "file").write_text("in the way")
    destination = folder(tmp_path / "file")
    with pytest.raises(Misconfigured, match="look at its path"):
        await destination.send(destination.encode([parcel()], BATCH))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_full_disk_waits_for_somebody_and_leaves_no_file(tmp_path, monkeypatch):
    opened = Path.open
    # A real write to a real device that is full: only the path is another.
    monkeypatch.setattr(Path, "open", lambda path, mode: opened(Path("/dev/full"), "wb") if mode == "xb" else opened(path, mode))
    destination = folder(tmp_path)
    with pytest.raises(Misconfigured, match="disk of the folder is full") as caught:
        await destination.send(destination.encode([parcel()], BATCH))
    assert caught.value.status == 507
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("number", "failure"),
    [
        (errno.ENOSPC, Misconfigured),
        (errno.EDQUOT, Misconfigured),
        (errno.EROFS, Misconfigured),
        (errno.EACCES, Misconfigured),
        (errno.EIO, Unavailable),
        (errno.ESTALE, Unavailable),
    ],
)
def test_errors_of_the_disk_are_sorted(number, failure):
    assert type(object_stores._of_disk(OSError(number, os.strerror(number)))) is failure


def test_a_file_is_on_the_disk_before_it_has_its_name_and_readers_pass_the_unfinished_by(tmp_path, monkeypatch):
    seen = []
    synced, replaced = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: seen.append("on the disk") or synced(number))

    def replace(path, target):
        assert path.name.startswith(".x.jsonl.gz.")
        assert (path.read_bytes(), Path(target).exists()) == (b"data", False)
        seen.append("named")
        return replaced(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    assert object_stores._written(tmp_path / "a" / "x.jsonl.gz", b"data")
    assert seen == ["on the disk", "named", "on the disk"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["x.jsonl.gz"]


# A store of a cloud


@pytest.fixture(scope="module")
def s3():
    """A real S3 of moto's, on a socket."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - slow, and only for this

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{url}/traces", method="PUT")).close()
    yield url
    server.stop()


def objects_in(url):
    access = {"endpoint": url, "region": "us-east-1", "access_key_id": "AKIA" + "TEST", "secret_access_key": SECRET}
    store = S3Store("traces", config=access, client_options={"allow_http": True})
    return {meta["path"]: bytes(store.get(meta["path"]).bytes()) for page in store.list() for meta in page}


async def test_an_object_is_created_in_s3_exactly_once(s3):
    destination = bucket(s3, prefix="once")
    payload = destination.encode(many(3), BATCH)
    assert (await destination.send(payload)).note == ""
    again = bucket(s3, prefix="once")
    assert (await again.send(again.encode(many(3), BATCH))).note == "it was there already"
    found = {name: data for name, data in objects_in(s3).items() if name.startswith("once/")}
    assert list(found) == [payload.name]
    assert gzip.decompress(found[payload.name]) == payload.body


async def test_an_object_of_megabytes_is_put_whole(s3):
    destination = bucket(s3, prefix="large")
    content = replace(parcel().content, input={"text": os.urandom(6 * 2**20).hex()})
    payload = destination.encode([parcel(fixture_span(), content)], BATCH)
    await destination.send(payload)
    assert gzip.decompress(objects_in(s3)[payload.name]) == payload.body


async def test_a_bucket_that_is_not_there_waits_for_somebody(s3):
    destination = bucket(s3, bucket="missing")
    with pytest.raises(Misconfigured, match="no such bucket") as caught:
        await destination.send(destination.encode([parcel()], BATCH))
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("reply", "failure", "status"),
    [
        (Reply(200), None, None),
        (Reply(412, b"<Error><Code>PreconditionFailed</Code></Error>"), None, None),
        (Reply(403, b"<Error><Code>AccessDenied</Code></Error>"), Misconfigured, 403),
        (Reply(401), Misconfigured, 401),
        (Reply(404, b"<Error><Code>NoSuchBucket</Code></Error>"), Misconfigured, 404),
        (Reply(400, b"<Error><Code>EntityTooLarge</Code></Error>"), TooLarge, 400),
        (Reply(413), TooLarge, 413),
        (Reply(400, b"<Error><Code>InvalidArgument</Code></Error>"), Rejected, 400),
        (Reply(409, b"<Error><Code>ConditionalRequestConflict</Code></Error>"), Unavailable, 409),
        (Reply(409), Unavailable, 409),
        (Reply(429), Unavailable, 429),
        (Reply(503, b"<Error><Code>SlowDown</Code></Error>"), Unavailable, 503),
        (Reply(500), Unavailable, 500),
        (Reply(501, b"<Error><Code>NotImplemented</Code></Error>"), Misconfigured, 501),
        (Reply(reset=True), Unavailable, None),
    ],
)
async def test_answers_of_a_store_are_sorted_and_say_no_secret(reply, failure, status):
    headers = {"etag": '"e"', **reply.headers}
    with Sink(replace(reply, headers=headers)) as sink:
        destination = bucket(sink.url)
        payload = destination.encode([parcel()], BATCH)
        if failure is None:
            receipt = await destination.send(payload)
            assert receipt.note == ("" if reply.status == 200 else "it was there already")
        else:
            with pytest.raises(failure) as caught:
                await destination.send(payload)
            assert caught.value.status == status
            assert SECRET not in caught.value.message
            assert sink.url not in caught.value.message
    assert {got.headers["if-none-match"] for got in sink.got} == {"*"}
    assert len(sink.got) == 1
    assert sink.last.headers["content-type"] == "application/gzip"


def test_what_the_library_says_in_other_words_is_sorted_too():
    assert failure_of(type("AlreadyExistsError", (Exception,), {})()) is None
    assert type(failure_of(type("GenericError", (Exception,), {})("dns error"))) is Unavailable
    assert type(failure_of(ValueError("bad"))) is Misconfigured
    told = failure_of(type("GenericError", (Exception,), {})(f"https://x.test/?sig={SECRET} status 503 Slow"))
    assert (told.status, told.throttled, SECRET in told.message) == (503, True, False)


async def test_gcs_is_asked_to_create_only():
    with Sink(Reply(200, b"", headers={"etag": '"e"', "x-goog-generation": "1"})) as sink:
        emulated = json.dumps({"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""})
        config = GcsConfig(bucket="traces", endpoint=sink.url, service_account_key=emulated, allow_private=True)
        destination = config.build("mine", None)
        payload = destination.encode([parcel()], BATCH)
        await destination.send(payload)
        sink.script(Reply(412))
        assert (await destination.send(payload)).note == "it was there already"
    first = sink.got[0]
    assert (first.method, first.headers["x-goog-if-generation-match"]) == ("PUT", "0")
    assert unquote(first.path.partition("?")[0]) == f"/traces/{payload.name}"
    assert gzip.decompress(first.raw) == payload.body


async def test_azure_is_asked_to_create_only():
    with Sink(Reply(201, b"", headers={"etag": '"e"'})) as sink:
        key = "a2V5" * 8
        config = AzureConfig(account="acc", container="traces", account_key=key, endpoint=sink.url, allow_private=True)
        destination = config.build("mine", None)
        payload = destination.encode([parcel()], BATCH)
        await destination.send(payload)
        sink.script(Reply(409, b"<Error><Code>BlobAlreadyExists</Code></Error>"))
        assert (await destination.send(payload)).note == "it was there already"
    first = sink.got[0]
    assert (first.method, first.headers["if-none-match"], first.headers["x-ms-blob-type"]) == ("PUT", "*", "BlockBlob")
    assert key not in str(first)
    assert gzip.decompress(first.raw) == payload.body


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    """A CA of one's own, and a server's context with a certificate that it signed. (A certificate that signs itself is none for this client.)"""
    where = tmp_path_factory.mktemp("ca")
    root = make_certificate(where, "root", "DNS:root.test")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=store"]
    signed = [
        "-CA",
        root.file,
        "-CAkey",
        root.key,
        "-days",
        "2",
        "-addext",
        "basicConstraints=CA:FALSE",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run(
        ["openssl", "req", "-x509", *curve, *signed, "-keyout", where / "leaf.key", "-out", where / "leaf.pem"],
        check=True,
        capture_output=True,
    )
    return root.file, Certificate(where / "leaf.pem", where / "leaf.key").server()


async def test_certificates_are_checked_and_a_ca_of_ones_own_can_be_named(ca):
    file, context = ca
    with Sink(Reply(200, headers={"etag": '"e"'}), tls=context) as sink:
        payload = bucket(sink.url).encode([parcel()], BATCH)
        with pytest.raises(Misconfigured, match="not trusted"):
            await bucket(sink.url).send(payload)
        assert not sink.got
        assert (await bucket(sink.url, ca_file=file).send(payload)).note == ""


async def test_an_endpoint_at_a_private_address_is_not_asked_unless_that_is_allowed():
    with Sink() as sink:
        url = sink.url.replace("http://", "https://")
        destination = S3Config(bucket="b", endpoint=url, access_key_id="x", secret_access_key=SECRET).build("mine", None)
        with pytest.raises(Misconfigured):
            await destination.send(destination.encode([parcel()], BATCH))
    assert not sink.got


@pytest.mark.parametrize(
    "make",
    [
        lambda: S3Config(bucket="b", endpoint="http://minio.test"),
        lambda: S3Config(bucket=""),
        lambda: S3Config(bucket="b", endpoint="minio.test"),
        lambda: FolderConfig(path="x", prefix="/abs"),
        lambda: FolderConfig(path="x", prefix="a/../../b"),
        lambda: FolderConfig(path="x", prefix="a//b"),
        lambda: FolderConfig(path="x", format="csv"),
    ],
)
def test_settings_that_cannot_work_are_refused(make):
    with pytest.raises(ValidationError):
        make()


@pytest.mark.parametrize("package", ["obstore", "pyarrow"])
async def test_a_package_that_is_missing_is_named_with_its_extra_and_a_folder_needs_none(package, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)
    extra, make = {
        "obstore": ("objects", lambda: S3Config(bucket="b")),
        "pyarrow": ("parquet", lambda: FolderConfig(path=tmp_path, format="parquet")),
    }[package]
    with pytest.raises(ValidationError, match=rf"pip install 'faregate\[{extra}\]'"):
        make()
    destination = folder(tmp_path)
    await destination.send(destination.encode([parcel()], BATCH))
    assert list(tmp_path.rglob("*.jsonl.gz"))


async def test_an_endpoint_without_an_address_is_tried_again_later():
    destination = bucket(f"https://{'a' * 64}.test")
    with pytest.raises(Unavailable, match="could not be resolved"):
        await destination.send(destination.encode([parcel()], BATCH))


# Parquet


def rows(body):
    return parquet.read_table(io.BytesIO(body)).to_pylist()


async def test_parquet_holds_exact_costs_every_count_and_the_bodies(tmp_path):
    destination = folder(tmp_path, format="parquet")
    payload = destination.encode([parcel(), error_variant(), streamed_variant(), bare_variant()], BATCH)
    await destination.send(payload)
    [file] = tmp_path.rglob("*.parquet")
    assert file.read_bytes() == payload.body
    full, error, streamed, bare = rows(file.read_bytes())
    assert full["cost_usd"] == Decimal("0.000333")
    assert (full["input_tokens"], full["cache_read_tokens"], full["cache_write_tokens"]) == (1200, 1024, 16)
    assert (full["output_tokens"], full["reasoning_tokens"]) == (80, 32)
    assert json.loads(full["request"])["model"] == "gpt-4o-mini"
    assert (full["label_session"], dict(full["tags"])["team"]) == ("sess-1", "search")
    assert full["started_at"].isoformat() == "2026-11-20T23:00:00+00:00"
    assert (error["cost_usd"], error["input_tokens"], error["error_code"]) == (None, None, "rate_limit_exceeded")
    assert streamed["stream"] is True
    assert (bare["status"], bare["request"]) == (None, None)


def test_parquet_bears_anything(tmp_path):
    assert len(rows(folder(tmp_path, format="parquet").encode(hostile(), BATCH).body)) == len(hostile())


@pytest.mark.parametrize(
    ("variant", "one"),
    [("full", parcel()), ("error", error_variant()), ("streamed", streamed_variant()), ("bare", bare_variant())],
)
def test_golden(variant, one, tmp_path):
    line = folder(tmp_path).encode([one], BATCH).body
    golden(f"objects/{variant}.json", json.dumps(json.loads(line), indent=1, sort_keys=True).encode() + b"\n")


@pytest.mark.parametrize("config", [FolderConfig(path="x"), S3Config(bucket="x")], ids=["folder", "s3"])
async def test_building_needs_no_client_of_ours(config):
    async with client_for(config) as client:
        assert config.build("mine", client).limits == config.limits()
