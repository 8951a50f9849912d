"""The variables: complete, and in the phases that have them."""

from portway.policy.names import LENIENT_MAPS, ROOTS, names_of
from portway.policy.phase import Phase


def test_phases() -> None:
    connect, request, response = (
        names_of(phase) for phase in (Phase.TCP_CONNECT, Phase.HTTP_REQUEST, Phase.HTTP_RESPONSE)
    )
    assert set(connect) < set(request) < set(response)
    assert not any(name.startswith("req") for name in connect)
    assert not any(name.startswith("res.") for name in request)
    assert names_of(Phase.EVENT_STREAM_MESSAGE) == response


def test_counts_of_the_documentation() -> None:
    """Cookies have 2 and 10 further names, the two lists of extensions 3 each."""
    names = names_of(Phase.HTTP_RESPONSE)

    def below(prefix: str) -> int:
        return sum(name.startswith(prefix) for name in names)

    assert below("req.") + 2 == 39
    assert below("res.") + 10 == 20
    assert below("conn.tls.client.") + 3 == 32
    assert below("conn.tls.server.") + 3 == 31
    assert below("conn.geo.") == 7
    assert below("conn.client_ip.") == below("conn.server_ip.") == 25
    assert below("endpoint.") == 6
    assert below("conn.k8s.pod.") == 6


def test_roots_and_maps() -> None:
    names = names_of(Phase.HTTP_RESPONSE)
    assert {name.split(".")[0] for name in names} == set(ROOTS)
    assert set(LENIENT_MAPS) <= set(names)
