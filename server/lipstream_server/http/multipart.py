"""A form with files, piece by piece as it comes: fields are kept, files are written, and no part outgrows its limit.

What a client calls its files is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from .problem_details import Problem

_MOST_HEADER = 4096


@dataclass(frozen=True)
class Part:
    """What a form may hold under a name. most: bytes. too_large: the code of the refusal. file: it goes to a file."""

    most: int
    too_large: str = "bad_request"
    file: bool = False


def bad_form(detail: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "bad_request", detail)


def too_large(name: str, part: Part) -> Problem:
    detail = f"{name}: expected at most {part.most} bytes, got more"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, part.too_large, detail)


class FormReader:
    """fields: values of the parts that are none of files; files: where the others were written. new_file: names for them.

    `write` and `end` block on the disk; both raise Problem.
    """

    def __init__(self, content_type: str, parts: Mapping[str, Part], new_file: Callable[[], Path]) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise bad_form(f"expected a multipart/form-data body with a boundary, got {content_type[:80]!r}")
        self.fields: dict[str, str] = {}
        self.files: dict[str, Path] = {}
        self._parts, self._new_file = parts, new_file
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._name = ""
        self._count = 0
        self._text = bytearray()
        self._file: IO[bytes] | None = None
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._head(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._head(1, data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": lambda data, start, end: self._data(data[start:end]),
                "on_part_end": self._part_end,
                "on_end": self._finish,
            },
        )

    def write(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise bad_form(f"expected a multipart/form-data body, but {error}") from error

    def end(self) -> None:
        """The body has come to its end."""
        self.close()
        if not self._ended:
            raise bad_form("the body ends within a part; expected its closing boundary")

    def close(self) -> None:
        """Files stay where they are."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._disposition = b""

    def _head(self, which: int, data: bytes) -> None:
        self._header[which].extend(data)
        if len(self._header[which]) > _MOST_HEADER:
            raise bad_form(f"expected headers of a part of at most {_MOST_HEADER} bytes")

    def _header_end(self) -> None:
        field, value = (bytes(each) for each in self._header)
        if field.lower() == b"content-disposition":
            self._disposition = value
        for each in self._header:
            each.clear()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name not in self._parts:
            raise bad_form(f"expected parts named {', '.join(self._parts)}, got {name[:80]!r}")
        if name in self.fields or name in self.files:
            raise bad_form(f"{name}: expected once, got twice")
        self._name, self._count = name, 0
        self._text.clear()
        if self._parts[name].file:
            path = self._new_file()
            self.files[name] = path
            self._file = path.open("xb")

    def _data(self, data: bytes) -> None:
        part = self._parts[self._name]
        self._count += len(data)
        if self._count > part.most:
            raise too_large(self._name, part)
        if self._file is not None:
            self._file.write(data)
        else:
            self._text += data

    def _part_end(self) -> None:
        if self._file is not None:
            self.close()
            return
        try:
            self.fields[self._name] = self._text.decode()
        except UnicodeDecodeError:
            raise bad_form(f"{self._name}: expected text in UTF-8") from None

    def _finish(self) -> None:
        self._ended = True
