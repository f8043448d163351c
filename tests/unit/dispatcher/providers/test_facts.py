"""What may be shown of a credential: enough to know it again, nothing to use it with."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from nuncio_dispatcher.domain.lane_status import CredentialKind
from nuncio_dispatcher.providers.apns.settings import ApnsSettings
from nuncio_dispatcher.providers.facts import facts_of
from nuncio_dispatcher.providers.fcm.settings import FcmSettings
from nuncio_dispatcher.providers.fields import CredentialError
from nuncio_dispatcher.providers.webpush.settings import WebPushSettings

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
Key = EllipticCurvePrivateKey | rsa.RSAPrivateKey


def pem(key: Key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def digest(key: Key) -> str:
    """As `openssl pkey -pubout -outform DER | sha256sum` begins."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]


@pytest.fixture
def key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


def apns(file: Path) -> ApnsSettings:
    return ApnsSettings(
        team_id="TEAM123456", key_id="KEY1234567", key_file=file, topic="com.example.shop"
    )


def test_a_token_key(tmp_path: Path, key: EllipticCurvePrivateKey) -> None:
    file = tmp_path / "AuthKey.p8"
    file.write_text(pem(key))
    facts = facts_of(apns(file), now=NOW)
    assert facts.kind is CredentialKind.PROVIDER_TOKEN
    assert facts.fingerprint == digest(key)
    assert (facts.team_id, facts.key_id, facts.topic, facts.loaded_at, facts.not_after) == (
        "TEAM123456",
        "KEY1234567",
        "com.example.shop",
        NOW,
        None,
    )


def test_a_certificate_says_when_it_ends(tmp_path: Path, key: EllipticCurvePrivateKey) -> None:
    end = NOW + timedelta(days=30)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "push")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(NOW).not_valid_after(end).sign(key, SHA256())
    file, key_file = tmp_path / "push.pem", tmp_path / "push.key"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_text(pem(key))
    settings = ApnsSettings(
        certificate_file=file, certificate_key_file=key_file, topic="com.example.shop"
    )
    facts = facts_of(settings, now=NOW)
    assert (facts.kind, facts.not_after) == (CredentialKind.CERTIFICATE, end)
    assert facts.fingerprint == digest(key)


def test_a_service_account(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    file = tmp_path / "account.json"
    account = {"project_id": "shop", "private_key_id": "abc", "private_key": pem(key)}
    file.write_text(json.dumps(account))
    facts = facts_of(FcmSettings(service_account_file=file), now=NOW)
    assert (facts.kind, facts.project_id, facts.key_id) == (
        CredentialKind.SERVICE_ACCOUNT,
        "shop",
        "abc",
    )
    assert facts.fingerprint == digest(key)


def test_a_vapid_key(tmp_path: Path, key: EllipticCurvePrivateKey) -> None:
    file = tmp_path / "vapid.pem"
    file.write_text(pem(key))
    settings = WebPushSettings(
        private_key_file=file, subject="mailto:push@example.com", key_id="2026"
    )
    facts = facts_of(settings, now=NOW)
    assert (facts.kind, facts.key_id, facts.fingerprint) == (
        CredentialKind.VAPID,
        "2026",
        digest(key),
    )


def test_a_key_that_cannot_be_read_is_a_credential_error_without_its_content(
    tmp_path: Path,
) -> None:
    file = tmp_path / "AuthKey.p8"
    with pytest.raises(CredentialError, match=r"cannot read AuthKey\.p8"):
        facts_of(apns(file), now=NOW)
    file.write_text("not a key at all")
    with pytest.raises(CredentialError, match="key_file") as caught:
        facts_of(apns(file), now=NOW)
    assert "not a key at all" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"private_key": 7, "project_id": "p"}', "{}"])
def test_an_account_file_that_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "account.json"
    file.write_text(text)
    with pytest.raises(CredentialError, match="service_account_file"):
        facts_of(FcmSettings(service_account_file=file), now=NOW)
