"""The servers that no one here wrote: what each of them can do, and how it is started."""

import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import httpx

from benchmarks.outside.identity import Identity
from benchmarks.outside.nghttpd import INSTALL, ended, is_installed, run_nghttpd
from nuncio_dispatcher.http2.exchange import Origin
from tests.conformance.nginx import NGINX_INSTALL, nginx_paths, nginx_received, run_nginx
from tests.conformance.waiting import await_line

PROGRAMS: Final = Path(__file__).parent / "programs"
LARGE: Final = 200_000
"""Bytes of the one large answer that nghttpd has."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A server that answers.

    trust: the certificate authority. retiring: the origin where it sends clients away after 500
    requests. received: asks it what it got under ids with this beginning: by id, the digest of
    each body; None when it keeps no books.
    """

    name: str
    origin: Origin
    trust: Path
    path: Callable[[str, str, str], bytes]
    retiring: Origin | None = None
    received: Callable[[str], Mapping[str, Sequence[str]]] | None = None


Start = Callable[[Path, Identity], AbstractContextManager[Running]]


@dataclass(frozen=True, kw_only=True)
class Outside:
    """One of them. actions: what a path may ask of it. install: how to get it."""

    name: str
    actions: frozenset[str]
    is_installed: Callable[[], bool]
    install: str
    start: Start


def plain_path(action: str, argument: str, request_id: str) -> bytes:
    """As our own programs read it."""
    return f"/{action}/{argument}/{request_id}".encode()


def _program(name: str, command: Sequence[str]) -> Start:
    """A program of ours on somebody else's HTTP/2: prints its port, and keeps books."""

    @contextmanager
    def start(_folder: Path, identity: Identity) -> Iterator[Running]:
        files = (str(identity.certificate), str(identity.key))
        with ended(subprocess.Popen([*command, *files], stdout=subprocess.PIPE)) as process:
            port = int(await_line(process.stdout, b""))
            yield _with_books(name, port, identity)

    return start


@contextmanager
def _run_hypercorn(folder: Path, identity: Identity) -> Iterator[Running]:
    settings = folder / "hypercorn.toml"
    # Ending a connection after so many requests is left to the servers that do it in good order.
    settings.write_text('keep_alive_max_requests = 1000000\nbind = "127.0.0.1:0"\n')
    command = [sys.executable, "-m", "hypercorn", "--config", str(settings)]
    files = ["--certfile", str(identity.certificate)]
    files += ["--keyfile", str(identity.key)]
    with ended(
        subprocess.Popen([*command, *files, "asgi:app"], cwd=PROGRAMS, stderr=subprocess.PIPE)
    ) as process:
        line = await_line(process.stderr, b"Running on https://127.0.0.1:")
        port = int(line.partition(b"127.0.0.1:")[2].split()[0])
        yield _with_books("hypercorn", port, identity)


@contextmanager
def _run_nghttpd(folder: Path, identity: Identity) -> Iterator[Running]:
    (folder / "index.html").touch()
    (folder / "large").write_bytes(b"a" * LARGE)
    with run_nghttpd(folder, identity) as server:
        yield Running(
            name="nghttpd",
            origin=Origin("localhost", server.port),
            trust=identity.certificate,
            path=_nghttpd_path,
        )


def _nghttpd_path(action: str, argument: str, request_id: str) -> bytes:
    file = {"ok": "", "answer": "large"}.get(action, "missing")
    return f"/{file}?{argument}&{request_id}".encode()


@contextmanager
def _run_nginx(folder: Path, identity: Identity) -> Iterator[Running]:
    with run_nginx(folder, identity) as (port, retiring):
        yield Running(
            name="nginx",
            origin=Origin("localhost", port),
            retiring=Origin("localhost", retiring),
            trust=identity.certificate,
            path=nginx_paths,
            received=lambda beginning: nginx_received(folder, beginning),
        )


def _with_books(name: str, port: int, identity: Identity) -> Running:
    origin = Origin("localhost", port)
    return Running(
        name=name,
        origin=origin,
        trust=identity.certificate,
        path=plain_path,
        received=lambda beginning: _asked(origin, identity.certificate, beginning),
    )


def _asked(origin: Origin, trust: Path, beginning: str) -> Mapping[str, Sequence[str]]:
    """Over a client that no one here wrote, either. Fails when the server found a fault."""
    with httpx.Client(
        http2=True, verify=ssl.create_default_context(cafile=trust), trust_env=False
    ) as client:
        books = client.get(f"{origin}/books/{beginning}/").raise_for_status().json()
    assert books["faults"] == []
    received: Mapping[str, Sequence[str]] = books["received"]
    return received


_BASIC: Final = frozenset({"ok", "answer", "status", "books"})
_FULL: Final = _BASIC | {
    "failure", "fields", "hints", "trailers", "ping",
    "settings", "goaway", "refuse", "reset", "cut",
}  # fmt: skip

OUTSIDE: Final = (
    Outside(
        name="hyper-h2",
        actions=_FULL,
        is_installed=lambda: True,
        install="",
        start=_program("hyper-h2", (sys.executable, str(PROGRAMS / "hyper_h2.py"))),
    ),
    Outside(
        name="node",
        actions=_FULL,
        is_installed=lambda: shutil.which("node") is not None,
        install="apt-get install nodejs",
        start=_program("node", ("node", str(PROGRAMS / "node.mjs"))),
    ),
    Outside(
        name="hypercorn",
        actions=_BASIC | {"failure", "fields"},
        is_installed=lambda: find_spec("hypercorn") is not None,
        install="pip install hypercorn",
        start=_run_hypercorn,
    ),
    Outside(
        name="nginx",
        actions=_BASIC | {"retire"},
        is_installed=lambda: shutil.which("nginx") is not None,
        install=NGINX_INSTALL,
        start=_run_nginx,
    ),
    Outside(
        name="nghttpd",
        actions=frozenset({"ok", "answer", "status"}),
        is_installed=is_installed,
        install=INSTALL,
        start=_run_nghttpd,
    ),
)
