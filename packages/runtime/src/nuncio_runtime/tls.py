"""Credentials from files: of servers, taken up again when the files change, and of clients."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import structlog

from nuncio_runtime.config import ConfigError, ServerSettings, UpstreamSettings

log = structlog.get_logger(__name__)


def server_credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    """The credentials that the settings name, None without any.

    Each new connection looks at the files' times; a changed set of files is used from then on.
    Raises ConfigError when the files cannot be used now. A set that turns bad later (half
    written, say) is passed over, with a warning, until it is whole.
    """
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    files = _Files(
        settings.tls_certificate_file, settings.tls_key_file, settings.tls_client_ca_file
    )
    try:
        first = files.read()
    except (OSError, ssl.SSLError) as error:
        message = f"the TLS files cannot be used: {_cause(error)}"
        raise ConfigError(message) from error
    return grpc.dynamic_ssl_server_credentials(
        first, files.read_if_changed, require_client_authentication=files.authorities is not None
    )


class ClientTls(NamedTuple):
    """The PEM files of a client: whom it trusts, and the certificate and key that it shows."""

    ca_file: Path | None = None
    """None: no TLS."""
    certificate_file: Path | None = None
    key_file: Path | None = None
    """Not encrypted."""


def client_tls(upstream: UpstreamSettings) -> ClientTls:
    """The files that the settings name."""
    return ClientTls(upstream.ca_file, upstream.certificate_file, upstream.key_file)


def channel_credentials(
    tls: ClientTls, *, named: Callable[[str], str] = str
) -> grpc.ChannelCredentials | None:
    """The credentials that the files make, None without a ca_file. Files are read now, only.

    gRPC takes any files and then fails call by call, so they are tried out here. Raises
    ConfigError with every file that cannot be used. named: what a field is called there.
    """
    if (tls.certificate_file is None) != (tls.key_file is None):
        raise ConfigError("certificate_file and key_file are set together or not at all")
    if tls.ca_file is None:
        if tls.certificate_file is not None:
            raise ConfigError("certificate_file is of use with a ca_file only")
        return None
    trials = _Trials(named)
    authorities = trials.certificates("ca_file", tls.ca_file)
    chain = key = None
    if tls.certificate_file is not None and tls.key_file is not None:
        chain = trials.certificates("certificate_file", tls.certificate_file)
        key = trials.key_of("key_file", tls.key_file, tls.certificate_file if chain else None)
    if trials.problems:
        raise ConfigError(*trials.problems)
    return grpc.ssl_channel_credentials(authorities, key, chain)


class _Trials:
    """Files are read and tried out; what is wrong with them is kept."""

    def __init__(self, named: Callable[[str], str]) -> None:
        self.problems: list[str] = []
        self._named = named

    def certificates(self, field: str, file: Path) -> bytes | None:
        """The content of a file of certificates."""
        with self._tried(field, file, rule="it is not a file of certificates"):
            pem = file.read_bytes()
            _nobody().load_verify_locations(file)
            return pem
        return None

    def key_of(self, field: str, file: Path, certificate: Path | None) -> bytes | None:
        """The content of a file with the key of the certificate, which may be unknown."""
        rule = "it is not the unencrypted key of certificate_file"
        with self._tried(field, file, rule=rule):
            pem = file.read_bytes()
            if certificate is not None:
                # Who is given a password asks no terminal for one; an unencrypted key needs none.
                _nobody().load_cert_chain(certificate, file, password=lambda: b"")
            return pem
        return None

    @contextmanager
    def _tried(self, field: str, file: Path, *, rule: str) -> Iterator[None]:
        try:
            yield
        except ssl.SSLError:
            self.problems.append(f"{self._named(field)} {file}: {rule}")
        except OSError as error:
            self.problems.append(f"{self._named(field)} {file}: {error.strerror}")


def _nobody() -> ssl.SSLContext:
    """A context to try files out with."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Files:
    def __init__(self, certificate: Path, key: Path, authorities: Path | None) -> None:
        self.certificate = certificate
        self.key = key
        self.authorities = authorities
        self._seen: tuple[int, ...] = ()

    def read(self) -> grpc.ServerCertificateConfiguration:
        self._seen = self._times()
        pair_check = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair_check.load_cert_chain(self.certificate, self.key)
        return grpc.ssl_server_certificate_configuration(
            [(self.key.read_bytes(), self.certificate.read_bytes())],
            root_certificates=self.authorities.read_bytes() if self.authorities else None,
        )

    def read_if_changed(self) -> Any:
        """The new configuration, or None for no change. Runs in a thread of gRPC."""
        try:
            if self._times() == self._seen:
                return None
            changed = self.read()
        except (OSError, ssl.SSLError) as error:
            log.warning("tls_files_unusable", cause=_cause(error))
            return None
        log.info("tls_files_reloaded")
        return changed

    def _times(self) -> tuple[int, ...]:
        files = (self.certificate, self.key, self.authorities)
        return tuple(file.stat().st_mtime_ns for file in files if file is not None)


def _cause(error: OSError | ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not a certificate and its key"
    return f"{error.filename}: {error.strerror}"
