"""The flat YAML file (its errors are tested through the configuration)."""

from pathlib import Path

from portway.server import yaml_file


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
