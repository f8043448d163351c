"""One of each outside server for all tests here, started when it is first asked for.

A server that is not installed skips its tests, and says what to install.
"""

import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import pytest

from benchmarks.outside.identity import Identity, make_identity
from nuncio_dispatcher.http2.assign import Policy
from nuncio_dispatcher.http2.network import Dialer
from nuncio_dispatcher.http2.pool import Multiplex
from nuncio_runtime.clock import SYSTEM_CLOCK
from tests.conformance.outside import OUTSIDE, Outside, Running

Fleet = Callable[[Outside], Running]


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """What the servers show, and the client trusts."""
    return make_identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture(scope="session")
def fleet(identity: Identity, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Gives a running server; all of them end with the session."""
    running: dict[str, Running] = {}
    with ExitStack() as stack:

        def get(outside: Outside) -> Running:
            if outside.name not in running:
                if not outside.is_installed():
                    pytest.skip(f"{outside.name} is not installed: {outside.install}")
                start = outside.start(tmp_path_factory.mktemp(outside.name), identity)
                running[outside.name] = stack.enter_context(start)
            return running[outside.name]

        yield get


@pytest.fixture
def server(request: pytest.FixtureRequest, fleet: Fleet) -> Running:
    """The server of the test's parameter, which `able_to` gives."""
    [outside] = [found for found in OUTSIDE if found.name == request.param]
    return fleet(outside)


@pytest.fixture
def tls(identity: Identity) -> ssl.SSLContext:
    """Trusts the servers."""
    return ssl.create_default_context(cafile=str(identity.certificate))


@pytest.fixture
async def transport(tls: ssl.SSLContext) -> AsyncIterator[Multiplex]:
    """The engine, with one connection at a time."""
    multiplex = Multiplex(dial=Dialer(tls), policy=Policy(connections=1), clock=SYSTEM_CLOCK)
    yield multiplex
    await multiplex.aclose()
