"""Proofs of erasure and audit events as people see them."""

from nuncio.registry.v1.privacy_pb2 import AuditEvent, ErasureRecord, ErasureSubject
from nuncio_cli import output
from nuncio_cli.documents import document
from nuncio_cli.names import word

ERASURE_COLUMNS = ("when", "subject", "removed", "asked by", "proof")
AUDIT_COLUMNS = ("when", "method", "app", "principal", "peer", "details", "request")


def show_erasure(record: ErasureRecord, *, as_json: bool) -> None:
    """What an erasure removed, and its proof."""
    if as_json:
        output.emit(document(record))
        return
    removed = [(each.table, each.count) for each in record.removed if each.count]
    if removed:
        output.table(("removed", "rows#"), removed)
    else:
        output.say("there was nothing to erase")
    output.say(f"proof: {record.erasure_id}")


def erasure_row(record: ErasureRecord) -> tuple[str, ...]:
    """One proof of a list."""
    removed = (f"{each.count:,} {each.table}" for each in record.removed if each.count)
    return (
        record.erase_time.ToJsonString(),
        word(ErasureSubject, record.subject, "ERASURE_SUBJECT_"),
        ", ".join(removed) or "nothing",
        record.principal,
        record.erasure_id,
    )


def audit_row(event: AuditEvent) -> tuple[str, ...]:
    """One event of the audit."""
    details = (f"{name}={value}" for name, value in sorted(event.details.items()))
    return (
        event.record_time.ToJsonString(),
        event.method,
        event.app_id or "all",
        event.principal,
        event.peer,
        " ".join(details),
        event.request_id,
    )
