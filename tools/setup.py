"""Make the project's own environment, `.venv`, from the locked and hashed requirements.

Run by the Makefile when the requirements changed; needs nothing but Python 3.11 or newer. With uv on
the PATH it uses uv, which is quicker; the result is the same.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCKED = ROOT / "requirements" / "dev.txt"
STAMP = VENV / "stamp"
OLDEST = (3, 11)


def main() -> int:
    """Bring `.venv` up to date; say in one line what is done. Return the exit status."""
    if sys.version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        print(f"portway needs Python {wanted} or newer; {sys.executable} is {sys.version.split()[0]}.")
        print("Name another one: make PYTHON=/path/to/python3 …")
        return 1
    uv = shutil.which("uv")
    print(f"setting up .venv with {'uv' if uv else 'pip'}, from {LOCKED.relative_to(ROOT)} …", flush=True)
    try:
        (_with_uv(uv) if uv else _with_pip())
    except subprocess.CalledProcessError as failed:
        print(f"set-up failed: {' '.join(map(str, failed.cmd))}", file=sys.stderr)
        return 1
    STAMP.touch()
    return 0


def _with_uv(uv: str) -> None:
    python = _interpreter()
    if not python.exists():
        _run(uv, "venv", "--quiet", "--seed", "--python", sys.executable, VENV)
    target = ("--quiet", "--python", python)
    _run(uv, "pip", "sync", *target, "--require-hashes", "--only-binary", ":all:", LOCKED)
    _run(uv, "pip", "install", *target, "--no-deps", "--no-build-isolation", "--editable", ROOT)


def _with_pip() -> None:
    python = _interpreter()
    if not python.exists():
        _run(sys.executable, "-m", "venv", VENV)
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    _run(*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", LOCKED)
    _run(*pip, "--no-deps", "--no-build-isolation", "--editable", ROOT)


def _interpreter() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _run(*command: "str | Path") -> None:
    # The interpreter that make was given is the one that is tested: uv must not fetch another.
    # The build backend is looked up on the PATH, and so is the environment that pip believes in.
    surroundings = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
    for name in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH"):
        surroundings.pop(name, None)
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, env=surroundings)


if __name__ == "__main__":
    sys.exit(main())
