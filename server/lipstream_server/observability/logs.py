"""Structured logging, one line an event: text for people or JSON. Never audio, images, keys, or URLs with their query.

On the standard library: structlog would still need a text format, the filter of uvicorn's records and the set-up of its loggers.
"""

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
_FIELDS_ATTRIBUTE = "lipstream_fields"
_OWN_LOGGERS = ("lipstream_server", "lipstream_models", "uvicorn")
_UVICORN_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


def log_event(log: logging.Logger, message: str, **fields: object) -> None:
    """Log an event; the message is the same for each event of its kind, the fields hold what differs."""
    log.info(message, extra={_FIELDS_ATTRIBUTE: fields})


@contextmanager
def log_context(session: str | None = None, clip: str | None = None) -> Iterator[None]:
    """Add the session or the clip to all records of this task and of those that it starts."""
    tokens = [
        (variable, variable.set(value)) for variable, value in ((_SESSION, session), (_CLIP, clip)) if value
    ]
    try:
        yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def configure_logging(style: LogFormat | None = None, level: str = "INFO", out: TextIO | None = None) -> None:
    """Send the records of all loggers to one handler.

    Args:
        style: Format of the lines; None for text on a terminal, else JSON.
        level: Level of the server's own loggers; libraries log warnings and errors.
        out: Where to write, by default stderr.
    """
    out = out or sys.stderr
    handler = logging.StreamHandler(out)
    handler.addFilter(_add_context)
    is_text = style == "text" or (style is None and out.isatty())
    handler.setFormatter(TextFormatter() if is_text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _OWN_LOGGERS:
        logging.getLogger(name).setLevel(level)
    for name in _UVICORN_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        if name != "uvicorn":
            logger.setLevel(logging.NOTSET)  # an earlier server of this process may have set it
    # An access log repeats what metrics count, and adds only the URL, which may hold a token.
    logging.getLogger("uvicorn.access").disabled = True


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time_of(record).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields_of(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """Time, level and message, then the fields as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields_of(record).items())
        line = f"{_time_of(record):%H:%M:%S} {record.levelname} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _add_context(record: logging.LogRecord) -> bool:
    """Add session and clip to a record, and remove the queries of URLs.

    uvicorn passes URLs as arguments, and logs the path of each WebSocket even without an access log.
    """
    record.session, record.clip = _SESSION.get(), _CLIP.get()
    if record.name.startswith("uvicorn") and isinstance(record.args, tuple):
        record.args = tuple(_without_query(each) for each in record.args)
    return True


def _without_query(argument: object) -> object:
    return argument.partition("?")[0] if isinstance(argument, str) else argument


def _fields_of(record: logging.LogRecord) -> Mapping[str, object]:
    ids = {name: getattr(record, name, None) for name in ("session", "clip")}
    known = {name: value for name, value in ids.items() if value is not None}
    return {**known, **getattr(record, _FIELDS_ATTRIBUTE, {})}


def _time_of(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)
