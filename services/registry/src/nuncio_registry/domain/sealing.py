"""Tokens at rest: sealed with AES-256-GCM, found again by a keyed hash.

A sealed token is nonce (12) and ciphertext with its tag (16). It is bound to its app and
installation: copied into another row, it does not open.
"""

import hmac
import os
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nuncio_registry.domain.model import Provider, PushToken
from nuncio_registry.domain.tokens import address

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TOKEN_REF_BYTES: Final = 16


class UnreadableToken(Exception):
    """A sealed token does not open."""


class KeyRing:
    """The newest key seals, every key opens. Keys have 32 bytes; ids are 1 to 32,767."""

    def __init__(self, *, seal_keys: Mapping[int, bytes], lookup_key: bytes) -> None:
        self.newest = max(seal_keys)
        self._ciphers = {key_id: AESGCM(key) for key_id, key in seal_keys.items()}
        self._sealing = self._ciphers[self.newest]
        self._lookup_key = lookup_key

    def __repr__(self) -> str:
        return f"KeyRing(ids={sorted(self._ciphers)})"

    def hash(self, provider: Provider, token: PushToken) -> bytes:
        """32 bytes that are equal for equal tokens and tell nothing to those without the key."""
        return hmac.digest(
            self._lookup_key, bytes((provider,)) + address(provider, token), "sha256"
        )

    def seal(self, token: PushToken, bound_to: bytes) -> bytes:
        """Seal with the newest key."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._sealing.encrypt(nonce, token.reveal(), bound_to)

    def open(self, sealed: bytes, *, key_id: int, bound_to: bytes) -> bytes:
        """The plain text. Raises UnreadableToken when the key is gone or the row is damaged."""
        nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._ciphers[key_id].decrypt(nonce, ciphertext, bound_to)
        except (KeyError, InvalidTag, ValueError) as error:  # ValueError: it is cut short.
            raise UnreadableToken from error


def binding(app_id: str) -> bytes:
    """What the sealed tokens of an app are bound to, up to the bytes of the installation's id."""
    return app_id.encode() + b"/"


def bound_to(app_id: str, installation_id: UUID) -> bytes:
    """What the sealed token of an installation is bound to."""
    return binding(app_id) + installation_id.bytes
