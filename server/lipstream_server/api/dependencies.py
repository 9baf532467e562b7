"""Dependencies of routes: typed access to the runtime of the application and to the caller of a request.

All but `get_runtime` and `get_caller` raise BusyError while what they return is not ready.
"""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from ..auth.authenticator import Authenticator
from ..auth.caller import Caller
from ..clips.service import ClipService
from ..http.uploads import Uploads
from ..sessions.service import Service
from .runtime import Runtime


def get_runtime(connection: HTTPConnection) -> Runtime:
    """Return the runtime of the application."""
    return cast(Runtime, connection.app.state.runtime)


CurrentRuntime = Annotated[Runtime, Depends(get_runtime)]


def get_caller(connection: HTTPConnection) -> Caller:
    """Return the caller, whom the middleware has authenticated. Without the middleware this fails."""
    return cast(Caller, connection.state.caller)


def get_owner(connection: HTTPConnection) -> str | None:
    """Return the id of the key whose avatars and clips the caller sees; None for everybody's."""
    return get_caller(connection).owner


def get_service(runtime: CurrentRuntime) -> Service:
    """Return the service of the engine, which is ready."""
    return runtime.require_service()


def get_clips(runtime: CurrentRuntime) -> ClipService:
    """Return the clips of the server."""
    return runtime.require_data().clips


def get_uploads(runtime: CurrentRuntime) -> Uploads:
    """Return the receiver of request bodies."""
    return runtime.require_data().uploads


def get_authenticator(runtime: CurrentRuntime) -> Authenticator:
    """Return the authenticator."""
    return runtime.require_data().authenticator


CurrentCaller = Annotated[Caller, Depends(get_caller)]
CurrentOwner = Annotated[str | None, Depends(get_owner)]
CurrentService = Annotated[Service, Depends(get_service)]
CurrentClips = Annotated[ClipService, Depends(get_clips)]
CurrentUploads = Annotated[Uploads, Depends(get_uploads)]
CurrentAuthenticator = Annotated[Authenticator, Depends(get_authenticator)]
