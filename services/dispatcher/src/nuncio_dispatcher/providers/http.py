"""POST over HTTP/2 or 1.1 with httpx, for FCM and Web Push: one Result per request.

httpx is used without what it adds on its own: no redirects, no environment, no retries. Sessions
are replaced before FCM would end them, because httpx loses the answers that are still to come when
a GOAWAY arrives; and after a request stayed unanswered, because httpx keeps its stream open.
"""

import asyncio
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

import httpcore
import httpx
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, StreamReset

from nuncio_dispatcher.providers.answers import Lost, Own, Replied, Result, Unsent
from nuncio_dispatcher.providers.http_network import Network
from nuncio_runtime.clock import Clock

BODY_KEPT: Final = 16_384
"""Bytes kept of an answer's body."""
CONNECT_WITHIN: Final = 10.0
"""Seconds."""
SESSION_AGE: Final = timedelta(minutes=50)
"""FCM ends a connection after an hour."""
IDLE_AGE: Final = 120.0
"""Seconds an idle connection is kept. FCM ends it after 240."""
MOST_CONNECTIONS: Final = 32


class PrivateAddress(httpcore.ConnectError):
    """The host has no address that may be connected to."""


class Post(NamedTuple):
    """A request."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Transport(httpx.AsyncHTTPTransport):
    """httpx' transport over a pool of our making: ours are the TLS context and the network."""

    def __init__(self, *, tls: ssl.SSLContext, network: Network) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            http1=True,
            http2=True,
            retries=0,
            max_connections=MOST_CONNECTIONS,
            keepalive_expiry=IDLE_AGE,
            network_backend=network,
        )


class _Session:
    """An httpx client in use by so many requests."""

    def __init__(self, client: httpx.AsyncClient, *, born: float) -> None:
        self.client = client
        self.born = born
        self.users = 0
        self.is_retired = False

    @property
    def is_spent(self) -> bool:
        """Whether nobody uses it and nobody will."""
        return self.is_retired and not self.users


class Progress:
    """How far a request came, told by httpx' trace events."""

    def __init__(self) -> None:
        self.is_written = False
        self.stream_id: int | None = None
        self.reply: Replied | None = None

    async def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Without any of its body a request cannot have been taken."""
        if event.startswith("connection."):
            # Looking for a connection, perhaps once more after GOAWAY refused the request.
            self.is_written = False
        elif event.endswith("send_request_body.started"):
            self.is_written = True
            self.stream_id = info.get("stream_id")

    def cut_off(self, reason: Own) -> Result:
        """The result when nothing more comes."""
        if self.reply is not None:
            return self.reply
        return Lost(reason) if self.is_written else Unsent(Own.NOT_SENT)


class Http:
    """Posts to push services."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        answer_within: timedelta,
        clock: Clock,
        network: Network,
    ) -> None:
        self._tls = tls
        self._answer_within = answer_within.total_seconds()
        self._clock = clock
        self._network = network
        self._session: _Session | None = None
        self._retired: list[_Session] = []

    async def post(self, post: Post, progress: Progress) -> Result:
        """Send a request, once. Never raises for what the network or the peer does.

        progress: a new one; tells how far the request came, also when the call is cancelled.
        """
        session = self._current_session()
        session.users += 1
        try:
            result = await self._post(session, post, progress)
        except asyncio.CancelledError:
            # Closed with a later request: whoever cancels does not wait for the network.
            self._retire(session)
            raise
        finally:
            session.users -= 1
        await self._close_spent()
        return result

    async def aclose(self) -> None:
        """Close the connections; nobody may be posting."""
        if self._session is not None:
            self._retire(self._session)
        await self._close_spent()

    async def _post(self, session: _Session, post: Post, progress: Progress) -> Result:
        try:
            async with asyncio.timeout(self._answer_within):
                await _exchange(session.client, post, progress)
        except TimeoutError:
            self._retire(session)
            return progress.cut_off(Own.NO_ANSWER)
        except httpx.HTTPError as error:
            return _failure(error, progress)
        # Now and then an exception of h2, anyio or ssl comes through as it is. Whatever it was, the
        # request has ended, and what was written decides.
        except Exception as error:  # noqa: BLE001
            result = _failure(error, progress)
            if isinstance(result, Replied):
                return result
            return result._replace(error=type(error).__name__)
        return progress.cut_off(Own.CONNECTION_LOST)

    def _current_session(self) -> _Session:
        now = self._clock.monotonic()
        session = self._session
        if session is not None and now - session.born < SESSION_AGE.total_seconds():
            return session
        if session is not None:
            self._retire(session)
        client = httpx.AsyncClient(
            transport=Transport(tls=self._tls, network=self._network),
            timeout=httpx.Timeout(None, connect=CONNECT_WITHIN),
            follow_redirects=False,
            trust_env=False,
        )
        self._session = _Session(client, born=now)
        return self._session

    def _retire(self, session: _Session) -> None:
        """Take no more requests on it; those under way end in their own time."""
        if self._session is session:
            self._session = None
        if not session.is_retired:
            session.is_retired = True
            self._retired.append(session)

    async def _close_spent(self) -> None:
        spent = [session for session in self._retired if session.is_spent]
        for session in spent:
            self._retired.remove(session)
        for session in spent:
            await session.client.aclose()


async def _exchange(client: httpx.AsyncClient, post: Post, progress: Progress) -> None:
    """Fill in progress.reply as the answer arrives; a status without its body still counts."""
    headers = {"accept-encoding": "identity", **post.headers}
    extensions = {"trace": progress.note}
    async with client.stream(
        "POST", post.url, headers=headers, content=post.body, extensions=extensions
    ) as response:
        body = b""
        progress.reply = Replied(response.status_code, response.headers, body)
        async for chunk in response.aiter_raw():
            body += chunk
            progress.reply = progress.reply._replace(body=body[:BODY_KEPT])
            if len(body) >= BODY_KEPT:
                break


def _failure(error: Exception, progress: Progress) -> Result:
    """What an exception of the transport says about the request."""
    if progress.reply is not None:
        return progress.reply
    for cause in _causes(error):
        if isinstance(cause, PrivateAddress):
            return Unsent(Own.PRIVATE_ADDRESS)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Unsent(Own.NOT_TRUSTED)
        event = cause.args[0] if cause.args else None
        if isinstance(event, StreamReset):
            return _reset(event)
        if isinstance(event, ConnectionTerminated) and _is_above(progress.stream_id, event):
            return Unsent(Own.REFUSED_STREAM)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Unsent(Own.CONNECT_FAILED)
    return progress.cut_off(Own.CONNECTION_LOST)


def _causes(error: BaseException) -> list[BaseException]:
    """The exception and what it was raised from, outermost first."""
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found:
        found.append(link)
        link = link.__cause__ or link.__context__
    return found


def _reset(event: StreamReset) -> Unsent | Lost:
    if event.error_code == ErrorCodes.REFUSED_STREAM:
        return Unsent(Own.REFUSED_STREAM)
    return Lost(Own.STREAM_RESET)


def _is_above(stream_id: int | None, event: ConnectionTerminated) -> bool:
    return stream_id is not None and stream_id > (event.last_stream_id or 0)
