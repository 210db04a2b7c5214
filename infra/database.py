"""Who may do what in the database: the roles of ours, and the address under which each of them connects."""

from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlencode, urlsplit, urlunsplit

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from infra.keys import DatabasePasswords
from infra.problems import OperatorProblem

ADMIN = "khata_admin"
OWNER = "khata_owner"
WRITER = "khata_writer"
PROJECTOR = "khata_projector"
QUERY = "khata_query"
ROLES = (OWNER, WRITER, PROJECTOR, QUERY)
DATABASE = "khata"

_CONNECT_TIMEOUT_S = 5


class DatabaseUrls(msgspec.Struct, frozen=True, kw_only=True):
    """One libpq URL per role, passwords in them. `admin` may create roles; only start and doctor use it."""

    admin: str
    owner: str
    writer: str
    projector: str
    query: str

    def __repr__(self) -> str:
        return "DatabaseUrls(…)"

    def for_database(self, name: str) -> "DatabaseUrls":
        """Return the same roles' URLs for database *name* of the same server."""
        return DatabaseUrls(
            **{
                field: urlunsplit(urlsplit(url)._replace(path="/" + quote(name, safe="")))
                for field, url in msgspec.structs.asdict(self).items()
            }
        )


def urls_of(admin_url: str, passwords: DatabasePasswords) -> DatabaseUrls:
    """Return the URLs of our roles on the server and database that *admin_url* names."""
    return DatabaseUrls(
        admin=admin_url,
        owner=_with_user(admin_url, OWNER, passwords.owner),
        writer=_with_user(admin_url, WRITER, passwords.writer),
        projector=_with_user(admin_url, PROJECTOR, passwords.projector),
        query=_with_user(admin_url, QUERY, passwords.query),
    )


def socket_url(*, user: str, password: str, folder: str, database: str = DATABASE) -> str:
    """Return the URL of the server whose socket lies in *folder*."""
    return f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@/{database}?{urlencode({'host': folder})}"


def _with_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    # libpq also takes user and password from the query, where they would override ours.
    rest = {name: values for name, values in parse_qs(parts.query).items() if name not in ("user", "password")}
    netloc = f"{quote(user, safe='')}:{quote(password, safe='')}@{host}"
    return urlunsplit(parts._replace(netloc=netloc, query=urlencode(rest, doseq=True)))


async def prepare_roles(admin_url: str, passwords: DatabasePasswords) -> DatabaseUrls:
    """Create the roles that are missing and let them into the database of *admin_url*; safe to repeat.

    A role that exists keeps its password: another installation may be using it.

    Raises:
        OperatorProblem: the server cannot be reached, the user may not create roles, or a role has another password.
    """
    try:
        connection = await psycopg.AsyncConnection.connect(
            admin_url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S, row_factory=scalar_row
        )
    except psycopg.OperationalError as error:
        raise OperatorProblem(
            f"PostgreSQL cannot be reached: {_first_line(error)}.", remedy="Check KHATA_DATABASE_URL and the server."
        ) from None
    async with connection:
        # A URL without a database means that of the user's name, and each of ours has another name.
        database = connection.info.dbname
        urls = urls_of(admin_url, passwords).for_database(database)
        try:
            await _create_missing(connection, passwords)
            await _grant(connection, database)
        except psycopg.errors.InsufficientPrivilege as error:
            raise OperatorProblem(
                f"The user of KHATA_DATABASE_URL may not prepare the database: {_first_line(error)}.",
                remedy="Let an administrator run this, with the passwords of keys/database.json:\n"
                + statements_to_run(database, connection),
            ) from None
    await _check_passwords(urls)
    return urls


@dataclass(frozen=True, slots=True)
class _RoleState:
    role: str
    password: str


def _wanted(passwords: DatabasePasswords) -> list[_RoleState]:
    return [_RoleState(role, getattr(passwords, role.removeprefix("khata_"))) for role in ROLES]


_CREATE_ROLE = (
    "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {password}"
)
_GRANTS = (
    # Nobody gets in by being anybody.
    "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
    "GRANT CONNECT ON DATABASE {database} TO {writer}, {projector}, {query}",
    # The owner migrates: it makes schemas, one of which it hands to the projector.
    "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO {owner}",
    "GRANT {projector} TO {owner}",
    # Rows of many read models wait in temporary tables for the statement that takes them in.
    "GRANT TEMPORARY ON DATABASE {database} TO {projector}",
)


async def _create_missing(connection: psycopg.AsyncConnection[object], passwords: DatabasePasswords) -> None:
    cursor = await connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])
    present = set(await cursor.fetchall())
    for wanted in _wanted(passwords):
        if wanted.role in present:
            continue
        # The server gets the verifier and never the password, which it could write to its log.
        verifier = connection.pgconn.encrypt_password(wanted.password.encode(), wanted.role.encode(), b"scram-sha-256")
        statement = sql.SQL(_CREATE_ROLE).format(
            role=sql.Identifier(wanted.role), password=sql.Literal(verifier.decode())
        )
        await connection.execute(statement)


async def _grant(connection: psycopg.AsyncConnection[object], database: str) -> None:
    cursor = await connection.execute(
        "SELECT has_database_privilege(%s, %s, 'CREATE') AND pg_has_role(%s, %s, 'SET')"
        " AND has_database_privilege(%s, %s, 'TEMPORARY')",
        [OWNER, database, OWNER, PROJECTOR, PROJECTOR, database],
    )
    if await cursor.fetchone():
        return
    for statement in grants(database):
        await connection.execute(statement)


def grants(database: str) -> list[sql.Composed]:
    """Return the statements that let our roles, and nobody else, into *database*; for its administrator to run."""
    return [
        sql.SQL(statement).format(
            database=sql.Identifier(database),
            owner=sql.Identifier(OWNER),
            writer=sql.Identifier(WRITER),
            projector=sql.Identifier(PROJECTOR),
            query=sql.Identifier(QUERY),
        )
        for statement in _GRANTS
    ]


def statements_to_run(database: str, connection: psycopg.AsyncConnection[object] | None = None) -> str:
    """Return the SQL that prepares *database* for an administrator to run, with a gap for each password."""
    lines = [
        sql.SQL(_CREATE_ROLE)
        .format(role=sql.Identifier(role), password=sql.Literal(f"<{role.removeprefix('khata_')}>"))
        .as_string(connection)
        for role in ROLES
    ]
    lines += [statement.as_string(connection) for statement in grants(database)]
    return "".join(f"  {line};\n" for line in lines)


async def _check_passwords(urls: DatabaseUrls) -> None:
    for field in fields_of_roles():
        try:
            connection = await psycopg.AsyncConnection.connect(getattr(urls, field), connect_timeout=_CONNECT_TIMEOUT_S)
        except psycopg.OperationalError as error:
            raise OperatorProblem(
                f"khata_{field} cannot log in: {_first_line(error)}.",
                remedy="The role was made by another installation. Use that one's keys folder, or give the role the"
                f" password {field!r} of keys/database.json: ALTER ROLE khata_{field} PASSWORD '…'.",
            ) from None
        await connection.close()


def fields_of_roles() -> list[str]:
    """Return the fields of `DatabaseUrls` that are roles of ours."""
    return [role.removeprefix("khata_") for role in ROLES]


def _first_line(error: Exception) -> str:
    # libpq's messages name user, host and reason, never the password.
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
