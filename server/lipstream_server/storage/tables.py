"""Tables of the database. The migrations create them; a change here needs a migration (test_storage.py compares both)."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()

# AUTOINCREMENT: numbers are never used again, so a page that follows a number stays right whatever was removed.
avatars = Table(
    "avatars",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("notes", JSON, nullable=False),
    Column("crop", JSON),
    Column("listed", Boolean, nullable=False),
    Column("created", Float, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("owner", Text),  # id of an API key; NULL for an avatar of a server without keys
    sqlite_autoincrement=True,
)

clips = Table(
    "clips",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("avatar", Text, nullable=False),
    Column("preset", Text, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("container", Text, nullable=False),
    Column("fps", Integer, nullable=False),
    Column("frames", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("ended", Float),
    Column("video_bytes", Integer),
    Column("video_tag", Text),
    Column("failure_code", Text),
    Column("failure_detail", Text),
    Column("owner", Text),  # as above
    Column("webhook_url", Text),
    Index("clips_by_state", "state", "number"),
    Index("clips_by_owner", "owner", "number"),
    sqlite_autoincrement=True,
)

# A row is added with the final state of a clip that has a webhook, and outlives the clip until it was sent.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("clip", Text, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt", Float),
    Index("deliveries_by_time", "state", "next_attempt"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("clip", Text, nullable=False),
    Column("created", Float, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("sessions", Integer),
    Column("clips", Integer),
    Column("requests_per_minute", Integer),
    Column("created", Float, nullable=False),
    sqlite_autoincrement=True,
)
