"""What a browser does with a Web Push message: decrypt it. Sources: RFC 8188, RFC 8291."""

import struct
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nuncio_simulator import base64url

HEAD: Final = struct.Struct(">16sIB")  # salt, record size, length of the key id
POINT: Final = 65
GCM_TAG: Final = 16
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256. Source: SEC 2, section 2.4.2."""


class CannotDecryptError(ValueError):
    """The browser would drop this message."""


class Device(NamedTuple):
    """A browser's side of a subscription."""

    private_key: ec.EllipticCurvePrivateKey
    public_key: bytes
    """Uncompressed point, 65 bytes: p256dh."""
    auth: bytes
    """16 bytes."""

    @classmethod
    def from_secret(cls, secret: bytes) -> "Device":
        """The one device with this secret of 64 bytes."""
        scalar = int.from_bytes(secret[:48]) % (ORDER - 1) + 1
        private_key = ec.derive_private_key(scalar, ec.SECP256R1())
        return cls(private_key, public_point(private_key.public_key()), secret[48:])

    @property
    def p256dh(self) -> str:
        """The public key as a subscription shows it."""
        return base64url.encode(self.public_key)

    def __repr__(self) -> str:
        return f"Device({self.p256dh[:8]}…)"


def public_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """The key as an uncompressed point, 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def sender_key(body: bytes) -> bytes:
    """The sender's ephemeral public key in a message's head; empty when there is none."""
    if len(body) < HEAD.size:
        return b""
    _salt, _record_size, length = HEAD.unpack_from(body)
    return body[HEAD.size : HEAD.size + length]


def decrypt(body: bytes, device: Device) -> bytes:
    """The plaintext of a message of one record. Raises CannotDecryptError, never anything else."""
    if len(body) < HEAD.size + POINT + GCM_TAG + 1:
        raise CannotDecryptError("the body is too short")
    salt, record_size, length = HEAD.unpack_from(body)
    record = body[HEAD.size + length :]
    if length != POINT:
        raise CannotDecryptError("the key id is not a P-256 point")
    # RFC 8291, section 4: exactly one record, so all of it has to fit into the record size.
    if record_size < max(18, len(record)):
        raise CannotDecryptError("there is more than one record")
    key, nonce = _derive(salt, _shared_secret(sender_key(body), device))
    try:
        padded = AESGCM(key).decrypt(nonce, record, None)
    except InvalidTag as error:
        raise CannotDecryptError("the record is not authentic") from error
    plaintext = padded.rstrip(b"\0")
    if not plaintext.endswith(b"\x02"):
        raise CannotDecryptError("the last record has no delimiter 2")
    return plaintext[:-1]


def _shared_secret(sender: bytes, device: Device) -> bytes:
    """IKM of RFC 8291, section 3.4."""
    try:
        public_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
    except ValueError as error:
        raise CannotDecryptError("the key id is not a P-256 point") from error
    shared = device.private_key.exchange(ec.ECDH(), public_key)
    info = b"WebPush: info\0" + device.public_key + sender
    return HKDF(SHA256(), 32, device.auth, info).derive(shared)


def _derive(salt: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """Content encryption key and nonce. Source: RFC 8188, sections 2.2 and 2.3."""
    key = HKDF(SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(secret)
    nonce = HKDF(SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(secret)
    return key, nonce
