"""Decryption as a browser does it."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from nuncio_simulator import base64url
from nuncio_simulator.aes128gcm import CannotDecryptError, Device, decrypt, public_point, sender_key

# RFC 8291, appendix A.
PLAINTEXT = b"When I grow up, I want to be a watermelon"
UA_PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
UA_PUBLIC = (
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
)
AS_PUBLIC = (
    "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
)
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
BODY = base64url.decode(
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS"
    "6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qu"
    "lcy4a-fN"
)


def watermelon_grower() -> Device:
    scalar = int.from_bytes(base64url.decode(UA_PRIVATE))
    key = ec.derive_private_key(scalar, ec.SECP256R1())
    return Device(key, public_point(key.public_key()), base64url.decode(AUTH))


def test_the_example_of_rfc_8291_is_decrypted() -> None:
    device = watermelon_grower()
    assert device.p256dh == UA_PUBLIC
    assert base64url.encode(sender_key(BODY)) == AS_PUBLIC
    assert decrypt(BODY, device) == PLAINTEXT


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    # Not in the record size, where a larger number is as good.
    spoilt = bytearray(BODY)
    spoilt[place] ^= change
    if 16 <= place < 20:
        return
    with pytest.raises(CannotDecryptError):
        decrypt(bytes(spoilt), watermelon_grower())


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_way(body: bytes) -> None:
    with pytest.raises(CannotDecryptError):
        decrypt(body, watermelon_grower())


def test_a_device_is_the_same_for_the_same_secret() -> None:
    secret = bytes(range(64))
    assert Device.from_secret(secret).public_key == Device.from_secret(secret).public_key
    assert len(Device.from_secret(secret).auth) == 16


def test_a_device_does_not_print_its_secret() -> None:
    assert AUTH not in repr(watermelon_grower())
