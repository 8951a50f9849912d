"""What a start needs on disk, and the file that tells agents of the same user how to connect.

Before the first listener: the data folder is locked, so that one service owns it, and an old
``bootstrap.json`` is put aside, so that its presence means *ready*. Once every listener accepts and the
controller answers, the new file is written whole, mode 0600. Secrets in the file that was put aside
are written again as long as they are good; there is no other place that knows them.

Certificates are made by the process that listens, so that agents find it within a second; the
library for that is imported only when one is missing, near its end, or for other names.
"""

import fcntl
import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, cast

import msgspec

from portway.control import files
from portway.errors import ConfigError
from portway.paths import bootstrap_file, default_data_dir
from portway.server.config import ServeConfig
from portway.server.link import Secrets

ASIDE: Final = ".bootstrap.json.old"
LOCK: Final = "lock"
PROOF_KEY: Final = "secret"
PROOF_KEY_LENGTH: Final = 32
CA, CHAIN, KEY, STAMP = "ca.pem", "service.pem", "service-key.pem", "service.json"
RENEW_BEFORE: Final = 30 * 86_400.0
"""Seconds before its end from which on a start renews the service's certificate."""

_WILDCARD_HOSTS: Final = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}


class DataFolder:
    """The locked data folder of one service. Close it when the service has ended."""

    def __init__(self, path: Path) -> None:
        """Make the folder, lock it, put an old bootstrap file aside.

        Raises ConfigError when another service uses it or it cannot be written.
        """
        self.path = path
        try:
            files.private_folder(path)
            self._lock = _locked(path / LOCK)
            old = bootstrap_file(path)
            if old.exists():
                old.replace(path / ASIDE)
        except OSError as error:
            raise ConfigError(f"{path}: the data folder cannot be used: {error.strerror}") from error

    def __enter__(self) -> Self:
        """Enter; the folder is locked already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let others have the folder."""
        os.close(self._lock)

    def secret(self) -> bytes:
        """Return the key of proofs given to agents, made at the first start. Raises ConfigError."""
        path = self.path / PROOF_KEY
        try:
            if not path.exists():
                files.replace(path, os.urandom(PROOF_KEY_LENGTH))
            secret = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        if len(secret) != PROOF_KEY_LENGTH:
            raise ConfigError(f"{path}: not {PROOF_KEY_LENGTH} bytes; remove it to have it made anew")
        return secret

    def certificate(self, domain: str, now: float, also: Iterable[str] = ()) -> tuple[Path, Path]:
        """Return the service's certificate and key, issued now if need be. Raises ConfigError.

        ``also`` are further hosts by which agents connect.
        """
        names = list(dict.fromkeys([*service_names(domain), *also]))
        try:
            if not _stamp_says_good(self.path, names, now):
                _issue(self.path, names, now)
        except OSError as error:
            raise ConfigError(f"{error.filename}: {error.strerror}") from error
        return self.path / CHAIN, self.path / KEY

    def kept_secrets(self) -> Secrets:
        """Return what the file that was put aside holds; nothing if there is none or it is damaged."""
        try:
            content = (self.path / ASIDE).read_bytes()
            return msgspec.json.decode(content, type=Secrets)
        except (OSError, msgspec.MsgspecError):
            return Secrets()

    def announce(self, content: Mapping[str, str | None]) -> None:
        """Write the bootstrap file: the service is ready. Raises ConfigError."""
        path = bootstrap_file(self.path)
        try:
            files.replace(path, json.dumps(dict(content), indent=2).encode() + b"\n")
            (self.path / ASIDE).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that the listeners really have."""

    agent: int
    http: int
    https: int


def bootstrap_content(config: ServeConfig, ports: Ports, secrets: Secrets) -> dict[str, str | None]:
    """Return what ``bootstrap.json`` says. URLs always show their port."""
    edge = config.edge
    return {
        "authtoken": secrets.authtoken,
        "api_key": secrets.api_key,
        "ca_cert": str(config.data_dir / CA),
        "connect_url": f"{_connect_host(config)}:{ports.agent}",
        "domain": edge.domain,
        "http_url": f"http://{edge.domain}:{edge.public_http_port or ports.http}",
        "https_url": f"https://{edge.domain}:{edge.public_https_port or ports.https}",
    }


def banner(content: Mapping[str, str | None], secrets: Secrets, data_dir: Path) -> str:
    """Return what a person reads once the service is ready. Secrets are shown when they are fresh."""
    prefix = "" if data_dir == default_data_dir() else f"PORTWAY_DATA_DIR={shlex.quote(str(data_dir))} "
    http, https = (str(content[name]).replace("://", "://NAME.") for name in ("http_url", "https_url"))
    lines = [
        "portway is ready.",
        "",
        f"  agents connect to   {content['connect_url']}",
        f"  http endpoints      {http}",
        f"  https endpoints     {https}",
        f"  CA certificate      {content['ca_cert']}",
    ]
    if secrets.fresh:
        lines += [
            f"  authtoken           {secrets.authtoken}",
            f"  API key             {secrets.api_key}",
            "",
            "The two secrets are shown once. Agents of this user on this machine need neither.",
        ]
    if secrets.authtoken is None:
        lines += ["", f"The authtoken is not known here any more; make one: {prefix}portway admin token add"]
    if secrets.api_key is None:
        lines += ["", f"The API key is not known here any more; make one: {prefix}portway admin api-key add"]
    return "\n".join([*lines, "", f"Try it in another terminal: {prefix}portway http 8080", ""])


def service_names(domain: str) -> list[str]:
    """Return the names in the service's own certificate."""
    names = ["localhost", "127.0.0.1", "::1", f"connect.{domain}", domain, f"*.{domain}"]
    return list(dict.fromkeys(names))


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, files.PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigError(
            f"{path.parent}: another portway serve uses this data folder; give this one its own --data-dir"
        ) from None
    return descriptor


def _connect_host(config: ServeConfig) -> str:
    """Return a host that reaches the agents' listener from this machine and is in its certificate."""
    host = config.edge.listen_agent.host
    host = _WILDCARD_HOSTS.get(host, host)
    if host not in service_names(config.edge.domain):
        host = f"connect.{config.edge.domain}"
    return f"[{host}]" if ":" in host else host


def ssh_hosts(config: ServeConfig) -> list[str]:
    """Return names of the SSH gateway: first one that reaches it from this machine."""
    assert config.edge.listen_ssh is not None
    host = config.edge.listen_ssh.host
    return list(dict.fromkeys([_WILDCARD_HOSTS.get(host, host), f"connect.{config.edge.domain}"]))


# The certificate, and the stamp that tells without any library whether it is still good.


def _digest(folder: Path) -> str:
    """Return one hash over the files that belong together."""
    total = hashlib.sha256()
    for name in (CA, CHAIN, KEY):
        total.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return total.hexdigest()


def _stamp_says_good(folder: Path, names: list[str], now: float) -> bool:
    try:
        stamp = cast("dict[str, object]", json.loads((folder / STAMP).read_bytes()))
        end = stamp["not_after"]
        same = stamp["names"] == names and stamp["sha256"] == _digest(folder)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return same and isinstance(end, int | float) and end - now > RENEW_BEFORE


def _issue(folder: Path, names: list[str], now: float) -> None:
    # 0.15 s, only when a certificate must be made.
    from portway.control.certificates import local_ca

    issued = local_ca.load_or_make(folder, now).issue(names, now)
    (folder / STAMP).unlink(missing_ok=True)
    files.replace(folder / KEY, issued.key)
    files.replace(folder / CHAIN, issued.chain, files.PUBLIC)
    stamp = {"names": names, "not_after": issued.not_after, "sha256": _digest(folder)}
    files.replace(folder / STAMP, json.dumps(stamp).encode(), files.PUBLIC)
