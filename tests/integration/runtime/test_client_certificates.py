"""Clients that show who they are, to servers that ask; and what is said when it does not work."""

from collections.abc import AsyncIterator, MutableMapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from nuncio_runtime.client import RemoteError, connect, connect_to
from nuncio_runtime.config import ConfigError, ServerSettings, UpstreamSettings
from nuncio_runtime.errors import Kind, ServiceError
from nuncio_runtime.tls import ClientTls
from tests.integration.runtime.echo import Echo, EchoStub, Words, mount
from tests.integration.runtime.running import running
from tests.integration.runtime.test_principal import Who
from tests.support.certificates import Authority

Log = MutableMapping[str, Any]


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "theirs")


@pytest.fixture
async def strict(ours: Authority) -> AsyncIterator[str]:
    """A server that asks for certificates."""
    async with running([mount(Who())], settings=ours.server("server")) as address:
        yield address


def upstream(target: str, tls: ClientTls) -> UpstreamSettings:
    return UpstreamSettings(target=target, **tls._asdict())


async def problem_of(target: str, tls: ClientTls) -> str:
    """What the log says of a service that cannot be reached this way. It says it once."""
    with capture_logs() as logs:
        async with connect_to(upstream(target, tls)) as channel:
            for _ in range(3):
                with pytest.raises(RemoteError) as failed:
                    await EchoStub(channel).Say(Words())
                assert (failed.value.kind, failed.value.reason) == (Kind.UNAVAILABLE, "")
    (told,) = [line for line in logs if line["event"] == "service_unreachable"]
    assert (told["log_level"], told["target"]) == ("warning", target)
    return str(told["problem"])


async def test_a_client_with_a_certificate_is_known_by_its_name(
    ours: Authority, strict: str
) -> None:
    async with connect_to(upstream(strict, ours.issue("targeting"))) as channel:
        assert (await EchoStub(channel).Say(Words())).text == "targeting@127.0.0.1"
    async with connect(strict, **ours.issue("operator")._asdict()) as channel:
        assert (await EchoStub(channel).Say(Words())).text == "operator@127.0.0.1"


async def test_a_client_without_a_certificate_is_refused(ours: Authority, strict: str) -> None:
    assert "ask for a client certificate" in await problem_of(strict, ClientTls(ours.file))


async def test_a_certificate_of_another_authority_is_refused(
    ours: Authority, theirs: Authority, strict: str
) -> None:
    stranger = theirs.issue("targeting")._replace(ca_file=ours.file)
    assert "refuse our certificate" in await problem_of(strict, stranger)


async def test_a_certificate_that_has_ended_is_refused(ours: Authority, strict: str) -> None:
    ended = ours.issue("targeting", lasts=-timedelta(minutes=1))
    assert "refuse our certificate" in await problem_of(strict, ended)


async def test_another_authority_is_taken_up_while_running(
    ours: Authority, theirs: Authority, strict: str
) -> None:
    stranger = theirs.issue("feedback")
    both = ours.file.read_bytes() + theirs.file.read_bytes()
    ours.file.write_bytes(both)
    async with connect_to(upstream(strict, stranger._replace(ca_file=ours.file))) as channel:
        assert (await EchoStub(channel).Say(Words())).text == "feedback@127.0.0.1"


async def test_a_client_in_clear_text_is_refused(strict: str) -> None:
    assert "may want TLS" in await problem_of(strict, ClientTls())


async def test_a_server_that_we_do_not_trust_is_not_told_anything(
    ours: Authority, theirs: Authority, strict: str
) -> None:
    wary = ours.issue("targeting")._replace(ca_file=theirs.file)
    assert "by none of our authorities" in await problem_of(strict, wary)


async def test_a_server_with_another_name_is_not_told_anything(
    ours: Authority,
) -> None:
    # The certificate is for localhost and 127.0.0.1.
    elsewhere = ours.server("server").model_copy(update={"listen": "127.0.0.2:0"})
    async with running([mount(Echo())], settings=elsewhere) as address:
        target = f"127.0.0.2:{address.rpartition(':')[2]}"
        assert "another name" in await problem_of(target, ours.issue("targeting"))


async def test_a_server_whose_certificate_has_ended_is_not_told_anything(
    ours: Authority,
) -> None:
    tls = ours.issue("server", lasts=-timedelta(minutes=1))
    settings = ServerSettings(tls_certificate_file=tls.certificate_file, tls_key_file=tls.key_file)
    async with running([mount(Echo())], settings=settings) as address:
        assert "of the service has ended" in await problem_of(address, ours.issue("targeting"))


async def test_a_server_without_tls_is_called_that(ours: Authority) -> None:
    async with running([mount(Echo())]) as address:
        assert "speaks no TLS" in await problem_of(address, ours.issue("targeting"))


async def test_an_outage_is_told_once_and_so_is_its_end(ours: Authority) -> None:
    tls, settings = ours.issue("targeting"), ours.server("server")
    with capture_logs() as logs:
        async with running([mount(Echo())], settings=settings) as address:
            channel = connect_to(upstream(address, tls))
            await EchoStub(channel).Say(Words())
        for _ in range(2):
            with pytest.raises(RemoteError):
                await EchoStub(channel).Say(Words())
        again = settings.model_copy(update={"listen": address})
        async with running([mount(Echo())], settings=again), channel:
            for _ in range(2):
                await EchoStub(channel).Say(Words(), wait_for_ready=True)
    told = [line["event"] for line in logs if line["event"].startswith("service_")]
    assert told == ["service_unreachable", "service_reached_again"]


class Closed(ServiceError):
    """We are closed."""

    kind = Kind.UNAVAILABLE
    reason = "STORAGE_UNAVAILABLE"


class Refusing(Echo):
    async def say(self, _request: Any, _context: Any) -> Any:
        raise Closed


async def test_a_service_that_answers_with_an_error_is_no_outage() -> None:
    with capture_logs() as logs:
        async with (
            running([mount(Refusing())]) as address,
            connect_to(upstream(address, ClientTls())) as channel,
        ):
            with pytest.raises(RemoteError) as failed:
                await EchoStub(channel).Say(Words())
    assert failed.value.reason == "STORAGE_UNAVAILABLE"
    assert not [line for line in logs if line["event"].startswith("service_")]


def refusal(tls: ClientTls) -> str:
    with pytest.raises(ConfigError) as refused:
        connect("127.0.0.1:1", **tls._asdict())
    return str(refused.value)


def test_files_that_cannot_be_used_are_named(ours: Authority, tmp_path: Path) -> None:
    good = ours.issue("targeting")
    missing, junk = tmp_path / "missing.pem", tmp_path / "junk.pem"
    junk.write_text("half written")
    for field in ClientTls._fields:
        told = refusal(good._replace(**{field: missing}))
        assert told == f"{field} {missing}: No such file or directory"
        assert refusal(good._replace(**{field: junk})).startswith(f"{field} {junk}: it is not")
        assert refusal(good._replace(**{field: tmp_path})).endswith("Is a directory")


def test_a_key_has_to_be_the_certificates_own_and_open(ours: Authority) -> None:
    good, other = ours.issue("targeting"), ours.issue("feedback")
    rule = "it is not the unencrypted key of certificate_file"
    assert refusal(good._replace(key_file=other.key_file)).endswith(rule)
    # Nobody is asked for the password: this test would wait for it.
    assert refusal(ours.issue("targeting", password=b"sesame")).endswith(rule)


def test_half_an_identity_is_refused(ours: Authority) -> None:
    good = ours.issue("targeting")
    for half in (good._replace(key_file=None), good._replace(certificate_file=None)):
        assert "together or not at all" in refusal(half)
    assert "with a ca_file only" in refusal(good._replace(ca_file=None))
