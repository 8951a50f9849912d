"""The REST API of a running service, called as curl would: one request, one answer, nothing in between."""

import http.client
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tests.kit.product import Service, clean_environment


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """The number of the error's code, "" for none."""
        return str(self.body.get("error_code", "")).removeprefix("ERR_NGROK_")


class Rest:
    """One caller."""

    def __init__(self, service: Service, key: str | None = None) -> None:
        """Call a service's API with a key: that of its first account unless another is given."""
        self._service = service
        self._key = service.bootstrap.api_key if key is None else key

    def call(self, verb: str, path: str, body: object = None) -> Answer:
        """Send one request through the edge."""
        known = self._service.bootstrap
        connection = http.client.HTTPConnection("127.0.0.1", known.http_port, timeout=30)
        fields = {
            "Host": f"api.{known.domain}",
            "Authorization": f"Bearer {self._key}",
            "Ngrok-Version": "2",
        }
        if body is not None:
            fields["Content-Type"] = "application/json"
        try:
            connection.request(verb, path, None if body is None else json.dumps(body), fields)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        return Answer(answer.status, json.loads(content) if content else {})

    def done(self, verb: str, path: str, body: object = None) -> Any:
        """Send one request that must succeed; return the answer's body."""
        answer = self.call(verb, path, body)
        assert answer.status < 300, answer
        return answer.body

    def address(self) -> Any:
        """Reserve a TCP address."""
        return self.done("POST", "/reserved_addrs", {})

    def credential(self, *rules: str) -> Any:
        """Make an authtoken with these access rules."""
        return self.done("POST", "/credentials", {"acl": list(rules)})


def admin(service: Service, *command: str) -> Any:
    """Run `portway admin …` beside a service; return its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "portway.cli.main", "admin", *command, "--data-dir", service.data, "--json"],
        check=True,
        capture_output=True,
        env=clean_environment(),
    )
    return json.loads(done.stdout)


def other_account(service: Service, name: str = "other") -> tuple[Rest, str]:
    """Make an account; return a caller of its own and an authtoken."""
    admin(service, "account", "add", name)
    key = admin(service, "api-key", "add", "--account", name)["token"]
    return Rest(service, key), admin(service, "token", "add", "--account", name)["token"]
