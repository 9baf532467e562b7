"""Every container and every clip declares that it was generated, and on request every frame shows it."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from live_server import (
    SessionEnd,
    ask,
    connected,
    running,
)
from PIL import Image
from rest_client import (
    CLIPS,
    finished,
    post,
    wav,
)

from lipstream_server.config.settings import ServerSettings, SigningSettings
from lipstream_server.engines.stub import StubEngine
from lipstream_server.media.file.signing import SigningError, open_signing
from lipstream_server.media.provenance import DIGITAL_SOURCE_TYPE, MADE_BY_AI
from lipstream_server.media.watermark import Watermark
from lipstream_server.protocol import (
    Container,
    MediaTag,
    SessionReady,
    SessionStart,
    TaggedMedia,
)


async def stream(
    container: Container, settings: ServerSettings | None = None
) -> tuple[SessionReady, list[bytes]]:
    """Return the first message and the media of a short session."""
    async with (
        running(StubEngine(side=256), settings) as address,
        connected(address, SessionStart(container=container)) as client,
    ):
        await client.media(4)
        await client.send(SessionEnd())
        await client.to_the_end()
    ready = client.received[0]
    assert isinstance(ready, SessionReady)
    return ready, client.binary


async def clip(settings: ServerSettings | None = None) -> bytes:
    async with running(StubEngine(side=256), settings) as address:
        _, _, created = await post(address, CLIPS, audio=wav(0.5), avatar="red")
        assert (await finished(address, created["id"]))["state"] == "succeeded"
        return (await ask(address, "GET", f"{CLIPS}/{created['id']}/video"))[2]


@pytest.mark.parametrize("container", ["fmp4", "webm", "jpeg", "rgb"])
async def test_every_stream_is_labelled_before_its_media(container: Container) -> None:
    ready, media = await stream(container)
    assert ready.digital_source_type == DIGITAL_SOURCE_TYPE
    if container in ("fmp4", "webm"):
        assert DIGITAL_SOURCE_TYPE.encode() in media[0]
    if container == "webm":
        with av.open(io.BytesIO(b"".join(media))) as opened:
            tags = {name.lower(): text for name, text in opened.metadata.items()}
        assert MADE_BY_AI.items() <= tags.items()
        assert tags["digital_source_type"] == DIGITAL_SOURCE_TYPE
    if container == "jpeg":
        first = next(unit for unit in map(TaggedMedia.unpack, media) if unit.tag is MediaTag.JPEG)
        frame = Image.open(io.BytesIO(first.payload))
        assert DIGITAL_SOURCE_TYPE.encode() in frame.info["xmp"]
        assert frame.info["comment"].decode() == MADE_BY_AI["description"]


async def test_clip_is_labelled() -> None:
    video = await clip()
    assert DIGITAL_SOURCE_TYPE.encode() in video
    with av.open(io.BytesIO(video)) as opened:
        assert MADE_BY_AI.items() <= opened.metadata.items()


def corner(frame: np.ndarray) -> np.ndarray:
    """Return the region of the watermark, at 256 x 256."""
    return frame[-40:, -50:].astype(int)


async def test_watermark_is_on_frames_of_streams_and_clips_when_set() -> None:
    marked = ServerSettings(max_sessions=1, watermark=True)
    for settings, there in ((marked, True), (ServerSettings(max_sessions=1), False)):
        _, media = await stream("rgb", settings)
        unit = next(unit for unit in map(TaggedMedia.unpack, media) if unit.tag is MediaTag.RGB)
        live = np.frombuffer(unit.payload, np.uint8).reshape(256, 256, 3)
        with av.open(io.BytesIO(await clip(settings))) as opened:
            rendered = next(opened.decode(video=0)).to_ndarray(format="rgb24")
        for frame in (live, rendered):
            assert (np.ptp(corner(frame)[..., 1]) > 120) == there
            assert np.ptp(frame[:180, :, 1].astype(int)) < 20  # nowhere else


@pytest.mark.parametrize("side", [64, 256, 512])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_watermark_is_legible_on_any_frame_and_does_not_change_its_input(side: int, level: int) -> None:
    frame = np.full((side, side, 3), level, np.uint8)
    shown = Watermark(side, side).apply(frame)
    assert (frame == level).all()
    changed = (shown != level).any(axis=-1)
    assert 0.001 < changed.mean() < 0.1
    assert not changed[: side // 2].any()
    ink = shown[shown.shape[0] // 2 :, side // 2 :].max()
    badge = level * 0.35
    assert ink > 230
    assert (ink + 12.75) / (badge + 12.75) > 2.4


def test_watermark_does_not_overflow() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    noise[128:] = 255
    assert Watermark(256, 256).apply(noise)[128:].min() > 80


Certified = Callable[[ec.EllipticCurve], tuple[Path, Path]]


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    """Return a factory of certificates that may sign content, with their keys."""

    def make(curve: ec.EllipticCurve) -> tuple[Path, Path]:
        root, key = ec.generate_private_key(curve), ec.generate_private_key(curve)
        authority = certificate("Test authority", root, "Test authority", root, None)
        signer = certificate("Test signer", key, "Test authority", root, ExtendedKeyUsageOID.EMAIL_PROTECTION)
        chain, secret = tmp_path / "chain.pem", tmp_path / "key.pem"
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        chain.write_bytes(signer.public_bytes(pem) + authority.public_bytes(pem))
        secret.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        return chain, secret

    return make


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuing: ec.EllipticCurvePrivateKey,
    purpose: x509.ObjectIdentifier | None,
) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"),
                x509.NameAttribute(NameOID.COMMON_NAME, text),
            ]
        )

    now = datetime.now(UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    building = (
        x509.CertificateBuilder(named(issuer), named(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=purpose is None, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=purpose is not None,
                key_cert_sign=purpose is None,
                encipher_only=False,
                decipher_only=False,
                **usage,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.public_key()), critical=False
        )
    )
    if purpose is not None:
        building = building.add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
    return building.sign(issuing, hashes.SHA256())


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=lambda curve: curve.name)
async def test_clips_are_signed_with_the_certificate_of_the_operator(
    curve: ec.EllipticCurve, certified: Certified
) -> None:
    c2pa = pytest.importorskip("c2pa")
    chain, key = certified(curve)
    signing = ServerSettings(max_sessions=1, signing=SigningSettings(certificate=chain, key=key))
    async with running(settings=signing) as address:
        status, _, refused = await post(address, CLIPS, audio=wav(0.5), container="webm")
        assert (status, refused["code"]) == (422, "container_unsigned")
    video = await clip(signing)
    with av.open(io.BytesIO(video)) as opened:
        assert len(list(opened.decode(video=0))) >= 12
    trust = {"trust": {"trust_anchors": chain.read_text().partition("-----END CERTIFICATE-----\n")[2]}}
    with (
        c2pa.Context.from_dict(trust) as context,
        c2pa.Reader("video/mp4", io.BytesIO(video), context=context) as reader,
    ):
        report = json.loads(reader.json())
        assert reader.get_validation_state() == "Trusted"
    manifest = report["manifests"][report["active_manifest"]]
    (actions,) = [
        each["data"]["actions"] for each in manifest["assertions"] if each["label"].startswith("c2pa.actions")
    ]
    assert [(each["action"], each["digitalSourceType"]) for each in actions] == [
        ("c2pa.created", DIGITAL_SOURCE_TYPE)
    ]
    assert manifest["signature_info"]["common_name"] == "Test signer"
    broken = bytearray(video)
    broken[video.index(b"mdat") + 5000] ^= 1
    with c2pa.Reader("video/mp4", io.BytesIO(bytes(broken))) as reader:
        assert reader.get_validation_state() == "Invalid"


def test_unusable_certificates_are_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_text("no certificate")
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(SigningError, match=r"chain\.pem"):
        open_signing(tmp_path / "chain.pem", tmp_path / "key.pem")
    with pytest.raises(SigningError, match="missing"):
        open_signing(tmp_path / "missing.pem", tmp_path / "key.pem")
    with pytest.raises(ValueError, match="certificate and its key"):
        SigningSettings(certificate=tmp_path / "chain.pem")
