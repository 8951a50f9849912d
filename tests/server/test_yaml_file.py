"""The flat YAML file (its errors are tested through the configuration)."""

from pathlib import Path

import pytest

from portway.errors import ConfigError
from portway.server import yaml_file
from portway.server.yaml_file import VALUE_LIMIT


def test_values_are_texts_with_places(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("a: 1\nb: yes please\nc: true\nd: ~\ne: 1.5\n")
    file = yaml_file.read(path, ["a", "b", "c", "d", "e", "f"])
    assert file.find("a") == ("1", f"{path}:1:1: a")
    assert file.find("b") == ("yes please", f"{path}:2:1: b")
    assert file.find("c") == ("on", f"{path}:3:1: c")
    assert file.find("d") is None
    assert file.find("e") == ("1.5", f"{path}:5:1: e")
    assert file.find("f") is None


def test_a_section_is_read_value_by_value(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("oauth:\n  github:\n    id: 1.30\n    on: true\n    no:\n  gitlab: {}\na: &x 2\nb: *x\n")
    file = yaml_file.read(path, ["a", "b"], ["oauth"])
    assert file.section("oauth") == [
        (("github", "id"), "1.30", f"{path}:3:5"),
        (("github", "on"), "on", f"{path}:4:5"),
    ]
    assert file.find("b") == ("2", f"{path}:8:1: b")
    assert file.section("saml") == []


@pytest.mark.parametrize(("text", "said"), [
    ("oauth:\n  github: [1]\n", ":2:3: oauth.github must be one value"),
    ("oauth: {a: {b: {c: {d: {e: {f: {g: {}}}}}}}}\n", ":1:36: the document is nested deeper than 8 levels"),
    ("oauth: [" + "1," * VALUE_LIMIT, f"more than {VALUE_LIMIT} values"),
])  # fmt: skip
def test_a_section_has_bounds(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.yml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        yaml_file.read(path, [], ["oauth"])
    assert said in str(caught.value)
