"""The rules of bodies."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.control.api import body
from portway.control.api.errors import Refusal
from portway.errors import Error


def refusal(content: bytes) -> int:
    with pytest.raises(Error) as raised:
        body.parse(content)
    return int(raised.value.code.rpartition("_")[2])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", 213),
        (b"{", 213),
        (b'{"a": 1} x', 213),
        (b"'a'", 213),
        (b"\xff{}", 213),
        (b"\xef\xbb\xbf{}", 213),
        ("{}".encode("utf-16"), 213),
        (b"[]", 213),
        (b'"text"', 213),
        (b"1", 213),
        (b'{"a": NaN}', 213),
        (b'{"a": -Infinity}', 213),
        (b'{"a": 1, "a": 2}', 213),
        (b'{"x": {"a": 1, "a": 2}}', 213),
        (b'{"a": ' + b"9" * 5000 + b"}", 213),
        (b'{"a": "\\u0000"}', 215),
        (b'{"a\\u0000": 1}', 215),
        (b'{"a": ["\\ud800"]}', 215),
        (b'{"a": "line\nbreak"}', 213),
        (b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}", 213),
        (json.dumps({"a": [0] * body.VALUES_LIMIT}).encode(), 213),
    ],
)
@pytest.mark.row("C8")
def test_what_is_refused(content: bytes, code: int) -> None:
    assert refusal(content) == code


@pytest.mark.row("C8")
def test_depth() -> None:
    deepest = b'{"a":' * (body.DEPTH_LIMIT - 1) + b"[1]" + b"}" * (body.DEPTH_LIMIT - 1)
    assert body.parse(deepest)
    assert refusal(b'{"a":' + deepest + b"}") == 213
    assert refusal(b'{"a":' * body.DEPTH_LIMIT + b"{}" + b"}" * body.DEPTH_LIMIT) == 213, "an empty one too"


def test_what_is_taken() -> None:
    text = '{"a": "é\\u00e9 \\ud83d\\ude00", "b": [1, -2.5, true, null, {}], "": ""}'
    assert body.parse(text.encode()) == {"a": "éé 😀", "b": [1, -2.5, True, None, {}], "": ""}


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("application/json", 0),
        ("application/json;charset=utf-8", 0),
        ('APPLICATION/JSON; charset="UTF8"', 0),
        ("", 216),
        ("  ", 216),
        ("text/json", 210),
        ("application/x-www-form-urlencoded", 210),
        ("multipart/form-data; boundary=x", 210),
        ("application/json; charset=utf-16", 210),
        ("application", 210),
        (";", 210),
    ],
)
@pytest.mark.row("C8")
def test_types(content_type: str, code: int) -> None:
    if not code:
        body.check_type(content_type)
        return
    with pytest.raises(Error) as raised:
        body.check_type(content_type)
    assert raised.value.code == f"ERR_NGROK_{code}"


@given(st.binary(max_size=60) | st.text('{}[]",:0a\\ud8', max_size=30).map(str.encode))
def test_any_bytes_are_an_object_or_refused(content: bytes) -> None:
    try:
        code: object = type(body.parse(content)) is dict
    except Error as error:
        code = error.code
    assert code in {True, "ERR_NGROK_213", "ERR_NGROK_215"}


class Coming:
    """Messages of a body that comes in pieces."""

    def __init__(self, *pieces: bytes, ends: bool = True) -> None:
        self.messages: list[dict[str, object]] = [
            {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
        ]
        if ends:
            self.messages.append({"type": "http.request"})

    async def __call__(self) -> dict[str, object]:
        if self.messages:
            return self.messages.pop(0)
        return await asyncio.get_running_loop().create_future()


async def test_pieces_are_joined() -> None:
    assert await body.read(Coming(b"{", b"", b"}"), "") == b"{}"


async def test_a_long_body_is_refused_before_or_while_it_comes() -> None:
    half = bytes(body.BODY_LIMIT // 2)
    for coming, length in ((Coming(ends=False), str(body.BODY_LIMIT + 1)), (Coming(half, half, b"x"), "")):
        with pytest.raises(Refusal) as raised:
            await body.read(coming, length)
        assert raised.value.status == 413
    assert len(await body.read(Coming(half, half), str(body.BODY_LIMIT))) == body.BODY_LIMIT


async def test_a_client_that_goes_or_dawdles(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Coming(b"{", ends=False)
    gone.messages.append({"type": "http.disconnect"})
    with pytest.raises(Error) as raised:
        await body.read(gone, "9")
    assert raised.value.code == "ERR_NGROK_212"
    monkeypatch.setattr(body, "BODY_TIMEOUT", 0.0)
    with pytest.raises(Refusal) as late:
        await body.read(Coming(b"{", ends=False), "9")
    assert late.value.status == 408
