"""The data folder: where everything that one installation keeps on this machine lies.

faregate.db            the span store, unless PostgreSQL is used
ledger.db              the ledger, unless Redis is used: what is spent and held; it is made anew from the store when it is lost
journal/gate-0/        the journal of the first gate worker
keys.json              the keys as the gate knows them: digests, no secrets
budgets.json           the budgets as the gate knows them, but for those of the settings
past-costs.json        what calls cost lately, by key and model: how much the gate holds for the next one
replays.json           replays and back-fills: what was asked, and how far each is
destinations.json      digests of the destinations' settings, so that a change of them is noticed
store-id               the id of the store, so that a ledger in Redis that belongs to another one is not used
pepper                 keys the fingerprints of pass-through credentials
local.json             address, admin token and local key of the running gateway; only its owner can read it
run/                   sockets and counters of the running processes
"""

import hashlib
import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

LONGEST_SOCKET_PATH = 100
PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Local:
    """How a program on this machine reaches the running gateway. `key` is a managed key's secret for apps of this user."""

    url: str
    admin_token: str
    key: str
    pid: int


class DataFolder:
    """Paths in a data folder, and its small files."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is made or read yet."""
        self.path = path
        self.database = path / "faregate.db"
        self.journal = path / "journal"
        self.ledger = path / "ledger.db"
        self.keys = path / "keys.json"
        self.budgets = path / "budgets.json"
        self.past_costs = path / "past-costs.json"
        self.run = path / "run"
        self._local = path / "local.json"
        self._pepper = path / "pepper"

    def prepare(self) -> None:
        """Make the folder, readable by its owner only.

        Raises:
            OSError: it cannot be made or written to.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.journal.mkdir(mode=0o700, exist_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.path):
            pass

    @property
    def office_socket(self) -> Path:
        """The Unix socket of the office: in the folder, or under the system's folder for short-lived files if that path is too long."""
        path = self.run / "office.sock"
        if len(os.fsencode(path.absolute())) <= LONGEST_SOCKET_PATH:
            return path.absolute()
        short = short_name(self.path.absolute())
        folder = Path(tempfile.gettempdir()) / f"faregate-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            message = f"{folder} belongs to somebody else; use a data folder with a shorter path"
            raise PermissionError(message)
        return folder / f"{short}.sock"

    def pepper(self) -> bytes:
        """Return this installation's pepper, made at first use."""
        try:
            return bytes.fromhex(self._pepper.read_text())
        except FileNotFoundError:
            try:
                with open(self._pepper, "x", opener=_private) as file:
                    file.write(secrets.token_hex(32))
            except FileExistsError:
                pass
            return bytes.fromhex(self._pepper.read_text())

    def local(self) -> Local | None:
        """Return how to reach the gateway, or None if none was started on this folder."""
        try:
            values = json.loads(self._local.read_text())
            return Local(str(values["url"]), str(values["admin_token"]), str(values["key"]), int(values["pid"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save_local(self, local: Local) -> None:
        """Write how to reach the gateway, in one step, readable by the owner only."""
        write_private(self._local, json.dumps(asdict(local)).encode())


def write_private(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data` in one step; only its owner can read it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    with open(temporary, "wb", opener=_private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def short_name(path: Path) -> str:
    """Return a short name that follows from `path`."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)
