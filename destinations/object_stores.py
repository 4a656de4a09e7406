"""Where objects are put: a folder of this machine, or a store of a cloud by obstore. Both create an object whole, once, or not at all."""

import asyncio
import errno
import os
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from destinations.addresses import is_private, place_of, why_not
from destinations.http import verdict_on
from domain.destinations import DeliveryFailed, Misconfigured, Rejected, TooLarge, Unavailable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_CLOSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP})
_STATUS = re.compile(r"status(?: code)?:? (\d{3})|\b([45]\d\d) [A-Z][a-z]+")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>|\"(?:reason|code)\": ?\"(\w{1,64})\"")
_CONFLICT, _NOT_AS_ASKED = 409, 412
_TOO_LARGE = frozenset({"EntityTooLarge", "RequestBodyTooLarge", "MaxMessageLengthExceeded"})


class ObjectStore(Protocol):
    """Creates objects."""

    async def create(self, name: str, data: bytes, content_type: str) -> bool:
        """Create an object; False if there is one of this name already.

        Raises:
            DeliveryFailed: it was not created.

        """


class Folder:
    """Files in a folder of this machine. A file has its name when all of it is on the disk; before, its name begins with a dot."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def create(self, name: str, data: bytes, content_type: str) -> bool:
        """Write a file. Files have no content type."""
        del content_type
        try:
            return await asyncio.to_thread(_written, self._path / name, data)
        except OSError as error:
            raise _of_disk(error) from error


def _written(path: Path, data: bytes) -> bool:
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # Two that write the same name write the same batch: whichever comes last changes nothing.
        part.replace(path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
    _sync_folder(path.parent)
    return True


def _sync_folder(path: Path) -> None:
    """Make a new name in a folder last, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):  # pragma: no cover - Windows
        return
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _of_disk(error: OSError) -> DeliveryFailed:
    if error.errno in _FULL:
        return Misconfigured("the disk of the folder is full; make room, and what waits is written", status=507)
    if error.errno in _CLOSED:
        return Misconfigured(
            f"the folder cannot be written to: {error.strerror}; look at its path and its permissions", status=403
        )
    return Unavailable(f"the file could not be written: {error.strerror or type(error).__name__}")


class CloudStore:
    """A bucket or container, by obstore. The store is made at the first use, since that reads files and the environment."""

    def __init__(self, make: Callable[[], Any], *, endpoint: str | None, allow_private: bool) -> None:
        self._make = make
        self._endpoint = endpoint
        self._allow_private = allow_private
        self._store: Any = None

    async def create(self, name: str, data: bytes, content_type: str) -> bool:
        """Put an object in one request, on condition that there is none of its name."""
        import obstore  # noqa: PLC0415 - an extra, see `destinations.extras`

        await _check(self._endpoint, allow_private=self._allow_private)
        attributes = {"Content-Type": content_type}
        if self._store is None:
            self._store = await asyncio.to_thread(self._opened)
        try:
            await obstore.put_async(self._store, name, data, attributes=attributes, mode="create", use_multipart=False)
        except Exception as error:  # noqa: BLE001 - its errors share no base class with those of Python that it raises too
            failure = failure_of(error)
            if failure is None:
                return False
            raise failure from None  # its text may hold a signed URL
        return True

    def _opened(self) -> Any:
        """Return the library's store. Nothing is sent for that, so what fails is in the settings, and its words may repeat them."""
        try:
            return self._make()
        except Exception as error:  # noqa: BLE001 - as in `create`
            told = type(error).__name__
            raise Misconfigured(f"the store's settings cannot be used; look at its keys, names and files ({told})") from None


async def _check(endpoint: str | None, *, allow_private: bool) -> None:
    """See that an endpoint of one's own is at an allowed address.

    The library connects by itself and looks the name up again. Should it lead elsewhere by then, TLS still asks for a certificate of the name; plain http,
    which has none, is only for addresses of one's own network.
    """
    if endpoint is None:
        return
    from destinations.client import resolved  # noqa: PLC0415 - brings the HTTP client, which the gate has no use for

    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    try:
        addresses = await resolved(host, parts.port or (443 if parts.scheme == "https" else 80))
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"the name {host} could not be resolved") from error
    for address in addresses:
        reason = why_not(address, allow_private=allow_private)
        if reason is None and parts.scheme != "https" and not is_private(address):
            reason = "plain http is only for private addresses, with `allow_private = true`; use https"
        if reason is not None:
            raise Misconfigured(f"{place_of(host, address)}: {reason}")


def failure_of(error: Exception) -> DeliveryFailed | None:
    """Return what an error of obstore means; None where the object was there already."""
    kind = type(error).__name__
    text = str(error)
    found = _STATUS.search(text)
    status = int(found[1] or found[2]) if found else None
    code = next((one or other for one, other in _CODE.findall(text)), "")
    said = f" ({code})" if code else ""
    if kind in {"AlreadyExistsError", "PreconditionError"} and _is_there(status, code):
        return None
    if code in _TOO_LARGE:
        return TooLarge(f"the object is larger than the store takes{said}", status=status)
    if kind in _MISCONFIGURED or isinstance(error, (ValueError, FileNotFoundError)):
        told = _MISCONFIGURED.get(
            kind,
            "there is no such bucket or container" if isinstance(error, FileNotFoundError) else "its settings cannot be used",
        )
        status = _STATUSES.get(kind, status)
        number = "" if status is None else f" by HTTP {status}"
        return Misconfigured(f"the store refuses{number}: {told}{said}", status=status)
    if "InvalidCertificate" in text:
        return Misconfigured("the store's certificate is not trusted; set `ca_file` if it is signed by a CA of your own")
    return _of_status(status, said)


def _is_there(status: int | None, code: str) -> bool:
    """Tell whether an object is there already.

    The library says so of each 409, but stores answer that to much else: a container that is being deleted (Azure), another request for the same
    name (S3), after which nothing may be there.
    """
    if status == _CONFLICT:
        return code.endswith("AlreadyExists") or code == "BlobImmutableDueToPolicy"
    return status is None or status == _NOT_AS_ASKED


_MISCONFIGURED: Mapping[str, str] = {
    "PermissionDeniedError": "the credentials may not write there",
    "UnauthenticatedError": "the credentials are not accepted",
    "FileNotFoundError": "there is no such bucket or container",
    "InvalidPathError": "the prefix cannot be used",
    "NotSupportedError": "it cannot create objects on condition",
    "UnknownConfigurationKeyError": "a setting is unknown to it",
}
_STATUSES: Mapping[str, int] = {
    "PermissionDeniedError": 403,
    "UnauthenticatedError": 401,
    "FileNotFoundError": 404,
    "NotSupportedError": 501,
}


def _of_status(status: int | None, said: str) -> DeliveryFailed:
    """Return what a status of a store means, where the library has no error of its own for it."""
    if status is None:
        return Unavailable(f"no answer of the store{said}")
    message = f"HTTP {status} from the store{said}"
    if status == _CONFLICT:
        return Unavailable(message, status=status)
    verdict = verdict_on(status)
    if verdict == "too_large":
        return TooLarge(message, status=status)
    if verdict == "rejected":
        return Rejected(message, status=status)
    if verdict in {"misconfigured", "gone"}:
        return Misconfigured(message, status=status, gone=verdict == "gone")
    return Unavailable(message, status=status, throttled=status in {429, 503})
