"""Client of the REST interface: avatars, clips rendered in the background, and session tokens.

rest = RestClient("http://127.0.0.1:8000")
clip = rest.create_clip(Path("speech.wav"), avatar="amara")
for clip in rest.watch(clip.id):
    print(clip.state, clip.frames_done, "of", clip.frames_total)
rest.download(clip.id, Path("talk.mp4"))
"""

from __future__ import annotations

import json
import os
import secrets
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx2

from .errors import ConnectionLostError, StreamError, problem

_FINAL_STATES = frozenset({"succeeded", "failed", "cancelled"})
_PAGE_SIZE = "200"
Info = TypeVar("Info", "AvatarInfo", "ClipInfo")


@dataclass(frozen=True)
class AvatarInfo:
    """An avatar as `GET /v1/avatars` describes it."""

    id: str
    name: str
    preview: str
    bundled: bool
    notes: list[str]


@dataclass(frozen=True)
class ClipInfo:
    """A clip as `GET /v1/clips/{id}` describes it."""

    id: str
    state: str
    avatar: str
    preset: str
    seed: int
    container: str
    frames_done: int
    frames_total: int
    seconds: float
    seconds_left: float | None
    bytes: int | None
    error: Mapping[str, str] | None
    webhook: Mapping[str, Any] | None = None

    @property
    def final(self) -> bool:
        """Whether the state cannot change any more."""
        return self.state in _FINAL_STATES


class RestClient:
    """A client of one server.

    Every method raises ProblemError where the server refuses, and ConnectionLostError where it does not answer.

    Args:
        url: address of the server, http:// or https://.
        seconds: timeout of connecting, and of each piece of a response.
        key: API key of a server that requires one.
    """

    def __init__(self, url: str, seconds: float = 60.0, key: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StreamError(f"expected the address of a server like http://127.0.0.1:8000, got {url!r}")
        self._url, self._seconds = url.rstrip("/"), seconds
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    def avatars(self) -> list[AvatarInfo]:
        """Return all avatars, the server's default first."""
        return [_parse(AvatarInfo, each) for each in self._pages("/v1/avatars", "avatars", {})]

    def add_avatar(self, image: Path, name: str | None = None, crop: str | None = None) -> AvatarInfo:
        """Upload a portrait. crop: `left,top,width,height` as shares of the image's sides."""
        form = {"name": name or image.stem[:80], "crop": crop}
        return _parse(AvatarInfo, self._post_form("/v1/avatars", form, {"image": image}))

    def remove_avatar(self, avatar: str) -> None:
        """Remove an uploaded avatar by its id."""
        self._json("DELETE", f"/v1/avatars/{quote(avatar, safe='')}")

    def create_token(
        self, avatar: str | None = None, seconds: float = 600.0, connect_seconds: float = 60.0
    ) -> str:
        """Return a session token for a browser, which must not have the API key.

        Args:
            avatar: the only avatar of its sessions; the server's default if None.
            seconds: maximum duration of a session.
            connect_seconds: time from now within which a session may be started.
        """
        asked: dict[str, Any] = {"seconds": seconds, "connect_seconds": connect_seconds}
        body = asked if avatar is None else {"avatar": avatar, **asked}
        return str(self._json("POST", "/v1/tokens", json=body)["token"])

    def create_clip(
        self,
        audio: Path,
        avatar: str | None = None,
        portrait: Path | None = None,
        preset: str | None = None,
        seed: int = 0,
        size: int | None = None,
        key: str | None = None,
        container: str = "mp4",
        webhook_url: str | None = None,
    ) -> ClipInfo:
        """Upload a recording, of which the server renders a clip.

        Args:
            audio: recording, any file with an audio track.
            avatar: id of an avatar; the server's default if None.
            portrait: image of a face instead of an avatar.
            preset: sampling preset; the server's default if None.
            seed: of the noise.
            size: longer side of the video in pixels.
            key: idempotency key: the same key makes one clip, however often this is called; random if None.
            container: mp4 or webm.
            webhook_url: address that the server notifies when the clip has ended, see `verify_webhook`.
        """
        form = {
            "avatar": avatar,
            "preset": preset,
            "seed": str(seed),
            "size": None if size is None else str(size),
            "container": container,
            "webhook_url": webhook_url,
        }
        files = {"audio": audio} if portrait is None else {"audio": audio, "portrait": portrait}
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return _parse(ClipInfo, self._post_form("/v1/clips", form, files, headers))

    def clip(self, clip: str) -> ClipInfo:
        """Return a clip by its id."""
        return _parse(ClipInfo, self._json("GET", _clip_path(clip)))

    def clips(self, state: str | None = None) -> list[ClipInfo]:
        """Return all clips, or those in one state, the newest first."""
        query = {} if state is None else {"state": state}
        return [_parse(ClipInfo, each) for each in self._pages("/v1/clips", "clips", query)]

    def watch(self, clip: str) -> Iterator[ClipInfo]:
        """Yield a clip now and at every change, until its state is final."""
        with self._request("GET", f"{_clip_path(clip)}/events") as response:
            for line in response.iter_lines():
                if line.startswith("data: "):
                    yield _parse(ClipInfo, json.loads(line[6:]))

    def download(self, clip: str, path: Path) -> int:
        """Write a clip's video, as far as it is rendered, and return its size in bytes.

        The file takes its name when it is complete.
        """
        part = path.with_name(f"{path.name}.part")
        try:
            with self._request("GET", f"{_clip_path(clip)}/video") as response, part.open("wb") as file:
                size = sum(file.write(piece) for piece in response.iter_bytes())
            os.replace(part, path)
            return size
        finally:
            part.unlink(missing_ok=True)

    def cancel_clip(self, clip: str) -> ClipInfo:
        """Cancel a clip and return it."""
        return _parse(ClipInfo, self._json("POST", f"{_clip_path(clip)}/cancel"))

    def remove_clip(self, clip: str) -> None:
        """Remove a clip and its video; it is cancelled if it is not finished."""
        self._json("DELETE", _clip_path(clip))

    def _pages(self, path: str, name: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        cursor: Mapping[str, str] = {}
        while True:
            page = self._json("GET", path, params={**query, "limit": _PAGE_SIZE, **cursor})
            yield from page[name]
            if page["next"] is None:
                return
            cursor = {"cursor": page["next"]}

    def _post_form(
        self,
        path: str,
        form: Mapping[str, str | None],
        files: Mapping[str, Path],
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """Post a form whose files are read while it is sent."""
        data = {name: value for name, value in form.items() if value is not None}
        with ExitStack() as opened:
            parts = {name: (name, opened.enter_context(file.open("rb"))) for name, file in files.items()}
            answer: Mapping[str, Any] = self._json("POST", path, data=data, files=parts, headers=headers)
        return answer

    def _json(self, method: str, path: str, **content: Any) -> Any:
        with self._request(method, path, **content) as response:
            body = response.read()
        return json.loads(body) if body else None

    @contextmanager
    def _request(self, method: str, path: str, **content: Any) -> Iterator[httpx2.Response]:
        verify = ssl.create_default_context() if self._url.startswith("https:") else True
        try:
            with (
                httpx2.Client(
                    headers=self._headers, timeout=self._seconds, verify=verify, trust_env=False
                ) as client,
                client.stream(method, self._url + path, **content) as response,
            ):
                if response.is_error:
                    raise problem(response.status_code, response.reason_phrase, response.read())
                yield response
        except httpx2.TransportError as error:
            raise ConnectionLostError(f"{self._url} does not answer: {error}") from error


def _clip_path(clip: str) -> str:
    return f"/v1/clips/{quote(clip, safe='')}"


def _parse(kind: type[Info], values: Mapping[str, Any]) -> Info:
    """Return the known values: a newer server may send more, and an older one less of what has a default."""
    known: Sequence[str] = [field.name for field in fields(kind)]
    return kind(**{name: values[name] for name in known if name in values})
