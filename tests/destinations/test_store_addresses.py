"""Where stores of objects are: neither a proxy nor a variable of the environment nor a name in the settings leads past what is checked."""

import base64
import json
import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from destinations.objects import AzureConfig, GcsConfig, S3Config
from domain.destinations import Misconfigured
from tests.destinations.fixture import BATCH, parcel
from tests.destinations.sink import Reply, Sink

SECRET = "sk-" + "of-the-bucket-0123456789"
ACCOUNT_KEY = base64.b64encode(b"k" * 32).decode()
OPEN_ACCOUNT = json.dumps({"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""})
S3 = {"bucket": "traces", "region": "us-east-1", "access_key_id": "AKIA" + "TEST", "secret_access_key": SECRET}
GCS = {"bucket": "traces", "service_account_key": OPEN_ACCOUNT}
AZURE = {"account": "acc", "container": "traces", "account_key": ACCOUNT_KEY}
STORED = Reply(200, headers={"etag": '"e"', "x-goog-generation": "1"})

SENDING = """
import asyncio, json, sys
from destinations import config_class
from domain.destinations import DeliveryFailed
from tests.destinations.fixture import BATCH, parcel

async def main():
    for table in json.load(sys.stdin):
        destination = config_class(table["type"]).model_validate(table).build("mine", None)
        try:
            await destination.send(destination.encode([parcel()], BATCH))
            print("taken")
        except DeliveryFailed as failure:
            print(type(failure).__name__)

asyncio.run(main())
"""


def sent_by_another_process(tables, variables):
    done = subprocess.run(
        [sys.executable, "-c", SENDING],
        input=json.dumps(tables),
        env={**os.environ, **variables},
        timeout=90,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.split()


def test_no_store_is_reached_by_a_proxy_of_the_environment():
    with Sink(Reply(502)) as proxy, Sink(STORED) as store:
        named = store.url.replace("127.0.0.1", "localhost")
        tables = [
            {"type": kind, **access, "endpoint": url, "allow_private": True}
            for url in (store.url, named, "https://127.0.0.1:1", "https://localhost:1")
            for kind, access in (("s3", S3), ("gcs", GCS), ("azure", AZURE))
        ]
        names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        proxies = dict.fromkeys((*names, "AWS_PROXY_URL", "AZURE_PROXY_URL", "GOOGLE_PROXY_URL"), proxy.url)
        said = sent_by_another_process(tables, {**proxies, "no_proxy": "", "NO_PROXY": ""})
        assert not proxy.got
        assert said == ["taken"] * 6 + ["Unavailable"] * 6
        assert len(store.got) == 6


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3"])
async def test_the_endpoint_of_the_settings_goes_before_that_of_the_environment(variable, monkeypatch):
    with Sink(STORED) as ours, Sink(STORED) as other:
        monkeypatch.setenv(variable, other.url)
        destination = S3Config(**S3, endpoint=ours.url, allow_private=True).build("mine", None)
        await destination.send(destination.encode([parcel()], BATCH))
        assert (len(ours.got), len(other.got)) == (1, 0)


@pytest.mark.parametrize(
    ("variable", "kind", "access"),
    [
        ("AWS_ENDPOINT_URL", S3Config, S3),
        ("AWS_ENDPOINT", S3Config, S3),
        ("AWS_ENDPOINT_URL_S3", S3Config, S3),
        ("AZURE_STORAGE_ENDPOINT", AzureConfig, AZURE),
        ("AZURE_ENDPOINT", AzureConfig, AZURE),
        ("GOOGLE_BASE_URL", GcsConfig, GCS),
    ],
)
async def test_an_endpoint_of_the_environment_is_used_where_its_address_is_allowed(variable, kind, access, monkeypatch):
    with Sink(STORED) as store:
        monkeypatch.setenv(variable, store.url)
        refused = kind(**access).build("mine", None)
        with pytest.raises(Misconfigured, match="allow_private = true"):
            await refused.send(refused.encode([parcel()], BATCH))
        assert not store.got
        allowed = kind(**access, allow_private=True).build("mine", None)
        await allowed.send(allowed.encode([parcel()], BATCH))
        assert len(store.got) == 1


async def test_plain_http_does_not_leave_the_own_network():
    destination = S3Config(**S3, endpoint="http://93.184.215.14", allow_private=True).build("mine", None)
    with pytest.raises(Misconfigured, match="plain http is only for private addresses"):
        await destination.send(destination.encode([parcel()], BATCH))


@pytest.mark.parametrize("name", ["evil.test/", "evil.test#", "a@169.254.169.254", "a:80", "a b", "a?b", "a\n", ""])
@pytest.mark.parametrize(
    ("kind", "access", "field"),
    [
        (S3Config, S3, "bucket"),
        (S3Config, S3, "region"),
        (GcsConfig, GCS, "bucket"),
        (AzureConfig, AZURE, "account"),
        (AzureConfig, AZURE, "container"),
    ],
)
def test_a_name_cannot_lead_elsewhere(kind, access, field, name):
    with pytest.raises(ValidationError):
        kind(**{**access, field: name})


@pytest.mark.parametrize("url", ["https://169.254.169.254", "https://0.0.0.0", "https://[fe80::1]"])
def test_an_endpoint_is_never_at_a_forbidden_address(url):
    with pytest.raises(ValidationError, match="no destination may be at such an address"):
        S3Config(**S3, endpoint=url, allow_private=True)
