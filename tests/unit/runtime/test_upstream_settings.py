"""The TLS files of calls to other services: which settings go together, and when that is told."""

from pathlib import Path

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from structlog.testing import capture_logs

from nuncio_runtime.config import ConfigError, load
from nuncio_runtime.outage import Outage, tls_problem
from nuncio_runtime.tls import ClientTls
from nuncio_runtime.wire import STATUS_DETAILS
from tests.unit.runtime.test_config import Settings

PREFIX = "NUNCIO_ROOMS_UPSTREAM__"


def problems(**upstream: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as refused:
        load(Settings, {f"{PREFIX}{name}": value for name, value in upstream.items()})
    return refused.value.problems


def test_a_certificate_needs_its_key_and_a_key_its_certificate() -> None:
    rule = f"{PREFIX}KEY_FILE: CERTIFICATE_FILE and KEY_FILE are set together or not at all"
    assert problems(CA_FILE="/ca.pem", CERTIFICATE_FILE="/tls.pem") == (rule,)
    assert problems(CA_FILE="/ca.pem", KEY_FILE="/tls.key") == (rule,)


def test_a_certificate_is_not_shown_in_clear_text() -> None:
    told = problems(CERTIFICATE_FILE="/tls.pem", KEY_FILE="/tls.key")
    assert told == (
        f"{PREFIX}CERTIFICATE_FILE: a client certificate is shown over TLS only: set CA_FILE, too",
    )


def test_all_three_are_taken() -> None:
    files = {"CA_FILE": "/ca.pem", "CERTIFICATE_FILE": "/tls.pem", "KEY_FILE": "/tls.key"}
    settings = load(Settings, {f"{PREFIX}{name}": file for name, file in files.items()})
    assert settings.upstream.certificate_file == Path("/tls.pem")
    assert settings.upstream.key_file == Path("/tls.key")


FILES = ClientTls(Path("ca"), Path("certificate"), Path("key"))


def failed(
    details: str, code: StatusCode = StatusCode.UNAVAILABLE, *trailers: tuple[str, bytes]
) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(*trailers), details=details)


@pytest.mark.parametrize("end", ["Socket closed", "recvmsg:Connection reset by peer"])
@pytest.mark.parametrize(
    ("tls", "problem"),
    [
        (ClientTls(), "may want TLS"),
        (FILES._replace(certificate_file=None, key_file=None), "may ask for a client certificate"),
        (FILES, "may refuse our certificate"),
    ],
)
def test_what_a_closed_connection_may_mean_depends_on_what_we_show(
    end: str, tls: ClientTls, problem: str
) -> None:
    told = failed(f"connections to all backends failing; last error: UNAVAILABLE: a:1: {end}")
    assert problem in tls_problem(told, tls)


@pytest.mark.parametrize(
    "text",
    [
        "connections to all backends failing; last error: UNKNOWN: a:1: Connection refused",
        "Socket closed",  # It was connected, and is no more: a crash, not a refusal.
        "",
    ],
)
def test_other_failures_are_not_blamed_on_tls(text: str) -> None:
    assert tls_problem(failed(text), FILES) == ""


def told_of(*errors: AioRpcError) -> list[str]:
    """What the log says of calls that fail one after the other."""
    outage = Outage("registry:7411", FILES)
    with capture_logs() as logs:
        for error in errors:
            outage.learn(error)
    return [line["event"] for line in logs]


def test_an_outage_ends_with_an_answer_not_with_a_deadline() -> None:
    away, late = failed("Connection refused"), failed("late", StatusCode.DEADLINE_EXCEEDED)
    refused = failed("no such app", StatusCode.NOT_FOUND, (STATUS_DETAILS, b""))
    assert told_of(away, late, away) == ["service_unreachable"]
    assert told_of(away, refused, away) == [
        "service_unreachable",
        "service_reached_again",
        "service_unreachable",
    ]
    assert told_of(late, refused) == []
