"""Deliver spans to LangSmith by its own API: runs in multipart requests, or in batches where a server knows no multipart.

Source: ../shared/reference/destinations.md section 4.1; the wire of the langsmith package 0.15.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field, SecretStr, field_validator

from destinations.attachments import Attachment, attachments_of
from destinations.base import MB, DestinationConfig
from destinations.http import Answer, Verdict, post
from destinations.jsontext import json_bytes
from destinations.langsmith_info import Told, asked_of
from destinations.langsmith_runs import run_of
from destinations.urls import BaseUrl
from domain.destinations import Limits, Parcel, Payload, Receipt, Rejected, TooLarge, Unavailable

if TYPE_CHECKING:
    import httpx

# How long their own client waits after a 429 that does not say how long.
PATIENCE_WHEN_THROTTLED = 30.0
# How long what the server said of itself holds, in seconds.
ASK_AGAIN = 600.0
ZSTD_LEVEL = 3
_STORED = 409
_NO_SUCH_PATH = 404
_LARGE = ("inputs", "outputs", "events", "extra", "error")
_MULTIPART = "multipart/form-data"


class LangSmithConfig(DestinationConfig):
    """Send calls to LangSmith, with exact costs, cached and reasoning tokens, and the time of the first token."""

    LIMITS: ClassVar[Limits] = Limits(items=100, body_bytes=20 * MB, flush=1.0, parallel=2, timeout=30.0)

    type: Literal["langsmith"] = "langsmith"
    api_key: SecretStr = Field(description="An API key: `lsv2_…`.")
    project: str = Field("faregate", min_length=1, description="The name of the project. LangSmith makes it if it is not there.")
    workspace: str | None = Field(
        None, description="The id of the workspace (a UUID): needed by keys that are of an organisation."
    )
    url: BaseUrl = Field(
        "https://api.smith.langchain.com",
        description="The API's URL: `https://eu.api.smith.langchain.com` for Europe, `https://HOST/api` for a server of your own.",
    )

    @field_validator("workspace")
    @classmethod
    def _workspace_id(cls, workspace: str | None) -> str | None:
        return None if workspace is None else str(UUID(workspace))

    @property
    def look_at(self) -> str:
        """Where somebody finds a test call there."""
        return "Look in the project for the run with the metadata trace_id {trace}."

    def build(self, name: str, client: "httpx.AsyncClient") -> "LangSmith":
        """Return the destination."""
        del name
        headers = {"x-api-key": self.api_key.get_secret_value()}
        if self.workspace is not None:
            headers["x-tenant-id"] = self.workspace
        return LangSmith(client, self.url, headers, project=self.project, limits=self.limits())


class LangSmith:
    """Each call is a finished run, and the root of its trace: LangSmith takes no run whose parent it was not sent."""

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        client: "httpx.AsyncClient",
        url: str,
        headers: Mapping[str, str],
        *,
        project: str,
        limits: Limits,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._most = limits
        self._client = client
        self._url = url
        self._headers = dict(headers)
        self._project = project
        self._now = now
        self._told = Told()
        self._ask_at = now()

    def encode(self, parcels: Sequence[Parcel], batch: str) -> Payload:
        """Return the runs, as parts or, once the server turned out to know no multipart, as one JSON value."""
        runs = [run_of(parcel, self._project) for parcel in parcels]
        calls = tuple(parcel.span.id for parcel in parcels)
        if not self._told.multipart:
            return Payload(json_bytes({"post": runs, "patch": []}), "application/json", calls)
        boundary = f"faregate-{batch}"
        body = _parts([(run, attachments_of(parcel)) for run, parcel in zip(runs, parcels, strict=True)], boundary)
        return Payload(body, f"{_MULTIPART}; boundary={boundary}", calls)

    async def send(self, payload: Payload) -> Receipt:
        """Send the runs where their form belongs.

        Raises:
            TooLarge: they are more than the server says it takes, and it was not asked.
            Rejected: it has some of them, and may have taken none of the others.

        """
        await self._learn()
        if len(payload.calls) > self.limits.items or len(payload.body) > self.limits.body_bytes:
            raise TooLarge(f"the server takes {self.limits.items} runs and {self.limits.body_bytes} bytes at once")
        multipart = payload.content_type.startswith(_MULTIPART)
        try:
            answer = await post(
                self._client,
                f"{self._url}/runs/{'multipart' if multipart else 'batch'}",
                body=payload.body,
                headers=self._headers,
                content_type=payload.content_type,
                pack=packed if multipart and self._told.zstd else None,
                judge=_multipart_verdict if multipart else _batch_verdict,
            )
        except Unavailable as error:
            if error.status == _NO_SUCH_PATH:
                self._told = replace(self._told, multipart=False)
            if error.throttled and error.retry_after is None:
                error.retry_after = PATIENCE_WHEN_THROTTLED
            raise
        if answer.status == _STORED and len(payload.calls) > 1:
            raise Rejected("some of these runs are there already, it does not say which; each is sent alone", status=_STORED)
        return Receipt(answer.status, note="it was there already" if answer.status == _STORED else "")

    async def _learn(self) -> None:
        """Ask the server what it takes, now and then; what it says narrows the settings' limits. Where it says nothing, what was known stays."""
        if self._now() < self._ask_at:
            return
        self._ask_at = self._now() + ASK_AGAIN
        told = await asked_of(self._client, self._url, self._headers)
        if told is None:
            return
        self._told = told
        self.limits = replace(
            self._most,
            items=min(self._most.items, told.items or self._most.items),
            body_bytes=min(self._most.body_bytes, told.body_bytes or self._most.body_bytes),
        )


def packed(body: bytes) -> tuple[bytes, Mapping[str, str]]:
    """Return a body compressed by zstd, with the headers that LangSmith's own client sends of it."""
    import zstandard  # noqa: PLC0415 - the gate reads settings too, and has no use for it

    small = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body)
    sizes = {"x-pre-compressed-size": str(len(body)), "x-post-compressed-size": str(len(small))}
    return small, {"content-encoding": "zstd", **sizes}


def _batch_verdict(answer: Answer) -> Verdict | None:
    """Return what an answer means: a run that is there already was sent before."""
    return "taken" if answer.status == _STORED else None


def _multipart_verdict(answer: Answer) -> Verdict | None:
    """Return what an answer means: an older server has no such path, and what waits goes to the other one."""
    return "unavailable" if answer.status == _NO_SUCH_PATH else _batch_verdict(answer)


def _parts(runs: Sequence[tuple[Mapping[str, Any], Sequence[Attachment]]], boundary: str) -> bytes:
    """Return runs as multipart: for each, one part with what is small, one for each thing that is large, and one for each attachment.

    The boundary cannot be in a part of JSON, in which a line break is an escape; an attachment with it is left out.
    """
    lines: list[bytes] = []
    for run, attachments in runs:
        for name, value in _named(run):
            lines += _part(boundary, name, "application/json", json_bytes(value))
        for one in attachments:
            if boundary.encode() not in one.data:
                lines += _part(boundary, f"attachment.{run['id']}.{one.name}", one.media_type, one.data)
    lines.append(f"--{boundary}--\r\n".encode())
    return b"".join(lines)


def _part(boundary: str, name: str, media_type: str, body: bytes) -> tuple[bytes, bytes, bytes]:
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body, b"\r\n"


def _named(run: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield f"post.{run['id']}", {name: value for name, value in run.items() if name not in _LARGE}
    for name in _LARGE:
        if name in run:
            yield f"post.{run['id']}.{name}", run[name]
