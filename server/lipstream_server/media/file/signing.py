"""Content Credentials (C2PA): a finished clip is signed to be a generated video, with a certificate of the operator.

Needs the extra `c2pa`, which is imported only where clips are signed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..provenance import DIGITAL_SOURCE_TYPE, MADE_BY_AI

if TYPE_CHECKING:
    from c2pa import C2paSigningAlg

_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_MANIFEST = {
    "claim_generator_info": [{"name": "Lipstream"}],
    "title": MADE_BY_AI["title"],
    "format": "video/mp4",
    "assertions": [
        {
            "label": "c2pa.actions.v2",
            "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": DIGITAL_SOURCE_TYPE}]},
        }
    ],
}

Sign = Callable[[Path], None]
"""Signs an MP4 file where it is; it blocks."""


class SigningError(RuntimeError):
    """Clips cannot be signed as the operator wants; see lipstream_client/cli.py for `exit_code`."""

    exit_code = 2


def open_signing(certificate: Path, key: Path) -> Sign:
    """certificate: PEM, the signer's first and then those up to a trusted one. key: its private key, PEM without a password.

    Raises SigningError where something is missing or does not fit.
    """
    try:
        import c2pa
        import cryptography  # noqa: F401  # _algorithm needs it
    except ImportError as error:
        raise SigningError(f"signing clips needs `pip install -e '.[c2pa]'` ({error})") from error
    try:
        chain, secret = certificate.read_text(), key.read_bytes()
        info = c2pa.C2paSignerInfo(_algorithm(secret), chain.encode(), secret, None)
        c2pa.Signer.from_info(info).close()
    except (OSError, ValueError, c2pa.C2paError) as error:
        raise SigningError(f"clips cannot be signed with {certificate} and {key}: {error}") from error

    def sign(path: Path) -> None:
        signed = path.with_suffix(f".signed{path.suffix}")
        try:
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(_MANIFEST)) as builder:
                builder.sign_file(path, signed, signer)
            os.replace(signed, path)
        finally:
            signed.unlink(missing_ok=True)

    return sign


def _algorithm(key: bytes) -> C2paSigningAlg:
    """Raises ValueError."""
    from c2pa import C2paSigningAlg
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    match load_pem_private_key(key, None):
        case ec.EllipticCurvePrivateKey() as found if found.curve.name in _ALGORITHMS:
            return C2paSigningAlg[_ALGORITHMS[found.curve.name]]
        case ed25519.Ed25519PrivateKey():
            return C2paSigningAlg.ED25519
        case rsa.RSAPrivateKey():
            return C2paSigningAlg.PS256
        case other:
            raise ValueError(
                f"expected an EC (P-256, P-384, P-521), Ed25519 or RSA key, got {type(other).__name__}"
            )
