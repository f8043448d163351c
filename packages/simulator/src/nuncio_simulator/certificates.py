"""X.509 certificates: the server's, and those by which Apple would know an app.

Source: RFC 5280; Apple, "Establishing a certificate-based connection to APNs" and the extensions
that its certificates have.
"""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

VALID_FOR: Final = timedelta(days=3_650)
SANDBOX: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.3.1")
PRODUCTION: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.3.2")
TOPICS: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.3.6")
NULL: Final = b"\x05\x00"
UTF8_STRING: Final = 0x0C
SEQUENCE: Final = 0x30
KINDS: Final = {"": "app", ".voip": "voip", ".complication": "complication"}


class Pair(NamedTuple):
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority; its key is forgotten with it."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        public_key = self._key.public_key()
        self._certificate = (
            _draft(self._name, self._name, public_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .sign(self._key, SHA256())
        )

    @property
    def pem(self) -> bytes:
        """What to trust."""
        return self._certificate.public_bytes(Encoding.PEM)

    def server(self) -> Pair:
        """For localhost."""
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
        )
        return self._issue(_name("localhost"), x509.OID_SERVER_AUTH, [names])

    def client(self, topics: list[str], *, sandbox: bool, production: bool) -> Pair:
        """For an app, whose bundle id is the first topic; or, without any, for nobody."""
        marks: list[x509.ExtensionType] = []
        if sandbox:
            marks.append(x509.UnrecognizedExtension(SANDBOX, NULL))
        if production:
            marks.append(x509.UnrecognizedExtension(PRODUCTION, NULL))
        if topics:
            marks.append(x509.UnrecognizedExtension(TOPICS, _topics_value(topics)))
        user_id = [x509.NameAttribute(x509.NameOID.USER_ID, topic) for topic in topics[:1]]
        common = x509.NameAttribute(x509.NameOID.COMMON_NAME, "Apple Push Services, simulated")
        return self._issue(x509.Name([*user_id, common]), x509.OID_CLIENT_AUTH, marks)

    def _issue(
        self, subject: x509.Name, use: x509.ObjectIdentifier, extensions: list[x509.ExtensionType]
    ) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        draft = (
            _draft(subject, self._name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(issuer, critical=False)
        )
        for extension in extensions:
            draft = draft.add_extension(extension, critical=False)
        certificate = draft.sign(self._key, SHA256()).public_bytes(Encoding.PEM)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Pair(certificate, pem)


class ClientCertificate(NamedTuple):
    """What APNs reads in an app's certificate."""

    topics: frozenset[bytes]
    """Empty: it is nobody's."""
    sandbox: bool
    production: bool


def read_certificate(der: bytes) -> ClientCertificate:
    """Topics from Apple's extension, or else the bundle id from the subject's UID."""
    certificate = x509.load_der_x509_certificate(der)
    marks = {extension.oid: extension.value for extension in certificate.extensions}
    listed = marks.get(TOPICS)
    if isinstance(listed, x509.UnrecognizedExtension):
        topics = _topics_in(listed.value)
    else:
        named = certificate.subject.get_attributes_for_oid(x509.NameOID.USER_ID)
        topics = [str(name.value).encode() for name in named]
    # Certificates of old name no environment and are good for both.
    marked = SANDBOX in marks or PRODUCTION in marks
    return ClientCertificate(
        frozenset(topics), SANDBOX in marks or not marked, PRODUCTION in marks or not marked
    )


def _topics_value(topics: list[str]) -> bytes:
    """Topic, its kind in a sequence, topic, kind, and so on, in a sequence; DER."""
    content = b""
    for topic in topics:
        suffix = topic.removeprefix(topics[0])
        kind = _tagged(UTF8_STRING, KINDS[suffix].encode())
        content += _tagged(UTF8_STRING, topic.encode()) + _tagged(SEQUENCE, kind)
    return _tagged(SEQUENCE, content)


def _topics_in(value: bytes) -> list[bytes]:
    """The strings right within the outer sequence; those further in name kinds."""
    _tag, content, _rest = _take(value)
    topics = []
    while content:
        tag, inner, content = _take(content)
        if tag == UTF8_STRING:
            topics.append(inner)
    return topics


def _tagged(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size) + content


def _take(value: bytes) -> tuple[int, bytes, bytes]:
    """The first element's tag and content, and what follows it. DER, definite lengths."""
    tag, length, start = value[0], value[1], 2
    if length & 0x80:
        start = 2 + (length & 0x7F)
        length = int.from_bytes(value[2:start])
    return tag, value[start : start + length], value[start + length :]


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _draft(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID_FOR)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
