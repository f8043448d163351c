"""A certificate for localhost, made at run time, and the key that a client signs tokens with."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


class Identity(NamedTuple):
    """Files. The certificate signs itself, so it is also what clients trust."""

    certificate: Path
    key: Path
    token_key: Path
    """PKCS 8, as Apple gives it out for APNs."""


def make_identity(folder: Path) -> Identity:
    """Make all of it anew."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    identity = Identity(folder / "server.pem", folder / "server-key.pem", folder / "AuthKey.p8")
    identity.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    _write_key(identity.key, key)
    _write_key(identity.token_key, ec.generate_private_key(ec.SECP256R1()))
    return identity


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
