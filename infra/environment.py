"""Makes the environment `.venv` from the hashed lock, with nothing but a bare Python.

Run by `make` before anything is installed, so it knows only the standard library. A small pinned installer is
installed first because it needs seconds where pip needs a minute; where it cannot be had or fails, pip does the same
work from the same hashes.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

PYTHON_MIN = (3, 11)
LOCK = "requirements.lock"
INSTALLER_LOCK = "requirements-uv.lock"
ENVIRONMENT = Path(".venv")
PYTHON = str(ENVIRONMENT / "bin" / "python")
INSTALLER = str(ENVIRONMENT / "bin" / "uv")


def main(stamp: Path) -> int:
    """Make the environment and touch *stamp* once it is complete; return the exit code."""
    if sys.version_info < PYTHON_MIN:
        found = ".".join(str(part) for part in sys.version_info[:3])
        return _fail(f"Python {found} is too old: 3.11 or newer is needed. Name one by `make PYTHON=python3.12 …`.")
    _say("Making the environment in .venv (once; a minute at most) …")
    if not _works(PYTHON):
        try:
            venv.create(ENVIRONMENT, clear=True, with_pip=True, symlinks=True)
        except subprocess.CalledProcessError:
            return _fail("Python's venv could not install pip. On Debian or Ubuntu: apt-get install python3-venv")
    if not (_install_quickly() or _install_by_pip()):
        return _fail("The packages could not be installed; the messages above say why.")
    stamp.touch()
    return 0


def _install_quickly() -> bool:
    if not _run(PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", INSTALLER_LOCK):
        return False
    install = (INSTALLER, "pip", "install", "--quiet", "--python", PYTHON)
    settings = _installer_settings()
    return _run(*install, "--require-hashes", "--requirement", LOCK, *_index_options(), environment=settings) and _run(
        *install, "--no-deps", "--no-build-isolation", "--editable", ".", environment=settings
    )


def _install_by_pip() -> bool:
    _say("The quick installer did not do it; pip takes over …")
    install = (PYTHON, "-m", "pip", "install", "--quiet")
    return _run(*install, "--require-hashes", "--requirement", LOCK) and _run(
        *install, "--no-deps", "--no-build-isolation", "--editable", "."
    )


def _index_options() -> list[str]:
    """Return the package indexes that pip is set up to use, as options: whoever set up pip meant every installer."""
    options: list[str] = []
    for key, option in (
        ("index-url", "--default-index"),
        ("extra-index-url", "--index"),
        ("find-links", "--find-links"),
    ):
        for value in _pip_setting(key).split():
            options += [option, value]
    # As pip does: the best version of all indexes. The hashes decide what is accepted, wherever it comes from.
    return [*options, "--index-strategy", "unsafe-best-match"]


def _pip_setting(key: str) -> str:
    variable = "PIP_" + key.upper().replace("-", "_")
    if variable in os.environ:
        return os.environ[variable]
    for section in ("install", "global"):
        asked = subprocess.run(
            (PYTHON, "-m", "pip", "config", "get", f"{section}.{key}"), capture_output=True, text=True, check=False
        )
        if asked.returncode == 0:
            return asked.stdout
    return ""


def _installer_settings() -> dict[str, str]:
    """Return the environment of the quick installer: certificates as pip has them, and modules compiled at once."""
    settings = dict(os.environ)
    certificates = _pip_setting("cert").strip()
    if certificates:
        settings.setdefault("SSL_CERT_FILE", certificates)
    # Without it each process of the engine would compile what it imports on its first start, all at the same time.
    settings["UV_COMPILE_BYTECODE"] = "1"
    return settings


def _works(python: str) -> bool:
    """Tell whether *python* starts, is new enough and has pip: else the environment is made anew."""
    wanted = f"import sys, pip; sys.exit(sys.version_info < {PYTHON_MIN})"
    return Path(python).exists() and _run(python, "-c", wanted, quiet=True)


def _run(*command: str, environment: dict[str, str] | None = None, quiet: bool = False) -> bool:
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, env=environment, stderr=output, check=False).returncode == 0


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _fail(text: str) -> int:
    _say(text)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
