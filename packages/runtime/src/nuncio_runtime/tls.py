"""Server credentials from files, taken up again when the files change."""

import ssl
from pathlib import Path
from typing import Any

import grpc
import structlog

from nuncio_runtime.config import ConfigError, ServerSettings

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
