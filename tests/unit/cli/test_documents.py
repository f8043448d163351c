"""Messages of the contracts as JSON."""

from nuncio.common.v1.provider_pb2 import PLATFORM_IOS
from nuncio.registry.v1 import event_pb2, installation_pb2, privacy_pb2
from nuncio.registry.v1.app_pb2 import App
from nuncio.registry.v1.registry_service_pb2 import RestoreTokensResponse
from nuncio_cli.documents import document


def test_an_app_has_its_policies_in_seconds() -> None:
    app = App(app_id="shop")
    app.stale_after.FromSeconds(3_600)
    assert document(app) == {
        "app_id": "shop",
        "display_name": "",
        "stale_after_seconds": 3_600.0,
        "create_time": None,
        "expire_after_seconds": None,
        "retention_seconds": None,
    }


def test_counts_are_numbers_and_are_there_when_they_are_0() -> None:
    counted = document(RestoreTokensResponse(matched=2**60))
    assert counted["matched"] == 2**60
    assert counted["gone"] == 0


def test_enums_are_words_and_unset_ones_nothing() -> None:
    installation = installation_pb2.Installation(platform=PLATFORM_IOS)
    installation.consents["marketing"] = installation_pb2.CONSENT_STATE_DENIED
    installation.facts.attributes["plan"].text = "gold"
    found = document(installation)
    assert (found["platform"], found["provider"]) == ("ios", None)
    assert found["consents"] == {"marketing": "denied"}
    assert found["facts"]["attributes"]["plan"] == {
        "text": "gold", "number": None, "flag": None, "time": None, "version": None,
    }  # fmt: skip
    assert found["facts"]["language"] is None


def test_a_value_of_a_newer_service_is_its_number() -> None:
    event = event_pb2.InstallationEvent()
    event.MergeFromString(b"\x08\x63")  # Field 1, kind: 99.
    assert document(event)["kind"] == "99"


def test_bytes_are_hexadecimal_and_lists_are_lists() -> None:
    record = privacy_pb2.ErasureRecord(subject_hash=b"\x01\xff")
    record.removed.add(table="installation", count=2)
    record.erase_time.FromSeconds(0)
    found = document(record)
    assert found["subject_hash"] == "01ff"
    assert found["removed"] == [{"table": "installation", "count": 2}]
    assert found["erase_time"] == "1970-01-01T00:00:00Z"
