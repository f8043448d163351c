"""What may be shown of a credential: whose it is and until when, never the secret."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate

from nuncio_dispatcher.domain.lane_status import CredentialFacts, CredentialKind
from nuncio_dispatcher.providers.apns.settings import ApnsSettings
from nuncio_dispatcher.providers.credentials import Settings
from nuncio_dispatcher.providers.fcm.settings import FcmSettings
from nuncio_dispatcher.providers.fields import CredentialError, read_file
from nuncio_dispatcher.providers.webpush.settings import WebPushSettings

SHOWN_BYTES: Final = 8
"""Of the public key's SHA-256."""


def facts_of(settings: Settings, *, now: datetime) -> CredentialFacts:
    """Whose credential it is. Raises CredentialError when its key cannot be loaded."""
    match settings:
        case ApnsSettings(certificate_file=Path() as file):
            return _certificate(settings, file, now)
        case ApnsSettings(key_file=Path() as file):
            return CredentialFacts(
                kind=CredentialKind.PROVIDER_TOKEN,
                fingerprint=_of_private_key(read_file(file, key="key_file"), "key_file"),
                loaded_at=now,
                key_id=settings.key_id or "",
                team_id=settings.team_id or "",
                topic=settings.topic,
            )
        case FcmSettings():
            return _service_account(settings, now)
        case WebPushSettings():
            pem = read_file(settings.private_key_file, key="private_key_file")
            return CredentialFacts(
                kind=CredentialKind.VAPID,
                fingerprint=_of_private_key(pem, "private_key_file"),
                loaded_at=now,
                key_id=settings.key_id,
            )
        case _:
            raise CredentialError("neither a key nor a certificate")


def fingerprint(key: PublicKeyTypes) -> str:
    """16 hexadecimal digits that tell keys apart."""
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).digest()[:SHOWN_BYTES].hex()


def _certificate(settings: ApnsSettings, file: Path, now: datetime) -> CredentialFacts:
    try:
        certificate = load_pem_x509_certificate(read_file(file, key="certificate_file"))
        shown = fingerprint(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm) as error:
        message = f"certificate_file: {file.name} is not a certificate in PEM form"
        raise CredentialError(message) from error
    return CredentialFacts(
        kind=CredentialKind.CERTIFICATE,
        fingerprint=shown,
        loaded_at=now,
        topic=settings.topic,
        not_after=certificate.not_valid_after_utc,
    )


def _service_account(settings: FcmSettings, now: datetime) -> CredentialFacts:
    name = "service_account_file"
    try:
        account = json.loads(read_file(settings.service_account_file, key=name))
        key, project_id = account["private_key"].encode(), str(account["project_id"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{name}: {settings.service_account_file.name} is no service account's key file"
        raise CredentialError(message) from error
    return CredentialFacts(
        kind=CredentialKind.SERVICE_ACCOUNT,
        fingerprint=_of_private_key(key, name),
        loaded_at=now,
        key_id=str(account.get("private_key_id", "")),
        project_id=project_id,
    )


def _of_private_key(pem: bytes, field: str) -> str:
    try:
        return fingerprint(load_pem_private_key(pem, password=None).public_key())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{field}: holds no unencrypted private key in PEM form"
        raise CredentialError(message) from error
