"""Names and certificates on the whole product, told through ngrok's own client of the API."""

import socket
import ssl
from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

import pytest
from tests.kit.api_client import ApiClient, ClientError
from tests.kit.eventually import eventually
from tests.kit.product import Service, running_agent, running_service
from tests.kit.x509 import Made, make

from portway.control.service import accounts, api_keys, operator
from portway.control.service.context import Context
from portway.server import admin

T = TypeVar("T")

pytestmark = pytest.mark.xdist_group("names")

NAME = "www.example.com"
UPLOADED, NEWER = make(NAME, names=[NAME], number=11), make(NAME, kind="rsa", names=[NAME], number=12)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Generator[Service]:
    """One service for all of these tests."""
    limits = "bounded:addresses=1,domains=0"
    with running_service(tmp_path_factory.mktemp("names"), "--plan-limits", limits) as service:
        yield service


@pytest.fixture(scope="module")
def client(service: Service) -> Generator[ApiClient]:
    """Call the API of the first account."""
    known = service.bootstrap
    with ApiClient(known.api_key, f"http://api.{known.domain}:{known.http_port}") as client:
        yield client


def code_of(client: ApiClient, method: str, **arguments: object) -> int:
    """Return the code with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        client(method, **arguments)
    return caught.value.code


def shown(service: Service, name: str = NAME) -> bytes:
    """Return the certificate that a visitor is shown for a name, DER; b"" when the handshake fails."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", service.bootstrap.https_port), 20) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""
    except OSError:
        return b""


def der(made: Made) -> bytes:
    return ssl.PEM_cert_to_DER_cert(made.pem)


def upload(client: ApiClient, made: Made) -> str:
    return client("tls_certificates.create", certificate_pem=made.pem, private_key_pem=made.key_pem)["id"]


def test_an_uploaded_certificate_is_shown_until_it_is_taken_away(service: Service, client: ApiClient) -> None:
    first, second = upload(client, UPLOADED), upload(client, NEWER)
    domain = client("reserved_domains.create", domain=NAME, certificate_id=first)
    with running_agent(service, "http", "9", "--url", f"https://{NAME}"):
        eventually(lambda: shown(service) == der(UPLOADED), "the upload is shown")
        client("reserved_domains.update", id=domain["id"], certificate_id=second)
        eventually(lambda: shown(service) == der(NEWER), "the newer one is shown")
        assert code_of(client, "tls_certificates.delete", id=second) == 251
        service.restart(kill=True)
        eventually(lambda: shown(service) == der(NEWER), "it is shown after a crash too")
        client("reserved_domains.delete_certificate", id=domain["id"])
        eventually(lambda: shown(service) not in {b"", der(NEWER)}, "the service's own is shown")
    client("reserved_domains.delete", id=domain["id"])
    for each in (first, second):
        client("tls_certificates.delete", id=each)


def test_no_file_of_the_service_holds_a_key(service: Service, client: ApiClient) -> None:
    certificate = upload(client, UPLOADED)
    secret = UPLOADED.key_pem.splitlines()[1]
    numbers = UPLOADED.key.private_numbers().private_value.to_bytes(32, "big")  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    for file in service.data.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert secret.encode() not in content, file
            assert numbers not in content, file
    assert secret not in service.log
    assert (service.data / "store.key").stat().st_mode & 0o777 == 0o600
    client("tls_certificates.delete", id=certificate)


def test_what_the_client_always_sends_changes_nothing(service: Service, client: ApiClient) -> None:
    name = f"kept.{service.bootstrap.domain}"
    domain = client("reserved_domains.create", domain=name, resolves_to=[])
    address = client("reserved_addrs.create", region="")
    for method, made, code in (
        ("reserved_domains.update", domain, 422),
        ("reserved_addrs.update", address, 506),
    ):
        assert code_of(client, method, id=made["id"]) == code
    changed = client("reserved_domains.update", id=domain["id"], metadata="m")
    assert changed == domain | {"metadata": "m"}
    client("reserved_domains.delete", id=domain["id"])
    client("reserved_addrs.delete", id=address["id"])


def test_slips_of_an_upload(client: ApiClient) -> None:
    for code, chain, key in (
        (1919, "", UPLOADED.key_pem), (1925, UPLOADED.key_pem, UPLOADED.pem),
        (1924, UPLOADED.pem, UPLOADED.pem),
        (1923, UPLOADED.pem, NEWER.key_pem), (1926, NEWER.pem + UPLOADED.pem, UPLOADED.key_pem),
    ):  # fmt: skip
        refused = code_of(client, "tls_certificates.create", certificate_pem=chain, private_key_pem=key)
        assert refused == code
    assert code_of(client, "certificate_authorities.create", ca_pem=UPLOADED.pem) == 1913


@pytest.mark.row("T-074")
def test_deleted_addresses_do_not_come_back(client: ApiClient) -> None:
    first = client("reserved_addrs.create")
    client("reserved_addrs.delete", id=first["id"])
    others = [client("reserved_addrs.create") for _ in range(10)]
    assert first["addr"] not in {each["addr"] for each in others}
    listed = [each["id"] for each in client.iterate("reserved_addrs.list", limit="3")]
    assert listed == sorted((each["id"] for each in others), reverse=True)
    for each in others:
        client("reserved_addrs.delete", id=each["id"])


def test_the_operator_reserves_beside_the_running_service(service: Service, client: ApiClient) -> None:
    def do(work: Callable[[Context], Awaitable[T]]) -> T:
        return admin.run(service.data, work, with_names=True)

    address = do(lambda context: operator.add_address(context, "default", "database"))
    domain = do(lambda context: operator.add_domain(context, f"shop.{service.bootstrap.domain}", "default"))
    assert client("reserved_addrs.get", id=address.id)["addr"] == address.addr
    assert client("reserved_domains.get", id=domain.id)["domain"] == domain.domain
    with running_agent(service, "tcp", "9", "--url", f"tcp://{address.addr}") as (_, url):
        assert url == f"tcp://{address.addr}"
    do(lambda context: operator.remove_address(context, address.addr))
    do(lambda context: operator.remove_domain(context, domain.domain))
    for method, gone in (("reserved_addrs.get", address.id), ("reserved_domains.get", domain.id)):
        with pytest.raises(ClientError) as caught:
            client(method, id=gone)
        assert caught.value.kind == "NotFoundError"


def test_a_plan_bounds_its_accounts_and_no_others(service: Service, client: ApiClient) -> None:
    async def make_account(context: Context) -> str:
        await accounts.add(context, "small")
        return (await api_keys.add(context, "small")).token

    known = service.bootstrap
    key = admin.run(service.data, make_account)
    with ApiClient(key, f"http://api.{known.domain}:{known.http_port}") as small:
        free = small("reserved_domains.create", domain=f"small.{known.domain}")
        admin.run(service.data, lambda context: accounts.set_plan(context, "small", "bounded"))
        assert small("reserved_domains.get", id=free["id"]) == free, "what it has stays"
        assert code_of(small, "reserved_domains.create", domain=f"more.{known.domain}") == 401
        small("reserved_addrs.create")
        assert code_of(small, "reserved_addrs.create") == 502
    for _ in range(2):
        client("reserved_addrs.delete", id=client("reserved_addrs.create")["id"])
