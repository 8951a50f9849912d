"""Who makes a change, as audit events tell it."""

from portway.control.service.principal import OPERATOR, SYSTEM, Principal


def test_a_caller_of_the_api_is_told_with_its_key() -> None:
    assert Principal("API", "usr_1", credential_id="ak_1").shown("http://api") == {
        "id": "usr_1",
        "subject": "",
        "source": "API",
        "credential": {"id": "ak_1", "uri": "http://api/api_keys/ak_1"},
    }


def test_others_have_no_key() -> None:
    assert SYSTEM.shown("http://api") == {"id": "", "subject": "", "source": "System", "credential": None}
    assert OPERATOR.shown("")["source"] == "CLI"
