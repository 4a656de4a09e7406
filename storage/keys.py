"""The keys of an installation, as the office keeps them. The gate reads them from a file that is written from here (`keyring`)."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec
from sqlalchemy import Connection, and_, case, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from domain.keys import ApiKey
from storage.database import Database
from storage.tables import KeyRow, table_of

KEYS = table_of(KeyRow)
LONGEST_NAME = 100
_decode = msgspec.json.Decoder(ApiKey).decode
_WHOLE = (KEYS.c.document, KEYS.c.last_used_at)


class KeyStore:
    """Keys in a database: digests, never secrets. Its methods wait and can be called from any thread; each may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, key: ApiKey) -> ApiKey:
        """Keep a new key, and return it.

        Raises:
            ValueError: another key that is not revoked has this name, or the name is not a name.
        """
        _check_name(key.name)
        try:
            with self._database.writing() as connection:
                connection.execute(insert(KEYS).values(id=key.id, created_at=key.created_at, last_used_at=None, **_columns(key)))
        except IntegrityError:
            raise _taken(key) from None
        return key

    def list(self, project: str | None = None) -> list[ApiKey]:
        """Return all keys, or those of a project, revoked ones too, the oldest first."""
        statement = select(*_WHOLE).order_by(KEYS.c.created_at, KEYS.c.id)
        if project is not None:
            statement = statement.where(KEYS.c.project == project)
        with self._database.reading() as connection:
            return [_key(*row) for row in connection.execute(statement)]

    def get(self, name_or_id: str) -> ApiKey | None:
        """Return the key with this id or name, or None. Of several keys with one name all but one are revoked: that one is meant."""
        with self._database.reading() as connection:
            return _found(connection, name_or_id)

    def update(self, name_or_id: str, change: Callable[[ApiKey], ApiKey]) -> ApiKey:
        """Replace a key by what `change` makes of it, and return that. Its id stays. No other change can come in between.

        Raises:
            LookupError: there is no such key.
            ValueError: the name is not a name, or another key that is not revoked has it.
        """
        try:
            with self._database.writing() as connection:
                key = _found(connection, name_or_id, to_change=True)
                if key is None:
                    raise LookupError(f"there is no key {name_or_id!r}")
                changed = replace(change(key), id=key.id)
                _check_name(changed.name)
                connection.execute(update(KEYS).where(KEYS.c.id == key.id).values(**_columns(changed)))
        except IntegrityError:
            raise _taken(changed) from None
        return changed

    def rotate(self, name_or_id: str, *, digest: str, hint: str, at: float, grace: float) -> ApiKey:
        """Give a key a new secret; the old one is good for `grace` seconds more.

        Raises:
            LookupError: there is no such key.
            ValueError: the key is revoked, or its secret is not ours to change.
        """

        def rotated(key: ApiKey) -> ApiKey:
            if key.kind != "managed" or key.revoked_at is not None:
                raise ValueError(
                    f"the key {key.name!r} is {'revoked' if key.revoked_at else 'not one of ours'} and cannot be rotated"
                )
            return replace(key, digest=digest, hint=hint, previous=key.digest, previous_until=at + grace)

        return self.update(name_or_id, rotated)

    def revoke(self, name_or_id: str, at: float) -> ApiKey:
        """End a key for good; revoking it again changes nothing.

        Raises:
            LookupError: there is no such key.
        """
        return self.update(name_or_id, lambda key: key if key.revoked_at is not None else replace(key, revoked_at=at))

    def remember_pass_through(self, key: ApiKey, at: float) -> ApiKey:
        """Keep a provider's credential that came by for the first time, note its use, and return its key as it is known here."""
        try:
            return self._remembered(key, at)
        except IntegrityError:
            # Another office met the same credential at the same moment, and was first.
            return self._remembered(key, at)

    def _remembered(self, key: ApiKey, at: float) -> ApiKey:
        with self._database.writing() as connection:
            known = connection.execute(select(KEYS.c.id).where(KEYS.c.digest == key.digest)).scalar()
            if known is None:
                named = replace(key, name=_free_name(connection, key), created_at=key.created_at or at)
                connection.execute(
                    insert(KEYS).values(id=key.id, created_at=named.created_at, last_used_at=None, **_columns(named))
                )
            _note_use(connection, {known or key.id: at})
            return _key(*connection.execute(select(*_WHOLE).where(KEYS.c.digest == key.digest)).one())

    def used(self, times: Mapping[str, float]) -> None:
        """Note when keys, by id, were used; an earlier time than the one known changes nothing."""
        with self._database.writing() as connection:
            _note_use(connection, times)


def _columns(key: ApiKey) -> dict[str, object]:
    """Return what an update writes. When a key was last used is not part of its document: that changes all the time."""
    document = msgspec.json.encode(replace(key, last_used_at=None))
    return {"name": key.name, "digest": key.digest, "project": key.project, "revoked_at": key.revoked_at, "document": document}


def _key(document: bytes, last_used_at: float | None) -> ApiKey:
    return replace(_decode(document), last_used_at=last_used_at)


def _found(connection: Connection, name_or_id: str, *, to_change: bool = False) -> ApiKey | None:
    its_id = KEYS.c.id == name_or_id
    live = and_(KEYS.c.name == name_or_id, KEYS.c.revoked_at.is_(None))
    best = case((live, 0), (its_id, 1), else_=2)
    statement = select(*_WHOLE).where(or_(its_id, KEYS.c.name == name_or_id)).order_by(best, KEYS.c.created_at.desc()).limit(1)
    if "\0" in name_or_id:
        return None
    row = connection.execute(statement.with_for_update() if to_change else statement).first()
    return None if row is None else _key(*row)


def _note_use(connection: Connection, times: Mapping[str, float]) -> None:
    for key_id, at in sorted(times.items()):
        later = or_(KEYS.c.last_used_at.is_(None), KEYS.c.last_used_at < at)
        connection.execute(update(KEYS).where(KEYS.c.id == key_id, later).values(last_used_at=at))


def _free_name(connection: Connection, key: ApiKey) -> str:
    """Return the key's name, made longer should another key have it already: fingerprints are shortened in names."""
    taken = connection.execute(select(KEYS.c.id).where(KEYS.c.name == key.name, KEYS.c.revoked_at.is_(None))).first()
    return key.name if taken is None else f"{key.name}-{key.digest[:LONGEST_NAME]}"[:LONGEST_NAME]


def _check_name(name: str) -> None:
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError(f"a key's name has 1 to {LONGEST_NAME} printable characters")


def _taken(key: ApiKey) -> ValueError:
    return ValueError(f"there is a key {key.name!r} already; choose another name, or revoke that one first")
