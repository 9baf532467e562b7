"""A token says what was signed, to nobody else and for no longer; rates hold over any time."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream_server.auth.api_keys import KEY_PREFIX, digest, make_key
from lipstream_server.auth.rate_limit import Rates
from lipstream_server.auth.session_tokens import (
    Token,
    TokenError,
    read,
    sign,
)

SECRET = bytes(range(32))
TOKEN = Token(key="key_1", avatar="amara", seconds=60.0, expires=1000.0)


def test_what_was_signed_is_read_until_its_time_is_over() -> None:
    text = sign(TOKEN, SECRET)
    assert read(text, SECRET, 1000.0) == TOKEN
    with pytest.raises(TokenError, match="time of this token to begin a session is over"):
        read(text, SECRET, 1000.1)
    with pytest.raises(TokenError, match="not made by this server"):
        read(text, SECRET[::-1], 0.0)
    said = base64.urlsafe_b64decode(text.removeprefix("lst_").partition(".")[0] + "==")
    assert json.loads(said)["avatar"] == "amara"  # the page reads it


@given(st.data())
def test_no_other_text_is_a_token(data: st.DataObject) -> None:
    text = sign(TOKEN, SECRET)
    at = data.draw(st.integers(0, len(text) - 2))  # the last letter has bits that say nothing
    other = data.draw(
        st.characters(codec="ascii", categories=["L", "N"]).filter(lambda each: each != text[at])
    )
    with pytest.raises(TokenError):
        read(text[:at] + other + text[at + 1 :], SECRET, 0.0)


@given(st.text(), st.sampled_from(["", "lst_", "lst_."]))
def test_any_text_is_refused_in_the_same_way(text: str, before: str) -> None:
    with pytest.raises(TokenError):
        read(before + text, SECRET, 0.0)


@given(st.integers(1, 100), st.lists(st.floats(0, 120), max_size=300))
def test_no_minute_has_more_requests_than_two_buckets_and_waiting_is_enough(
    most: int, waits: list[float]
) -> None:
    rates, now = Rates(), 0.0
    granted = []
    for wait in waits:
        now += wait
        left = rates.take("a", most, now)
        if left == 0:
            granted.append(now)
        else:
            assert 0 < left <= 60 / most + 1e-6
            assert Rates().take("b", most, now) == 0
    for begin in granted:
        assert sum(begin <= at < begin + 60 for at in granted) <= 2 * most


def test_whoever_waits_as_long_as_told_is_let_in() -> None:
    rates = Rates()
    assert [rates.take("a", 2, 0.0) for _ in range(2)] == [0, 0]
    wait = rates.take("a", 2, 0.0)
    assert wait == pytest.approx(30)
    assert rates.take("a", 2, wait + 1e-6) == 0


def test_keys_are_random_and_only_their_hash_is_kept() -> None:
    keys = {make_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith(KEY_PREFIX) and len(key) == 46 for key in keys)
    assert digest("ls_a") != digest("ls_b")
