"""One HTTP/1.1 connection of a server, on h11: one request at a time. No provider words.

Source: RFC 9112.
"""

import asyncio
from typing import cast

import h11

from nuncio_simulator.wire import (
    BODY_LIMIT,
    Answer,
    Connection,
    Conversation,
    Form,
    Reply,
    Request,
    carries_body,
)


class H1Protocol(asyncio.Protocol):
    """Reads requests, asks the conversation, and carries its answers out."""

    _transport: asyncio.Transport

    def __init__(
        self, conversation: Conversation, live: set[Connection], *, body_limit: int = BODY_LIMIT
    ) -> None:
        """body_limit: bytes kept of a request body."""
        self._body_limit = body_limit
        self._conversation = conversation
        self._live = live
        self._h11 = h11.Connection(h11.SERVER)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._live.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._live.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._h11.receive_data(data)
        self._advance()

    def close(self) -> None:
        """End the connection; HTTP/1.1 has no word for it."""
        self._transport.close()

    def _advance(self) -> None:
        try:
            self._read()
        except h11.RemoteProtocolError as error:
            self._turn_away(error.error_status_hint)

    def _turn_away(self, status: int) -> None:
        """Say what is wrong with a malformed request, unless its answer has begun, and end."""
        if self._h11.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            headers = [(b"connection", b"close"), (b"content-length", b"0")]
            response = h11.Response(status_code=status, headers=headers)
            self._transport.write(self._h11.send(response) or b"")
        self._transport.close()

    def _read(self) -> None:
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                break
            if isinstance(event, h11.Request):
                self._head = event
                self._body.clear()
            elif isinstance(event, h11.Data):
                self._body.extend(event.data[: self._body_limit - len(self._body)])
            elif isinstance(event, h11.EndOfMessage):
                self._obey(self._conversation.answer(self._request()))
            elif isinstance(event, h11.ConnectionClosed):
                self._transport.close()
                return
        if self._h11.they_are_waiting_for_100_continue:
            proceed = h11.InformationalResponse(status_code=100, headers=[])
            self._transport.write(self._h11.send(proceed) or b"")

    def _request(self) -> Request:
        head = cast("h11.Request", self._head)
        headers = dict(head.headers)
        repeated = len(headers) != len(list(head.headers))
        return Request(head.method, head.target, headers, repeated, bytes(self._body))

    def _obey(self, answer: Answer) -> None:
        broken = answer.malformed is not None and answer.reply is None
        if answer.disconnect or answer.reset is not None or answer.goaway is not None or broken:
            self._transport.abort()
        elif answer.reply is not None and answer.delay > 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(answer.delay, self._send_late, answer.reply, answer.form)
        elif answer.reply is not None:
            self._send(answer.reply, answer.form)

    def _send_late(self, reply: Reply, form: Form) -> None:
        self._send(reply, form)
        self._advance()

    def _send(self, reply: Reply, form: Form) -> None:
        head = cast("h11.Request", self._head)
        headers, body = list(reply.headers), b""
        if carries_body(head.method, reply.status):
            body = reply.body
            headers.append((b"content-length", b"%d" % len(body)))
        response = h11.Response(status_code=reply.status, headers=headers)
        out = []
        if form.informational:
            out.append(self._h11.send(h11.InformationalResponse(status_code=103, headers=[])))
        out.append(self._h11.send(response))
        if form.stall:
            out.append(self._h11.send(h11.Data(data=body[: len(body) // 2])))
            self._transport.write(b"".join(part for part in out if part))
            return
        out += [self._h11.send(h11.Data(data=body)), self._h11.send(h11.EndOfMessage())]
        self._transport.write(b"".join(part for part in out if part))
        if self._h11.our_state is h11.MUST_CLOSE:
            self._transport.close()
        elif self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
