"""Recovery of clips when the server starts, and removal of files that no state needs."""

from __future__ import annotations

import logging

from sqlalchemy import Connection

from ..storage.data_directory import DataDirectory, remove
from . import transitions
from .outbox import Outbox
from .state import Clip, State
from .table import clip_ids, clips_in_states

log = logging.getLogger(__name__)


def recover_clips(connection: Connection, files: DataDirectory, outbox: Outbox, now: float) -> None:
    """Bring clips and files in line after any end of the server before.

    Clips that were running are queued again, clips whose files are gone fail, and files without a clip are removed.
    """
    for before in clips_in_states(connection, list(State)):
        clip = _recover_clip(connection, files, outbox, before, now)
        if clip.state is not before.state:
            log.warning("clip %s was %s and is %s", clip.id, before.state, clip.state)
        remove_unneeded_files(files, clip)
    known = clip_ids(connection)
    for folder in files.clips.iterdir():
        if folder.name not in known:
            remove(folder)


def _recover_clip(
    connection: Connection, files: DataDirectory, outbox: Outbox, clip: Clip, now: float
) -> Clip:
    if clip.state is State.SUCCEEDED:
        path = files.video(clip.id, clip.spec.container)
        if clip.video is not None and path.is_file() and path.stat().st_size == clip.video.size:
            return clip
        return transitions.fail_incomplete(connection, outbox, clip, path.name, now)
    if clip.state.is_final:
        return clip
    if not files.audio(clip.id).is_file():
        return transitions.fail_incomplete(connection, outbox, clip, "audio", now)
    return transitions.requeue(connection, clip.id) or clip


def remove_unneeded_files(files: DataDirectory, clip: Clip) -> None:
    """Remove files that the state of a clip does not need: the recording of a finished one, partial videos."""
    needed = set() if clip.state.is_final else {files.audio(clip.id)}
    if clip.state is State.SUCCEEDED:
        needed = {files.video(clip.id, clip.spec.container)}
    folder = files.clip(clip.id)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path not in needed:
            remove(path)
