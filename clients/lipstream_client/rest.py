"""The client of the REST interface: faces that are kept, and clips that are made in the background.

rest = RestClient("http://127.0.0.1:8000")
clip = rest.create_clip(Path("speech.wav"), avatar="amara")
for clip in rest.watch(clip.id):
    print(clip.state, clip.frames_done, "of", clip.frames_total)
rest.download(clip.id, Path("talk.mp4"))
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from .errors import ConnectionLostError, StreamError, problem

_PIECE = 1 << 18
_FINAL = frozenset({"succeeded", "failed", "cancelled"})
A = TypeVar("A", "Avatar", "Clip")


@dataclass(frozen=True)
class Avatar:
    """See `GET /v1/avatars`."""

    id: str
    name: str
    preview: str
    bundled: bool
    notes: list[str]


@dataclass(frozen=True)
class Clip:
    """See `GET /v1/clips/{id}`."""

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
        """Nothing more will come of it."""
        return self.state in _FINAL


class RestClient:
    """url: of the server. seconds: that an answer may take to come, or to go on. key: of a server that asks for one.

    Every method raises ProblemError where the server refuses, and ConnectionLostError where it does not answer.
    """

    def __init__(self, url: str, seconds: float = 60.0, key: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StreamError(f"expected the address of a server like http://127.0.0.1:8000, got {url!r}")
        self._parts, self._seconds = parts, seconds
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    def avatars(self) -> list[Avatar]:
        """The server's default first."""
        return [_of(Avatar, each) for each in self._pages("/v1/avatars", "avatars", {})]

    def add_avatar(self, image: Path, name: str | None = None, crop: str | None = None) -> Avatar:
        """crop: `left,top,width,height`, shares of the picture's sides."""
        form = {"name": name or image.stem[:80], "crop": crop}
        return _of(Avatar, self._post("/v1/avatars", form, {"image": image}))

    def remove_avatar(self, avatar: str) -> None:
        self._json("DELETE", f"/v1/avatars/{quote(avatar, safe='')}")

    def create_token(
        self, avatar: str | None = None, seconds: float = 600.0, connect_seconds: float = 60.0
    ) -> str:
        """For a browser, which must not have the key: opens sessions of one avatar. seconds: of a session. connect_seconds: from
        now, in which one may be begun.
        """
        asked = {"seconds": seconds, "connect_seconds": connect_seconds}
        body = json.dumps(asked if avatar is None else {"avatar": avatar, **asked}).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        return str(self._json("POST", "/v1/tokens", [body], headers)["token"])

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
    ) -> Clip:
        """container: mp4 or webm. webhook_url: whom the server tells when the clip has ended, see `verify_webhook`. key: the same
        key makes one clip, however often this is called; one is made up without it.
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
        return _of(Clip, self._post("/v1/clips", form, files, headers))

    def clip(self, clip: str) -> Clip:
        return _of(Clip, self._json("GET", self._clip(clip)))

    def clips(self, state: str | None = None) -> list[Clip]:
        """The newest first."""
        query = {} if state is None else {"state": state}
        return [_of(Clip, each) for each in self._pages("/v1/clips", "clips", query)]

    def watch(self, clip: str) -> Iterator[Clip]:
        """Now and whenever it changes, to its last state."""
        with self._asked("GET", f"{self._clip(clip)}/events") as answer:
            for line in answer:
                if line.startswith(b"data: "):
                    yield _of(Clip, json.loads(line[6:]))

    def download(self, clip: str, path: Path) -> int:
        """The video, or what there is of it; it takes its name when it is whole. Returns its bytes."""
        part = path.with_name(f"{path.name}.part")
        try:
            with self._asked("GET", f"{self._clip(clip)}/video") as answer, part.open("wb") as file:
                expected, size = answer.length or 0, 0
                while piece := answer.read(_PIECE):
                    size += file.write(piece)
            if size < expected:
                raise ConnectionLostError(f"the server sent {size} of {expected} bytes; try again")
            os.replace(part, path)
            return size
        finally:
            part.unlink(missing_ok=True)

    def cancel_clip(self, clip: str) -> Clip:
        return _of(Clip, self._json("POST", f"{self._clip(clip)}/cancel"))

    def remove_clip(self, clip: str) -> None:
        self._json("DELETE", self._clip(clip))

    @staticmethod
    def _clip(clip: str) -> str:
        return f"/v1/clips/{quote(clip, safe='')}"

    def _pages(self, path: str, name: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        cursor: str | None = None
        while True:
            asked = {**query, "limit": "200"} | ({} if cursor is None else {"cursor": cursor})
            page = self._json("GET", f"{path}?{urlencode(asked)}")
            yield from page[name]
            cursor = page["next"]
            if cursor is None:
                return

    def _post(
        self,
        path: str,
        form: Mapping[str, str | None],
        files: Mapping[str, Path],
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        boundary = secrets.token_hex(16)
        body = _Body(boundary, form, files)
        sent = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(body.length),
            **(headers or {}),
        }
        said: Mapping[str, Any] = self._json("POST", path, body, sent)
        return said

    def _json(
        self,
        method: str,
        path: str,
        body: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        with self._asked(method, path, body, headers) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    @contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        body: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        secure = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=self._seconds)
        try:
            connection.request(
                method,
                self._parts.path.rstrip("/") + path,
                iter(body or ()),
                {**self._headers, **(headers or {})},
            )
            answer = connection.getresponse()
            if answer.status >= 400:
                raise problem(answer.status, answer.reason, answer.read())
            yield answer
        except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
            address = f"{self._parts.scheme}://{self._parts.netloc}"
            raise ConnectionLostError(f"{address} does not answer: {error}") from error
        finally:
            connection.close()


class _Body:
    """A form, read from its files while it is sent."""

    def __init__(self, boundary: str, form: Mapping[str, str | None], files: Mapping[str, Path]) -> None:
        self._parts: list[bytes | Path] = []
        for name, value in form.items():
            if value is not None:
                self._parts += [_head(boundary, name, ""), value.encode(), b"\r\n"]
        for name, path in files.items():
            self._parts += [_head(boundary, name, f'; filename="{name}"'), path, b"\r\n"]
        self._parts.append(f"--{boundary}--\r\n".encode())
        sizes = (len(part) if isinstance(part, bytes) else part.stat().st_size for part in self._parts)
        self.length = sum(sizes)

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
                continue
            with part.open("rb") as file:
                while piece := file.read(_PIECE):
                    yield piece


def _head(boundary: str, name: str, more: str) -> bytes:
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()


def _of(kind: type[A], said: Mapping[str, Any]) -> A:
    """What is not known here is left out: a newer server may say more, and an older one less of what has a default."""
    known: Sequence[str] = [field.name for field in fields(kind)]
    return kind(**{name: said[name] for name in known if name in said})
