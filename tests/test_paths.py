"""Where files are kept."""

from pathlib import Path

import pytest

from portway.paths import bootstrap_file, default_data_dir


@pytest.mark.parametrize(("environ", "folder"), [
    ({"PORTWAY_DATA_DIR": "/srv/p", "XDG_DATA_HOME": "/x", "HOME": "/h"}, "/srv/p"),
    ({"XDG_DATA_HOME": "/x", "HOME": "/h"}, "/x/portway"),
    ({"XDG_DATA_HOME": "relative", "HOME": "/h"}, "/h/.local/share/portway"),
    ({"XDG_DATA_HOME": "", "PORTWAY_DATA_DIR": "", "HOME": "/h"}, "/h/.local/share/portway"),
])  # fmt: skip
def test_default_folder(environ: dict[str, str], folder: str) -> None:
    assert default_data_dir(environ) == Path(folder)


def test_the_real_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTWAY_DATA_DIR", "/srv/q")
    assert default_data_dir() == Path("/srv/q")


def test_without_a_home_variable_the_user_database_decides() -> None:
    assert default_data_dir({}).is_absolute()


def test_the_bootstrap_file_stands_in_the_folder() -> None:
    assert bootstrap_file(Path("/srv/p")) == Path("/srv/p/bootstrap.json")
