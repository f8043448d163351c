"""Broadcast channels of APNs, which carry what they are, as tokens do.

Source: Apple, "Sending channel management requests to APNs".
"""

import base64
import binascii
import hashlib
import hmac
import itertools
import struct
from typing import Final, NamedTuple

from nuncio_simulator.contract import ChannelRequest
from nuncio_simulator.population import CannotMintError

LABEL: Final = struct.Struct(">IHBB")
TAG: Final = 8


class Channel(NamedTuple):
    """A channel of one app in one environment."""

    serial: int
    topic: int
    """Index of the app's bundle id among the simulator's topics."""
    sandbox: bool
    stores: bool
    """Whether the most recent broadcast is stored."""


class Channels:
    """Makes channels and recognises them; remembers only which ones were deleted."""

    def __init__(self, seed: bytes, *, topics: tuple[str, ...]) -> None:
        self._key = hashlib.blake2b(seed, person=b"nuncio-channel").digest()
        self._topics = topics
        self._serials = itertools.count()
        self._deleted: set[bytes] = set()

    def mint(self, request: ChannelRequest) -> list[str]:
        """Channel ids, base64. Raises CannotMintError for a topic that is unknown."""
        topic = self._topics[0] if request.topic is None else request.topic
        if topic not in self._topics:
            raise CannotMintError("the topic is not one of the simulator's")
        index, sandbox = self._topics.index(topic), request.environment == "sandbox"
        return [
            self._write(Channel(next(self._serials), index, sandbox, request.stores))
            for _ in range(request.count)
        ]

    def find(self, text: bytes) -> Channel | None:
        """The channel with this id, if it was minted."""
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return None
        label, tag = raw[: LABEL.size], raw[LABEL.size :]
        if len(label) != LABEL.size or not hmac.compare_digest(tag, self._tag(label)):
            return None
        serial, topic, sandbox, stores = LABEL.unpack(label)
        return Channel(serial, topic, bool(sandbox), bool(stores))

    def is_deleted(self, text: bytes) -> bool:
        """Whether the channel is no longer registered."""
        return text in self._deleted

    def delete(self, texts: list[str]) -> None:
        """Let channels be registered no longer."""
        self._deleted.update(text.encode() for text in texts)

    def _write(self, channel: Channel) -> str:
        label = LABEL.pack(*channel)
        return base64.b64encode(label + self._tag(label)).decode()

    def _tag(self, label: bytes) -> bytes:
        return hashlib.blake2b(label, key=self._key, digest_size=TAG).digest()
