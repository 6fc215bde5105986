"""The guard's tables, in the database of the audit log: SQLite on one machine, PostgreSQL for several."""

import time

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    DateTime,
    Engine,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from equiray.errors import BadInput

_TIMEOUT_S = 5
METADATA = MetaData()

KEYS = Table(
    "equiray_keys",
    METADATA,
    Column("key_id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("scopes", String(200), nullable=False),  # joined by commas, sorted
    Column("salt", LargeBinary(16), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("requests_per_minute", BigInteger),
    Column("rows_per_minute", BigInteger),
    Column("tokens_per_day", BigInteger),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)

QUOTAS = Table(
    "equiray_quotas",
    METADATA,
    Column("key_id", String(32), primary_key=True),
    Column("day", BigInteger, primary_key=True, autoincrement=False),  # days of UTC since 1970
    Column("reserved", BigInteger, nullable=False),  # tokens
)


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`; it connects on first use.

    Raises
    ------
    BadInput
        The URL is none, of another database, or of one in memory, which no other process sees.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return create_engine(parsed, connect_args={"timeout": _TIMEOUT_S})
    limits = {"connect_timeout": _TIMEOUT_S, "options": f"-c statement_timeout={_TIMEOUT_S * 1000}"}
    return create_engine(parsed, pool_pre_ping=True, connect_args=limits)


def create_tables(engine: Engine) -> None:
    """Create what is missing; several processes may do so at once.

    Raises
    ------
    BadInput
        The database cannot be reached or written; names it without its password.
    """
    try:
        if engine.dialect.name == "sqlite":
            _keep_a_write_ahead_log(engine)
        for table in METADATA.sorted_tables:
            _create(engine, table)
    except SQLAlchemyError as error:
        raise unreachable(engine, error) from error


def _create(engine: Engine, table: Table) -> None:
    try:
        with engine.begin() as connection:
            connection.execute(CreateTable(table, if_not_exists=True))
    except SQLAlchemyError:  # on PostgreSQL, two that create it at once collide in the catalogue; the first has it
        if not inspect(engine).has_table(table.name):
            raise


def _keep_a_write_ahead_log(engine: Engine) -> None:
    """Once for a file: then readers never wait for the audit log's writer, nor it for them."""
    until = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            with engine.connect() as connection:
                if connection.execute(text("PRAGMA journal_mode")).scalar_one() != "wal":
                    connection.execute(text("PRAGMA journal_mode = WAL"))
            return
        except OperationalError as error:  # the change needs the file alone, and SQLite does not wait for it
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def unreachable(engine: Engine, error: SQLAlchemyError) -> BadInput:
    """The database's own words, its address without the password, and what to do."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return BadInput(
        f"the store cannot be used: {said[0] if said else type(error).__name__}",
        place=engine.url.render_as_string(hide_password=True),
        fix="check that the folder or server exists and that this user may write there",
    )


def _parsed(url: str) -> URL:
    place, fix = "--store", "use sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/NAME"
    try:
        parsed = make_url(url)
    except ArgumentError as error:  # its text would repeat a password
        raise BadInput("the store is no database URL", place=place, fix=fix) from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")  # the driver that is installed
    if backend != "sqlite":
        raise BadInput(f"the store is a database of another kind: {backend}", place=place, fix=fix)
    if parsed.database in (None, "", ":memory:"):
        raise BadInput("a database in memory is seen by no other process", place=place, fix="use sqlite:///FILE")
    return parsed
