"""Clients of APNs that show a certificate instead of a provider token."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nuncio_simulator.certificates import Authority, Pair, read_certificate
from nuncio_simulator.contract import ProviderName
from tests.unit.simulator.world import DEAD, TOPICS, World, post

APP = TOPICS[0]
AUTHORITY = Authority("test CA")
BOTH = AUTHORITY.client([APP, APP + ".voip", APP + ".complication"], sandbox=True, production=True)
ONE = AUTHORITY.client([APP], sandbox=True, production=True)
SANDBOX = AUTHORITY.client([APP], sandbox=True, production=False)
NOBODY = AUTHORITY.client([], sandbox=True, production=True)


def der(pair: Pair) -> bytes:
    return x509.load_pem_x509_certificate(pair.certificate).public_bytes(Encoding.DER)


def reason(world: World, pair: Pair, **headers: str) -> str:
    """What APNs says to an alert over a connection with this certificate."""
    token = world.mint(ProviderName.APNS)
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    request = post(f"/3/device/{token.text}", given, b'{"aps":{}}')
    return world.apns.answer(request, world.apns.open(der(pair))).reason


def test_apples_extension_names_topics_and_environments() -> None:
    read = read_certificate(der(BOTH))
    assert read.topics == {f"{APP}{suffix}".encode() for suffix in ("", ".voip", ".complication")}
    assert (read.sandbox, read.production) == (True, True)
    assert read_certificate(der(SANDBOX))[1:] == (True, False)
    assert read_certificate(der(NOBODY)).topics == frozenset()


def test_without_the_extension_the_subject_names_the_app() -> None:
    server = AUTHORITY.server()
    assert read_certificate(der(server)) == (frozenset(), True, True)


@pytest.mark.parametrize(
    ("pair", "headers", "expected"),
    [
        (BOTH, {"apns_topic": APP}, ""),
        (BOTH, {"apns_topic": APP, "authorization": "bearer nonsense"}, ""),
        (BOTH, {"apns_topic": APP + ".voip", "apns_push_type": "voip"}, ""),
        (BOTH, {}, "MissingTopic"),
        (ONE, {}, ""),
        (ONE, {"apns_topic": APP + ".voip"}, "TopicDisallowed"),
        (BOTH, {"apns_topic": TOPICS[1]}, "TopicDisallowed"),
        # Location pushes are for provider tokens only.
        (
            BOTH,
            {"apns_topic": APP + ".location-query", "apns_push_type": "location"},
            "TopicDisallowed",
        ),
        (SANDBOX, {}, "BadCertificateEnvironment"),
        (NOBODY, {"apns_topic": APP}, "BadCertificate"),
    ],
)
def test_a_certificate_speaks_for_its_topics(
    world: World, pair: Pair, headers: dict[str, str], expected: str
) -> None:
    assert reason(world, pair, **headers) == expected


def test_a_certificate_opens_all_streams_at_once(world: World) -> None:
    assert world.apns.open(der(ONE)).stream_limit == 500


def test_a_dead_token_is_dead_for_a_certificate_too(world: World) -> None:
    token = world.mint(ProviderName.APNS, DEAD)
    request = post(f"/3/device/{token.text}", {}, b'{"aps":{}}')
    assert world.apns.answer(request, world.apns.open(der(ONE))).reply.status == 410


def test_a_broadcast_by_certificate_names_no_topic(world: World) -> None:
    request = post(f"/4/broadcasts/apps/{APP}", {}, b'{"aps":{}}')
    assert world.apns.answer(request, world.apns.open(der(ONE))).reason == "MissingPushType"
