"""The agent that is there without being made, and those that the older call forms make.

`default_agent` takes everything from the environment (`portway.agent.discovery`) and connects by the
first `listen` or `forward`. A call that brings its own authtoken gets an agent of its own, shared by
the calls with that token on the same event loop.
"""

import asyncio
import os
import threading
from typing import Literal
from weakref import WeakKeyDictionary

from portway.agent.agent import Agent
from portway.agent.checks import expect_text, require
from portway.agent.discovery import token_from_env
from portway.agent.labels import LABELED
from portway.agent.sync import SyncAgent
from portway.errors import ConfigError

default_agent = Agent()
"""Used by `portway.listen` and `portway.forward`. Reads the environment when it connects."""

Who = tuple[str | None, str]

_agents: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Who, Agent]] = WeakKeyDictionary()
_sync_agents: dict[Who, SyncAgent] = {}
_lock = threading.Lock()


def said_token(authtoken: str | None, from_env: bool) -> str | None:
    """Return the token that a call brings: its own, or the environment's and then no other.

    None: nothing was said, so that the default agent looks for itself. Raises `ConfigError`.
    """
    if authtoken is not None:
        expect_text(authtoken, "authtoken")
    require(from_env, bool, "authtoken_from_env")
    return token_from_env(os.environ) if from_env and authtoken is None else authtoken


def agent_for(token: str | None, region: str = "") -> Agent:
    """Return the agent of this token and region on the running loop; with neither, the default one."""
    if token is None and not region:
        return default_agent
    agents = _agents.setdefault(asyncio.get_running_loop(), {})
    if (token, region) not in agents:
        agents[token, region] = Agent(authtoken=token, region=region)
    return agents[token, region]


def sync_agent_for(token: str | None, region: str = "") -> SyncAgent:
    """Return the synchronous agent of this token and region."""
    with _lock:
        if (token, region) not in _sync_agents:
            _sync_agents[token, region] = SyncAgent(authtoken=token, region=region)
        return _sync_agents[token, region]


def older_address(proto: str | None, url: str, remote_addr: str) -> tuple[Literal["labeled"] | None, str]:
    """Return the URL that the older words mean; nothing is left to ``proto`` then, but "labeled".

    Raises `ConfigError` for words that contradict each other.
    """
    if proto == LABELED:
        return LABELED, url or remote_addr
    if remote_addr and url:
        raise ConfigError("remote_addr cannot go with url or domain: each says where the endpoint is")
    said = "tcp" if remote_addr else url.partition("://")[0].lower() if "://" in url else proto
    if proto and proto != said and (proto, said) != ("http", "https"):
        raise ConfigError(f"proto={proto!r} contradicts {remote_addr or url!r}")
    if remote_addr:
        return None, f"tcp://{remote_addr}"
    if proto in (None, "http") or "://" in url:
        return None, url
    return None, f"{proto}://{url}"
