"""Tokens that carry their fate, so that any number of them needs no state.

A token holds 32 bytes:  nonce 8 | label 16, masked | tag 8

Mask and tag come from the nonce and the simulator's seed; the label says what the token is and
what becomes of it. APNs tokens are the bytes in hexadecimal; FCM tokens and Web Push endpoints
wear them in their providers' costumes.
"""

import hashlib
import hmac
import struct
from enum import IntEnum
from typing import Final, NamedTuple

from nuncio_simulator import base64url
from nuncio_simulator.contract import Platform, ProviderName

NONCE: Final = 8
TAG: Final = 8
LABEL: Final = struct.Struct(">BBBBHHI4s")
PROVIDERS: Final = (ProviderName.APNS, ProviderName.FCM, ProviderName.WEBPUSH)
PLATFORMS: Final = tuple(Platform)
ENDPOINT_PATHS: Final = {
    Platform.FIREFOX: "/wpush/v2/",
    Platform.CHROME: "/fcm/send/",
    Platform.EDGE: "/w/?token=",
    Platform.SAFARI: "/apple/",
}
FCM_MARK: Final = ":APA91b"
FCM_TAIL: Final = 80  # bytes after the token's own, for a token as long as FCM's


class Fate(IntEnum):
    """What becomes of a token."""

    ALIVE = 0
    DEAD = 1
    THROTTLED = 2
    SLOW = 3


class Label(NamedTuple):
    """What a token carries."""

    provider: ProviderName
    platform: Platform
    sandbox: bool
    fate: Fate
    topic: int
    """Index of the app's bundle id among the simulator's topics."""
    amount: int
    """THROTTLED: refusals to come. SLOW: milliseconds."""
    dead_since: int
    """Unix seconds; 0 for a token that dies at the first request that reaches it."""
    vapid_key: bytes
    """Fingerprint of the VAPID key that the subscription is bound to, 4 bytes."""


class Known(NamedTuple):
    """A token that this simulator minted."""

    core: bytes
    text: str
    """The token, or the endpoint's URL."""
    label: Label

    def __repr__(self) -> str:
        return f"Known(sha256:{hashlib.sha256(self.core).hexdigest()[:8]}, {self.label})"


class TokenCodec:
    """Writes labels into tokens and reads them back."""

    def __init__(self, seed: bytes, *, webpush_origin: str) -> None:
        self._mask_key = hashlib.blake2b(seed, person=b"nuncio-mask").digest()
        self._tag_key = hashlib.blake2b(seed, person=b"nuncio-tag").digest()
        self._origin = webpush_origin

    def write(self, label: Label, nonce: bytes) -> Known:
        """The token with this label; the nonce has 8 bytes and is used once."""
        masked = _xor(_pack(label), self._mask(nonce))
        core = nonce + masked + self._tag(nonce + masked)
        return Known(core, self._text(core, label), label)

    def read(self, text: str) -> Known | None:
        """The token, registration token, endpoint, or path of an endpoint, if it is ours."""
        core = _core_in(text)
        if core is None:
            return None
        nonce, masked, tag = core[:NONCE], core[NONCE:-TAG], core[-TAG:]
        if not hmac.compare_digest(tag, self._tag(nonce + masked)):
            return None
        label = _unpack(_xor(masked, self._mask(nonce)))
        written = self._text(core, label)
        known = Known(core, written, label)
        return known if text in {written, written.removeprefix(self._origin)} else None

    def _mask(self, nonce: bytes) -> bytes:
        return hashlib.blake2b(nonce, key=self._mask_key, digest_size=LABEL.size).digest()

    def _tag(self, sealed: bytes) -> bytes:
        return hashlib.blake2b(sealed, key=self._tag_key, digest_size=TAG).digest()

    def _text(self, core: bytes, label: Label) -> str:
        if label.provider is ProviderName.APNS:
            return core.hex()
        if label.provider is ProviderName.WEBPUSH:
            return self._origin + ENDPOINT_PATHS[label.platform] + base64url.encode(core)
        tail = core[16:] + hashlib.shake_128(core).digest(FCM_TAIL)
        return base64url.encode(core[:16]) + FCM_MARK + base64url.encode(tail)


def _core_in(text: str) -> bytes | None:
    """The 32 bytes in a token, whichever provider's; None when it cannot hold them."""
    try:
        if FCM_MARK in text:
            head, tail = text.split(FCM_MARK, 1)
            core = base64url.decode(head) + base64url.decode(tail)[:-FCM_TAIL]
        elif "/" in text:
            core = base64url.decode(text.rsplit("/", 1)[1].removeprefix("?token="))
        else:
            core = bytes.fromhex(text)
    except ValueError:
        return None
    return core if len(core) == NONCE + LABEL.size + TAG else None


def _pack(label: Label) -> bytes:
    return LABEL.pack(
        PROVIDERS.index(label.provider),
        PLATFORMS.index(label.platform),
        label.sandbox,
        label.fate,
        *label[4:],
    )


def _unpack(packed: bytes) -> Label:
    provider, platform, sandbox, fate, *rest = LABEL.unpack(packed)
    return Label(PROVIDERS[provider], PLATFORMS[platform], bool(sandbox), Fate(fate), *rest)


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(len(left))
