"""Browsers that are signed in, and the links that sign them in. Only digests are kept: who reads the database cannot sign in with it."""

from sqlalchemy import delete, insert, select, update

from storage.database import Database
from storage.tables import SessionRow, SignInLinkRow, table_of

SESSIONS = table_of(SessionRow)
LINKS = table_of(SignInLinkRow)
# A session's last use is written down at most this often (seconds): a page asks many things at once.
_NOTED_EVERY = 60.0


class SessionStore:
    """Sessions and links in a database. Its methods wait and can be called from any thread; each may raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_link(self, digest: str, *, expires_at: float) -> None:
        """Keep a sign-in link."""
        with self._database.writing() as connection:
            connection.execute(insert(LINKS).values(digest=digest, expires_at=expires_at))

    def use_link(self, digest: str, *, now: float) -> bool:
        """Use a link up, and return whether it was good; of two who use it at once, it is good for one. Expired links go with it."""
        with self._database.writing() as connection:
            good = connection.execute(delete(LINKS).where(LINKS.c.digest == digest, LINKS.c.expires_at > now)).rowcount == 1
            connection.execute(delete(LINKS).where(LINKS.c.expires_at <= now))
        return good

    def add_session(self, digest: str, *, now: float, expires_at: float) -> None:
        """Keep a session. Expired ones go."""
        with self._database.writing() as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.expires_at <= now))
            connection.execute(insert(SESSIONS).values(digest=digest, created_at=now, last_seen_at=now, expires_at=expires_at))

    def session_seen(self, digest: str, *, now: float, idle: float) -> bool:
        """Return whether a session is good: not expired, and used within the last `idle` seconds. Note that it was used now."""
        good = select(SESSIONS.c.last_seen_at).where(
            SESSIONS.c.digest == digest, SESSIONS.c.expires_at > now, SESSIONS.c.last_seen_at > now - idle
        )
        with self._database.reading() as connection:
            last_seen_at = connection.execute(good).scalar()
        if last_seen_at is None:
            return False
        if last_seen_at < now - _NOTED_EVERY:
            with self._database.writing() as connection:
                connection.execute(update(SESSIONS).where(SESSIONS.c.digest == digest).values(last_seen_at=now))
        return True

    def end_session(self, digest: str) -> None:
        """Forget a session."""
        with self._database.writing() as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.digest == digest))
