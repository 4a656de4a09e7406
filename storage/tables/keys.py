"""Keys, and who is signed in."""

from sqlalchemy import Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field

from storage.tables.base import StoredRow


class KeyRow(StoredRow, table=True):
    """One key: `document` is the `ApiKey` as JSON, the columns are what is looked up, and when it was last used."""

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("digest"),
        Index(
            "ix_api_keys_live_name",
            "name",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    name: str
    digest: str
    project: str
    created_at: float
    revoked_at: float | None
    last_used_at: float | None
    document: bytes = Field(sa_type=LargeBinary)


class SessionRow(StoredRow, table=True):
    """A browser that is signed in. The token itself is only in the browser; here is its digest."""

    __tablename__ = "sign_in_sessions"

    digest: str = Field(primary_key=True)
    created_at: float
    last_seen_at: float
    expires_at: float


class SignInLinkRow(StoredRow, table=True):
    """A link that signs a browser in once."""

    __tablename__ = "sign_in_links"

    digest: str = Field(primary_key=True)
    expires_at: float
