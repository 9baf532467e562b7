"""The browser page: files that are read once, and the headers that keep it to itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.resources.abc import Traversable
from pathlib import PurePath
from types import MappingProxyType

from fastapi import APIRouter, Request, Response

from ..http.problem_details import Problem

INDEX = "index.html"
SAMPLE_PATH = "/v1/sample"
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".svg": "image/svg+xml",
        ".flac": "audio/flac",
        ".wav": "audio/wav",
    }
)
_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Cache-Control": "no-cache",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
)
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


@dataclass(frozen=True)
class Page:
    """files: the folder with index.html and what it loads. sample: a recording to try it with, if there is one."""

    files: Traversable
    sample: Traversable | None = None


@dataclass(frozen=True)
class Asset:
    content: bytes = field(repr=False)
    media_type: str
    tag: str

    @classmethod
    def read(cls, file: Traversable) -> Asset:
        """Raises KeyError for a kind of file that the page has no use for."""
        content = file.read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        return cls(content, _TYPES[PurePath(file.name).suffix], tag)

    def answer(self, request: Request) -> Response:
        headers = {
            **_HEADERS,
            "ETag": self.tag,
            "Content-Security-Policy": policy(request.headers.get("host", "")),
        }
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


def policy(host: str) -> str:
    """Everything from here and nothing from elsewhere; older browsers do not take 'self' to mean WebSockets too."""
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return (
        f"default-src 'self'; connect-src 'self'{sockets}; media-src 'self' blob:; img-src 'self' blob: data:; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def page_routes(page: Page) -> APIRouter:
    """`/` is index.html, `/page/NAME` every file beside it."""
    assets = {file.name: Asset.read(file) for file in page.files.iterdir() if file.is_file()}
    sample = None if page.sample is None else Asset.read(page.sample)
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/", methods=["GET", "HEAD"])
    async def index(request: Request) -> Response:
        return assets[INDEX].answer(request)

    @routes.api_route("/page/{name}", methods=["GET", "HEAD"])
    async def asset(name: str, request: Request) -> Response:
        if name not in assets:
            raise Problem(HTTPStatus.NOT_FOUND, "not_found", f"the page has no file {name!r}")
        return assets[name].answer(request)

    @routes.api_route(SAMPLE_PATH, methods=["GET", "HEAD"])
    async def sample_recording(request: Request) -> Response:
        if sample is None:
            raise Problem(HTTPStatus.NOT_FOUND, "not_found", "this server has no sample recording")
        return sample.answer(request)

    return routes
