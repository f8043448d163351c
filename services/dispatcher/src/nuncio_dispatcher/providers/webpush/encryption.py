"""Hot path: a message sealed for one subscription; measured by `nuncio bench webpush`.

Most of the time goes into the elliptic curve, in `cryptography`. What is left to choose costs much
the same in every way that was tried: HKDF objects or one-shot HMACs for the keys; any of the
serializations for the public point.

Sources: RFC 8291; RFC 8188, section 2.
"""

from os import urandom
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PLAINTEXT_LIMIT: Final = 3993
"""Bytes: push services take 4,096, of which 86 are the header, 16 the tag and 1 the delimiter."""

POINT_SIZE: Final = 65
AUTH_SIZE: Final = 16
SALT_SIZE: Final = 16

_RECORD_SIZE: Final = 4096
_SIZES: Final = _RECORD_SIZE.to_bytes(4) + bytes([POINT_SIZE])
_LAST_RECORD: Final = b"\x02"

_KEY_INFO: Final = b"WebPush: info\0"
_CONTENT_KEY: Final = b"Content-Encoding: aes128gcm\0"
_NONCE: Final = b"Content-Encoding: nonce\0"

# Made once: they hold no state, and making them takes time.
_CURVE: Final = SECP256R1()
_ECDH: Final = ECDH()
_SHA256: Final = SHA256()
_X962: Final = Encoding.X962
_POINT: Final = PublicFormat.UncompressedPoint


def encrypt(plaintext: bytes, p256dh: bytes, auth: bytes) -> bytes | None:
    """The body of a request, aes128gcm, under a key and a salt that no other message has.

    plaintext: at most PLAINTEXT_LIMIT bytes. p256dh, auth: as the subscription has them. None when
    those are no keys: of another length, compressed, or no point of the curve. Raises ValueError
    when the plaintext is too long, which is the caller's to know before the first row.

    Nothing is padded: a push service then sees how long a message is, which tells little of a
    notification, and padding worth its name would make each of them several times as long.
    """
    return seal(
        plaintext, p256dh, auth, sender=generate_private_key(_CURVE), salt=urandom(SALT_SIZE)
    )


def seal(
    plaintext: bytes, p256dh: bytes, auth: bytes, *, sender: EllipticCurvePrivateKey, salt: bytes
) -> bytes | None:
    """`encrypt` with a given key and salt. Only tests may choose them: no pair is used twice."""
    if len(plaintext) > PLAINTEXT_LIMIT:
        message = f"the plaintext has {len(plaintext)} bytes; {PLAINTEXT_LIMIT} fit"
        raise ValueError(message)
    if len(p256dh) != POINT_SIZE or len(auth) != AUTH_SIZE:
        return None  # a compressed point is shorter; infinity is one byte
    try:
        receiver = EllipticCurvePublicKey.from_encoded_point(_CURVE, p256dh)
    except ValueError:
        return None  # no point of the curve
    public = sender.public_key().public_bytes(_X962, _POINT)
    key, nonce = content_key(
        sender.exchange(_ECDH, receiver), auth, points=p256dh + public, salt=salt
    )
    # salt (16) | record size (4) | length of the key's id (1) | the key's id, our point (65)
    # | text, delimiter and tag
    sealed = AESGCM(key).encrypt(nonce, plaintext + _LAST_RECORD, None)
    return salt + _SIZES + public + sealed


def content_key(secret: bytes, auth: bytes, *, points: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """The key (16 bytes) and nonce (12) of the only record. points: receiver's, then sender's.

    Source: RFC 8291, section 3.4.
    """
    shared = HKDF(_SHA256, 32, auth, _KEY_INFO + points).derive(secret)
    key = HKDF(_SHA256, 16, salt, _CONTENT_KEY).derive(shared)
    return key, HKDF(_SHA256, 12, salt, _NONCE).derive(shared)
