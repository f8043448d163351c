"""How much goes into one response."""

from typing import Final

from google.protobuf.message import Message

# Clients of gRPC take 4 MiB when they are not told otherwise; see `domain.limits` for why one
# installation, and so one event, has much less than 1 MiB.
RESPONSE_BYTES: Final = 1024 * 1024


class Room:
    """The room of one response: for at least one message, and about RESPONSE_BYTES at most."""

    def __init__(self) -> None:
        self._left = RESPONSE_BYTES

    def takes(self, message: Message) -> bool:
        """Count the message as taken; whether there is room for another one."""
        self._left -= message.ByteSize()
        return self._left > 0
