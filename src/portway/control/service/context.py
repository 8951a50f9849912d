"""What every use case needs: the store, a clock, and a source of randomness."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from portway.control.store.database import Database
from portway.model.ids import RandomBytes


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to each use case; tests pass their own clock. ``now`` returns Unix seconds."""

    database: Database
    now: Callable[[], float] = time.time
    random: RandomBytes = secrets.token_bytes
