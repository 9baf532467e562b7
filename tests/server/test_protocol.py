"""Streaming protocol against recorded messages, which clients in other languages must read and write alike."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lipstream_server.protocol import (
    CLIENT_MESSAGES,
    SERVER_MESSAGES,
    MediaTag,
    TaggedMedia,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "stream_messages.json").read_text())


@pytest.mark.parametrize("message", GOLDEN["client"], ids=lambda message: message["type"])
def test_client_messages_survive_a_round_trip(message: dict) -> None:
    parsed = CLIENT_MESSAGES.validate_json(json.dumps(message))
    assert json.loads(parsed.model_dump_json()) == message


@pytest.mark.parametrize("message", GOLDEN["server"], ids=lambda message: message["type"])
def test_server_messages_survive_a_round_trip(message: dict) -> None:
    parsed = SERVER_MESSAGES.validate_json(json.dumps(message))
    assert json.loads(parsed.model_dump_json()) == message


def test_recorded_messages_cover_all_types() -> None:
    for name, messages in (("client", CLIENT_MESSAGES), ("server", SERVER_MESSAGES)):
        known = set(messages.json_schema()["discriminator"]["mapping"])
        assert {message["type"] for message in GOLDEN[name]} == known


@pytest.mark.parametrize("tagged", GOLDEN["tagged"], ids=lambda tagged: tagged["tag"])
def test_tagged_media_matches_the_recorded_bytes(tagged: dict) -> None:
    unit = TaggedMedia.unpack(bytes.fromhex(tagged["bytes"]))
    assert (unit.tag.name, unit.utterance, unit.position) == (
        tagged["tag"],
        tagged["utterance"],
        tagged["position"],
    )
    assert unit.payload.hex() == tagged["payload"]
    assert unit.pack().hex() == tagged["bytes"]


@given(st.text() | st.dictionaries(st.text(), st.none() | st.integers() | st.text()).map(json.dumps))
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    with suppress(ValidationError):
        CLIENT_MESSAGES.validate_json(text)


@given(st.sampled_from(MediaTag), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.binary())
def test_tagged_media_survives_a_round_trip(
    tag: MediaTag, utterance: int, position: int, payload: bytes
) -> None:
    unit = TaggedMedia(tag=tag, utterance=utterance, position=position, payload=payload)
    assert TaggedMedia.unpack(unit.pack()) == unit
