"""The rules of query strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.control.api.query import QUERY_LIMIT, check
from portway.errors import Error

KNOWN = {"limit": False, "filter": False, "id": True}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"", 0),
        (b"limit=1", 0),
        (b"limit", 0),
        (b"&limit=1&", 0),
        (b"id=1&id=2&limit=3", 0),
        (b"filter=obj.x%20%3D%3D%20%22%C3%A9%22", 0),
        (b"filter=a+b=c&limit=1", 0),
        (b"limit=1&limit=1", 232),
        (b"limit=1&%6cimit=1", 232),
        (b"Limit=1", 231),
        (b"=1", 231),
        (b"limit[]=1", 231),
        (b"limit=1;id=2&other=3", 231),
        (b"limit=%", 230),
        (b"limit=%2", 230),
        (b"limit=%GG", 230),
        (b"filter=%FF", 230),
        (b"filter=%00", 230),
        (b"%ff=1", 230),
        ("filter=é".encode(), 230),
        (b"filter=" + b"x" * QUERY_LIMIT, 230),
    ],
)
@pytest.mark.row("C5")
def test_rules(query: bytes, code: int) -> None:
    if not code:
        check(query, KNOWN)
        return
    with pytest.raises(Error) as raised:
        check(query, KNOWN)
    assert raised.value.code == f"ERR_NGROK_{code}"
    assert len(raised.value.message) < 200


@given(st.binary(max_size=40) | st.text("limtd=&%0+", max_size=20).map(str.encode))
def test_any_bytes_pass_or_are_refused(query: bytes) -> None:
    try:
        check(query, KNOWN)
        code = ""
    except Error as error:
        code = error.code
    assert code in {"", "ERR_NGROK_230", "ERR_NGROK_231", "ERR_NGROK_232"}
