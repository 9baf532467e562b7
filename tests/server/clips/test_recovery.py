"""Recovery of clips and files when a server starts."""

from dataclasses import replace
from pathlib import Path

from lipstream_server.avatars.recovery import recover_avatars
from lipstream_server.clips.recovery import recover_clips
from lipstream_server.clips.state import ClipSpec, State, Video
from lipstream_server.clips.table import add_clip, find_clip, save_clip
from lipstream_server.storage.data_directory import DataDirectory
from lipstream_server.storage.storage import Storage
from lipstream_server.webhooks.outbox import WebhookOutbox

SPEC = ClipSpec("amara", "realtime", 0, 64, 64, "mp4", 25, 100)


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
