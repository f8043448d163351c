"""The two ends' agreement on how errors travel."""

from typing import Final

import grpc

from nuncio_runtime.errors import Kind

DOMAIN: Final = "nuncio"
STATUS_DETAILS: Final = "grpc-status-details-bin"

STATUS_OF_KIND: Final = {kind: grpc.StatusCode[kind.name] for kind in Kind}
KIND_OF_STATUS: Final = {status: kind for kind, status in STATUS_OF_KIND.items()} | {
    # A call that the peer broke off can be made again, like one that never arrived.
    grpc.StatusCode.CANCELLED: Kind.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN: Kind.INTERNAL,
}
