"""The files by which a system runs the agent: systemd's unit, launchd's property list, a Windows script.

Pure text: what is written, and the commands that go with it, follow from the executable and the
configuration files alone. The unit is checked by `systemd-analyze verify`; those of macOS and Windows are
generated and parsed by tests, and have never been executed.
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from xml.sax.saxutils import escape

NAME: Final = "portway-agent"
LABEL: Final = "dev.portway.agent"
"""The agent's name for launchd, which wants a reversed domain name."""

System = Literal["systemd", "launchd", "windows"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A file and the commands that make the system know, start, stop and forget it."""

    system: System
    path: Path
    text: str
    install: tuple[tuple[str, ...], ...]
    uninstall: tuple[tuple[str, ...], ...]
    start: tuple[str, ...]
    stop: tuple[str, ...]
    restart: tuple[tuple[str, ...], ...]
    status: tuple[str, ...]


def system_of(platform: str = sys.platform) -> System:
    """Return by what this system runs services."""
    return "launchd" if platform == "darwin" else "windows" if platform == "win32" else "systemd"


def unit(system: System, command: tuple[str, ...], *, user: bool, home: Path) -> Unit:
    """Make the unit that runs a command; ``user``: for this user alone, else for the machine."""
    make = {"systemd": _systemd, "launchd": _launchd, "windows": _windows}[system]
    return make(command, user, home)


def _systemd(command: tuple[str, ...], user: bool, home: Path) -> Unit:
    folder = home / ".config/systemd/user" if user else Path("/etc/systemd/system")
    control = ("systemctl", "--user") if user else ("systemctl",)
    wanted = "default.target" if user else "multi-user.target"
    text = f"""\
[Unit]
Description=portway agent: endpoints of {_unit_text(command[-1])}
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={" ".join(map(_unit_word, command))}
Restart=always
RestartSec=2
TimeoutStopSec=20
LimitNOFILE=65536
NoNewPrivileges=true

[Install]
WantedBy={wanted}
"""
    return Unit(
        "systemd",
        folder / f"{NAME}.service",
        text,
        install=((*control, "daemon-reload"), (*control, "enable", NAME)),
        uninstall=((*control, "disable", "--now", NAME), (*control, "daemon-reload")),
        start=(*control, "start", NAME),
        stop=(*control, "stop", NAME),
        restart=((*control, "restart", NAME),),
        status=(*control, "status", "--no-pager", NAME),
    )


def _unit_text(text: str) -> str:
    return text.replace("%", "%%")


def _unit_word(word: str) -> str:
    """Quote a word of ExecStart: systemd expands % and $ and splits at spaces."""
    safe = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return safe if safe == word and shlex.quote(word) == word else f'"{safe}"'


def _launchd(command: tuple[str, ...], user: bool, home: Path) -> Unit:
    folder = home / "Library/LaunchAgents" if user else Path("/Library/LaunchDaemons")
    path = folder / f"{LABEL}.plist"
    words = "\n".join(f"    <string>{escape(word)}</string>" for word in command)
    log = str(home / "Library/Logs/portway.log") if user else "/var/log/portway.log"
    text = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>{LABEL}</string>
  <key>ProgramArguments</key>
  <array>
{words}
  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <true/>
  <key>StandardOutPath</key>
  <string>{escape(log)}</string>
  <key>StandardErrorPath</key>
  <string>{escape(log)}</string>
</dict>
</plist>
"""
    return Unit(
        "launchd",
        path,
        text,
        install=(("launchctl", "load", "-w", str(path)),),
        uninstall=(("launchctl", "unload", "-w", str(path)),),
        start=("launchctl", "start", LABEL),
        stop=("launchctl", "stop", LABEL),
        restart=(("launchctl", "stop", LABEL), ("launchctl", "start", LABEL)),
        status=("launchctl", "list", LABEL),
    )


def _windows(command: tuple[str, ...], user: bool, home: Path) -> Unit:
    """Make a task of the Task Scheduler: it runs any program, which the service manager does not."""
    arguments = " ".join(f'"{word}"' if " " in word else word for word in command[1:])
    who = "" if user else "\n      <UserId>S-1-5-18</UserId>"
    trigger = "LogonTrigger" if user else "BootTrigger"
    text = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers>
    <{trigger}><Enabled>true</Enabled></{trigger}>
  </Triggers>
  <Principals>
    <Principal id="Author">{who}
      <RunLevel>{"LeastPrivilege" if user else "HighestAvailable"}</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{escape(command[0])}</Command>
      <Arguments>{escape(arguments)}</Arguments>
    </Exec>
  </Actions>
</Task>
"""
    path = home / "AppData/Local/portway" / f"{NAME}.xml"
    start, stop = ("schtasks", "/Run", "/TN", NAME), ("schtasks", "/End", "/TN", NAME)
    return Unit(
        "windows",
        path,
        text,
        install=(("schtasks", "/Create", "/F", "/TN", NAME, "/XML", str(path)),),
        uninstall=(("schtasks", "/Delete", "/F", "/TN", NAME),),
        start=start,
        stop=stop,
        restart=(stop, start),
        status=("schtasks", "/Query", "/V", "/FO", "LIST", "/TN", NAME),
    )
