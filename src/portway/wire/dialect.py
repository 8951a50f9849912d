"""JSON of control messages: written one way, read in every dialect.

The names on the wire are those of Go struct fields. Two families of agents spell some of them
differently (``Authtoken`` and ``AuthToken``), one omits what another always sends, and both write
null for what is unset. So reading folds the keys of *known objects* to one spelling whatever their
case, takes null for absent, absent for the zero value, and skips unknown keys. The keys of free maps
(labels, options that must be echoed) are left as they came. Writing gives every key, zero values
included, in the exact spelling of ``docs/spec/wire.md``: one family of agents matches it exactly.
"""

from collections.abc import Iterable
from functools import cache
from typing import Final, TypeVar, cast, get_args

import msgspec

from portway.errors import MessageError

MAX_BYTES: Final = 65_536
"""The longest control message that is read, in bytes."""

MAX_DEPTH: Final = 16
"""How deep objects and lists may be nested in one."""

_ZEROS: Final[dict[object, object]] = {str: "", bool: False, int: 0}

S = TypeVar("S", bound=msgspec.Struct)


class Field(msgspec.Struct, frozen=True):
    """How to read one key: its exact spelling, the message nested under it, and its zero value."""

    spelling: str
    nested: type[msgspec.Struct] | None
    required: bool
    zero: object


def decode(cls: type[S], body: bytes | bytearray | memoryview) -> S:
    """Read one message. Raises MessageError, which names the key that is wrong."""
    if len(body) > MAX_BYTES:
        raise MessageError(f"{cls.__name__}: longer than {MAX_BYTES} bytes")
    try:
        value: object = msgspec.json.decode(body)
    except RecursionError:
        raise MessageError(f"{cls.__name__}: nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise MessageError(f"{cls.__name__}: not JSON: {err}") from None
    if _deeper_than(value, MAX_DEPTH):
        raise MessageError(f"{cls.__name__}: nested deeper than {MAX_DEPTH} levels")
    return read(cls, value)


def read(cls: type[S], value: object) -> S:
    """Read a message from decoded JSON. Raises MessageError, which names the key that is wrong."""
    try:
        return msgspec.convert(_fold(value, cls), cls)
    except msgspec.ValidationError as err:
        raise MessageError(_explain(cls, str(err))) from None


def encode(message: msgspec.Struct) -> bytes:
    """Write a message as one line of JSON without a line end."""
    return msgspec.json.encode(message)


def _fold(value: object, cls: type[msgspec.Struct]) -> object:
    """Give the keys of `cls` their spelling in `value`, and leave out nulls and unknown keys."""
    if not isinstance(value, dict):
        return value  # a wrong type: the conversion names it
    plan = _plan(cls)
    folded: dict[str, object] = {}
    for key, item in cast("dict[str, object]", value).items():
        field = plan.get(key.lower())
        if field is not None and item is not None:
            folded[field.spelling] = _fold_nested(item, field.nested) if field.nested else item
    for field in plan.values():
        if field.required:
            folded.setdefault(field.spelling, field.zero)
    return folded


def _fold_nested(value: object, cls: type[msgspec.Struct]) -> object:
    if isinstance(value, list):
        return [_fold(item, cls) for item in cast("list[object]", value)]
    return _fold(value, cls)


@cache
def _plan(cls: type[msgspec.Struct]) -> dict[str, Field]:
    """Return the fields of a message under their lower-case spelling."""
    return {
        field.encode_name.lower(): Field(
            field.encode_name, _nested(field.type), field.required, _ZEROS.get(field.type)
        )
        for field in msgspec.structs.fields(cls)
    }


def _nested(hint: object) -> type[msgspec.Struct] | None:
    """Return the message inside a type: itself, of an optional, or of a list."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    return next((found for part in get_args(hint) if (found := _nested(part))), None)


def _deeper_than(value: object, depth: int) -> bool:
    """Tell whether containers are nested deeper than `depth`, without recursion."""
    level = [value]
    while containers := [items for item in level if (items := _items(item)) is not None]:
        if depth == 0:
            return True
        depth -= 1
        level = [item for items in containers for item in items]
    return False


def _items(value: object) -> Iterable[object] | None:
    """Return what a container holds, or None for anything else."""
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else None


def _explain(cls: type[msgspec.Struct], text: str) -> str:
    """Turn "Expected `str`, got `int` - at `$.Extra.Token`" into a sentence that starts with the key."""
    problem, _, path = text.replace("`", "").partition(" - at $")
    return f"{cls.__name__}{path}: {problem[:1].lower()}{problem[1:]}"
