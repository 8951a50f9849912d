"""The options of the agent itself: the same in both versions, but for where they stand and four names."""

from typing import Any, Final

from portway.agent.config.document import Problems
from portway.agent.config.model import Settings
from portway.agent.config.values import (
    Reader,
    at_most,
    boolean,
    duration,
    integer,
    judged_by,
    located,
    one_of,
    servers,
    text,
    text_or_none,
    texts,
)
from portway.agent.url import split_host_port
from portway.codec.document import Node
from portway.errors import ConfigError
from portway.net.proxy_url import parse_proxy_url

LEVELS: Final = ("debug", "info", "warn", "error", "crit")
FORMATS: Final = ("term", "logfmt", "json")
REGIONS: Final = ("ap", "au", "eu", "in", "jp", "sa", "us", "us-cal-1", "auto", "local")


def _false_or_text(node: Node, problems: Problems) -> str | None:
    return "false" if node.scalar is False else text(node, problems)


def _authorities(node: Node, problems: Problems) -> str | None:
    """Read `trusted`, `host` or the path of a file, which is told from where this one stands."""
    found = text(node, problems)
    if found is None or found in ("trusted", "host"):
        return found
    return str(located(found, node.source))


def _judge_proxy(said: str) -> None:
    parse_proxy_url(said, "the proxy URL")


def _judge_address(said: str) -> None:
    if "://" in said:
        raise ConfigError("host:port is wanted, without a scheme")
    split_host_port(said.strip(), "the connect URL")


def _judge_web(said: str) -> None:
    if not said.startswith(("http://", "https://")):
        raise ConfigError("an http:// or https:// URL is wanted")


COMMON: Final[dict[str, Reader]] = {
    "authtoken": text_or_none,
    "api_key": text_or_none,
    "connect_interface": text,
    "connect_timeout": duration,
    "console_ui": one_of("true", "false", "iftty"),
    "console_ui_color": one_of("black", "transparent"),
    "crl_noverify": boolean,
    "crl_url": judged_by(_judge_web),
    "dns_resolver_ips": servers,
    "heartbeat_interval": duration,
    "heartbeat_tolerance": duration,
    "inspect_db_size": integer,
    "local_storage": boolean,
    "log": _false_or_text,
    "log_format": one_of(*FORMATS),
    "log_level": one_of(*LEVELS),
    "metadata": at_most(4096),
    "proxy_url": judged_by(_judge_proxy),
    "remote_management": boolean,
    "update_channel": one_of("stable", "beta", "unstable"),
    "update_check": boolean,
    "web_addr": _false_or_text,
    "web_allow_hosts": texts,
}
VERSION_3: Final[dict[str, Reader]] = {
    **COMMON,
    "connect_url": judged_by(_judge_address),
    "connect_cas": _authorities,
}
VERSION_2: Final[dict[str, Reader]] = {
    **COMMON,
    "server_addr": judged_by(_judge_address),
    "root_cas": _authorities,
    "region": one_of(*REGIONS),
}
RENAMED: Final = {"server_addr": "connect_url", "root_cas": "connect_cas"}
"""Names of version 2 → of version 3."""

OLD_NAMES_2: Final = {
    "connect_url": "in version 2 it is server_addr",
    "connect_cas": "in version 2 it is root_cas",
    "agent": "that is version 3: write `version: 3`",
    "endpoints": "that is version 3: write `version: 3`",
    "http_proxy": "renamed: say proxy_url, or run `portway config upgrade`",
    "socks5_proxy": "renamed: say proxy_url, or run `portway config upgrade`",
}
OLD_NAMES_3: Final = {
    "server_addr": "in version 3 it is connect_url",
    "root_cas": "in version 3 it is connect_cas",
    "region": "version 3 has no region: connect_url says where to connect",
    "endpoints": "endpoints stand at the top of the file, not under agent",
    "tunnels": "tunnels stand at the top of the file, not under agent",
}

#: Settings that are understood and have nothing to act on: `config check` and the agent at its start say so.
WITHOUT_EFFECT: Final = {
    "inspect_db_size": "there is no inspector in this version",
    "local_storage": "there is no inspector in this version",
    "region": "connect_url says where to connect",
    "update_channel": "portway does not look for updates",
    "update_check": "portway does not look for updates",
    "web_addr": "there is no web interface in this version",
    "web_allow_hosts": "there is no web interface in this version",
}


def without_effect(settings: Settings) -> list[str]:
    """Return a line for each setting that asks for what is not done here; what is off asks for nothing."""
    off = (None, False, "false", -1)
    said = [name for name in sorted(WITHOUT_EFFECT) if getattr(settings, name) not in off]
    return [f"{name} has no effect: {WITHOUT_EFFECT[name]}" for name in said]


def renamed(said: dict[str, Any]) -> dict[str, Any]:
    """Return settings of version 2 under the names of version 3."""
    return {RENAMED.get(name, name): value for name, value in said.items()}
