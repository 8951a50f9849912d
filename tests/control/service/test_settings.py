"""Settings have the defaults of a laptop."""

from portway.control.service.settings import Settings


def test_the_defaults_belong_together() -> None:
    settings = Settings()
    assert settings.api_url == f"http://api.{settings.domain}:{settings.http_port}"
    assert len(settings.tcp_ports) == 1000
