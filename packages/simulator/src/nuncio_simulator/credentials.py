"""What an operator would have from Apple, Google and the browsers: made here, kept in a folder."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificate

from nuncio_simulator.aes128gcm import public_point
from nuncio_simulator.certificates import KINDS, Authority, read_certificate

TEAM_ID: Final = "NUNCIOTEAM"
KEY_ID: Final = "NUNCIOKEY1"
OTHER_KEY_ID: Final = "NUNCIOKEY2"
SANDBOX_KEY_ID: Final = "NUNCIOKEYS"
SEED_BYTES: Final = 32
CLIENT_FILES: Final = (
    "client-ca",
    *("apns-client", "apns-client-key"),
    *("apns-client-sandbox", "apns-client-sandbox-key"),
    *("apns-client-wrong", "apns-client-wrong-key"),
)


class ClientFiles(NamedTuple):
    """Certificates by which clients of APNs may show who they are."""

    authority: Path
    certificate: Path
    """For the first topic, its voip and its complication, in both environments."""
    key: Path
    sandbox: Path
    """For the first topic, in the sandbox only."""
    sandbox_key: Path
    wrong: Path
    """For no topic."""
    wrong_key: Path


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Files in the folder, and what the simulator itself needs of them."""

    seed: bytes
    ca_file: Path
    certificate_file: Path
    certificate_key_file: Path
    apns_key_file: Path
    apns_key: ec.EllipticCurvePublicKey
    apns_other_key_file: Path
    """Of the same team, and not related to the first."""
    apns_other_key: ec.EllipticCurvePublicKey
    apns_sandbox_key_file: Path
    """For the sandbox only."""
    apns_sandbox_key: ec.EllipticCurvePublicKey
    apns_clients: ClientFiles
    service_account_file: Path
    service_account_mail: str
    service_account_key: rsa.RSAPublicKey
    vapid_key_file: Path
    vapid_public_key: bytes


def prepare(
    folder: Path, *, project: str, token_uri: str, topic: str, seed: int | None
) -> Credentials:
    """Make what the folder lacks and read the rest, so that a restart has the same keys and seed.

    Every file is for its owner only. A seed that is given replaces the kept one. topic: the
    bundle id that the client certificates are for.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if seed is not None:
        write_private(folder / "seed", seed.to_bytes(SEED_BYTES))
    if not (folder / "server.pem").exists():
        _make_certificates(folder)
    apns_keys = {
        key_id: folder / f"AuthKey_{key_id}.p8" for key_id in (KEY_ID, OTHER_KEY_ID, SANDBOX_KEY_ID)
    }
    vapid_key_file = folder / "vapid.pem"
    account_key = load_pem_private_key(_kept(folder / "fcm-key.pem", _new_rsa_key), None)
    assert isinstance(account_key, rsa.RSAPrivateKey)
    account = _service_account(_pem(account_key), project=project, token_uri=token_uri)
    service_account_file = folder / "service-account.json"
    write_private(service_account_file, json.dumps(account, indent=2).encode())
    return Credentials(
        seed=_kept(folder / "seed", lambda: secrets.token_bytes(SEED_BYTES)),
        ca_file=folder / "ca.pem",
        certificate_file=folder / "server.pem",
        certificate_key_file=folder / "server-key.pem",
        apns_key_file=apns_keys[KEY_ID],
        apns_key=_public_ec_key(apns_keys[KEY_ID]),
        apns_other_key_file=apns_keys[OTHER_KEY_ID],
        apns_other_key=_public_ec_key(apns_keys[OTHER_KEY_ID]),
        apns_sandbox_key_file=apns_keys[SANDBOX_KEY_ID],
        apns_sandbox_key=_public_ec_key(apns_keys[SANDBOX_KEY_ID]),
        apns_clients=_client_certificates(folder, topic),
        service_account_file=service_account_file,
        service_account_mail=account["client_email"],
        service_account_key=account_key.public_key(),
        vapid_key_file=vapid_key_file,
        vapid_public_key=public_point(_public_ec_key(vapid_key_file)),
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


def _public_ec_key(path: Path) -> ec.EllipticCurvePublicKey:
    """Of the private key in the file, which is made when it is missing."""
    key = load_pem_private_key(_kept(path, _new_ec_key), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.public_key()


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
    """An authority that signs one server certificate and is then forgotten."""
    authority = Authority("nuncio simulator CA")
    server = authority.server()
    write_private(folder / "ca.pem", authority.pem)
    write_private(folder / "server-key.pem", server.key)
    write_private(folder / "server.pem", server.certificate)


def _client_certificates(folder: Path, topic: str) -> ClientFiles:
    """Kept, unless they are missing or another app's; made together, by an authority of theirs."""
    files = ClientFiles(*(folder / f"{name}.pem" for name in CLIENT_FILES))
    if not files.wrong_key.exists() or not _is_for(files.certificate, topic):
        authority = Authority("nuncio simulator client CA")
        every_kind = [topic + suffix for suffix in KINDS]
        both = authority.client(every_kind, sandbox=True, production=True)
        sandbox = authority.client([topic], sandbox=True, production=False)
        wrong = authority.client([], sandbox=True, production=True)
        for path, content in zip(files, (authority.pem, *both, *sandbox, *wrong), strict=True):
            write_private(path, content)
    return files


def _is_for(certificate: Path, topic: str) -> bool:
    der = load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    return topic.encode() in read_certificate(der).topics
