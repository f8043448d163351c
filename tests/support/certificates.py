"""A certificate authority for tests, and what it issues. Keys are made at run time."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from nuncio_runtime.config import ServerSettings
from nuncio_runtime.tls import ClientTls

HOUR = timedelta(hours=1)


class Authority:
    """Signs certificates that are good for servers on this machine, and for clients.

    folder: where all files are written.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = _common_name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        certificate = (
            self._builder(self._name, self._key, lasts=HOUR)
            .add_extension(constraints, critical=True)
            .sign(self._key, SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str, *, lasts: timedelta = HOUR, password: bytes = b"") -> ClientTls:
        """Files of somebody with this common name, who trusts the authority.

        lasts: from now; negative: it has ended. Doing it again writes over the files.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        addresses = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
        certificate = (
            self._builder(_common_name(name), key, lasts=lasts)
            .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
            .sign(self._key, SHA256())
        )
        file, key_file = self._folder / f"{name}-tls.pem", self._folder / f"{name}-tls.key"
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
        sealed = BestAvailableEncryption(password) if password else NoEncryption()
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))
        return ClientTls(self.file, file, key_file)

    def server(self, name: str, *, asks: bool = True) -> ServerSettings:
        """A server of this name. asks: for certificates of its clients."""
        tls = self.issue(name)
        return ServerSettings(
            tls_certificate_file=tls.certificate_file,
            tls_key_file=tls.key_file,
            tls_client_ca_file=self.file if asks else None,
            drain_grace=timedelta(seconds=1),
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, lasts: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - 2 * HOUR,
            not_valid_after=now + lasts,
        )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
