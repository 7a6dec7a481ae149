"""The tables of the service, one definition for SQLite and PostgreSQL, and how they come to be."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    inspect,
    select,
)

from cyclorama.errors import OutputError

VERSION = 2
"""Of the tables below; raised whenever one of them changes."""
metadata = MetaData()
_Number = BigInteger().with_variant(Integer, "sqlite")

versions = Table("versions", metadata, Column("version", Integer, nullable=False))

keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created", Float, nullable=False),
    Column("revoked", Float),
)

sessions = Table(
    "sessions",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("key", String(32), nullable=False),
    Column("kind", String(16), nullable=False),  # session, or link: opens one session
    Column("expires", Float, nullable=False),
)

assets = Table(
    "assets",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False),
    Column("key", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("media_type", String(64), nullable=False),
    Column("bytes", _Number, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("facts", JSON, nullable=False),  # width, height, alpha, icc_profile, notes, thumbnail
    Column("created", Float, nullable=False),
    Column("seen", Float, nullable=False),  # when it was last uploaded, or a job asked for it
    UniqueConstraint("key", "id"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("key", String(32), nullable=False),
    Column("lane", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("model", Text, nullable=False),
    Column("request", JSON, nullable=False),
    Column("items", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Index("jobs_of_a_key", "key", "seq"),
    Index("jobs_running", "key", "state"),
)

images = Table(
    "images",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("job", String(40), nullable=False),
    Column("key", String(32), nullable=False),
    Column("lane", String(16), nullable=False),
    Column("item", Integer, nullable=False),
    Column("output", Integer, nullable=False),
    Column("candidate", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("worker", String(64)),
    Column("lease", String(40)),  # of this claim alone: who publishes must still hold it
    Column("lease_until", Float),
    Column("losses", Integer, nullable=False, default=0),
    Column("created", Float, nullable=False),
    Column("finished", Float),
    Column("result", JSON),
    Column("error", JSON),
    Column("files", JSON),  # kind (file, plate, thumbnail, a part, a layers' suffix) -> digest
    Column("decision", String(16), nullable=False, default="open"),
    Column("reasons", JSON),
    Column("note", Text),
    Column("decided", Float),
    Column("parent", String(40)),  # the image that this one was put together anew from
    Column("wanted", String(16)),  # parts: a worker is to take it apart
    UniqueConstraint("job", "item", "output", "candidate"),
    Index("images_waiting", "state", "lane", "seq"),
    Index("images_wanted", "wanted"),
    Index("images_of_a_key", "key", "state"),
)

brands = Table(
    "brands",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("key", String(32), nullable=False),
    Column("versions", JSON, nullable=False),  # kit and created, the oldest first
)

turns = Table(
    "turns",  # when each key was served last, for taking turns
    metadata,
    Column("lane", String(16), primary_key=True),
    Column("key", String(32), primary_key=True),
    Column("served", Float, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=True),
    Column("key", String(32), nullable=False),
    Column("job", String(40), nullable=False),
    Column("data", JSON, nullable=False),
    Column("created", Float, nullable=False),
    Index("events_of_a_job", "job", "seq"),
    sqlite_autoincrement=True,  # a number is never used twice, so that a reader's place stays right
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("token", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("job", String(40), nullable=False),
    Column("server", String(40), nullable=False),  # which start of the server is at work on the answer
    Column("answer", JSON),  # status and body of the first answer, once it was given
    Column("created", Float, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("key", String(32), nullable=False),
    Column("job", String(40), nullable=False),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due", Float),  # when to try again; null: delivered, or given up
    Column("fault", Text),  # of the last try
    Index("deliveries_due", "due"),
    Index("deliveries_of_a_key", "key", "created"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

batches = Table(
    "batches",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("key", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("found", JSON, nullable=False),  # what its table holds
    Column("request", JSON, nullable=False),
    Column("report", JSON),  # of the last check
    Column("result", JSON),  # counts and failures, once it has ended
    Column("error", JSON),
    Column("retry", Boolean, nullable=False, default=False),
    Column("runner", String(64)),  # machine and process that have its child
    Column("losses", Integer, nullable=False, default=0),
    Column("asked", Float),  # when its check or run was asked for
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Index("batches_of_a_key", "key", "seq"),
    Index("batches_waiting", "state", "asked"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("state", String(16), nullable=False),  # loading, ready
    Column("models", JSON, nullable=False),
    Column("seen", Float, nullable=False),
)


def make_tables(connection: Connection) -> None:
    """Make the tables, if there are none. Raises OutputError (tables of another version)."""
    if not inspect(connection).has_table("versions"):
        metadata.create_all(connection)
        connection.execute(insert(versions).values(version=VERSION))
    found = connection.execute(select(versions.c.version)).scalar_one()
    if found != VERSION:
        raise OutputError(
            f"the database has tables of version {found}, this release has {VERSION}; use the release that "
            "made them, or begin with another --data (and --database)"
        )
