"""A receiver believes what its server has signed, lately, and nothing else."""

import json

import pytest

from lipstream_client.webhook import WebhookError, verify_webhook
from lipstream_server.config.values import decode_webhook_secret
from lipstream_server.webhooks.signature import signed_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
# The example of the specification's own libraries.
SIGNED = {
    "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "Webhook-Timestamp": "1614265330",
    "Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
NOW = 1614265330.0


def test_signature_matches_the_standard_example() -> None:
    headers = signed_headers(decode_webhook_secret(SECRET), SIGNED["Webhook-Id"], NOW + 0.9, BODY)
    assert headers == {name.lower(): value for name, value in SIGNED.items()}


@pytest.mark.parametrize("off", [-300, 0, 300])
def test_recent_webhook_is_accepted(off: float) -> None:
    assert verify_webhook(SECRET, SIGNED, BODY, NOW + off) == {"test": 2432232314}


def test_webhook_age_is_measured_by_the_clock_by_default() -> None:
    with pytest.raises(WebhookError, match="off"):
        verify_webhook(SECRET, SIGNED, BODY)


def test_webhook_with_one_valid_signature_is_accepted() -> None:
    several = f"v1a,AAAA v1,!!! v1,AAAA {SIGNED['Webhook-Signature']}"
    assert verify_webhook(SECRET, {**SIGNED, "Webhook-Signature": several}, BODY, NOW)


@pytest.mark.parametrize(
    ("changed", "body", "now", "why"),
    [
        ({}, BODY + b" ", NOW, "signature"),
        ({}, b"", NOW, "signature"),
        ({}, BODY, NOW + 301, "-301 s off"),
        ({}, BODY, NOW - 301, r"\+301 s off"),
        ({"Webhook-Timestamp": "1614265331"}, BODY, NOW, "signature"),
        ({"Webhook-Timestamp": "1614265330.0"}, BODY, NOW, "seconds since 1970"),
        ({"Webhook-Timestamp": "-1"}, BODY, NOW, "seconds since 1970"),
        ({"Webhook-Timestamp": "٣"}, BODY, NOW, "seconds since 1970"),
        ({"Webhook-Id": "msg_other"}, BODY, NOW, "signature"),
        ({"Webhook-Signature": ""}, BODY, NOW, "signature"),
        ({"Webhook-Signature": "v2," + SIGNED["Webhook-Signature"][3:]}, BODY, NOW, "signature"),
        ({"Webhook-Signature": SIGNED["Webhook-Signature"][3:]}, BODY, NOW, "signature"),
    ],
)
def test_webhook_that_was_changed_or_is_old_is_refused(
    changed: dict[str, str], body: bytes, now: float, why: str
) -> None:
    with pytest.raises(WebhookError, match=why):
        verify_webhook(SECRET, {**SIGNED, **changed}, body, now)


@pytest.mark.parametrize("name", SIGNED)
def test_missing_webhook_header_is_named(name: str) -> None:
    headers = {each: value for each, value in SIGNED.items() if each != name}
    with pytest.raises(WebhookError, match=name.lower()):
        verify_webhook(SECRET, headers, BODY, NOW)


def test_webhook_secret_must_match_and_malformed_one_is_a_value_error() -> None:
    with pytest.raises(WebhookError, match="signature"):
        verify_webhook("whsec_" + "A" * 32, SIGNED, BODY, NOW)
    with pytest.raises(ValueError, match="whsec_") as refused:
        verify_webhook("not base64!", SIGNED, BODY, NOW)
    assert "not base64" not in str(refused.value)


@pytest.mark.parametrize("body", [b"no json", json.dumps([1]).encode(), b"\xff"])
def test_signed_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    headers = signed_headers(decode_webhook_secret(SECRET), "msg_1", NOW, body)
    with pytest.raises(WebhookError, match="JSON"):
        verify_webhook(SECRET, headers, body, NOW)
