"""What the pieces of a configuration show of themselves."""

from portway.agent.config.model import EndpointConfig, Settings


def test_no_secret_shows() -> None:
    shown = repr(Settings(authtoken="tttt", api_key="kkkk", proxy_url="http://u:pppp@h"))
    assert not any(secret in shown for secret in ("tttt", "kkkk", "pppp"))
    modules = {"BasicAuth": {"credentials": [{"username": "ann", "cleartext_password": "pppp"}]}}
    assert "pppp" not in repr(EndpointConfig(modules=modules))


def test_the_scheme_is_the_urls_or_stands_for_the_protocol() -> None:
    assert EndpointConfig(proto="http").scheme == "https"
    assert EndpointConfig(proto="tcp").scheme == "tcp"
    assert EndpointConfig(proto="http", url="HTTP://x").scheme == "http"
