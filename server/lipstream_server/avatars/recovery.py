"""Recovery of avatars when the server starts."""

from __future__ import annotations

import logging

from sqlalchemy import Connection

from ..storage.data_directory import DataDirectory, remove
from .table import all_avatars, remove_avatar

log = logging.getLogger(__name__)


def recover_avatars(connection: Connection, files: DataDirectory) -> None:
    """Remove avatars whose image file is gone, and files that belong to no avatar."""
    known = set()
    for avatar in all_avatars(connection):
        if files.portrait(avatar.id).is_file():
            known |= {files.portrait(avatar.id), files.preview(avatar.id)}
        else:
            log.warning("the image of avatar %s is gone; the avatar is removed", avatar.id)
            remove_avatar(connection, avatar.id)
    for path in files.avatars.iterdir():
        if path not in known:
            remove(path)
