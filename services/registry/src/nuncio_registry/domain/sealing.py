"""Tokens at rest: sealed with AES-256-GCM, found again by a keyed hash.

A sealed token is nonce (12) and ciphertext with its tag (16). It is bound to its app and
installation: copied into another row, it does not open.
"""

import os
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from nuncio_registry.domain.model import Provider, PushToken
from nuncio_registry.domain.tokens import address

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TOKEN_REF_BYTES: Final = 16
SUBJECT_HASH_BYTES: Final = 16
CONTENT_HASH_BYTES: Final = 16


class UnreadableToken(Exception):
    """A sealed token does not open."""


class KeyChanged(Exception):
    """A key that is in use was replaced by another one of the same name."""


class KeyRing:
    """The newest key seals, every key opens. Keys have 32 bytes; ids are 1 to 32,767.

    The ring of a running process grows by `take_up`. look: called when a token names a key that is
    not there, before it is given up; it may take up keys.
    """

    def __init__(
        self,
        *,
        seal_keys: Mapping[int, bytes],
        lookup_key: bytes,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self._keys: dict[int, bytes] = {}
        self._ciphers: dict[int, AESGCM] = {}
        self._lookup_key = lookup_key
        # Begun with the key, which costs as much as a message: copied for each.
        self._lookup = HMAC(lookup_key, SHA256())
        self._contents: dict[bytes, blake2b] = {}
        self._look = look
        self.take_up(seal_keys)

    def __repr__(self) -> str:
        return f"KeyRing(ids={self.ids})"

    @property
    def ids(self) -> list[int]:
        """The keys that open, the oldest first."""
        return sorted(self._ciphers)

    def take_up(self, seal_keys: Mapping[int, bytes], *, lookup_key: bytes | None = None) -> None:
        """Seal with the newest of these keys from now on, and open with them all.

        A key that is not among them opens on, until the process ends: a file that vanishes by a
        slip makes no token unreadable. Raises KeyChanged, taking up nothing, when an id that is
        known comes with another key: tokens that it sealed would not open any more.
        """
        changed = [id_ for id_, key in seal_keys.items() if self._keys.get(id_, key) != key]
        if changed or (lookup_key or self._lookup_key) != self._lookup_key:
            raise KeyChanged
        new = {id_: key for id_, key in seal_keys.items() if id_ not in self._keys}
        self._ciphers |= {id_: AESGCM(key) for id_, key in new.items()}
        self._keys |= new
        self.newest = max(seal_keys)
        self._sealing = self._ciphers[self.newest]

    def hash(self, provider: Provider, token: PushToken) -> bytes:
        """32 bytes that are equal for equal tokens and tell nothing to those without the key."""
        return self._keyed_hash(provider.to_bytes() + address(provider, token))

    def subject_hash(self, kind: str, app_id: str, subject: str) -> bytes:
        """16 bytes that find a user or an installation again, for those who know its id.

        kind: "user" or "installation". Never equal to a hash of a token, whose message begins with
        the number of a provider.
        """
        message = "\0".join(("subject", kind, app_id, subject)).encode()
        return self._keyed_hash(message)[:SUBJECT_HASH_BYTES]

    def _keyed_hash(self, message: bytes) -> bytes:
        """HMAC-SHA-256 (RFC 2104)."""
        begun = self._lookup.copy()
        begun.update(message)
        return begun.finalize()

    def content_hash(self, content: bytes, *, rules: bytes) -> bytes:
        """16 bytes that are equal for equal contents of registrations under the same rules.

        rules: 16 bytes. Another function than for tokens and subjects: keyed BLAKE2b (RFC 7693).
        """
        if rules not in self._contents:
            self._contents[rules] = blake2b(
                key=self._lookup_key, salt=rules, digest_size=CONTENT_HASH_BYTES
            )
        begun = self._contents[rules].copy()
        begun.update(content)
        return begun.digest()

    def seal(self, token: PushToken, bound_to: bytes) -> bytes:
        """Seal with the newest key."""
        return self.seal_bytes(token.reveal(), bound_to)

    def seal_bytes(self, plaintext: bytes, bound_to: bytes) -> bytes:
        """Seal what `open` gave, with the newest key."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._sealing.encrypt(nonce, plaintext, bound_to)

    def open(self, sealed: bytes, *, key_id: int, bound_to: bytes) -> bytes:
        """The plain text. Raises UnreadableToken when the key is gone or the row is damaged."""
        nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            cipher = self._ciphers.get(key_id) or self._looked_for(key_id)
            return cipher.decrypt(nonce, ciphertext, bound_to)
        except (KeyError, InvalidTag, ValueError) as error:  # ValueError: it is cut short.
            raise UnreadableToken from error

    def _looked_for(self, key_id: int) -> AESGCM:
        """The key, which another process may have begun to seal with. Raises KeyError."""
        self._look()
        return self._ciphers[key_id]


def binding(app_id: str) -> bytes:
    """What the sealed tokens of an app are bound to, up to the bytes of the installation's id."""
    return app_id.encode() + b"/"


def bound_to(app_id: str, installation_id: UUID) -> bytes:
    """What the sealed token of an installation is bound to."""
    return binding(app_id) + installation_id.bytes
