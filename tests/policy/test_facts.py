"""Facts: fields of messages are found and changed in place."""

from portway.policy.facts import Request, Response


def test_fields_ignore_case_and_keep_their_order() -> None:
    request = Request(fields=[(b"A", b"1"), (b"b", b"2"), (b"a", b"3")])
    assert request.get(b"a") == [b"1", b"3"]
    assert not request.edited
    request.add(b"c", b"4")
    assert request.edited
    assert request.remove((b"a", b"x")) == [b"a"]
    assert request.fields == [(b"b", b"2"), (b"c", b"4")]
    request.set(b"b", b"5")
    assert request.fields == [(b"c", b"4"), (b"b", b"5")]


def test_removing_nothing_is_no_edit() -> None:
    response = Response(200, [(b"a", b"1")])
    assert response.remove((b"x",)) == []
    assert not response.edited


def test_the_whole_url() -> None:
    assert Request(scheme="http", authority="a.example:81", target="/x?y").url == "http://a.example:81/x?y"
