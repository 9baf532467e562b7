"""What is kept on disk: the schema, what a clip may become, and what is mended when a server starts."""

import itertools
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, Table, create_engine, insert

from lipstream_server.auth.api_keys import ApiKey
from lipstream_server.auth.key_table import add_api_key, all_api_keys, remove_api_key
from lipstream_server.avatars.table import (
    KeptAvatar,
    add_avatar,
    page_of_avatars,
    remove_unneeded,
)
from lipstream_server.clips import state as clip_state
from lipstream_server.clips.state import (
    Clip,
    Failure,
    Order,
    State,
    TransitionError,
    Video,
)
from lipstream_server.clips.table import add_clip, find_clip, save_clip
from lipstream_server.storage import database
from lipstream_server.storage.data_directory import DataDirectory, DataDirectoryError
from lipstream_server.storage.database import intact, open_database
from lipstream_server.storage.storage import Storage
from lipstream_server.storage.tables import metadata

ORDER = Order("amara", "realtime", 0, 64, 64, "mp4", 25, 100)
STEPS = {
    State.QUEUED: clip_state.requeue,
    State.RUNNING: lambda clip: clip_state.begin(clip, 1.0),
    State.SUCCEEDED: lambda clip: clip_state.succeed(clip, Video(3, "tag"), 2.0),
    State.FAILED: lambda clip: clip_state.fail(clip, Failure("internal", "why"), 2.0),
    State.CANCELLED: lambda clip: clip_state.cancel(clip, 2.0),
}
ALLOWED = {
    ("queued", "running"),
    ("queued", "failed"),
    ("queued", "cancelled"),
    ("running", "queued"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "cancelled"),
}


@pytest.mark.parametrize(("before", "after"), [*itertools.product(State, State)])
def test_a_clip_takes_the_steps_that_it_may_and_no_other(before: State, after: State) -> None:
    clip = Clip(1, "clip_1", ORDER, 0.0, before)
    if (before, after) in ALLOWED:
        assert STEPS[after](clip).state is after
    else:
        with pytest.raises(TransitionError, match=f"is {before}, which cannot become {after}"):
            STEPS[after](clip)


def test_the_migrations_make_the_tables_that_the_code_expects(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "data.db")
    open_database(tmp_path / "data.db").dispose()  # a second start changes nothing
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert intact(engine)
    engine.dispose()


def test_what_was_there_before_keys_stays_and_belongs_to_none(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite+pysqlite:///{tmp_path / 'data.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        values = {**asdict(ORDER), "id": "clip_1", "state": "queued", "created": 1.0}
        del values["webhook_url"]  # there were none
        connection.execute(insert(Table("clips", MetaData(), autoload_with=connection)).values(values))
    engine.dispose()
    engine = open_database(tmp_path / "data.db")
    with engine.begin() as connection:
        assert find_clip(connection, "clip_1") is not None
        assert find_clip(connection, "clip_1", "key_1") is None
    engine.dispose()


def test_the_avatars_of_a_removed_key_are_not_listed_any_more(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "data.db")
    with engine.begin() as connection:
        for name in ("a", "b"):
            add_api_key(connection, ApiKey(f"key_{name}", name), name)
            add_avatar(connection, KeptAvatar(name, name, (), None, True, 0.0, 1, owner=f"key_{name}"))
        assert remove_api_key(connection, "a")
        assert not remove_api_key(connection, "a")
        assert [avatar.id for avatar in page_of_avatars(connection, 0, 10, None)] == ["b"]
        assert list(all_api_keys(connection)) == ["b"]
        assert remove_unneeded(connection, frozenset()) == ["a"]
    engine.dispose()


async def test_one_server_has_a_directory(tmp_path: Path) -> None:
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


async def test_a_start_after_any_end_leaves_what_was_promised_and_nothing_else(tmp_path: Path) -> None:
    files = DataDirectory(tmp_path)
    video = Video(4, "tag")
    async with Storage(tmp_path) as storage:

        def kept(name: str, state: State, container: str = "mp4", **there: bytes) -> None:
            order = replace(ORDER, container=container)
            clip = storage.transact_here(add_clip, name, order, 0.0)
            started = clip if state is State.QUEUED else clip_state.begin(clip, 1.0)
            done = clip_state.succeed(started, video, 2.0) if state is State.SUCCEEDED else started
            storage.transact_here(save_clip, done)
            files.clip(name).mkdir()
            for file, data in there.items():
                (files.clip(name) / file.replace("_", ".")).write_bytes(data)

        await storage.run(kept, "waits", State.QUEUED, audio=b"a")
        await storage.run(
            kept, "ran", State.RUNNING, audio=b"a", work_part_mp4=b"half", video_mp4=b"not told yet"
        )
        await storage.run(kept, "whole", State.SUCCEEDED, audio=b"a", video_mp4=b"four")
        await storage.run(kept, "webm", State.SUCCEEDED, "webm", video_webm=b"four", video_mp4=b"stray")
        await storage.run(kept, "cut", State.SUCCEEDED, video_mp4=b"fo")
        await storage.run(kept, "robbed", State.QUEUED)
    (files.incoming / "upload").write_bytes(b"half a picture")
    (files.clips / "never_told").mkdir()
    (files.avatars / "nobody").write_bytes(b"picture")
    async with Storage(tmp_path) as storage:
        after = {
            name: await storage.transact(find_clip, name)
            for name in ("waits", "ran", "whole", "webm", "cut", "robbed")
        }
    assert {name: clip and clip.state.value for name, clip in after.items()} == {
        "waits": "queued",
        "ran": "queued",
        "whole": "succeeded",
        "webm": "succeeded",
        "cut": "failed",
        "robbed": "failed",
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
