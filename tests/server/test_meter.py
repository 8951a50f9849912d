"""What is counted of finished requests beside bytes."""

from portway.model.event import HttpRequestComplete, TcpConnectionClosed
from portway.server.meter import BOUNDS, Meter


def test_durations_and_decisions() -> None:
    meter = Meter()
    request = HttpRequestComplete(
        client_ip="", start_ts=1.0, end_ts=1.02, scheme="http", host="h", method="GET", target="/",
        status=200, response_start_ts=1.001, ip_policy_decision="allow", basic_auth_decision="block",
        oauth_decision="odd", error_code="ERR_NGROK_3200",
    )  # fmt: skip
    meter.observe(request)
    meter.observe(TcpConnectionClosed(client_ip="", start_ts=1.0, end_ts=2.0, ip_policy_decision="allow"))
    assert meter.buckets[BOUNDS.index(0.025)] == 1
    assert sum(meter.buckets) == 1
    assert meter.first_bytes[0] == 1
    assert meter.errors == {"ERR_NGROK_3200": 1}
    assert meter.decisions == {("ip_policy", "allow"): 2, ("basic_auth", "block"): 1}
