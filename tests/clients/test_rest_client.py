"""`lipstream avatars` and `lipstream clips`, and the client behind them, against a real server."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import av
import pytest
from live_server import running
from PIL import Image
from portraits import encoded
from rest_client import wav

from lipstream_client.cli import run
from lipstream_client.errors import ConnectionLostError, ProblemError
from lipstream_client.rest import RestClient


@contextmanager
def serving() -> Iterator[str]:
    """The address of a server in a thread of its own: commands want the main one, for their signals."""
    addresses: Queue[str] = Queue()
    stop = threading.Event()

    async def serve() -> None:
        async with running() as address:
            addresses.put(address)
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield addresses.get(timeout=60)
    finally:
        stop.set()
        thread.join()


def test_commands_make_a_clip_of_an_uploaded_avatar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (speech := tmp_path / "speech.wav").write_bytes(wav(0.6))
    (face := tmp_path / "aunt.png").write_bytes(encoded(Image.new("RGB", (8, 8), "teal"), "PNG"))
    out = tmp_path / "talk.mp4"

    def lines(address: str, *arguments: object) -> list[str]:
        code = run([*map(str, arguments), "--url", f"http://{address}"])
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out.splitlines()

    with serving() as address:
        (avatar,) = lines(address, "avatars", "add", face)
        assert lines(address, "avatars", "list")[-1] == f"{avatar}\taunt\tuploaded"
        (clip,) = lines(
            address, "clips", "create", speech, "--avatar", avatar, "--idempotency-key", "1", "-o", out
        )
        assert lines(address, "clips", "create", speech, "--avatar", avatar, "--idempotency-key", "1") == [
            clip
        ]
        with av.open(str(out)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 15
        assert lines(address, "clips", "watch", clip) == []
        assert lines(address, "clips", "list") == [f"{clip}\tsucceeded\t0.60 s"]
        assert lines(address, "clips", "get", clip, "-o", out) == [f"{out}: {out.stat().st_size} bytes"]
        (other,) = lines(
            address, "clips", "create", speech, "--container", "webm", "-o", webm := tmp_path / "t.webm"
        )
        with av.open(str(webm)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 15
        assert RestClient(f"http://{address}").clip(other).container == "webm"
        assert lines(address, "clips", "rm", clip) == []
        assert lines(address, "avatars", "rm", avatar) == []
        with pytest.raises(ProblemError, match="unknown_clip"):
            list(RestClient(f"http://{address}").watch(clip))
    with pytest.raises(ConnectionLostError, match="does not answer"):
        RestClient("http://127.0.0.1:9").avatars()
