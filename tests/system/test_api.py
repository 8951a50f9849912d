"""The API of a real service, through its edge, with ngrok's official Python client and with plain HTTP."""

import json
import subprocess
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
from tests.kit.api_client import ApiClient, ClientError
from tests.kit.client_methods import act, page
from tests.kit.eventually import eventually
from tests.kit.product import AgentProcess, Service, running_agent, running_service
from tests.kit.programs import need

pytestmark = pytest.mark.xdist_group("api")

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "api-client.md"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    """One service for all of these tests."""
    with running_service(tmp_path_factory.mktemp("api"), "--api-rate", "9000") as running:
        yield running


@pytest.fixture
def client(service: Service) -> Generator[ApiClient]:
    """The official client with the key of the first start."""
    with ApiClient(service.bootstrap.api_key, base(service)) as made:
        yield made


def base(service: Service, scheme: str = "http") -> str:
    """Return the base URL of the API."""
    known = service.bootstrap
    return f"{scheme}://api.{known.domain}:{known.http_port if scheme == 'http' else known.https_port}"


@pytest.mark.row("C1", "C2", "C3", "C9", "C12")
def test_every_method_of_the_official_client(service: Service) -> None:
    run = act(service)
    failed = {name: how for name, how in run.results().items() if how != "passed"}
    assert all("_saml." in name and how.startswith("refused") for name, how in failed.items()), failed
    assert page(run) == PAGE.read_text(), "run: python tools/client_methods.py"


@pytest.mark.row("C6", "C7", "C22")
def test_errors_as_the_client_shows_them(service: Service, client: ApiClient) -> None:
    for key, code in (
        ("garbage", 202),
        (service.bootstrap.authtoken, 206),
        (f"{'x' * 27}_{'y' * 21}", 203),
        (client("api_keys.list")["keys"][0]["id"], 208),
    ):
        shown = service.log.count(key)  # the first start shows an authtoken, once
        with ApiClient(key, base(service)) as stranger, pytest.raises(ClientError) as raised:
            stranger("credentials.list")
        assert (raised.value.kind, raised.value.status, raised.value.code) == ("Error", 401, code)
        assert raised.value.details == {"operation_id": raised.value.operation}
        operation = raised.value.operation
        eventually(lambda operation=operation: operation in service.log, "the operation is in the log")
        assert service.log.count(key) == shown or key == "garbage"
    with pytest.raises(ClientError) as limit:
        client("credentials.list", limit="101")
    assert limit.value.code == 233


@pytest.mark.row("C4")
def test_lists_are_followed_on_the_public_url(service: Service, client: ApiClient) -> None:
    made = [client("credentials.create", metadata="paged")["id"] for _ in range(5)]
    found = client.iterate("credentials.list", limit="2", filter='obj.metadata == "paged"')
    assert [each["id"] for each in found] == sorted(made, reverse=True)
    listed = client("credentials.list", limit="1")
    assert listed["uri"] == f"{base(service)}/credentials"
    assert listed["next_page_uri"].startswith(f"{base(service)}/credentials?")
    for each in made:
        client("credentials.delete", id=each)


def test_the_client_comes_over_tls_too(service: Service) -> None:
    known = service.bootstrap
    with ApiClient(known.api_key, base(service, "https"), ca=known.ca_cert) as client:
        assert client("api_keys.list")["keys"]
    with ApiClient(known.api_key, f"{base(service)}/") as client:
        assert client("api_keys.list")["keys"], "a base URL that ends in a slash"


def test_bounds_of_requests_reach_the_api(service: Service) -> None:
    assert json.loads((service.data / "settings.json").read_text())["api_rate"] == 9000


@pytest.mark.row("C10")
def test_a_credential_works_at_once_and_its_end_ends_its_sessions(
    service: Service, client: ApiClient
) -> None:
    made = client("credentials.create", description="for one agent")
    agent = AgentProcess(service.folder, service)
    try:
        agent.start("http", "9", "--authtoken", made["token"])
        sessions = client("tunnel_sessions.list")["tunnel_sessions"]
        assert made["id"] in {each["credential"]["id"] for each in sessions}
        client("credentials.delete", id=made["id"])
        eventually(
            lambda: (
                made["id"]
                not in {
                    each["credential"]["id"] for each in client("tunnel_sessions.list")["tunnel_sessions"]
                }
            ),
            "its session is gone",
        )
    finally:
        agent.kill()


@pytest.mark.row("C12")
def test_curl_sees_204_of_an_action(service: Service, client: ApiClient) -> None:
    need("curl")
    known = service.bootstrap
    with running_agent(service, "http", "9") as (agent, _):
        session = client("tunnel_sessions.list")["tunnel_sessions"][0]["id"]
        told = subprocess.run(
            [
                "curl", "--silent", "--request", "POST", "--write-out", "%{http_code}",
                "--connect-to", f"::127.0.0.1:{known.http_port}",
                "--header", f"Authorization: Bearer {known.api_key}", "--header", "Ngrok-Version: 2",
                f"{base(service)}/tunnel_sessions/{session}/stop",
            ],
            capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
        assert told.stdout == "204"
        eventually(lambda: agent.exited() is not None, "the agent ends", timeout=20)


def test_a_controller_that_is_killed_is_replaced_and_nobody_is_refused(
    service: Service, client: ApiClient
) -> None:
    made = client("credentials.create", description="kept")
    for child in psutil.Process(service.pid).children(recursive=True):
        child.kill()
    assert client("credentials.get", id=made["id"])["description"] == "kept"
    client("credentials.delete", id=made["id"])
