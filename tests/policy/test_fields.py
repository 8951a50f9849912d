"""Fields of a configuration: what each reader takes, and the code of what it refuses."""

from collections.abc import Callable

import pytest

from portway.policy.compiler import Compiler, Target, World
from portway.policy.document import parse
from portway.policy.fields import Fields
from portway.policy.limits import DEFAULT_LIMITS


def read(text: str, reader: Callable[[Fields], object]) -> tuple[object, list[int]]:
    """Read one map; return the value and the codes of the problems."""
    compiler = Compiler(Target(), DEFAULT_LIMITS, World())
    fields = Fields(parse(text).entries["c"], compiler)
    found = reader(fields)
    fields.end()
    return found, [each.code for each in compiler.problems]


READERS: list[tuple[str, Callable[[Fields], object], object, list[int]]] = [
    ("c: {a: x}", lambda f: f.string("a"), "x", []),
    ("c: {a: 1.30}", lambda f: f.string("a"), "1.30", []),
    ("c: {a: true}", lambda f: f.string("a"), "true", []),
    ("c: {}", lambda f: f.string("a", "d"), "d", []),
    ("c: {a: null}", lambda f: f.string("a", "d"), "d", []),
    ("c: {}", lambda f: f.string("a"), "", [2234]),
    ("c: {a: [1]}", lambda f: f.string("a"), "", [2228]),
    ("c: {a: ''}", lambda f: f.string("a", least=1), "", [2223]),
    ("c: {a: xy}", lambda f: f.string("a", least=3), "xy", [2237]),
    ("c: {a: xyz}", lambda f: f.string("a", most=2), "xyz", [2221]),
    ("c: {old: x}", lambda f: f.string("new", "", "old"), "x", []),
    ("c: {old: x, new: y}", lambda f: f.string("new", "", "old"), "y", [2203]),
    ("c: {a: 5}", lambda f: f.integer("a", low=1, high=9), 5, []),
    ("c: {a: '5'}", lambda f: f.integer("a", low=1, high=9), 5, []),
    ("c: {a: 5.0}", lambda f: f.integer("a", low=1, high=9), 5, []),
    ("c: {a: 5.5}", lambda f: f.integer("a", low=1, high=9), 1, [2228]),
    ("c: {a: true}", lambda f: f.integer("a", low=1, high=9), 1, [2228]),
    ("c: {a: 10}", lambda f: f.integer("a", low=1, high=9), 1, [2215]),
    ("c: {a: 9999999999999999999999999999}", lambda f: f.integer("a", low=1, high=9), 1, [2215]),
    ("c: {}", lambda f: f.integer("a", low=1, high=9), 1, [2234]),
    ("c: {a: 0.5}", lambda f: f.number("a", low=0, high=1), 0.5, []),
    ("c: {a: '0.5'}", lambda f: f.number("a", low=0, high=1), 0.5, []),
    ("c: {a: 1e400}", lambda f: f.number("a", low=0, high=1), 0, [2215]),
    ("c: {a: x}", lambda f: f.number("a", low=0, high=1), 0, [2228]),
    ("c: {a: nan}", lambda f: f.number("a", low=0, high=1), 0, [2215]),
    ("c: {a: true}", lambda f: f.boolean("a", default=False), True, []),
    ("c: {a: 'true'}", lambda f: f.boolean("a", default=False), True, []),
    ("c: {a: yes}", lambda f: f.boolean("a", default=False), False, [2228]),
    ("c: {a: 1m30s}", lambda f: f.duration("a", low=1, high=100), 90, []),
    ("c: {a: 1ms}", lambda f: f.duration("a", low=1, high=100), 1, [2237]),
    ("c: {a: 1h}", lambda f: f.duration("a", low=1, high=100), 100, [2225]),
    ("c: {a: 90}", lambda f: f.duration("a", low=1, high=100), 1, [2228]),
    ("c: {a: y}", lambda f: f.choice("a", ("x", "y")), "y", []),
    ("c: {a: z}", lambda f: f.choice("a", ("x", "y")), "x", [2222]),
    ("c: {a: [y, x]}", lambda f: f.choices("a", ("x", "y"), ()), ("y", "x"), []),
    ("c: {a: [y, y, z]}", lambda f: f.choices("a", ("x", "y"), ()), ("y", "x"), [2222, 2231]),
    ("c: {}", lambda f: f.choices("a", ("x", "y"), ("x",)), ("x",), []),
    ("c: {a: [x, 1]}", lambda f: f.strings("a"), ["x", "1"], []),
    ("c: {a: x}", lambda f: f.strings("a"), [], [2228]),
    ("c: {a: []}", lambda f: f.strings("a", least=1), [], [2223]),
    ("c: {}", lambda f: f.strings("a", least=1), [], [2234]),
    ("c: {a: [1, 2, 3]}", lambda f: f.strings("a", most=2), ["1", "2"], [2218]),
    ("c: {a: {k: 1}}", lambda f: [k for k, _ in f.entries("a")], ["k"], []),
    ("c: {a: [1]}", lambda f: f.entries("a"), [], [2228]),
    ("c: {a: 'x${1}'}", lambda f: f.template("a").source, "x${1}", []),
    ("c: {a: 'x${1'}", lambda f: f.template("a").source, "", [2224]),
    ("c: {a: ['1', 'x +']}", lambda f: len(f.expressions("a", most=9)), 1, [2200]),
    ("c: {a: {X-A: 1, b: ''}}", lambda f: [k for k, _ in f.headers("a", most=2)], ["x-a", "b"], []),
    ("c: {a: {x y: 1}}", lambda f: len(f.headers("a", most=2)), 1, [2210]),
    (
        "c: {a: {user-agent: 1}}",
        lambda f: len(f.headers("a", most=2, forbidden=("user-agent",))),
        1,
        [2210],
    ),
    ('c: {a: {x: "a\\nb"}}', lambda f: len(f.headers("a", most=2)), 1, [2211]),
    ("c: {a: {x: '${1'}}", lambda f: len(f.headers("a", most=2)), 1, [2213]),
    ("c: {a: {x: 1, y: 2, z: 3}}", lambda f: len(f.headers("a", most=2)), 2, [2212]),
    (f"c: {{a: {{{'x' * 300}: 1}}}}", lambda f: len(f.headers("a", most=2)), 1, [2208]),
    (f"c: {{a: {{x: {'x' * 9000}}}}}", lambda f: len(f.headers("a", most=2)), 1, [2209]),
    ("c: {a: [X, 'y z']}", lambda f: f.header_names("a", least=1, most=2), ["x", "y z"], [2210]),
    ("c: {a: 1, b: 2}", lambda f: f.string("a"), "1", [2203]),
    ("c: [1]", lambda f: f.string("a", ""), "", [2203]),
    ("c:", lambda f: f.string("a", ""), "", []),
]


@pytest.mark.row("P-03")
@pytest.mark.parametrize(("text", "reader", "wanted", "codes"), READERS)
def test_readers(text: str, reader: Callable[[Fields], object], wanted: object, codes: list[int]) -> None:
    """Ranges and codes, per kind of field."""
    assert read(text, reader) == (wanted, codes)


def test_a_map_below_has_its_own_end() -> None:
    def reader(fields: Fields) -> object:
        node = fields.require("a")
        assert node is not None
        below = fields.sub(node)
        found = below.string("x")
        below.end()
        return found

    assert read("c: {a: {x: 1, y: 2}}", reader) == ("1", [2203])
