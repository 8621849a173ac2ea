"""The command line: every command is a few lines that call a feature."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer

from app import __version__
from app.core.settings import Settings, get_settings, secret_bytes

Viewer = Literal["public", "partner", "editor", "guardian"]
SHIPPED = ", ".join(sorted(p.stem for p in (Path(__file__).parent / "exchange" / "mappings").glob("*.toml")))
SOME_REJECTED = 3
"""Exit code of an import that left rows out."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,  # a traceback with values in it could name people
    help="Chronika: a registry of politically motivated persecution. Settings are environment variables CHRONIKA_…",
)
db = typer.Typer(no_args_is_help=True, help="Migrate the database, check it, back it up, restore it.")
keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke the keys of partners, editors and guardians.")
app.add_typer(db, name="db")
app.add_typer(keys, name="keys")


def main() -> None:
    """Run the command line; what is known to go wrong is one line and exit code 1."""
    try:
        app()
    except BrokenPipeError:  # whoever reads the output has had enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        typer.echo(f"chronika: {': '.join(str(p) for p in (error.filename, error.strerror or error) if p)}", err=True)
        sys.exit(1)
    except Exception as error:
        if not isinstance(error, _known()):
            raise
        typer.echo(f"chronika: {error}", err=True)
        sys.exit(1)


def _known() -> tuple[type[Exception], ...]:
    """Return the errors whose one line is all that a person needs."""
    from app.core.keys import KeysError
    from app.core.programs import EmbeddedServerError
    from app.core.schema import SchemaError
    from app.core.settings import SettingsError
    from app.exchange.backup import BackupError
    from app.exchange.console import ExchangeError
    from app.exchange.mapping import MappingError
    from app.exchange.peer import PullError
    from app.exchange.readers import ReadError
    from app.exchange.store import StoreError

    ours = (SettingsError, SchemaError, EmbeddedServerError, KeysError, PullError)
    return *ours, ExchangeError, MappingError, ReadError, StoreError, BackupError


@contextmanager
def served_database(settings: Settings) -> Iterator[str]:
    """Yield the owner's URL: of the given server, or of the embedded one, which stops with its last user."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    from app.core.embedded import embedded_server

    # Turned into an ordinary exit, so that the server is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with embedded_server(settings.data_dir, secret_bytes(settings)) as url:
        yield url


@contextmanager
def ready_database(settings: Settings) -> Iterator[str]:
    """Yield the owner's URL of a database that is at head; `SchemaError` for one that is not."""
    from app.core import schema

    with served_database(settings) as url:
        asyncio.run(schema.require_head(url, secret_bytes(settings)))
        yield url


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: `chronika serve --demo`, then `curl localhost:8000/v1/persons`.")
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; CHRONIKA_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; CHRONIKA_PORT.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; CHRONIKA_WORKERS.")] = None,
    demo: Annotated[
        bool, typer.Option(help="When the registry is empty, load the sample and print one key per role.")
    ] = False,
) -> None:
    """Migrate to head and serve. Without CHRONIKA_DATABASE_URL: on an embedded PostgreSQL in CHRONIKA_DATA_DIR."""
    import uvicorn

    from app.core import schema

    settings = get_settings()
    host, port, workers = host or settings.host, settings.port if port is None else port, workers or settings.workers
    with served_database(settings) as url:
        if not (settings.database_url and asyncio.run(schema.is_at_head(url, secret_bytes(settings)))):
            schema.upgrade(url, secret_bytes(settings))
        if demo:
            asyncio.run(_load_demo(url, settings))
        address = settings.public_url or f"http://{'localhost' if host in {'127.0.0.1', '0.0.0.0'} else host}:{port}"  # noqa: S104
        typer.echo(f"API       {address}/v1/status")
        typer.echo(f"docs      {address}/docs")
        typer.echo(f"explorer  {address}/")
        # The workers are processes of their own and read their settings anew.
        os.environ["CHRONIKA_DATABASE_URL"] = url
        os.environ["CHRONIKA_SECRET"] = secret_bytes(settings).decode()
        if settings.metrics and workers > 1:  # so that each worker answers for all of them
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="chronika-metrics-"))
        get_settings.cache_clear()
        uvicorn.run(
            "app.main:create_app",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            loop="uvloop",
            http="httptools",
            ws="none",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing here asks where a request came from
            log_level=settings.log_level,
            timeout_graceful_shutdown=20,
        )


async def _load_demo(url: str, settings: Settings) -> None:
    from app.core import keys as key_store
    from app.core.access import ROLES
    from app.core.database import Database
    from app.sample import load as sample

    database = Database(url, secret_bytes(settings), pool_size=1)
    try:
        if not await sample.is_empty(database):
            typer.echo("The registry is not empty: the sample is left out.")
            return
        count = await sample.load(database)
        typer.echo(f"Loaded the sample: {count} records. Keys, shown this once:")
        for role in ROLES:
            key = await key_store.create(url, f"demo {role}", role, settings.origin, timedelta(days=90))
            typer.echo(f"{role:<9} {key}")
    finally:
        await database.close()


@app.command(epilog="Example: `chronika synth --persons 7000 --events 20000 --seed 1`")
def synth(
    persons: Annotated[int, typer.Option(min=1, help="How many people.")],
    events: Annotated[int, typer.Option(min=1, help="How many events.")],
    seed: Annotated[int, typer.Option(help="The same seed makes the same records.")] = 1,
) -> None:
    """Fill an empty registry with synthetic records in the numbers that the reports print, for benchmarks."""
    from rich.console import Console

    from app.core import schema
    from app.exchange.synth import SynthError
    from app.exchange.synth_load import fill

    settings = get_settings()

    async def run(url: str) -> int:
        with Console().status("Making records…") as status:
            return await fill(url, persons, events, seed, status.update)

    with served_database(settings) as url:
        if not (settings.database_url and asyncio.run(schema.is_at_head(url, secret_bytes(settings)))):
            schema.upgrade(url, secret_bytes(settings))
        try:
            count = asyncio.run(run(url))
        except SynthError as error:
            typer.echo(f"chronika: {error}", err=True)
            raise typer.Exit(1) from None
    typer.echo(f"Stored {count:,} synthetic records.")


# --- exchange ---------------------------------------------------------------------------------------


@app.command(
    "export",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: `chronika export events --type detention --from 2024-01-01 --output detentions.ndjson`",
)
def export_resource(
    context: typer.Context,
    resource: Annotated[str, typer.Argument(help="persons, cases, …, charges, sentences; or `all` into a directory.")],
    form: Annotated[str, typer.Option("--format", help="ndjson, csv, or ftm for FollowTheMoney.")] = "ndjson",
    output: Annotated[
        Path | None, typer.Option(help="File, or directory of `all`; the standard output unless said.")
    ] = None,
    audience: Annotated[Viewer, typer.Option(help="Export what this audience sees.")] = "editor",
) -> None:
    """Export what filters select, all that editors see unless said; filters are the API's own, as --name value.

    A filter that is none is answered with those that the resource has.
    """
    from app.core.records import Audience
    from app.exchange import console

    settings = get_settings()
    with ready_database(settings) as url:
        exporting = console.run_export(
            url, settings, resource, form=form, filters=context.args, output=output, audience=Audience(audience)
        )
        count = asyncio.run(exporting)
    typer.echo(f"Exported {count:,} records.", err=True)


@app.command(
    "import",
    epilog="Example: `chronika import decisions.json --mapping viasna-administrative --dry-run`",
)
def import_file(  # noqa: PLR0913, PLR0917 -- the command's options
    file: Annotated[Path, typer.Argument(help="CSV, JSON or NDJSON, gzipped or not; for `chronika` also a directory.")],
    mapping: Annotated[
        str, typer.Option(help=f"A TOML file, or a shipped one: {SHIPPED}; `chronika` takes our own export.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; show what would be written.")] = False,
    level: Annotated[
        str | None,
        typer.Option(help="public, partner or restricted (unless said); files of our own export have their own."),
    ] = None,
    ground: Annotated[str | None, typer.Option(help="Ground of level public: public_record or consent.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Where rejected rows are named; FILE.rejected.ndjson unless said.")
    ] = None,
) -> None:
    """Import a file by a mapping. Importing it again changes nothing; killed halfway, run it again.

    The exit code is 0 where every row is in the registry, 3 where some were rejected, 1 where it could not be done.
    """
    from rich.console import Console

    from app.exchange import console

    settings = get_settings()
    options = console.read_options(mapping, level, ground, dry_run=dry_run, report=report)
    with ready_database(settings) as url:
        outcome = asyncio.run(console.run_import(url, settings, file, options))
    if (table := console.summary(outcome, dry=dry_run)).row_count:
        Console().print(table)
    for line in console.details(outcome, dry=dry_run):
        typer.echo(line)
    if outcome.rejected:
        typer.echo(f"Rejected rows are named in {console.report_of(file, options)}.")
        raise typer.Exit(SOME_REJECTED)


# --- db ---------------------------------------------------------------------------------------------


@db.command("upgrade", epilog="Example: `CHRONIKA_DATABASE_URL=postgresql://owner:…@db/chronika chronika db upgrade`")
def upgrade() -> None:
    """Make the login roles, migrate to head, load the vocabularies. Running it again changes nothing."""
    from app.core import schema

    settings = get_settings()
    with served_database(settings) as url:
        schema.upgrade(url, secret_bytes(settings))
    typer.echo(f"The database is at revision {schema.head()}.")


@db.command("downgrade", epilog="Example: `chronika db downgrade base --yes`")
def downgrade(
    revision: Annotated[str, typer.Argument(help="Revision to go back to, or `base` for an empty database.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Go back to an earlier revision. What only the later ones can hold is lost."""
    if not yes:
        typer.confirm("Going back may delete records. Go on?", abort=True)
    from app.core import schema

    with served_database(get_settings()) as url:
        schema.downgrade(url, revision)
    typer.echo(f"The database is at revision {revision}.")


@db.command("check", epilog="Example: `chronika db check && chronika serve`")
def check() -> None:
    """Tell whether the database is at head and is what this version of the program expects."""
    from app.core import schema

    settings = get_settings()
    with served_database(settings) as url:
        asyncio.run(schema.require_head(url, secret_bytes(settings)))
        schema.check(url)
    typer.echo(f"The database is at revision {schema.head()} and as expected.")


@db.command("erasures", epilog="Example: `chronika db erasures > erasures.ndjson`, kept apart from the backups")
def list_erasures() -> None:
    """Print who was erased, a line each, without names: to be repeated after an older backup is restored."""
    from app.persons import erasures

    with served_database(get_settings()) as url:
        for line in asyncio.run(erasures.listed(url)):
            typer.echo(line)


@db.command("replay-erasures", epilog="Example: `chronika db replay-erasures erasures.ndjson`")
def replay_erasures(
    file: Annotated[typer.FileText, typer.Argument(help="What `chronika db erasures` printed.")],
) -> None:
    """Erase again, after a restore, whoever the list names. Running it again changes nothing."""
    from app.core.schema import SchemaError
    from app.persons import erasures

    with served_database(get_settings()) as url:
        try:
            erased, unknown = asyncio.run(erasures.replay(url, file))
        except (KeyError, TypeError, ValueError):
            msg = "the file is not what `chronika db erasures` printed; nothing was erased"
            raise SchemaError(msg) from None
    typer.echo(f"Erased {erased}; {unknown} are not in this database.")


@db.command("backup", epilog="Example: `chronika db backup registry-2024-05-01.backup`")
def backup_database(
    file: Annotated[Path, typer.Argument(help="File to write; keep it as safe as the registry.")],
) -> None:
    """Write the whole registry into a file, with a fingerprint of its rows, policies, grants, roles and triggers."""
    from app.exchange import backup

    with ready_database(get_settings()) as url:
        typer.echo(f"Backed up {backup.told(backup.backup(url, file))}")


@db.command("restore", epilog="Example: `chronika db restore registry.backup --erasures erasures.ndjson`")
def restore_database(
    file: Annotated[Path, typer.Argument(help="File that `db backup` wrote.")],
    erasures: Annotated[
        typer.FileText | None, typer.Option(help="What `chronika db erasures` printed last: they are made again.")
    ] = None,
) -> None:
    """Restore a backup into an empty database, prove by the fingerprint that it is the same, then erase again."""
    from app.exchange import backup

    settings = get_settings()
    with served_database(settings) as url:
        found = backup.restore(url, secret_bytes(settings), file, erasures)
        typer.echo(f"Restored the same: {backup.told(found.fingerprint)}")
        if found.replayed is not None:
            erased, unknown = found.replayed
            typer.echo(f"Erased {erased}; {unknown} are not in this database.")
        else:
            typer.echo(
                f"chronika: whoever was erased after {found.last_erasure} is back: "
                "before serving, run `chronika db replay-erasures` with the list that `chronika db erasures` printed",
                err=True,
            )


# --- other registries -------------------------------------------------------------------------------


def _seconds(text: str) -> int:
    if not text.removesuffix("s").isdigit() or not 1 <= int(text.removesuffix("s")) <= 86_400:  # noqa: PLR2004
        msg = "a number of seconds such as 60s, at most a day"
        raise typer.BadParameter(msg)
    return int(text.removesuffix("s"))


@app.command(epilog="Example: `chronika pull https://other.example --key chr_… --every 60s`")
def pull(
    url: Annotated[str, typer.Argument(help="Address of the other registry.")],
    key: Annotated[str | None, typer.Option(help="Key that it gave you; without, only what is public.")] = None,
    types: Annotated[list[str] | None, typer.Option(help="Only records of this type; may be given again.")] = None,
    every: Annotated[str | None, typer.Option(help="Pull again and again, with this pause: 60s.")] = None,
) -> None:
    """Bring another registry's records here, and later what changed there. It may be stopped and run again any time."""
    from app.exchange.puller import pull_from

    settings = get_settings()
    pause = _seconds(every) if every else None
    with served_database(settings) as database_url:
        asyncio.run(pull_from(database_url, settings, url, key, types or [], pause, typer.echo))


# --- keys -------------------------------------------------------------------------------------------


def _days(text: str) -> timedelta:
    if not text.removesuffix("d").isdigit() or not 1 <= int(text.removesuffix("d")) <= 3650:  # noqa: PLR2004
        msg = "a number of days such as 90d, at most 3650d"
        raise typer.BadParameter(msg)
    return timedelta(days=int(text.removesuffix("d")))


@keys.command("create", epilog='Example: `chronika keys create --name "Viasna desk" --role editor --expires 90d`')
def create_key(
    name: Annotated[str, typer.Option(help="Who holds it; editors see it in the history of what this key changes.")],
    role: Annotated[str, typer.Option(help="partner, editor or guardian.")],
    expires: Annotated[str, typer.Option(help="How long it is valid.")] = "90d",
    origin: Annotated[str | None, typer.Option(help="Origin it writes for; this installation's unless said.")] = None,
) -> None:
    """Make a key and print it, this once. For rotation make the new one, hand it over, then revoke the old one."""
    from app.core import keys as key_store

    settings = get_settings()
    with served_database(settings) as url:
        typer.echo(asyncio.run(key_store.create(url, name, role, origin or settings.origin, _days(expires))))


@keys.command("list", epilog="Example: `chronika keys list`")
def list_keys() -> None:
    """List all keys: never the keys themselves, which nobody has kept."""
    from rich.console import Console
    from rich.table import Table

    from app.core import keys as key_store

    with served_database(get_settings()) as url:
        found = asyncio.run(key_store.list_all(url))
    table = Table("id", "name", "role", "origin", "expires", "state")
    for key in found:
        table.add_row(key["id"], key["name"], key["role"], key["origin"], f"{key['expires_at']:%Y-%m-%d}", key["state"])
    Console().print(table)


@keys.command("revoke", epilog="Example: `chronika keys revoke 4f1a09c2be`")
def revoke_key(key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")]) -> None:
    """Revoke a key; it holds from the next request on, in every worker."""
    from app.core import keys as key_store

    with served_database(get_settings()) as url:
        asyncio.run(key_store.revoke(url, key_id))
    typer.echo(f"Key {key_id} is revoked.")
