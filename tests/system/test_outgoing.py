"""What policies ask for, on a real service: secrets, key sets, webhooks, requests, the OWASP rules."""

import hmac
import http.client
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.kit.crs import crs_flags, need_crs
from tests.kit.eventually import eventually
from tests.kit.product import Service, running_service
from tests.kit.rest import Rest
from tests.kit.tokens import jwk, jwks, token

INNER = """
on_http_request:
  - actions: [{type: custom-response, config: {body: "inner ${req.url.path} ${secrets.get('prod', 'key')}"}}]
"""

OUTER = """
on_http_request:
  - expressions: ["req.url.path == '/secret'"]
    actions:
      - type: custom-response
        config: {body: "${secrets.get('prod', 'key')}"}
  - expressions: ["req.url.path == '/inner'"]
    actions:
      - type: http-request
        config: {url: "http://inner.internal/x", on_error: halt}
      - type: custom-response
        config: {body: "${actions.ngrok.http_request.res.body}"}
  - expressions: ["req.url.path == '/metadata'"]
    actions:
      - type: http-request
        config: {url: "http://169.254.169.254/latest", on_error: halt}
  - expressions: ["req.url.path == '/hook'"]
    actions:
      - type: verify-webhook
        config: {provider: github, secret: "${secrets.get('prod', 'key')}"}
      - type: custom-response
        config: {body: verified}
  - actions:
      - type: jwt-validation
        config:
          issuer: {allow_list: [{value: me}]}
          http: {tokens: [{type: jwt, method: header, name: authorization, prefix: "Bearer "}]}
          jws:
            allowed_algorithms: [ES256]
            keys: {sources: {additional_jkus: ["http://127.0.0.1:PORT/keys"]}}
      - type: custom-response
        config: {body: "hello ${actions.ngrok.jwt_validation.tokens[0].payload.sub}"}
"""


class _Keys(BaseHTTPRequestHandler):
    """An issuer's key set."""

    def do_GET(self) -> None:
        body = jwks(jwk("P-256", "k1"))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base
        """Say nothing."""


@contextmanager
def issuer() -> Generator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Keys)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(
    service: Service, path: str, body: bytes = b"", name: str = "outer", **fields: str
) -> tuple[int, str, str]:
    """Return status, code and body of what a visitor gets."""
    known = service.bootstrap
    connection = http.client.HTTPConnection("127.0.0.1", known.http_port, timeout=30)
    headers = {
        "Host": f"{name}.{known.domain}",
        **{name.replace("_", "-"): text for name, text in fields.items()},
    }
    try:
        connection.request("POST" if body else "GET", path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("ngrok-error-code", ""), answer.read().decode()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    """A service that may ask this machine, with the machine's OWASP rules."""
    flags = ["--outgoing-allow", "127.0.0.1/32", *crs_flags()]
    with running_service(tmp_path_factory.mktemp("outgoing"), *flags) as service:
        yield service


@pytest.mark.row("P-34", "P-48", "P-50", "P-55")
def test_policies_have_what_they_ask_for(service: Service) -> None:
    with issuer() as port:
        api, domain = Rest(service), service.bootstrap.domain
        api.done("POST", "/vaults", {"name": "prod"})
        secret = api.done("POST", "/vault_secrets", {"name": "key", "value": "one", "vault_name": "prod"})
        api.done("POST", "/reserved_domains", {"domain": f"outer.{domain}"})
        for url, text in (("http://inner.internal", INNER), (f"http://outer.{domain}", OUTER)):
            given = {"type": "cloud", "url": url, "traffic_policy": text.replace("PORT", str(port))}
            api.done("POST", "/endpoints", given)
        eventually(lambda: ask(service, "/secret") == (200, "", "one"), "the policy rules")
        assert ask(service, "/inner") == (200, "", "inner /x one")
        api.done("PATCH", f"/vault_secrets/{secret['id']}", {"value": "two"})
        eventually(lambda: ask(service, "/secret") == (200, "", "two"), "the new value counts")
        assert ask(service, "/inner") == (200, "", "inner /x two")

        value = "sha256=" + hmac.digest(b"two", b"body", "sha256").hex()
        assert ask(service, "/hook", b"body", X_Hub_Signature_256=value) == (200, "", "verified")
        assert ask(service, "/hook", b"other", X_Hub_Signature_256=value)[:2] == (403, "ERR_NGROK_3204")

        good = token({"iss": "me", "sub": "ada"})
        assert ask(service, "/", Authorization=f"Bearer {good}") == (200, "", "hello ada")
        assert ask(service, "/", Authorization=f"Bearer {good}x")[:2] == (401, "ERR_NGROK_3401")
        assert ask(service, "/")[:2] == (401, "ERR_NGROK_3408")
        assert ask(service, "/metadata")[:2] == (502, "ERR_NGROK_2300")
        assert good not in service.log


GUARDED = """
on_http_request:
  - actions: [{type: owasp-crs-request, config: {process_body: true}}]
  - expressions: ["req.url.path == '/leak'"]
    actions:
      - type: custom-response
        config:
          body: "You have an error in your SQL syntax; check the manual that corresponds to your MySQL \
server version for the right syntax"
  - actions: [{type: custom-response, config: {body: harmless}}]
on_http_response:
  - actions: [{type: owasp-crs-response, config: {process_body: true}}]
"""


@pytest.mark.row("P-57")
def test_the_owasp_rules_refuse_attacks_and_leaks(service: Service) -> None:
    need_crs()
    api, domain = Rest(service), service.bootstrap.domain
    api.done("POST", "/reserved_domains", {"domain": f"waf.{domain}"})
    given = {"type": "cloud", "url": f"http://waf.{domain}", "traffic_policy": GUARDED}
    api.done("POST", "/endpoints", given)

    def get(path: str, body: bytes = b"", **fields: str) -> tuple[int, str, str]:
        return ask(service, path, body, "waf", User_Agent="Mozilla/5.0", Accept="*/*", **fields)

    eventually(lambda: get("/?q=harmless+words") == (200, "", "harmless"), "the rules are ready")
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert get("/", b"name=ada", **form) == (200, "", "harmless")
    assert get("/?id=1%27%20OR%20%271%27%3D%271")[:2] == (403, "ERR_NGROK_3700")
    assert get("/", b"id=1'%20or%20'1'='1", **form)[:2] == (403, "ERR_NGROK_3700")
    assert get("/leak")[:2] == (403, "ERR_NGROK_3702")
