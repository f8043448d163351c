"""What the groups of calls share: the use cases that answer them."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.audit import Audit
from nuncio_registry.domain.erase import Erase
from nuncio_registry.domain.export import Export
from nuncio_registry.domain.feed import Watch
from nuncio_registry.domain.identity import Identity
from nuncio_registry.domain.installations import InstallationCare
from nuncio_registry.domain.invalidate import Invalidate
from nuncio_registry.domain.preview import Preview
from nuncio_registry.domain.reachability import Reachability
from nuncio_registry.domain.register import Register
from nuncio_registry.domain.register_one import RegisterOne
from nuncio_registry.domain.repeats import Repeats
from nuncio_registry.domain.restore import Restore
from nuncio_registry.domain.select import Select
from nuncio_registry.domain.statistics import Statistics
from nuncio_registry.domain.survey import Survey

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """What the registry can do."""

    apps: Apps
    register: Register
    register_one: RegisterOne
    repeats: Repeats
    care: InstallationCare
    identity: Identity
    reachability: Reachability
    select: Select
    survey: Survey
    invalidate: Invalidate
    restore: Restore
    watch: Watch
    preview: Preview
    statistics: Statistics
    erase: Erase
    export: Export
    audit: Audit


class Calls(rpc.RegistryServiceServicer):
    """A group of calls of RegistryService: messages in, use case, messages out."""

    def __init__(self, use: UseCases) -> None:
        self._use = use
