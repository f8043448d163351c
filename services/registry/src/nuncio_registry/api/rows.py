"""Bulk pages: which rows break a rule of the contract, and which the whole page."""

import re
from typing import Final

from nuncio.common.v1.error_reason_pb2 import ERROR_REASON_INVALID_FIELD
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.domain.register import Refusal
from nuncio_runtime.errors import FieldViolation, InvalidField
from nuncio_runtime.interceptors.validation import violations

_ROW: Final = re.compile(r"registrations\[(\d+)\]\.?(.*)", re.DOTALL)


def refused_rows(request: pb.RegisterTokensRequest) -> dict[int, Refusal]:
    """The first broken annotation of each bad row. Raises InvalidField for a bad page."""
    refused: dict[int, Refusal] = {}
    of_page: list[FieldViolation] = []
    for violation in violations(request):
        matched = _ROW.fullmatch(violation.field)
        if matched is None:
            of_page.append(violation)
        else:
            row = int(matched[1])
            refused.setdefault(row, Refusal(row, FieldViolation(matched[2], violation.rule)))
    if of_page:
        raise InvalidField(*of_page)
    return refused


def row_error_from(refusal: Refusal) -> pb.RowError:
    """Why a row was refused."""
    return pb.RowError(
        row=refusal.row,
        reason=ERROR_REASON_INVALID_FIELD,
        field=refusal.violation.field,
        rule=refusal.violation.rule,
    )
