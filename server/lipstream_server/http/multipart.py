"""Multipart forms, parsed while they arrive: fields go to memory, files to the disk, each part within its limit.

File names that a client sends are ignored. python-multipart parses underneath; the limits per part are why the
form parser of Starlette, which it serves otherwise, and streaming-form-data do not do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ..errors import RequestRefusedError
from .problem_details import bad_request

_MAX_HEADER_BYTES = 4096


@dataclass(frozen=True)
class FormPart:
    """A part that a form may have.

    Attributes:
        max_bytes: Largest size.
        too_large_code: Problem code for a larger one.
        is_file: Whether it is written to a file.
    """

    max_bytes: int
    too_large_code: str = "bad_request"
    is_file: bool = False


def too_large(name: str, part: FormPart) -> RequestRefusedError:
    """Return the problem of a part that is larger than its limit."""
    detail = f"{name}: expected at most {part.max_bytes} bytes, got more"
    return RequestRefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, part.too_large_code, detail)


class FormReader:
    """Incremental parser of a multipart body. `write` and `end` block on the disk and raise RequestRefusedError.

    Args:
        content_type: Header `Content-Type`.
        parts: The parts that the form may have, by name.
        new_file: Returns a path for each file.

    Attributes:
        fields: Values of the text parts.
        files: Paths of the file parts.
    """

    def __init__(
        self, content_type: str, parts: Mapping[str, FormPart], new_file: Callable[[], Path]
    ) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise bad_request(
                f"expected a multipart/form-data body with a boundary, got {content_type[:80]!r}"
            )
        self.fields: dict[str, str] = {}
        self.files: dict[str, Path] = {}
        self._parts, self._new_file = parts, new_file
        self._header = (bytearray(), bytearray())
        self._disposition = b""
        self._name = ""
        self._part_bytes = 0
        self._text = bytearray()
        self._file: IO[bytes] | None = None
        self._is_complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": lambda data, start, end: self._on_header(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._on_header(1, data[start:end]),
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": lambda data, start, end: self._on_part_data(data[start:end]),
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def write(self, data: bytes) -> None:
        """Parse the next bytes of the body."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise bad_request(f"expected a multipart/form-data body, but {error}") from error

    def end(self) -> None:
        """Finish at the end of the body."""
        self.close()
        if not self._is_complete:
            raise bad_request("the body ends within a part; expected its closing boundary")

    def close(self) -> None:
        """Close the file that is being written. Files stay on the disk."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _on_part_begin(self) -> None:
        self._disposition = b""

    def _on_header(self, index: int, data: bytes) -> None:
        self._header[index].extend(data)
        if len(self._header[index]) > _MAX_HEADER_BYTES:
            raise bad_request(f"expected headers of a part of at most {_MAX_HEADER_BYTES} bytes")

    def _on_header_end(self) -> None:
        field, value = (bytes(each) for each in self._header)
        if field.lower() == b"content-disposition":
            self._disposition = value
        for each in self._header:
            each.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name not in self._parts:
            raise bad_request(f"expected parts named {', '.join(self._parts)}, got {name[:80]!r}")
        if name in self.fields or name in self.files:
            raise bad_request(f"{name}: expected once, got twice")
        self._name, self._part_bytes = name, 0
        self._text.clear()
        if self._parts[name].is_file:
            path = self._new_file()
            self.files[name] = path
            self._file = path.open("xb")

    def _on_part_data(self, data: bytes) -> None:
        part = self._parts[self._name]
        self._part_bytes += len(data)
        if self._part_bytes > part.max_bytes:
            raise too_large(self._name, part)
        if self._file is not None:
            self._file.write(data)
        else:
            self._text += data

    def _on_part_end(self) -> None:
        if self._file is not None:
            self.close()
            return
        try:
            self.fields[self._name] = self._text.decode()
        except UnicodeDecodeError:
            raise bad_request(f"{self._name}: expected text in UTF-8") from None

    def _on_end(self) -> None:
        self._is_complete = True
