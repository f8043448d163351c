"""The devices behind the tokens: mints them, and remembers only what happened to them later."""

import hashlib
import itertools
from collections.abc import Callable
from typing import Final

from nuncio_simulator import base64url
from nuncio_simulator.contract import MintRequest, Platform, ProviderName, Shares
from nuncio_simulator.mailbox import Mailbox
from nuncio_simulator.tokens import NONCE, PROVIDERS, Fate, Known, Label, TokenCodec

PLATFORMS_OF: Final = {
    ProviderName.APNS: (Platform.IOS,),
    ProviderName.FCM: (Platform.ANDROID, Platform.IOS, Platform.WEB),
    ProviderName.WEBPUSH: (Platform.FIREFOX, Platform.CHROME, Platform.EDGE, Platform.SAFARI),
}
MONTH: Final = 30 * 86_400


class CannotMintError(ValueError):
    """The request asks for tokens that cannot be."""


def fingerprint(vapid_public_key: bytes) -> bytes:
    """What a subscription remembers of the VAPID key it is bound to."""
    return hashlib.sha256(vapid_public_key).digest()[:4]


class Population:
    """Mints tokens, recognises them, and knows how they are now."""

    def __init__(
        self,
        seed: bytes,
        *,
        topics: tuple[str, ...],
        vapid_public_key: bytes,
        webpush_origin: str,
        clock: Callable[[], float],
        fuzzy_seconds: float = 0.0,
    ) -> None:
        """fuzzy_seconds: how long providers go on accepting for a token after its death."""
        self._codec = TokenCodec(seed, webpush_origin=webpush_origin)
        self._nonce_key = hashlib.blake2b(seed, person=b"nuncio-nonce").digest()
        self._device_key = hashlib.blake2b(seed, person=b"nuncio-device").digest()
        self._topics = topics
        self._vapid_public_key = vapid_public_key
        self._clock = clock
        self._serials = {provider: itertools.count() for provider in PROVIDERS}
        self.minted = dict.fromkeys(PROVIDERS, 0)
        self._refusals_left: dict[bytes, int] = {}
        self._died: dict[bytes, float] = {}
        self._fuzzy_seconds = fuzzy_seconds
        self._fuzzy_until: dict[bytes, float] = {}
        self.mailbox = Mailbox(clock)
        self._revived: set[bytes] = set()

    def mint(self, request: MintRequest, shares: Shares) -> list[Known]:
        """Make tokens, the same ones for the same seed and the same order of calls.

        Times of death are the exception: they lie before and after the moment of this call.
        Raises CannotMintError when the provider has no such platform, or topic or key is unfit.
        """
        provider = ProviderName(request.provider)
        draft = self._draft(request)
        self.minted[provider] += request.count
        tokens = []
        for _ in range(request.count):
            nonce = self._nonce(provider)
            label = self._fated(draft, nonce, shares=shares, around=request.around)
            tokens.append(self._codec.write(label, nonce))
        return tokens

    def find(self, text: str) -> Known | None:
        """The token, registration token, endpoint, or path of an endpoint, if it was minted."""
        return self._codec.read(text)

    def dead_since(self, known: Known) -> float | None:
        """When the token died, in Unix seconds; None while it lives, or its death is not known.

        A token fated to die at first contact dies in this call.
        """
        died = self._death(known)
        if died is None:
            return None
        known_from = self._fuzzy_until.get(known.core, died + self._fuzzy_seconds)
        return died if known_from <= self._clock() or known_from <= died else None

    def _death(self, known: Known) -> float | None:
        core, label = known.core, known.label
        if core in self._died:
            return self._died[core]
        if label.fate is not Fate.DEAD or core in self._revived:
            return None
        if label.dead_since:
            return float(label.dead_since)
        self._died[core] = self._clock()
        return self._died[core]

    def throttles(self, known: Known) -> bool:
        """Whether this message is one too many for the token; counts it."""
        if known.label.fate is not Fate.THROTTLED:
            return False
        left = self._refusals_left.get(known.core, known.label.amount)
        self._refusals_left[known.core] = max(left - 1, 0)
        return left > 0

    @staticmethod
    def delay(known: Known) -> float:
        """Seconds until the provider answers for this token."""
        return known.label.amount / 1_000 if known.label.fate is Fate.SLOW else 0.0

    def kill(self, known: Known, since: float | None = None, *, fuzzy_seconds: float = 0.0) -> None:
        """Let the token be dead since then, in Unix seconds; default: now.

        fuzzy_seconds: for how long, from now, the provider goes on accepting.
        """
        self._died[known.core] = self._clock() if since is None else since
        self._fuzzy_until[known.core] = self._clock() + fuzzy_seconds
        self._revived.discard(known.core)

    def revive(self, known: Known) -> None:
        """Let the token live, as after a new registration on the device."""
        self._died.pop(known.core, None)
        self._fuzzy_until.pop(known.core, None)
        self._revived.add(known.core)

    def device_secret(self, known: Known) -> bytes:
        """64 bytes that only this subscription's browser would know."""
        return hashlib.blake2b(known.core, key=self._device_key).digest()

    def _draft(self, request: MintRequest) -> Label:
        provider = ProviderName(request.provider)
        platform = request.platform or PLATFORMS_OF[provider][0]
        if platform not in PLATFORMS_OF[provider]:
            raise CannotMintError("the provider has no such platform")
        if request.topic is not None and request.topic not in self._topics:
            raise CannotMintError("the topic is not one of the simulator's")
        return Label(
            provider=provider,
            platform=platform,
            sandbox=request.environment == "sandbox",
            fate=Fate.ALIVE,
            topic=0 if request.topic is None else self._topics.index(request.topic),
            amount=0,
            dead_since=0,
            vapid_key=fingerprint(self._key_for(request)),
        )

    def _key_for(self, request: MintRequest) -> bytes:
        if request.vapid_public_key is None:
            return self._vapid_public_key
        try:
            return base64url.decode(request.vapid_public_key)
        except ValueError as error:
            raise CannotMintError("the VAPID public key is not base64url") from error

    def _nonce(self, provider: ProviderName) -> bytes:
        serial = f"{provider} {next(self._serials[provider])}".encode()
        return hashlib.blake2b(serial, key=self._nonce_key, digest_size=NONCE).digest()

    def _fated(self, draft: Label, nonce: bytes, *, shares: Shares, around: float | None) -> Label:
        """Throw the dice, which are in the nonce: one for the fate, one for its details."""
        fate_die = int.from_bytes(nonce[:4]) / 2**32
        die = int.from_bytes(nonce[4:]) / 2**32
        if fate_die < shares.dead:
            since = self._time_of_death(die, shares.dead_before, around=around)
            return draft._replace(fate=Fate.DEAD, dead_since=since)
        if fate_die < shares.dead + shares.throttled:
            return draft._replace(fate=Fate.THROTTLED, amount=1 + int(die * 2))
        if fate_die < shares.dead + shares.throttled + shares.slow:
            return draft._replace(fate=Fate.SLOW, amount=200 + int(die * 801))
        return draft

    def _time_of_death(self, die: float, before: float, *, around: float | None) -> int:
        """Up to a month before `around`; or between it and now; or 0, still to come.

        Never before 1970, where 0 is taken.
        """
        now = self._clock()
        middle = now if around is None else min(around, now)
        if die < before:
            return max(int(middle - 1 - die / before * (MONTH - 1)), 1)
        if middle == now:
            return 0
        return max(int(now - (1 - die) / (1 - before) * (now - middle - 1)), 1)
