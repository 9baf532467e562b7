"""The database schema, its migrations, and the lock of the data directory."""

from dataclasses import asdict
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
    StoredAvatar,
    add_avatar,
    page_of_avatars,
    remove_unused_avatars,
)
from lipstream_server.clips.state import ClipSpec
from lipstream_server.clips.table import find_clip
from lipstream_server.storage import database
from lipstream_server.storage.data_directory import DataDirectoryError
from lipstream_server.storage.database import is_intact, open_database
from lipstream_server.storage.storage import Storage
from lipstream_server.storage.tables import metadata

SPEC = ClipSpec("amara", "realtime", 0, 64, 64, "mp4", 25, 100)


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
