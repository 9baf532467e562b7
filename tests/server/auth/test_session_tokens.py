"""Session tokens, rate limits and API keys without a server."""

import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream_server.auth.api_keys import KEY_PREFIX, key_digest, make_key
from lipstream_server.auth.rate_limit import RateLimiter
from lipstream_server.auth.session_tokens import (
    TOKEN_PREFIX,
    SessionToken,
    TokenError,
    decode_token,
    encode_token,
)

SECRET = bytes(range(32))
TOKEN = SessionToken(key="key_1", avatar="amara", max_seconds=60.0, expires=int(time.time()) + 3600)


def test_token_is_valid_until_it_expires() -> None:
    text = encode_token(TOKEN, SECRET)
    assert text.startswith(TOKEN_PREFIX)
    assert decode_token(text, SECRET) == TOKEN
    expired = TOKEN.model_copy(update={"expires": int(time.time())})
    with pytest.raises(TokenError, match="time of this token to begin a session is over"):
        decode_token(encode_token(expired, SECRET), SECRET)
    with pytest.raises(TokenError, match="not made by this server"):
        decode_token(text, SECRET[::-1])
    claims = jwt.decode(text, options={"verify_signature": False})
    assert claims["avatar"] == "amara"  # the page reads it


@pytest.mark.parametrize(
    ("changes", "algorithm"),
    [
        ({"aud": "another"}, "HS256"),
        ({"aud": None}, "HS256"),
        ({"exp": None}, "HS256"),
        ({"admin": True}, "HS256"),
        ({"max_seconds": "600"}, "HS256"),
        ({}, "HS384"),
        ({}, "none"),
    ],
)
def test_token_with_other_claims_or_algorithm_is_refused(changes: dict[str, object], algorithm: str) -> None:
    claims = jwt.decode(encode_token(TOKEN, SECRET), options={"verify_signature": False}) | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    text = jwt.encode(claims, None if algorithm == "none" else SECRET * 2, algorithm)
    with pytest.raises(TokenError, match="this is no token of this server"):
        decode_token(text, SECRET * 2)


@given(st.data())
def test_changed_token_is_refused(data: st.DataObject) -> None:
    text = encode_token(TOKEN, SECRET)
    at = data.draw(st.integers(0, len(text) - 2))  # the last letter has bits that say nothing
    other = data.draw(
        st.characters(codec="ascii", categories=["L", "N"]).filter(lambda each: each != text[at])
    )
    with pytest.raises(TokenError):
        decode_token(text[:at] + other + text[at + 1 :], SECRET)


@given(st.text(), st.sampled_from(["", TOKEN_PREFIX, "eyJ.", "e30.e30."]))
def test_arbitrary_text_is_refused_as_a_token(text: str, before: str) -> None:
    with pytest.raises(TokenError):
        decode_token(before + text, SECRET)


@given(st.integers(1, 100), st.lists(st.floats(0, 120), max_size=300))
def test_rate_limiter_grants_at_most_two_buckets_a_minute(most: int, waits: list[float]) -> None:
    limiter, now = RateLimiter(), 0.0
    granted = []
    for wait in waits:
        now += wait
        left = limiter.acquire("a", most, now)
        if left == 0:
            granted.append(now)
        else:
            assert 0 < left <= 60 / most + 1e-6
            assert RateLimiter().acquire("b", most, now) == 0
    for begin in granted:
        assert sum(begin <= at < begin + 60 for at in granted) <= 2 * most


def test_rate_limiter_grants_a_request_after_the_returned_wait() -> None:
    limiter = RateLimiter()
    assert [limiter.acquire("a", 2, 0.0) for _ in range(2)] == [0, 0]
    wait = limiter.acquire("a", 2, 0.0)
    assert wait == pytest.approx(30)
    assert limiter.acquire("a", 2, wait + 1e-6) == 0


def test_api_keys_are_random_and_their_digests_differ() -> None:
    keys = {make_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith(KEY_PREFIX) and len(key) == 46 for key in keys)
    assert key_digest("ls_a") != key_digest("ls_b")
