"""httpx clients, replaced before their connections turn stale, and closed once nobody uses them.

httpx is used without what it adds on its own: no redirects, no environment, no retries. Sessions
are replaced before FCM would end them, because httpx loses the answers that are still to come when
a GOAWAY arrives; and after a request stayed unanswered, because httpx keeps its stream open.
"""

import ssl
from typing import Final

import httpcore
import httpx

from nuncio_dispatcher.providers.fields import IDLE_AGE, SESSION_AGE
from nuncio_dispatcher.providers.reference.network import Network
from nuncio_runtime.clock import Clock

CONNECT_WITHIN: Final = 10.0
"""Seconds."""
MOST_CONNECTIONS: Final = 32


class _Transport(httpx.AsyncHTTPTransport):
    """httpx' transport over a pool of our making: ours are the TLS context and the network."""

    def __init__(self, *, tls: ssl.SSLContext, network: Network) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            http1=True,
            http2=True,
            retries=0,
            max_connections=MOST_CONNECTIONS,
            keepalive_expiry=IDLE_AGE.total_seconds(),
            network_backend=network,
        )


class Session:
    """An httpx client in use by so many requests."""

    def __init__(self, client: httpx.AsyncClient, *, born: float) -> None:
        self.client = client
        self.born = born
        self.users = 0
        self.is_retired = False


class Sessions:
    """The client to use now, and those that are still in use."""

    def __init__(self, *, tls: ssl.SSLContext, network: Network, clock: Clock) -> None:
        self._tls = tls
        self._network = network
        self._clock = clock
        self._session: Session | None = None
        self._retired: list[Session] = []

    @property
    def count(self) -> int:
        """How many clients there are."""
        return len(self._retired) + (self._session is not None)

    def current(self) -> Session:
        """The session for a new request."""
        now = self._clock.monotonic()
        session = self._session
        if session is not None and now - session.born < SESSION_AGE.total_seconds():
            return session
        if session is not None:
            self.retire(session)
        client = httpx.AsyncClient(
            transport=_Transport(tls=self._tls, network=self._network),
            timeout=httpx.Timeout(None, connect=CONNECT_WITHIN),
            follow_redirects=False,
            trust_env=False,
        )
        self._session = Session(client, born=now)
        return self._session

    def retire(self, session: Session) -> None:
        """Take no more requests on it; those under way end in their own time."""
        if self._session is session:
            self._session = None
        if not session.is_retired:
            session.is_retired = True
            self._retired.append(session)

    async def close_spent(self) -> None:
        """Close the clients that nobody uses and nobody will."""
        spent = [session for session in self._retired if not session.users]
        for session in spent:
            self._retired.remove(session)
        for session in spent:
            await session.client.aclose()

    async def aclose(self) -> None:
        """Close all of them; nobody may be posting."""
        if self._session is not None:
            self.retire(self._session)
        await self.close_spent()
