"""The section oauth of the configuration file: what is taken, and where what is wrong stands."""

from pathlib import Path

import pytest

from portway.errors import ConfigError
from portway.model.identity import ProviderApp
from portway.server import config


def loaded(folder: Path, text: str) -> config.ServeConfig:
    """Load a configuration file."""
    file = folder / "portway.yml"
    file.write_text(text)
    return config.load({}, {"HOME": str(folder)}, config=str(file))


@pytest.mark.row("G-014")
def test_applications_are_read(tmp_path: Path) -> None:
    made = loaded(
        tmp_path,
        "region: eu\noauth:\n  providers:\n"
        "    google: {client_id: 12, client_secret: s3cret}\n"
        "    github:\n      issuer: https://git.example\n",
    )
    assert made.edge.region == "eu"
    assert made.edge.oauth_providers == {
        "google": ProviderApp("12", "s3cret"),
        "github": ProviderApp(issuer="https://git.example"),
    }
    assert "s3cret" not in repr(made)
    assert made.edge.auth_host == "auth.portway.localhost"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("oauth:\n  providers:\n    gogle: {client_id: a}", r":3:13: 'gogle' .* mean 'google'"),
        ("oauth:\n  providers:\n    google:\n      secret: a", r":4:7: 'secret'"),
        ("oauth:\n  providers:\n    google:\n      client_id: a", r":4:7: .*no client_secret"),
        ("oauth:\n  providers:\n    google:\n      client_secret: a", r":4:7: .*no client_id"),
        ("oauth:\n  providers:\n    google: {issuer: 'http://a.example'}", "issuer is http"),
        ("oauth: {google: {client_id: a}}", "wanted is oauth.providers.NAME"),
        ("oauth: [a]", "must be one value"),
        ("oauth: yes", "is not an option"),
        ("oauth:\n  providers:\n    google: {client_id: ['a']}", "must be one value"),
        ('oauth:\n  providers:\n    google: {client_id: "a\\nb"}', "control characters"),
    ],
)
def test_mistakes_say_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        loaded(tmp_path, text)
