"""What the server logs, a line an event: for people, or as JSON. No sound, no picture, no key and no address with its query."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from ..config.values import LogFormat

_SESSION: ContextVar[str | None] = ContextVar("session", default=None)
_CLIP: ContextVar[str | None] = ContextVar("clip", default=None)
_FIELDS = "lipstream_fields"
_OURS = ("lipstream_server", "lipstream_models", "uvicorn")
_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


def log_event(log: logging.Logger, message: str, **fields: object) -> None:
    """message: the same words for every event of its kind; what differs is in the fields."""
    log.info(message, extra={_FIELDS: fields})


@contextmanager
def about(session: str | None = None, clip: str | None = None) -> Iterator[None]:
    """What is logged meanwhile, in this task and in those that it begins, names the session or the clip."""
    tokens = [
        (variable, variable.set(value)) for variable, value in ((_SESSION, session), (_CLIP, clip)) if value
    ]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def configure(style: LogFormat | None = None, level: str = "INFO", out: TextIO | None = None) -> None:
    """All loggers write to `out`, stderr without it; level: of our own. style: None for text on a terminal, else JSON."""
    out = out or sys.stderr
    handler = logging.StreamHandler(out)
    handler.addFilter(_complete)
    text = style == "text" or (style is None and out.isatty())
    handler.setFormatter(TextLines() if text else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # what libraries have to say otherwise is theirs
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    for name in _UVICORN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        if name != "uvicorn":
            logger.setLevel(logging.NOTSET)  # an earlier server of this process may have set it
    # A line a request tells what the metrics tell, but for its address, which may hold a token.
    logging.getLogger("uvicorn.access").disabled = True


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_said(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """Time, level and message, then what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _said(record).items())
        line = f"{_time(record):%H:%M:%S} {record.levelname} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _complete(record: logging.LogRecord) -> bool:
    """Add whom the line is about, and take away the queries of addresses: uvicorn gives them as arguments, and logs the path of
    every WebSocket even where it logs no requests.
    """
    record.session, record.clip = _SESSION.get(), _CLIP.get()
    if record.name.startswith("uvicorn") and isinstance(record.args, tuple):
        record.args = tuple(_without_query(each) for each in record.args)
    return True


def _without_query(argument: object) -> object:
    return argument.partition("?")[0] if isinstance(argument, str) else argument


def _said(record: logging.LogRecord) -> Mapping[str, object]:
    ids = {name: getattr(record, name, None) for name in ("session", "clip")}
    known = {name: value for name, value in ids.items() if value is not None}
    return {**known, **getattr(record, _FIELDS, {})}


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)
