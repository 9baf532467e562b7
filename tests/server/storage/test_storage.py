"""Database schema, transitions of clips, the data directory's lock, and recovery at the start of a server."""

import itertools
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, Table, create_engine, insert

from lipstream_server.auth.api_keys import ApiKey
from lipstream_server.auth.key_table import add_api_key, all_api_keys, remove_api_key
from lipstream_server.avatars.recovery import recover_avatars
from lipstream_server.avatars.table import (
    StoredAvatar,
    add_avatar,
    page_of_avatars,
    remove_unused_avatars,
)
from lipstream_server.clips import transitions
from lipstream_server.clips.recovery import recover_clips
from lipstream_server.clips.state import (
    Clip,
    ClipSpec,
    Failure,
    State,
    Video,
)
from lipstream_server.clips.table import add_clip, find_clip, save_clip
from lipstream_server.storage import database
from lipstream_server.storage.data_directory import DataDirectory, DataDirectoryError
from lipstream_server.storage.database import is_intact, open_database
from lipstream_server.storage.storage import Storage
from lipstream_server.storage.tables import metadata
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


def test_migrations_create_the_tables_of_the_code(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "data.db")
    open_database(tmp_path / "data.db").dispose()  # a second start changes nothing
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert is_intact(engine)
    engine.dispose()


def test_clips_from_before_api_keys_stay_and_have_no_owner(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite+pysqlite:///{tmp_path / 'data.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        values = {**asdict(SPEC), "id": "clip_1", "state": "queued", "created": 1.0}
        del values["webhook_url"]  # there were none
        connection.execute(insert(Table("clips", MetaData(), autoload_with=connection)).values(values))
    engine.dispose()
    engine = open_database(tmp_path / "data.db")
    with engine.begin() as connection:
        assert find_clip(connection, "clip_1") is not None
        assert find_clip(connection, "clip_1", "key_1") is None
    engine.dispose()


def test_avatars_of_a_removed_key_are_not_listed(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "data.db")
    with engine.begin() as connection:
        for name in ("a", "b"):
            add_api_key(connection, ApiKey(f"key_{name}", name), name)
            add_avatar(connection, StoredAvatar(name, name, (), None, True, 0.0, 1, owner=f"key_{name}"))
        assert remove_api_key(connection, "a")
        assert not remove_api_key(connection, "a")
        assert [avatar.id for avatar in page_of_avatars(connection, 0, 10, None)] == ["b"]
        assert list(all_api_keys(connection)) == ["b"]
        assert remove_unused_avatars(connection, frozenset()) == ["a"]
    engine.dispose()


async def test_data_directory_is_locked_by_one_server(tmp_path: Path) -> None:
    async with Storage(tmp_path):
        with pytest.raises(DataDirectoryError, match="another server keeps its data"):
            async with Storage(tmp_path):
                pass
    async with Storage(tmp_path):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(DataDirectoryError, match="expected a folder"):
        async with Storage(tmp_path / "file"):
            pass


async def test_recovery_leaves_accepted_clips_and_no_other_files(tmp_path: Path) -> None:
    files = DataDirectory(tmp_path)
    video = Video(4, "tag")
    async with Storage(tmp_path) as storage:

        def store(name: str, state: State, container: str = "mp4", **contents: bytes) -> None:
            clip = storage.transact_in_thread(add_clip, name, replace(SPEC, container=container), 0.0)
            finished = video if state is State.SUCCEEDED else None
            storage.transact_in_thread(save_clip, replace(clip, state=state, video=finished))
            files.clip(name).mkdir()
            for file, data in contents.items():
                (files.clip(name) / file.replace("_", ".")).write_bytes(data)

        await storage.run(store, "waits", State.QUEUED, audio=b"a")
        await storage.run(
            store, "ran", State.RUNNING, audio=b"a", work_part_mp4=b"half", video_mp4=b"not published"
        )
        await storage.run(store, "whole", State.SUCCEEDED, audio=b"a", video_mp4=b"four")
        await storage.run(store, "webm", State.SUCCEEDED, "webm", video_webm=b"four", video_mp4=b"stray")
        await storage.run(store, "cut", State.SUCCEEDED, video_mp4=b"fo")
        await storage.run(store, "without_audio", State.QUEUED)
    (files.incoming / "upload").write_bytes(b"half an image")
    (files.clips / "unknown").mkdir()
    (files.avatars / "unknown").write_bytes(b"image")
    async with Storage(tmp_path) as storage:
        await storage.transact(recover_clips, files, WebhookOutbox(), 3.0)
        await storage.transact(recover_avatars, files)
        after = {
            name: await storage.transact(find_clip, name)
            for name in ("waits", "ran", "whole", "webm", "cut", "without_audio")
        }
    assert {name: clip and clip.state.value for name, clip in after.items()} == {
        "waits": "queued",
        "ran": "queued",
        "whole": "succeeded",
        "webm": "succeeded",
        "cut": "failed",
        "without_audio": "failed",
    }
    lost = after["cut"]
    assert lost is not None
    assert lost.failure is not None
    assert lost.failure.code == "file_missing"
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {
        "lipstream.db",
        "lock",
        "clips/waits/audio",
        "clips/ran/audio",
        "clips/whole/video.mp4",
        "clips/webm/video.webm",
    }
