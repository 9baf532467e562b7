"""Transitions of a clip's state."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from lipstream_server.clips import transitions
from lipstream_server.clips.state import (
    Clip,
    ClipSpec,
    Failure,
    State,
    Video,
)
from lipstream_server.clips.table import add_clip, find_clip, save_clip
from lipstream_server.storage.database import open_database
from lipstream_server.webhooks.outbox import WebhookOutbox

SPEC = ClipSpec("amara", "realtime", 0, 64, 64, "mp4", 25, 100)
ALLOWED = {
    ("queued", "running"),
    ("queued", "failed"),
    ("queued", "cancelled"),
    ("running", "queued"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "cancelled"),
}


def become(connection: Connection, state: State) -> Clip | None:
    """Ask for the transition of the clip "clip_1" to a state."""
    outbox = WebhookOutbox()
    match state:
        case State.QUEUED:
            return transitions.requeue(connection, "clip_1")
        case State.RUNNING:
            transitions.start_next(connection, 1.0)
            return find_clip(connection, "clip_1")
        case State.SUCCEEDED:
            return transitions.succeed(connection, outbox, "clip_1", Video(3, "tag"), 2.0)
        case State.FAILED:
            return transitions.fail(connection, outbox, "clip_1", Failure("internal", "why"), 2.0)
        case State.CANCELLED:
            return transitions.cancel(connection, outbox, "clip_1", 2.0)


@pytest.mark.parametrize(("before", "after"), [*itertools.product(State, State)])
def test_clip_makes_allowed_transitions_and_no_others(before: State, after: State, tmp_path: Path) -> None:
    engine = open_database(tmp_path / "data.db")
    with engine.begin() as connection:
        clip = replace(add_clip(connection, "clip_1", SPEC, 0.0), state=before)
        save_clip(connection, clip)
        changed = become(connection, after)
        assert changed == find_clip(connection, "clip_1")
        assert changed is not None
        if (before, after) in ALLOWED:
            assert changed.state is after
        else:
            assert changed == clip
        assert transitions.cancel(connection, WebhookOutbox(), "clip_2", 2.0) is None  # no such clip
    engine.dispose()
