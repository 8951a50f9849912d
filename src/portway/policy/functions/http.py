"""Functions that look at the request and the response, chance, and what rewriting puts into expressions."""

from functools import partial
from typing import Any, Final

from portway.policy.functions import WITH_REQUEST, WITH_RESPONSE, Function, FunctionError, scope
from portway.policy.lookup import cookies, lookup


def _values(table: str, name: str) -> list[Any]:
    return lookup(table, name, scope().facts)


def _has(table: str, name: str) -> bool:
    return bool(lookup(table, name, scope().facts))


def _request_cookie(name: str) -> Any:
    # A request tells no attributes of its cookies; published samples ask for this one all the same.
    return {"secure": False, **_first(cookies("req.cookies", scope().facts).get(name, []), name)}


def _response_cookie(name: str) -> Any:
    return _first(cookies("res.cookies", scope().facts).get(name, []), name)


def _first(found: list[Any], name: str) -> Any:
    if not found:
        raise FunctionError(f"there is no cookie {name!r}")
    return found[0]


def _present(name: str) -> bool:
    """Say whether a variable has a value that is not empty."""
    from portway.policy.expression import Absent

    try:
        value = scope().value(name)
    except Absent:
        return False
    return value is not None and value not in ("", [], {})


def _random_double() -> float:
    return scope().random.random()


def _random_int(low: int = 0, high: int = 1) -> int:
    if low < 0 or high < low:
        raise FunctionError("rand.int(min, max) wants 0 ≤ min ≤ max")
    return scope().random.randint(low, high)


_COOKIES: Final = "list(dyn)"
_STRINGS: Final = "list(string)"


def _in_table(table: str, name: str, kind: str, *, has: bool) -> Function:
    phases = WITH_RESPONSE if table.startswith("res") else WITH_REQUEST
    call = partial(_has if has else _values, table)
    return Function(name, ("string",), "bool" if has else kind, call, phases=phases)


FUNCTIONS: Final = [
    _in_table("req.headers", "getReqHeader", _STRINGS, has=False),
    _in_table("req.headers", "hasReqHeader", _STRINGS, has=True),
    _in_table("req.url.query_params", "getQueryParam", _STRINGS, has=False),
    _in_table("req.url.query_params", "hasQueryParam", _STRINGS, has=True),
    _in_table("req.cookies", "hasReqCookie", _COOKIES, has=True),
    Function("getReqCookie", ("string",), "dyn", _request_cookie, phases=WITH_REQUEST),
    _in_table("res.headers", "getResHeader", _STRINGS, has=False),
    _in_table("res.headers", "hasResHeader", _STRINGS, has=True),
    _in_table("res.cookies", "hasResCookie", _COOKIES, has=True),
    Function("getResCookie", ("string",), "dyn", _response_cookie, phases=WITH_RESPONSE),
    Function("rand.double", (), "double", _random_double),
    Function("rand.int", (), "int", _random_int),
    Function("rand.int", ("int", "int"), "int", _random_int),
    Function("portway_values", ("string", "string"), _STRINGS, _values, phases=WITH_REQUEST),
    Function("portway_cookies", ("string", "string"), _COOKIES, _values, phases=WITH_REQUEST),
    Function("portway_has", ("string", "string"), "bool", _has, phases=WITH_REQUEST),
    Function("portway_present", ("string",), "bool", _present),
]
