"""How programs of this user on this machine reach the gateway: address, admin token and a key, in a file that only they can read."""

import secrets
from collections.abc import Mapping

from domain.keys import new_secret
from storage.folder import DataFolder, Local

TOKEN_VARIABLE = "FAREGATE_ADMIN_TOKEN"  # noqa: S105 - the name of a variable


def note_local(folder: DataFolder, url: str, pid: int, environ: Mapping[str, str]) -> Local:
    """Write the file for a gateway at `url`, and return what is in it.

    Token and key stay what they were: what was pasted into a shell yesterday still works today. A token in the environment wins.
    """
    known = folder.local()
    token = environ.get(TOKEN_VARIABLE) or (known.admin_token if known else "") or secrets.token_urlsafe(32)
    local = Local(url, token, (known.key if known else "") or new_secret(), pid)
    folder.save_local(local)
    return local
