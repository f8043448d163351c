"""Web Push encryption, against the RFCs' vectors, two libraries and a slow decoder."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import NamedTuple, Self

import http_ece
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st
from pywebpush import WebPusher

from nuncio_dispatcher.providers.webpush.encryption import (
    PLAINTEXT_LIMIT,
    content_key,
    encrypt,
    seal,
)

CURVE = SECP256R1()
FIELD_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
HEADER_SIZE = 16 + 4 + 1 + 65


def unpacked(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point_of(key: EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


# RFC 8291, appendix A.
WATERMELON = b"When I grow up, I want to be a watermelon"
AS_PRIVATE = unpacked("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
AS_PUBLIC = unpacked(
    "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
)
UA_PRIVATE = unpacked("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")
UA_PUBLIC = unpacked(
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
)
SALT = unpacked("DGv6ra1nlYgDCS1FRnbzlw")
AUTH = unpacked("BTBZMqHH6r4Tts7J_aSIgg")
ECDH_SECRET = unpacked("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs")
INPUT_KEY = unpacked("S4lYMb_L0FxCeq0WhDx813KgSYqU26kOyzWUdsXYyrg")
CONTENT_KEY = unpacked("oIhVW04MRdy2XN9CiKLxTg")
NONCE = unpacked("4h_95klXJ5E_qnoN")
BODY = unpacked(
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS"
    "6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qu"
    "lcy4a-fN"
)


class Refused(Exception):
    """The decoder does not take the body."""


class Device(NamedTuple):
    """The receiver's side."""

    key: EllipticCurvePrivateKey
    point: bytes
    auth: bytes

    @classmethod
    def new(cls, key: EllipticCurvePrivateKey | None = None, auth: bytes = AUTH) -> Self:
        key = key or generate_private_key(CURVE)
        return cls(key, point_of(key), auth)

    def read(self, body: bytes) -> bytes:
        """The plaintext, when the body is one record as nuncio writes it; else Refused."""
        if body[16:21] != b"\0\0\x10\0A" or len(body) > 4096:
            raise Refused
        return decode(body, self.input_key)

    def input_key(self, key_id: bytes) -> bytes:
        """RFC 8291, section 3.4, the first half."""
        try:
            sender = EllipticCurvePublicKey.from_encoded_point(CURVE, key_id)
        except ValueError as error:
            raise Refused from error
        secret = self.key.exchange(ECDH(), sender)
        return hkdf(secret, self.auth, b"WebPush: info\0" + self.point + key_id, 32)


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


def decode(body: bytes, input_key: Callable[[bytes], bytes]) -> bytes:
    """RFC 8188, section 2, for any number of records; Refused when it is not in order.

    input_key: gives the input keying material for the key id in the header.
    """
    salt, size, id_length = body[:16], int.from_bytes(body[16:20]), body[20]
    key_id, records = body[21 : 21 + id_length], body[21 + id_length :]
    secret = input_key(key_id)
    key = AESGCM(hkdf(secret, salt, b"Content-Encoding: aes128gcm\0", 16))
    nonce = int.from_bytes(hkdf(secret, salt, b"Content-Encoding: nonce\0", 12))
    text = b""
    for number, start in enumerate(range(0, len(records), size)):
        record = records[start : start + size]
        try:
            padded = key.decrypt((nonce ^ number).to_bytes(12), record, None).rstrip(b"\0")
        except InvalidTag as error:
            raise Refused from error
        is_last = start + size >= len(records)
        if padded[-1:] != (b"\x02" if is_last else b"\x01"):
            raise Refused
        text += padded[:-1]
    return text


DEVICE = Device.new()
GROWER = Device.new(derive_private_key(int.from_bytes(UA_PRIVATE), CURVE))


def sealed_for(device: Device, text: bytes) -> bytes:
    body = encrypt(text, device.point, device.auth)
    assert body is not None
    return body


def test_the_example_of_rfc_8291_comes_out_byte_by_byte() -> None:
    sender = derive_private_key(int.from_bytes(AS_PRIVATE), CURVE)
    assert point_of(sender) == AS_PUBLIC
    assert seal(WATERMELON, UA_PUBLIC, AUTH, sender=sender, salt=SALT) == BODY


def test_the_keys_in_between_are_those_of_rfc_8291() -> None:
    key, nonce = content_key(ECDH_SECRET, AUTH, points=UA_PUBLIC + AS_PUBLIC, salt=SALT)
    assert (key, nonce) == (CONTENT_KEY, NONCE)


def test_the_decoder_reads_the_example_of_rfc_8291() -> None:
    assert GROWER.input_key(AS_PUBLIC) == INPUT_KEY
    assert GROWER.read(BODY) == WATERMELON


@pytest.mark.parametrize(
    ("key_id", "key", "body"),
    [
        (
            b"",
            "yqdlZ-tYemfogSmv7Ws5PQ",
            "I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg",
        ),
        (
            b"a1",
            "BO3ZVPxUlnLORbVGMpbT1Q",
            (
                "uNCkWiNYzKTnBN9ji3-qWAAAABkCYTHOG8chz_gnvgOqdGYovxyjuqRyJFjEDyoF1Fvkj6hQPdPHI51OEUKEpgz3S"
                "sLWIqS_uA"
            ),
        ),
    ],
    ids=["one record", "two records"],
)
def test_the_decoder_reads_the_examples_of_rfc_8188(key_id: bytes, key: str, body: str) -> None:
    keys = {key_id: unpacked(key)}
    assert decode(unpacked(body), keys.__getitem__) == b"I am the walrus"


@given(st.binary(max_size=PLAINTEXT_LIMIT))
@example(b"")
@example(b"\0" * 20)
@example(b"\2" * PLAINTEXT_LIMIT)
def test_a_text_of_any_size_is_read_back(text: bytes) -> None:
    body = sealed_for(DEVICE, text)
    assert len(body) == HEADER_SIZE + len(text) + 1 + 16
    assert DEVICE.read(body) == text


@pytest.mark.parametrize("size", [1, 200, PLAINTEXT_LIMIT])
def test_http_ece_reads_what_we_seal(size: int) -> None:
    text = b"x" * size
    body = sealed_for(DEVICE, text)
    read = http_ece.decrypt(
        body, private_key=DEVICE.key, auth_secret=DEVICE.auth, version="aes128gcm"
    )
    assert read == text


@given(st.binary(min_size=1, max_size=PLAINTEXT_LIMIT))
def test_the_decoder_that_reads_ours_reads_pywebpush(text: bytes) -> None:
    keys = {"p256dh": packed(DEVICE.point), "auth": packed(DEVICE.auth)}
    pusher = WebPusher({"endpoint": "https://push.example/x", "keys": keys})
    assert DEVICE.read(pusher.encode(text)["body"]) == text


def packed(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_the_longest_body_is_what_every_push_service_takes() -> None:
    assert len(sealed_for(DEVICE, b"x" * PLAINTEXT_LIMIT)) == 4096
    with pytest.raises(ValueError, match="3994 bytes; 3993 fit") as caught:
        encrypt(b"x" * (PLAINTEXT_LIMIT + 1), DEVICE.point, DEVICE.auth)
    assert "xxx" not in str(caught.value)


@pytest.mark.parametrize("bit", range(8))
def test_any_changed_byte_is_refused(bit: int) -> None:
    body = sealed_for(DEVICE, b"short")
    for place in range(len(body)):
        spoilt = bytearray(body)
        spoilt[place] ^= 1 << bit
        with pytest.raises(Refused):
            DEVICE.read(bytes(spoilt))


def test_a_body_for_one_device_is_nothing_to_another() -> None:
    body = sealed_for(DEVICE, b"text")
    other_auth = Device.new(DEVICE.key, auth=bytes(16))
    for other in (GROWER, other_auth):
        with pytest.raises(Refused):
            other.read(body)


X, Y = UA_PUBLIC[1:33], UA_PUBLIC[33:]
X_OFF_CURVE = (int.from_bytes(X) ^ 1).to_bytes(32)
BAD_POINTS = {
    "empty": b"",
    "infinity": b"\0",
    "infinity, filled up": bytes(65),
    "origin": b"\x04" + bytes(64),
    "too short": UA_PUBLIC[:-1],
    "too long": UA_PUBLIC + b"\0",
    "without its first byte": UA_PUBLIC[1:],
    "compressed": bytes([2 + Y[-1] % 2]) + X,
    "compressed, filled up": (bytes([2 + Y[-1] % 2]) + X).ljust(65, b"\0"),
    "both forms in one": bytes([6 + Y[-1] % 2]) + X + Y,
    "of another form": b"\x05" + X + Y,
    "not on the curve": b"\x04" + X_OFF_CURVE + Y,
    "coordinates changed about": b"\x04" + Y + X,
    "greater than the field": b"\x04" + b"\xff" * 64,
    "the field's prime for nought": b"\x04" + FIELD_PRIME.to_bytes(32) + Y,
}


@pytest.mark.parametrize("point", BAD_POINTS.values(), ids=BAD_POINTS)
def test_what_is_no_point_of_the_curve_is_refused(point: bytes) -> None:
    assert encrypt(b"text", point, AUTH) is None


@given(st.binary(min_size=64, max_size=64))
def test_a_made_up_point_is_refused(coordinates: bytes) -> None:
    assert encrypt(b"text", b"\x04" + coordinates, AUTH) is None


@pytest.mark.parametrize("auth", [b"", AUTH[:-1], AUTH + b"\0"], ids=["none", "short", "long"])
def test_an_authentication_secret_of_another_length_is_refused(auth: bytes) -> None:
    assert encrypt(b"text", UA_PUBLIC, auth) is None


def test_no_two_messages_share_a_key_or_a_salt() -> None:
    bodies = [sealed_for(DEVICE, b"same") for _ in range(500)]
    assert len({body[:16] for body in bodies}) == len(bodies)
    assert len({body[21:HEADER_SIZE] for body in bodies}) == len(bodies)
