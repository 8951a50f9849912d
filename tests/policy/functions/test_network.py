"""Functions on IP addresses."""

import pytest
from tests.kit.policy import value


@pytest.mark.row("P-32")
@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("inCidrRange('66.249.66.7', '66.249.66.1/24')", True),
        ("inCidrRange('66.249.67.7', '66.249.66.1/24')", False),
        ("inCidrRange('2001:db8::1', '2001:db8::/32')", True),
        ("inCidrRange('10.0.0.1', '2001:db8::/32')", False),
        ("inCidrRange('10.0.0.1', 'nonsense') || inCidrRange('nonsense', '10.0.0.0/8')", False),
        ("inCidrRange('10.0.0.1', '10.0.0.1')", True),
        ("inCidrRanges('10.0.0.1', ['nonsense', '2001:db8::/32', '10.0.0.0/8'])", True),
        ("inCidrRange('::ffff:10.0.0.1', '10.0.0.0/8')", True),
        ("inCidrRange('10.0.0.1', '::ffff:10.0.0.0/104')", True),
        ("inCidrRange('10.0.0.1', '0.0.0.0/0') && inCidrRange('2001:db8::1', '::/0')", True),
        ("inCidrRange('10.0.0.1', '::/0')", False),
        ("'::ffff:10.0.0.1'.isPrivateIp()", True),
        ("inCidrRanges(conn.client_ip, [])", False),
        ("'10.1.2.3'.isPrivateIp() && '172.16.0.1'.isPrivateIp() && '192.168.0.1'.isPrivateIp()", True),
        (
            "'127.0.0.1'.isPrivateIp() || '8.8.8.8'.isPrivateIp() || 'x'.isPrivateIp()",
            False,
        ),
    ],
)
def test_what_they_return(source: str, wanted: bool) -> None:
    assert value(source) is wanted
