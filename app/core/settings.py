"""The settings of an installation: environment variables with the prefix CHRONIKA_, read once and checked."""

import fcntl
import hashlib
import hmac
import os
import re
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.core import hosts

PREFIX = "CHRONIKA_"
SECRET_LENGTH = 32
"""Least number of characters of the secret: cursors signed with it are public, so it must stand guessing offline."""

HOW_MADE = "made once and kept: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one line that names the variable."""


class Settings(BaseSettings):
    """What an operator may set; each field is the environment variable CHRONIKA_<NAME>, blank meaning unset."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    database_url: str | None = Field(
        default=None,
        repr=False,  # it may carry the owner's password
        description="PostgreSQL 18 server, database and owner: `postgresql://owner:password@server:5432/database`; of "
        "several servers, `server1:5432,server2:5432`, the one that takes writes is used. "
        "Unset: an embedded PostgreSQL in the data directory.",
    )
    read_database_url: str | None = Field(
        default=None,
        repr=False,
        description="Hot standbys to read from, in the same form, without an owner: "
        "`postgresql://standby1:5432,standby2:5432/database`. Unset: everything is read from the primary.",
    )
    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("chronika"),
        description="Directory of the embedded PostgreSQL and the kept secret. Unset: the user's data directory.",
    )
    secret: SecretStr | None = Field(
        default=None,
        description="Secret from which the API roles' passwords and signed cursors derive, 32 characters or more. "
        "Required with CHRONIKA_DATABASE_URL; for the embedded server made and kept in `secret` in the data directory.",
    )
    origin: str = Field(
        default="local",
        pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$",
        description="Name of this installation, written into the records made here.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one.")
    workers: int = Field(default=1, ge=1, le=64, description="Number of server processes.")
    pool_size: int = Field(
        default=4, ge=1, le=100, description="Database connections per audience and worker, at most."
    )
    cache_mb: int = Field(
        default=32,
        ge=0,
        le=10_000,
        description="Megabytes of memory per worker for answers, which are given again until the next commit; 0 keeps "
        "none.",
    )
    requests_per_minute: int = Field(
        default=6000,
        ge=0,
        le=1_000_000,
        description="Requests that one key may make in a minute, over all workers; 0 sets no limit. Readers without "
        "a key are the proxy's to limit.",
    )
    public_url: str | None = Field(
        default=None,
        description="Address under which the world reaches this service, e.g. `https://chronika.example.org`. "
        "Unset: that of the request.",
    )
    cors_origins: Annotated[list[str], NoDecode] = Field(
        default=["*"],
        description="Web origins whose pages may read the API, comma-separated; `*` is every one, `none` no one.",
    )
    metrics: bool = Field(default=False, description="Serve metrics for Prometheus.")
    log_level: Literal["critical", "error", "warning", "info", "debug"] = Field(
        default="info", description="Least severity that is logged: critical, error, warning, info or debug."
    )

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, values: dict[str, Any]) -> dict[str, Any]:
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}

    @field_validator("database_url", "read_database_url")
    @classmethod
    def _postgresql_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        form = "must be postgresql://owner:password@server:5432/database"
        # Written for SQLAlchemy or in libpq's short form, it means the same; kept is the one form all clients read.
        url = re.sub(r"^postgres(ql)?(\+[a-z0-9]+)?://", "postgresql://", url)
        try:
            complete = all(_is_complete(one) for one in hosts.split(url))
        except ValueError:
            raise ValueError(form) from None
        if not complete:
            raise ValueError(form)
        return url

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < SECRET_LENGTH:
            raise ValueError(f"must have {SECRET_LENGTH} characters or more, {HOW_MADE}")
        return secret

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return Path(os.path.expandvars(path.expanduser())).absolute()

    @field_validator("public_url")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", url):
            raise ValueError("must be an address such as https://chronika.example.org")
        return url.rstrip("/") if url else url

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [] if value.lower() == "none" else [origin.strip() for origin in value.split(",") if origin.strip()]

    @field_validator("cors_origins")
    @classmethod
    def _web_origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            # With a path or a final slash it would never equal the Origin header of any browser (RFC 6454).
            if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#\s]+", origin):
                raise ValueError("must be web origins such as https://example.org, comma-separated, without a path")
        return origins

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _given_server_needs_a_secret(self) -> "Settings":
        if self.database_url is not None and self.secret is None:
            raise ValueError(f"{PREFIX}SECRET is required with {PREFIX}DATABASE_URL, {HOW_MADE}")
        return self


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings of this process, read from the environment at the first call; SettingsError when wrong."""
    try:
        return Settings()
    except ValidationError as error:
        # Without the given value: it may be the secret or a URL with a password.
        found = error.errors(include_input=False, include_url=False)
        raise SettingsError("; ".join(_line(one["loc"], one["msg"]) for one in found)) from None


def _is_complete(url: str) -> bool:
    """Tell whether a URL names a server and a database; without an owner it is for a process that only serves."""
    parts = urlsplit(url)
    port, server = parts.port, parts.hostname or parse_qs(parts.query).get("host")
    return parts.scheme == "postgresql" and bool(server and parts.path.strip("/")) and port != 0


def _line(loc: tuple[int | str, ...], message: str) -> str:
    name = [PREFIX + str(loc[0]).upper()] if loc else []
    return ": ".join([*name, message.removeprefix("Value error, ")])


def role_password(secret: bytes, role: str) -> str:
    """Return the password of a database role: HMAC-SHA256 of "role:<role>" under the secret, 64 hex digits."""
    return hmac.new(secret, f"role:{role}".encode(), hashlib.sha256).hexdigest()


def secret_bytes(settings: Settings) -> bytes:
    """Return the secret: the given one, else the one kept in the data directory, made at the first call.

    Processes that race for the first call get the same secret. SettingsError when it cannot be kept or read.
    """
    if settings.secret is not None:
        return settings.secret.get_secret_value().encode()
    try:
        make_data_dir(settings.data_dir)
        return _kept_secret(settings.data_dir)
    except OSError as error:
        raise SettingsError(
            f"{PREFIX}DATA_DIR: cannot keep the secret in {settings.data_dir}: {error.strerror}"
        ) from None


def make_data_dir(data_dir: Path) -> None:
    """Make the data directory, for this user alone, unless it is there; OSError when that cannot be."""
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    data_dir.mkdir(mode=0o700, exist_ok=True)


def _kept_secret(data_dir: Path) -> bytes:
    path = data_dir / "secret"
    lock = os.open(data_dir / "secret.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            # Renamed only when it is whole and on the disk: a crash here leaves no secret rather than half of one.
            unfinished = data_dir / "secret.new"
            unfinished.unlink(missing_ok=True)
            with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123  (a mode is given)
                file.write(secrets.token_urlsafe(48) + "\n")
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
        secret = path.read_bytes().strip()
    finally:
        os.close(lock)  # which unlocks
    if len(secret) < SECRET_LENGTH:
        raise SettingsError(f"{path} is not a secret of {SECRET_LENGTH} or more characters; put back the one it was")
    return secret
