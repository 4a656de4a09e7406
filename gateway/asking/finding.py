"""Find the running gateway: at an address that was named, or by the data folder that it wrote its address into."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.asking.client import AdminClient
from gateway.commands.failure import Failed
from gateway.running.local import TOKEN_VARIABLE
from storage.folder import DataFolder

DEFAULT_DATA = Path("./faregate-data")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway: its address, the token for its admin API, and a key for apps, which only one on this machine gives away."""

    url: str
    token: str
    key: str | None = None

    def client(self) -> AdminClient:
        """Return a client of its admin API."""
        return AdminClient(self.url, self.token)


def found_gateway(url: str | None, data: Path | None, environ: Mapping[str, str] = os.environ) -> Gateway:
    """Return the gateway that is meant.

    Raises:
        Failed: there is none, or no token for it.
    """
    if url:
        token = environ.get(TOKEN_VARIABLE, "")
        if not token:
            raise Failed(f"The gateway at {url} asks for its admin token.\nSet it: export {TOKEN_VARIABLE}=…")
        return Gateway(url.rstrip("/"), token)
    folder = data_folder(data, environ)
    local = DataFolder(folder).local()
    if local is None:
        raise Failed(
            f"No Faregate was started on the data folder {folder}.\n"
            "Start one with `faregate up`, name its folder with --data DIR, or name one elsewhere with --url URL"
        )
    return Gateway(local.url, environ.get(TOKEN_VARIABLE) or local.admin_token, local.key)


def data_folder(data: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the data folder that is meant, without reading the settings as a whole: that costs more than most commands."""
    if data is not None:
        return data
    named = environ.get("FAREGATE_STORAGE__DATA")
    if named:
        return Path(named)
    return _in_file(Path(environ.get("FAREGATE_CONFIG") or "faregate.toml")) or DEFAULT_DATA


def _in_file(path: Path) -> Path | None:
    try:
        found = tomllib.loads(path.read_text("utf-8")).get("storage", {}).get("data")
    except (OSError, ValueError, AttributeError):
        return None
    return Path(found) if isinstance(found, str) and "${" not in found else None
