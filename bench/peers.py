"""Other people's programs, where this machine has them: OpenSSH as a tunnel, nginx and HAProxy as proxies.

nginx and HAProxy carry from a local port to the upstream in one process and one hop: no tunnel, no agent.
They show what a mature program pays for the same requests at its edge.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench import processes
from bench.contenders import Contender, folder, raw
from bench.order import Order
from bench.processes import start, wait

OPENSSH: Final = "OpenSSH `ssh -R`"
NGINX: Final = "nginx, one hop"
HAPROXY: Final = "HAProxy, one hop"

CIPHER: Final = "aes256-gcm@openssh.com"
"""What TLS 1.3 chooses here too, so that the tunnels are compared and not the ciphers."""

_SSHD: Final = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""

_NGINX: Final = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 100000000;
  ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
  upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
  proxy_http_version 1.1;
  map $http_upgrade $hop {{ default upgrade; "" ""; }}
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $hop;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  access_log off;
  server {{ listen 127.0.0.1:{http}; location / {{ proxy_pass http://app; }} }}
  server {{ listen 127.0.0.1:{https} ssl http2; location / {{ proxy_pass http://app; }} }}
  server {{ listen 127.0.0.1:{grpc} ssl http2; location / {{ grpc_pass grpc://127.0.0.1:{upstream}; }} }}
  server {{ listen 127.0.0.1:{log}; access_log {folder}/access.log; location / {{ proxy_pass http://app; }} }}
}}
"""

_HAPROXY: Final = """\
global
  maxconn 8192
  nbthread 1
  ssl-default-bind-options ssl-min-ver TLSv1.3
  log stdout format raw local0
defaults
  timeout connect 5s
  timeout client 10m
  timeout server 10m
listen tcp
  mode tcp
  bind 127.0.0.1:{tcp}
  server app 127.0.0.1:{upstream}
frontend web
  mode http
  option forwardfor
  bind 127.0.0.1:{http}
  bind 127.0.0.1:{https} ssl crt {both} alpn h2,http/1.1
  default_backend app
frontend grpc
  mode http
  bind 127.0.0.1:{grpc} ssl crt {both} alpn h2
  default_backend grpc
frontend log
  mode http
  option forwardfor
  option httplog
  log global
  bind 127.0.0.1:{log}
  default_backend app
backend app
  mode http
  http-reuse always
  server app 127.0.0.1:{upstream}
backend grpc
  mode http
  server app 127.0.0.1:{upstream} proto h2
"""


def openssh(stack: contextlib.ExitStack, upstream: int) -> Contender | None:
    """Start an sshd of our own and `ssh -R` to it."""
    daemon, client, keygen = (_program(name) for name in ("sshd", "ssh", "ssh-keygen"))
    if not (daemon and client and keygen):
        return None
    place = folder(stack)
    for key in ("host", "user"):
        command = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(place / key)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    port, public = processes.free_ports(2)
    config = place / "sshd_config"
    config.write_text(_SSHD.format(port=port, folder=place))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists on it
    service = start(stack, [daemon, "-D", "-e", "-f", str(config)], log=place / "sshd.log")
    wait(lambda: processes.accepts(port), OPENSSH)
    options = ("StrictHostKeyChecking=no", f"UserKnownHostsFile={place}/known", "ExitOnForwardFailure=yes")
    flags = [flag for option in options for flag in ("-o", option)]
    way = f"127.0.0.1:{public}:127.0.0.1:{upstream}"
    target = f"{pwd.getpwuid(os.geteuid()).pw_name}@127.0.0.1"
    command = [client, "-F", "none", "-N", "-T", "-c", CIPHER, "-i", str(place / "user"), *flags]
    agent = start(stack, [*command, "-p", str(port), "-R", way, target], log=place / "ssh.log")
    return raw(OPENSSH, public, service.pid, agent.pid)


def nginx(stack: contextlib.ExitStack, upstream: int) -> Contender | None:
    """Start nginx with one worker."""
    program = _program("nginx")
    if not program:
        return None
    place = folder(stack)
    chain, key, ca = processes.certificates(place)
    http, https, log, grpc = processes.free_ports(4)
    user = "user root;" if os.geteuid() == 0 else ""
    config = place / "nginx.conf"
    given = {"http": http, "https": https, "log": log, "grpc": grpc, "upstream": upstream}
    config.write_text(_NGINX.format(user=user, folder=place, chain=chain, key=key, **given))
    service = start(stack, [program, "-e", "stderr", "-c", str(config)], log=place / "log")
    wait(lambda: processes.accepts(http), NGINX)
    entries = {
        "http": Order(http),
        "ws": Order(http),
        "https": Order(https, f"localhost:{https}", str(ca)),
        "grpc": Order(grpc, f"localhost:{grpc}", str(ca)),
        "log": Order(log),
    }
    return Contender(NGINX, entries, service.pid, None)


def haproxy(stack: contextlib.ExitStack, upstream: int) -> Contender | None:
    """Start HAProxy with one thread."""
    program = _program("haproxy")
    if not program:
        return None
    place = folder(stack)
    chain, key, ca = processes.certificates(place)
    both = place / "both.pem"
    both.write_bytes(chain.read_bytes() + key.read_bytes())
    tcp, http, https, log, grpc = processes.free_ports(5)
    config = place / "haproxy.cfg"
    given = {"tcp": tcp, "http": http, "https": https, "log": log, "grpc": grpc, "upstream": upstream}
    config.write_text(_HAPROXY.format(both=both, **given))
    service = start(stack, [program, "-db", "-f", str(config)], log=place / "access.log")
    wait(lambda: processes.carries(tcp), HAPROXY)
    entries = {
        "tcp": Order(tcp),
        "http": Order(http),
        "ws": Order(http),
        "https": Order(https, f"localhost:{https}", str(ca)),
        "grpc": Order(grpc, f"localhost:{grpc}", str(ca)),
        "log": Order(log),
    }
    return Contender(HAPROXY, entries, service.pid, None)


def _program(name: str) -> str | None:
    """Return where a program is; daemons are often outside of the PATH."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    return shutil.which(name, path=path)
