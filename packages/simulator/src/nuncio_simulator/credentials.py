"""What an operator would have from Apple, Google and the browsers: made here, kept in a folder."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from nuncio_simulator.aes128gcm import public_point

TEAM_ID: Final = "NUNCIOTEAM"
KEY_ID: Final = "NUNCIOKEY1"
VALID_FOR: Final = timedelta(days=3_650)
SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Files in the folder, and what the simulator itself needs of them."""

    seed: bytes
    ca_file: Path
    certificate_file: Path
    certificate_key_file: Path
    apns_key_file: Path
    apns_key: ec.EllipticCurvePublicKey
    service_account_file: Path
    service_account_mail: str
    service_account_key: rsa.RSAPublicKey
    vapid_key_file: Path
    vapid_public_key: bytes


def prepare(folder: Path, *, project: str, token_uri: str, seed: int | None) -> Credentials:
    """Make what the folder lacks and read the rest, so that a restart has the same keys and seed.

    Every file is for its owner only. A seed that is given replaces the kept one.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if seed is not None:
        write_private(folder / "seed", seed.to_bytes(SEED_BYTES))
    if not (folder / "server.pem").exists():
        _make_certificates(folder)
    apns_key_file = folder / f"AuthKey_{KEY_ID}.p8"
    apns_key = load_pem_private_key(_kept(apns_key_file, _new_ec_key), None)
    vapid_key_file = folder / "vapid.pem"
    vapid_key = load_pem_private_key(_kept(vapid_key_file, _new_ec_key), None)
    account_key = load_pem_private_key(_kept(folder / "fcm-key.pem", _new_rsa_key), None)
    assert isinstance(apns_key, ec.EllipticCurvePrivateKey)
    assert isinstance(vapid_key, ec.EllipticCurvePrivateKey)
    assert isinstance(account_key, rsa.RSAPrivateKey)
    account = _service_account(_pem(account_key), project=project, token_uri=token_uri)
    service_account_file = folder / "service-account.json"
    write_private(service_account_file, json.dumps(account, indent=2).encode())
    return Credentials(
        seed=_kept(folder / "seed", lambda: secrets.token_bytes(SEED_BYTES)),
        ca_file=folder / "ca.pem",
        certificate_file=folder / "server.pem",
        certificate_key_file=folder / "server-key.pem",
        apns_key_file=apns_key_file,
        apns_key=apns_key.public_key(),
        service_account_file=service_account_file,
        service_account_mail=account["client_email"],
        service_account_key=account_key.public_key(),
        vapid_key_file=vapid_key_file,
        vapid_public_key=public_point(vapid_key.public_key()),
    )


def write_private(path: Path, content: bytes) -> None:
    """Put the content in place at once, readable by its owner only."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_bytes(content)
    draft.replace(path)


def _kept(path: Path, make: Callable[[], bytes]) -> bytes:
    if not path.exists():
        write_private(path, make())
    return path.read_bytes()


def _new_ec_key() -> bytes:
    return _pem(ec.generate_private_key(ec.SECP256R1()))


def _new_rsa_key() -> bytes:
    return _pem(rsa.generate_private_key(public_exponent=65_537, key_size=2_048))


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _service_account(key: bytes, *, project: str, token_uri: str) -> dict[str, Any]:
    return {
        "type": "service_account",
        "project_id": project,
        "private_key_id": secrets.token_hex(20),
        "private_key": key.decode(),
        "client_email": f"nuncio@{project}.iam.gserviceaccount.com",
        "client_id": "100000000000000000000",
        "token_uri": token_uri,
    }


def _make_certificates(folder: Path) -> None:
    """A CA that signs one server certificate and is then forgotten."""
    ca_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = _name("nuncio simulator CA")
    ca = (
        _certificate(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False)
        .sign(ca_key, SHA256())
    )
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    )
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    server = (
        _certificate(_name("localhost"), ca_name, server_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(ca_key, SHA256())
    )
    write_private(folder / "ca.pem", ca.public_bytes(Encoding.PEM))
    write_private(folder / "server-key.pem", _pem(server_key))
    write_private(folder / "server.pem", server.public_bytes(Encoding.PEM))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID_FOR)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
