"""Text of a client to messages, and what it is told where that fails."""

import base64
import binascii

from pydantic import ValidationError

from ..protocol import CLIENT_MESSAGES, ClientMessage, ErrorCode
from .ending import ProtocolError

_MOST_PROBLEMS = 3


def parse(text: str) -> ClientMessage:
    """Raises ProtocolError with the first few problems, where they are and the rule."""
    try:
        return CLIENT_MESSAGES.validate_json(text)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        told = "; ".join(_problem(each["loc"], each["msg"]) for each in problems[:_MOST_PROBLEMS])
        raise ProtocolError(ErrorCode.BAD_MESSAGE, told) from error


def decode_audio(audio: str) -> bytes:
    """base64 to bytes. Raises ProtocolError."""
    try:
        return base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError(ErrorCode.BAD_AUDIO, f"expected base64 in audio.append: {error}") from error


def _problem(place: tuple[int | str, ...], text: str) -> str:
    return f"{'.'.join(map(str, place))}: {text}" if place else text
