"""What the meter shows."""

from nuncio_feedback.domain.model import InvalidationOutcome, Verdict
from nuncio_feedback.metrics import PrometheusMeter
from nuncio_runtime.metrics import REGISTRY
from tests.unit.feedback.pages import Row, page_of

PAGE = page_of(Row(), Row(), Row(provider=200, verdict=Verdict.REFUSED))


def shown(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_new_page_counts_its_outcomes() -> None:
    before = shown("feedback_outcomes_total", provider="APNS", verdict="ACCEPTED")
    PrometheusMeter().page(PAGE, stored=True)
    assert shown("feedback_outcomes_total", provider="APNS", verdict="ACCEPTED") == before + 2


def test_a_provider_of_a_newer_peer_has_a_label_of_the_closed_set() -> None:
    before = shown("feedback_outcomes_total", provider="OTHER", verdict="REFUSED")
    PrometheusMeter().page(PAGE, stored=True)
    assert shown("feedback_outcomes_total", provider="OTHER", verdict="REFUSED") == before + 1


def test_a_repeated_page_counts_as_a_page_only() -> None:
    outcomes = shown("feedback_outcomes_total", provider="APNS", verdict="ACCEPTED")
    pages = shown("feedback_pages_total", result="repeated")
    PrometheusMeter().page(PAGE, stored=False)
    assert shown("feedback_outcomes_total", provider="APNS", verdict="ACCEPTED") == outcomes
    assert shown("feedback_pages_total", result="repeated") == pages + 1


def test_answers_of_the_registry_are_counted_by_outcome() -> None:
    before = shown("feedback_invalidations_total", outcome="KEPT_NEWER")
    PrometheusMeter().settled([InvalidationOutcome.KEPT_NEWER] * 3)
    assert shown("feedback_invalidations_total", outcome="KEPT_NEWER") == before + 3


def test_the_backlog_shows_its_size_and_age() -> None:
    PrometheusMeter().backlog(7, oldest_seconds=1.5)
    assert shown("feedback_pending_invalidations") == 7
    assert shown("feedback_pending_oldest_seconds") == 1.5
