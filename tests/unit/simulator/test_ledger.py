"""What proves that nothing was lost and nothing doubled."""

from nuncio_simulator.contract import ProviderName
from nuncio_simulator.ledger import Ledger, token_hash

APNS = ProviderName.APNS


def accept(ledger: Ledger, message: str, token: str) -> None:
    ledger.accept(APNS, status=200, accepted_id=message, token=token)


def test_the_summary_tells_the_lost_and_the_doubled() -> None:
    ledger = Ledger()
    for number in range(3_000):
        accept(ledger, f"m{number}", f"t{number % 2_999}")
    accept(ledger, "m7", "t7")
    summary = ledger.summary(APNS)
    assert (summary.accepted, summary.ids, summary.tokens) == (3_001, 3_000, 2_999)
    assert (summary.most_for_one_id, summary.most_for_one_token) == (2, 2)
    assert summary.overflowed == 0


def test_an_empty_book_has_no_most() -> None:
    summary = Ledger().summary(APNS)
    assert (summary.accepted, summary.ids, summary.most_for_one_id) == (0, 0, 0)


def test_a_full_book_goes_on_counting_and_says_that_it_is_full() -> None:
    ledger = Ledger(room=2)
    for number in (1, 2, 3, 1):
        accept(ledger, f"m{number}", f"t{number}")
        ledger.refuse(APNS, status=410, reason="Unregistered", token=f"t{number}")
    summary = ledger.summary(APNS)
    assert (summary.accepted, summary.ids, summary.tokens, summary.overflowed) == (4, 2, 2, 1)
    assert summary.most_for_one_id == 2
    view = ledger.view(APNS, detail=True)
    assert (view.accepted, view.overflowed) == (4, 1)
    assert view.accepted_ids == {"m1": 2, "m2": 1}
    assert view.tokens[token_hash("t1")].accepted == 2
    assert view.tokens[token_hash("t1")].refused == 2
    assert token_hash("t3") not in view.tokens
