"""What every use case needs: the store, a clock, randomness, how the service is set up, who is online."""

import secrets
import time
from collections.abc import Callable

import msgspec

from portway.control.certificates.seal import Seal
from portway.control.feed import Feed
from portway.control.live import LiveDirectory
from portway.control.measures import ApiMeasures
from portway.control.ports import Agents, Deliveries, Issuers, NoAgents, NoDeliveries, NoIssuers
from portway.control.service.principal import SYSTEM, Principal
from portway.control.service.settings import Settings
from portway.control.store.database import Database
from portway.model.ids import RandomBytes


class Context(msgspec.Struct, frozen=True):
    """Handed to each use case; tests pass their own clock. ``now`` returns Unix seconds."""

    database: Database
    now: Callable[[], float] = time.time
    random: RandomBytes = secrets.token_bytes
    settings: Settings = msgspec.field(default_factory=Settings)
    live: LiveDirectory = msgspec.field(default_factory=LiveDirectory)
    seal: Seal = msgspec.field(default_factory=Seal)
    agents: Agents = msgspec.field(default_factory=NoAgents)
    deliveries: Deliveries = msgspec.field(default_factory=NoDeliveries)
    issuers: Issuers = msgspec.field(default_factory=NoIssuers)
    measures: ApiMeasures = msgspec.field(default_factory=ApiMeasures)
    """What is counted of the API."""
    principal: Principal = SYSTEM
    """Who makes the changes of this use case; for audit events."""

    @property
    def feed(self) -> Feed:
        """The bell of the store; a write that noted a change rings it by itself."""
        return self.database.feed
