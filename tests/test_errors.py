"""portway.errors: the tree in its docstring is the tree in the code; texts travel whole."""

import inspect
import pickle
import re

import pytest

from portway import errors
from portway.errors import ConnectError, Error, HttpError, PortwayError, RemoteProtocolError, StreamReset

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, PortwayError)
}


ELSEWHERE = {"DiagnoseFailure"}
"""Drawn in the tree, but defined beside what raises it."""


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or "")) | {"PortwayError"}
    assert drawn == set(CLASSES) | ELSEWHERE


def test_every_error_is_of_portway() -> None:
    assert all(issubclass(value, PortwayError) for value in CLASSES.values())
    assert len(CLASSES) <= 20


@pytest.mark.parametrize("kind", CLASSES.values())
def test_every_error_goes_from_process_to_process(kind: type[PortwayError]) -> None:
    made = {"code": 107, "status": 400, "line": 2, "column": 3}
    parameters = inspect.signature(kind.__init__).parameters.values()
    needed = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD][1:]
    error = kind(*([made.get(name, name) for name in needed] or ["text"]))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))


@pytest.mark.row("S27", "G-076", "G-077")
def test_an_error_of_the_service_has_its_code_alone_on_a_line() -> None:
    error = Error("The authtoken is unknown.", 107)
    assert error.code == "ERR_NGROK_107"
    assert str(error).split("\r\n") == ["The authtoken is unknown.", "", "ERR_NGROK_107", ""]


@pytest.mark.parametrize("code", [334, "ERR_NGROK_334"])
def test_the_text_of_an_error_travels(code: int | str) -> None:
    sent = Error("The name is taken.\nTry another.", code)
    read = Error.parse(str(sent))
    assert (read.message, read.code) == ("The name is taken.\nTry another.", "ERR_NGROK_334")
    assert str(read) == str(sent)


def test_a_text_without_a_code_is_an_error_without_one() -> None:
    error = Error.parse("something went wrong")
    assert (error.message, error.code, str(error)) == ("something went wrong", "", "something went wrong")


def test_an_error_without_a_code_is_its_message() -> None:
    assert str(Error("no code")) == "no code"


def test_other_errors_say_what_their_catcher_needs() -> None:
    assert RemoteProtocolError(8, "too long").code == 8
    assert HttpError(431, "head too large").status == 431
    assert str(HttpError(431, "head too large")) == "431 head too large"
    assert StreamReset(6).code == 6
    assert ConnectError("tls", "bad certificate").step == "tls"
