"""Files that are named beside a file which moves."""

from pathlib import Path

from portway.agent.config.relocate import rooted

TEXT = """\
version: 3
agent: {connect_cas: ca.pem, metadata: ca.pem}
endpoints:
  - name: a
    upstream: {url: 80, tls_verify_cas: gone.pem}
    agent_tls_termination:
      server_certificate: ./a b.pem  # mine
      server_private_key: /etc/key.pem
      mutual_tls_certificate_authorities: [ca.pem, "ca.pem"]
    traffic_policy:
      key: ca.pem
"""


def test_relative_names_of_files_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    (tmp_path / "a b.pem").touch()
    made = rooted(TEXT, str(tmp_path / "agent.yml"))
    assert made == TEXT.replace("connect_cas: ca.pem", f'connect_cas: "{tmp_path}/ca.pem"').replace(
        "./a b.pem", f'"{tmp_path}/a b.pem"'
    ).replace('[ca.pem, "ca.pem"]', f'["{tmp_path}/ca.pem", "{tmp_path}/ca.pem"]')


def test_words_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "host").touch()
    text = "version: 2\nroot_cas: host\n"
    assert rooted(text, str(tmp_path / "agent.yml")) == text
