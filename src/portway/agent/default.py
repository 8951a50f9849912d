"""The agent that is there without being made, and those that the older call forms make.

`default_agent` takes everything from the environment (`portway.agent.discovery`) and connects by the
first `listen` or `forward`. A call that brings its own authtoken gets an agent of its own, shared by
the calls with that token on the same event loop.
"""

import asyncio
import os
import threading
from typing import Unpack
from weakref import WeakKeyDictionary

from portway.agent.agent import Agent
from portway.agent.discovery import token_from_env
from portway.agent.endpoint import EndpointListener
from portway.agent.options import ListenKeywords
from portway.agent.sync import SyncAgent

default_agent = Agent()
"""Used by `portway.listen` and `portway.forward`. Reads the environment when it connects."""

_agents: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Agent]] = WeakKeyDictionary()
_sync_agents: dict[str | None, SyncAgent] = {}
_lock = threading.Lock()


def said_token(authtoken: str | None, from_env: bool) -> str | None:
    """Return the token that a call brings: its own, or the environment's and then no other.

    None: nothing was said, so that the default agent looks for itself.
    """
    return token_from_env(os.environ) if from_env and authtoken is None else authtoken


def agent_for(token: str | None) -> Agent:
    """Return the agent of this token on the running loop."""
    if token is None:
        return default_agent
    agents = _agents.setdefault(asyncio.get_running_loop(), {})
    if token not in agents:
        agents[token] = Agent(authtoken=token)
    return agents[token]


def sync_agent_for(token: str | None) -> SyncAgent:
    """Return the synchronous agent of this token."""
    with _lock:
        if token not in _sync_agents:
            _sync_agents[token] = SyncAgent(authtoken=token)
        return _sync_agents[token]


async def listen(
    url: str = "",
    *,
    authtoken: str | None = None,
    authtoken_from_env: bool = False,
    remote_addr: str = "",
    **options: Unpack[ListenKeywords],
) -> EndpointListener:
    """Make an endpoint on the default agent; see `Agent.listen`.

    The words of the older SDKs are understood too. ``authtoken`` and ``authtoken_from_env`` (the
    environment's, and no other) choose another agent. ``remote_addr`` is the ``host:port`` of a TCP
    endpoint. ``proto="http"`` means an HTTP endpoint, whose URL is https unless ``url`` says http.
    """
    agent = agent_for(said_token(authtoken, authtoken_from_env))
    options["proto"], url = older_address(options.get("proto"), url, remote_addr)
    return await agent.listen(url, **options)


def older_address(proto: str | None, url: str, remote_addr: str) -> tuple[None, str]:
    """Return the URL that the older words mean; nothing is left to ``proto`` then."""
    if remote_addr:
        return None, f"tcp://{remote_addr}"
    if proto in (None, "http") or "://" in url:
        return None, url
    return None, f"{proto}://{url}"
