"""Deliver spans as objects: compressed files in S3, Google Cloud Storage, Azure Blob Storage or a folder, one for each batch.

Source: ../shared/reference/destinations.md section 7.
"""

import asyncio
import hashlib
import os
import re
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from destinations.base import DestinationConfig
from destinations.extras import need
from destinations.jsontext import json_bytes
from destinations.lines import full_line
from destinations.object_stores import CloudStore, Folder, ObjectStore
from destinations.urls import Url
from domain.destinations import Limits, Parcel, Payload, Receipt

if TYPE_CHECKING:
    import httpx

GZIP_LEVEL = 1
MIB = 1024 * 1024
# Proxies of the environment are not asked, as by no destination: only where one is named does the library leave them alone, so
# this names one that cannot be, and leaves every host out.
_NO_PROXY = {"proxy_url": "http://proxy.invalid", "proxy_excludes": "*,0.0.0.0/0,::/0"}
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()=-]+(/[A-Za-z0-9!_.*'()=-]+)*")
# These become parts of the store's URL: nothing in them leads elsewhere.
_BUCKET = r"^[A-Za-z0-9$][A-Za-z0-9._-]{0,221}$"
_REGION = r"^[A-Za-z0-9-]{1,64}$"
_ACCOUNT = r"^[a-z0-9-]{1,63}$"
_ENDINGS = {"jsonl": "jsonl.gz", "parquet": "parquet"}
_TYPES = {"jsonl": "application/gzip", "parquet": "application/vnd.apache.parquet"}


class ObjectsConfig(DestinationConfig):
    """What all stores of objects have in common."""

    # A batch holds calls of one hour and keeps its id, so that an object that was written is not written again.
    LIMITS: ClassVar[Limits] = Limits(
        items=10_000, body_bytes=16 * MIB, flush=60.0, parallel=4, timeout=60.0, keeps_batches=True, by_hour=True
    )

    prefix: str = Field(
        "", description="What the names of all objects begin with, without a slash at its ends.", examples=["faregate/prod"]
    )
    format: Literal["jsonl", "parquet"] = Field(
        "jsonl", description="Lines of JSON, compressed by gzip; or Parquet, which needs the extra `parquet`."
    )

    @field_validator("prefix")
    @classmethod
    def _usable_prefix(cls, prefix: str) -> str:
        if prefix and (not _PREFIX.fullmatch(prefix) or ".." in prefix.split("/")):
            raise ValueError(
                "a prefix is made of letters, digits, and the signs ! _ . * ' ( ) = - between slashes, such as faregate/prod"
            )
        return prefix

    @model_validator(mode="after")
    def _packages(self) -> Self:
        if self.format == "parquet":
            need("pyarrow", "parquet")
        return self

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look below traces/v1 for the newest object: a line of it has the trace_id {trace}."

    def build(self, name: str, client: "httpx.AsyncClient") -> "Objects":
        """Return the destination. It has its own connections."""
        del name, client
        return Objects(self.store(), prefix=self.prefix, form=self.format, limits=self.limits())

    def store(self) -> ObjectStore:
        """Return where objects are put."""
        raise NotImplementedError


class FolderConfig(ObjectsConfig):
    """Write calls to files in a folder of the machine that Faregate runs on."""

    type: Literal["folder"] = "folder"
    path: Path = Field(description="The folder. It is made if it is not there.", examples=["/var/lib/faregate/calls"])

    def store(self) -> ObjectStore:
        """Return the folder."""
        return Folder(self.path)


class CloudConfig(ObjectsConfig):
    """What the stores of clouds have in common."""

    # The variables of the environment that the library takes the endpoint from.
    ENDPOINTS: ClassVar[tuple[str, ...]] = ()

    endpoint: Url | None = Field(
        None,
        description="The URL of a store of your own that speaks the same API; the cloud's own by default.",
        examples=["https://minio.example.com"],
    )

    @model_validator(mode="after")
    def _installed(self) -> Self:
        need("obstore", "objects")
        return self

    def store(self) -> ObjectStore:
        """Return the bucket or container."""
        return CloudStore(self._made, endpoint=self._endpoint(), allow_private=self.allow_private)

    def _endpoint(self) -> str | None:
        """Return where the store is, if not where the cloud's own is; the environment can say so too."""
        return self.endpoint or next((os.environ[name] for name in self.ENDPOINTS if os.environ.get(name)), None)

    def _made(self) -> Any:
        raise NotImplementedError

    def _client(self) -> dict[str, Any]:
        """Return how obstore is to connect. It tries once: the courier tries again."""
        options: dict[str, Any] = {
            "timeout": timedelta(seconds=self.limits().timeout),
            "connect_timeout": timedelta(seconds=5),
            "user_agent": "faregate",
            "allow_http": self.allow_private and (self._endpoint() or "").startswith("http://"),
            **_NO_PROXY,
        }
        if self.ca_file is not None:
            options["root_certificate"] = self.ca_file.read_bytes()
        return {"client_options": options, "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=10)}}


class S3Config(CloudConfig):
    """Put calls into a bucket of S3, or of a store that speaks its API (R2, MinIO, Ceph, …)."""

    ENDPOINTS: ClassVar[tuple[str, ...]] = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")

    type: Literal["s3"] = "s3"
    bucket: str = Field(pattern=_BUCKET, description="The bucket. It must be there.")
    region: str | None = Field(
        None, pattern=_REGION, description="The region of the bucket; `AWS_REGION` by default.", examples=["eu-central-1"]
    )
    access_key_id: str | None = Field(
        None, description="An access key; by default what the environment or the machine's role gives."
    )
    secret_access_key: SecretStr | None = Field(None, description="The secret of the access key.")
    session_token: SecretStr | None = Field(None, description="The session token, where the access key is a temporary one.")

    def _made(self) -> Any:
        from obstore.store import S3Store  # noqa: PLC0415 - an extra

        config = _told(
            # By `endpoint`, a variable of the environment would go before it.
            aws_endpoint_url_s3=self._endpoint(),
            region=self.region,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
            session_token=self.session_token,
        )
        return S3Store(self.bucket, config=config, **self._client())


class GcsConfig(CloudConfig):
    """Put calls into a bucket of Google Cloud Storage."""

    ENDPOINTS: ClassVar[tuple[str, ...]] = ("GOOGLE_BASE_URL",)

    type: Literal["gcs"] = "gcs"
    bucket: str = Field(pattern=_BUCKET, description="The bucket. It must be there.")
    service_account_key: SecretStr | None = Field(None, description="The key of a service account, as JSON.")
    credentials_file: Path | None = Field(
        None, description="A file with application default credentials; by default what the environment or the machine gives."
    )

    def _made(self) -> Any:
        from obstore.store import GCSStore  # noqa: PLC0415 - an extra

        config = _told(
            base_url=self._endpoint(),
            service_account_key=self.service_account_key,
            application_credentials=None if self.credentials_file is None else str(self.credentials_file),
        )
        return GCSStore(self.bucket, config=config, **self._client())


class AzureConfig(CloudConfig):
    """Put calls into a container of Azure Blob Storage."""

    ENDPOINTS: ClassVar[tuple[str, ...]] = ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")

    type: Literal["azure"] = "azure"
    account: str = Field(pattern=_ACCOUNT, description="The storage account.")
    container: str = Field(pattern=_BUCKET, description="The container. It must be there.")
    account_key: SecretStr | None = Field(
        None, description="The account's key; by default what the environment or the machine's identity gives."
    )
    sas_token: SecretStr | None = Field(
        None, description="A shared access signature that may create objects, instead of the key."
    )

    def _made(self) -> Any:
        from obstore.store import AzureStore  # noqa: PLC0415 - an extra

        config = _told(endpoint=self._endpoint(), account_name=self.account, account_key=self.account_key, sas_key=self.sas_token)
        return AzureStore(self.container, config=config, **self._client())


def _told(**settings: str | SecretStr | None) -> Any:
    """Return the settings that somebody gave; for the others the library looks around."""
    return {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in settings.items()
        if value is not None
    }


class Objects:
    """One object for each batch. Its name follows from the batch, and it is created only where it is not there yet: each call is in one object, once."""

    def __init__(self, store: ObjectStore, *, prefix: str, form: Literal["jsonl", "parquet"], limits: Limits) -> None:
        self.limits = limits
        self._store = store
        self._prefix = f"{prefix}/" if prefix else ""
        self._form: Literal["jsonl", "parquet"] = form

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return the object, lines not yet compressed."""
        if self._form == "parquet":
            from destinations.parquet import table_bytes  # noqa: PLC0415 - an extra

            body = table_bytes(parcels)
        else:
            body = b"".join(json_bytes(full_line(parcel)) + b"\n" for parcel in parcels)
        calls = tuple(parcel.span.id for parcel in parcels)
        return Payload(body, _TYPES[self._form], calls, name=self._name(parcels[0].span.started_at, calls, batch))

    async def send(self, payload: Payload) -> Receipt:
        """Create the object."""
        data = payload.body if self._form == "parquet" else await asyncio.to_thread(_gzipped, payload.body)
        created = await self._store.create(payload.name, data, payload.content_type)
        return Receipt(note="" if created else "it was there already")

    def _name(self, started_at: int, calls: Sequence[str], batch: str) -> str:
        """Return the object's name: by the hour (UTC) in which its calls began, as Athena, BigQuery, DuckDB and Spark read it.

        What is in it counts too: should half of a batch ever be written under the batch's id, then not in place of the whole.
        """
        began = datetime.fromtimestamp(started_at // 10**9, UTC)
        content = hashlib.sha256(" ".join(calls).encode()).hexdigest()[:8]
        return f"{self._prefix}traces/v1/dt={began:%Y-%m-%d}/hour={began:%H}/{batch}-{content}.{_ENDINGS[self._form]}"


def _gzipped(body: bytes) -> bytes:
    """Return `body` compressed, the same bytes each time: the header holds no time."""
    return zlib.compress(body, GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16)
