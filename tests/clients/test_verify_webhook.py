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


def test_the_server_signs_as_others_do() -> None:
    headers = signed_headers(decode_webhook_secret(SECRET), SIGNED["Webhook-Id"], NOW + 0.9, BODY)
    assert headers == {name.lower(): value for name, value in SIGNED.items()}


@pytest.mark.parametrize("off", [-300, 0, 300])
def test_a_message_of_now_is_read(off: float) -> None:
    assert verify_webhook(SECRET, SIGNED, BODY, NOW + off) == {"test": 2432232314}


def test_the_clock_is_asked_where_nothing_is_said() -> None:
    with pytest.raises(WebhookError, match="off"):
        verify_webhook(SECRET, SIGNED, BODY)


def test_one_right_signature_among_others_is_enough() -> None:
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
def test_what_was_changed_or_comes_too_late_is_refused(
    changed: dict[str, str], body: bytes, now: float, why: str
) -> None:
    with pytest.raises(WebhookError, match=why):
        verify_webhook(SECRET, {**SIGNED, **changed}, body, now)


@pytest.mark.parametrize("name", SIGNED)
def test_a_header_that_is_missing_is_named(name: str) -> None:
    headers = {each: value for each, value in SIGNED.items() if each != name}
    with pytest.raises(WebhookError, match=name.lower()):
        verify_webhook(SECRET, headers, BODY, NOW)


def test_another_secret_is_no_use_and_a_wrong_one_is_a_fault_of_the_program() -> None:
    with pytest.raises(WebhookError, match="signature"):
        verify_webhook("whsec_" + "A" * 32, SIGNED, BODY, NOW)
    with pytest.raises(ValueError, match="whsec_") as refused:
        verify_webhook("not base64!", SIGNED, BODY, NOW)
    assert "not base64" not in str(refused.value)


@pytest.mark.parametrize("body", [b"no json", json.dumps([1]).encode(), b"\xff"])
def test_a_signed_body_that_is_no_message_is_refused(body: bytes) -> None:
    headers = signed_headers(decode_webhook_secret(SECRET), "msg_1", NOW, body)
    with pytest.raises(WebhookError, match="JSON"):
        verify_webhook(SECRET, headers, body, NOW)
