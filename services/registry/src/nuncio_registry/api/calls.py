"""What the groups of calls share: the use cases that answer them."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.installations import InstallationCare
from nuncio_registry.domain.invalidate import Invalidate
from nuncio_registry.domain.register import Register
from nuncio_registry.domain.select import Select

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """What the registry can do."""

    apps: Apps
    register: Register
    care: InstallationCare
    select: Select
    invalidate: Invalidate


class Calls(rpc.RegistryServiceServicer):
    """A group of calls of RegistryService: messages in, use case, messages out."""

    def __init__(self, use: UseCases) -> None:
        self._use = use
