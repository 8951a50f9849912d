"""What events of a session have in common."""

from portway.edge.ports import EdgeConfig
from portway.edge.session_record import SessionRecord
from portway.errors import Error, RefusedSession
from portway.model.entities import Grant


def test_whose_session_it_is() -> None:
    record = SessionRecord(EdgeConfig(region="eu", connect_addresses=("connect.example.com:4443",)))
    record.session_id, record.address, record.server, record.started_at = "ts_1", "192.0.2.1", "10.0.0.1", 7.0
    admitted = record.facts(Grant("ac_1", "name", "free", "cr_1"))
    assert admitted == {
        "session_id": "ts_1",
        "account_id": "ac_1",
        "credential_id": "cr_1",
        "agent_ip": "192.0.2.1",
        "ingress_server_ip": "10.0.0.1",
        "ingress_hostname": "connect.example.com",
        "region": "eu",
        "started_at": 7.0,
    }
    assert record.facts(RefusedSession("no", 120, "ac_2", "cr_2"))["account_id"] == "ac_2"
    for unknown in (Error("no", 107), None):
        facts = record.facts(unknown)
        assert (facts["account_id"], facts["credential_id"]) == ("", "")
