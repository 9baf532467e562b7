"""Parsing of client messages."""

from __future__ import annotations

import base64
import binascii

from pydantic import ValidationError

from ..protocol import CLIENT_MESSAGES, ClientMessage, ErrorCode
from .session_errors import ProtocolError

_MAX_PROBLEMS = 3


def parse_message(text: str) -> ClientMessage:
    """Parse a JSON message.

    Raises:
        ProtocolError: The message is invalid; names the first few fields and their rules.
    """
    try:
        return CLIENT_MESSAGES.validate_json(text)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        details = "; ".join(_format_problem(each["loc"], each["msg"]) for each in problems[:_MAX_PROBLEMS])
        raise ProtocolError(ErrorCode.BAD_MESSAGE, details) from error


def decode_base64_audio(audio: str) -> bytes:
    """Decode the payload of `audio.append`.

    Raises:
        ProtocolError: It is not base64.
    """
    try:
        return base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError(ErrorCode.BAD_AUDIO, f"expected base64 in audio.append: {error}") from error


def _format_problem(location: tuple[int | str, ...], text: str) -> str:
    return f"{'.'.join(map(str, location))}: {text}" if location else text
