"""The browser page: files that are read once, with headers that isolate it from other pages."""

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

from ..errors import RequestRefusedError

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
class StaticPage:
    """Files of the page.

    Attributes:
        files: Folder with index.html and what it loads.
        sample: A recording to try the page with.
    """

    files: Traversable
    sample: Traversable | None = None


@dataclass(frozen=True)
class Asset:
    """A file of the page, in memory."""

    content: bytes = field(repr=False)
    media_type: str
    tag: str

    @classmethod
    def read(cls, file: Traversable) -> Asset:
        """Read a file. Raises KeyError for a kind of file that the page does not use."""
        content = file.read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        return cls(content, _TYPES[PurePath(file.name).suffix], tag)

    def response_to(self, request: Request) -> Response:
        """Return the response to a request for the file."""
        headers = {
            **_HEADERS,
            "ETag": self.tag,
            "Content-Security-Policy": content_security_policy(request.headers.get("host", "")),
        }
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


def content_security_policy(host: str) -> str:
    """Return a policy that allows everything of this server and nothing else.

    WebSockets are named, as older browsers do not count them to 'self'.
    """
    sockets = f" ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
    return (
        f"default-src 'self'; connect-src 'self'{sockets}; media-src 'self' blob:; img-src 'self' blob: data:; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def page_routes(page: StaticPage) -> APIRouter:
    """Return the routes of the page: `/` for index.html, `/page/NAME` for every file beside it."""
    assets = {file.name: Asset.read(file) for file in page.files.iterdir() if file.is_file()}
    sample = None if page.sample is None else Asset.read(page.sample)
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/", methods=["GET", "HEAD"])
    async def get_index(request: Request) -> Response:
        return assets[INDEX].response_to(request)

    @routes.api_route("/page/{name}", methods=["GET", "HEAD"])
    async def get_asset(name: str, request: Request) -> Response:
        if name not in assets:
            raise RequestRefusedError(HTTPStatus.NOT_FOUND, "not_found", f"the page has no file {name!r}")
        return assets[name].response_to(request)

    @routes.api_route(SAMPLE_PATH, methods=["GET", "HEAD"])
    async def get_sample(request: Request) -> Response:
        if sample is None:
            raise RequestRefusedError(
                HTTPStatus.NOT_FOUND, "not_found", "this server has no sample recording"
            )
        return sample.response_to(request)

    return routes
