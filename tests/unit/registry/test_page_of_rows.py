"""What is wrong with a page of registrations as a whole, and what with its rows."""

import pytest

from nuncio.registry.v1.registry_service_pb2 import RegisterTokensRequest, Registration
from nuncio_registry.api.rows import LARGEST_PAGE, check_page, refusal_of
from nuncio_runtime.errors import InvalidField


def broken_by(request: RegisterTokensRequest) -> str:
    """The field that the page is refused for."""
    with pytest.raises(InvalidField) as raised:
        check_page(request)
    (violation,) = raised.value.violations
    return violation.field


def page(rows: int, *, app_id: str = "shop") -> RegisterTokensRequest:
    """Rows that all break rules of their own."""
    return RegisterTokensRequest(app_id=app_id, registrations=[Registration()] * rows)


@pytest.mark.parametrize("rows", [0, LARGEST_PAGE + 1])
def test_a_page_has_one_row_to_1000(rows: int) -> None:
    assert broken_by(page(rows)) == "registrations"


def test_a_page_names_its_app() -> None:
    assert broken_by(page(1, app_id="")) == "app_id"


def test_bad_rows_are_no_fault_of_the_page() -> None:
    full = page(LARGEST_PAGE)
    check_page(full)
    refusal = refusal_of(full.registrations[7], 7)
    assert refusal is not None
    assert refusal.row == 7
    assert refusal.violation.field == "installation_id"
