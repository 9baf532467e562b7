"""Webhook addresses: a client cannot make the server connect to addresses that are not public (SSRF)."""

import asyncio
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from live_server import CALM, running
from pydantic import SecretStr
from rest_client import CLIPS, wav
from rest_client import post as post_clip
from webhook_receiver import SECRET, receiving, webhooks

from lipstream_server.config.settings import WebhookSettings
from lipstream_server.webhooks.client import WebhookPostError, post_webhook
from lipstream_server.webhooks.target import (
    WebhookTarget,
    WebhookUrlError,
    is_public_address,
    parse_target,
)

PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2001:db8::1",
    "2001::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450:4001::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_address_is_refused(address: str) -> None:
    assert not is_public_address(address)
    written = f"[{address}]" if ":" in address else address
    with pytest.raises(WebhookUrlError, match="public address"):
        parse_target(f"https://{written}/", ())


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_accepted(address: str) -> None:
    assert is_public_address(address)
    assert ip_address(address).is_global
    written = f"[{address}]" if ":" in address else address
    assert parse_target(f"https://{written}:8443", ()) == WebhookTarget(address, 8443, True, "/", False)


@pytest.mark.parametrize(
    ("url", "hosts", "message"),
    [
        ("http://example.com/", (), "expected https, got http"),
        ("ftp://example.com/", (), "expected an https address"),
        ("file:///etc/passwd", (), "expected an https address"),
        ("example.com", (), "expected an https address"),
        ("https://", (), "expected an https address"),
        ("https://user:secret@example.com/", (), "without a name and a password"),
        ("https://@example.com/", (), "without a name and a password"),
        ("https://example.com/" + "a" * 2048, (), "at most 2048"),
        ("https://example.com/a b", (), "visible ASCII"),
        ("https://example.com/\r\nX: y", (), "visible ASCII"),
        ("https://bücher.example/", (), "visible ASCII"),
        ("https://example.com\\@127.0.0.1/", (), "visible ASCII"),
        ("https://example.com:99999/", (), "expected an https address"),
        ("https://[::1/", (), "expected an https address"),
        ("https://exa mple.com/", (), "visible ASCII"),
        ("https://-a.example/", (), "expected an https address"),
        ("https://a..example/", (), "expected an https address"),
        (f"https://{'a' * 64}.example/", (), "expected an https address"),
        (
            "https://example.com/",
            ("example.org", "*.example.com"),
            "does not allow webhooks to 'example.com'",
        ),
        ("https://notexample.com/", ("*.example.com",), "does not allow"),
        ("https://example.com.evil.org/", ("example.com", "*.example.com"), "does not allow"),
        ("https://8.8.8.8/", ("example.com",), "does not allow"),
    ],
)
def test_malformed_or_forbidden_url_is_refused(url: str, hosts: tuple[str, ...], message: str) -> None:
    with pytest.raises(WebhookUrlError, match=message):
        parse_target(url, hosts)


def test_hosts_named_by_the_operator_may_have_any_address() -> None:
    hosts = ("hooks.internal", "*.example.com", "10.0.0.7", "::1")
    for url, host in [
        ("http://hooks.internal:81/a?b#c", "hooks.internal"),
        ("https://HOOKS.internal./", "hooks.internal"),
        ("https://a.b.example.com/", "a.b.example.com"),
        ("http://10.0.0.7/", "10.0.0.7"),
        ("http://[::1]/", "::1"),
    ]:
        target = parse_target(url, hosts)
        assert (target.host, target.is_trusted) == (host, True)
    assert parse_target("http://hooks.internal:81/a?b#c", hosts).path == "/a?b"
    assert parse_target("http://hooks.internal:81/", hosts).authority == "hooks.internal:81"
    assert parse_target("http://[::1]/", hosts).authority == "[::1]"


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "017700000001"])
async def test_name_of_a_private_address_is_refused_before_anything_is_sent(host: str) -> None:
    with receiving() as receiver:
        target = parse_target(f"https://{host}:{receiver.port}/", ())
        with pytest.raises(WebhookPostError, match="not public"):
            await post_webhook(target, b"{}", {}, 10)
        assert receiver.requests == []


async def test_host_is_resolved_once_and_the_checked_address_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, answers = asyncio.get_running_loop(), ["127.0.0.1", "192.0.2.1"]

    async def resolve(host: str, port: int, **more: Any) -> list[Any]:
        assert host == "receiver.test"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    with receiving() as receiver:
        target = parse_target(f"http://receiver.test:{receiver.port}/", ("receiver.test",))
        assert (await post_webhook(target, b"{}", {}, 10)).status == 204
        with pytest.raises(WebhookPostError, match="not public"):
            await post_webhook(replace(target, is_trusted=False), b"{}", {}, 10)
    assert receiver.requests[0].headers["host"] == f"receiver.test:{receiver.port}"
    assert len(receiver.requests) == 1
    assert answers == []


async def test_one_private_address_among_public_ones_refuses_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolve(host: str, port: int, **more: Any) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (each, port)) for each in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(WebhookPostError, match="not public"):
        await post_webhook(parse_target("https://example.com/", ()), b"{}", {}, 10)


async def test_tls_needs_a_trusted_certificate_for_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = _self_signed(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with receiving(context=context) as receiver:
        right = parse_target(f"https://localhost:{receiver.port}/", ("localhost",))
        wrong = parse_target(f"https://127.0.0.1:{receiver.port}/", ("127.0.0.1",))
        with pytest.raises(ssl.SSLCertVerificationError):
            await post_webhook(right, b"{}", {}, 10)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert (await post_webhook(right, b"{}", {}, 10)).status == 204
        with pytest.raises(ssl.SSLCertVerificationError):
            await post_webhook(wrong, b"{}", {}, 10)
    assert len(receiver.requests) == 1


def _self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = (
        x509.CertificateBuilder(named, named, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(built.public_bytes(pem))
    secret.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return certificate, secret


@pytest.mark.parametrize(
    ("settings", "url", "status", "code"),
    [
        (WebhookSettings(), "https://example.com/", 422, "webhooks_disabled"),
        (webhooks(hosts=()), "http://example.com/", 422, "webhook_url_refused"),
        (webhooks(hosts=()), "https://169.254.169.254/latest", 422, "webhook_url_refused"),
        (webhooks(hosts=()), "https://me:hunter2@example.com/", 422, "webhook_url_refused"),
        (webhooks(), "https://example.com/", 422, "webhook_url_refused"),
        (webhooks(), "https://example.com/" + "a" * 2048, 400, "bad_request"),
    ],
)
async def test_clip_with_a_refused_webhook_url_is_refused(
    settings: WebhookSettings, url: str, status: int, code: str
) -> None:
    async with running(settings=CALM.replace(webhooks=settings)) as address:
        answer, _, problem = await post_clip(address, CLIPS, audio=wav(0.4), webhook_url=url)
    assert (answer, problem["code"]) == (status, code)
    assert "hunter2" not in problem["detail"]


@pytest.mark.parametrize(
    ("secret", "hosts", "message"),
    [
        ("whsec_short", (), r"webhooks\.secret takes whsec_ and 24 to 64 random bytes"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", (), r"webhooks\.secret"),
        ("whsec_" + "ä" * 40, (), r"webhooks\.secret"),
        (SECRET, ("https://example.com",), r"webhooks\.hosts takes names .* got 'https://example.com'"),
        (SECRET, ("*",), r"webhooks\.hosts"),
        (SECRET, ("Example.com",), r"webhooks\.hosts"),
    ],
)
def test_invalid_webhook_settings_are_refused_without_showing_the_secret(
    secret: str, hosts: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        WebhookSettings(secret=SecretStr(secret), allowed_hosts=hosts)
    assert secret not in str(refused.value)
