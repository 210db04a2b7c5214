"""Settings: one struct, read once from environment variables `KHATA_*`, each with a default and a description.

A new setting is one field here; `docs/configuration.md` and `khata doctor` follow. A variable `KHATA_*` that is no
setting is refused: a misspelt limit that silently stays at its default is worse than an engine that does not start.
"""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from infra.problems import OperatorProblem

PREFIX = "KHATA_"
RUNTIME_FILE_VARIABLE = "KHATA_RUNTIME_FILE"
READY_FD_VARIABLE = "KHATA_READY_FD"
_INTERNAL_VARIABLES = frozenset({RUNTIME_FILE_VARIABLE, READY_FD_VARIABLE})
"""How the supervisor talks to the processes it starts: no settings, and nobody else's to set."""

SYNTHETIC = "synthetic"
"""The tape that the simulator makes up."""

_SECRET = {"x-secret": True}
_ROOT_HOME = Path("/var/lib/khata")

Port = Annotated[int, Meta(ge=1, le=65535)]
PortOrFree = Annotated[int, Meta(ge=0, le=65535)]


def _default_home() -> Path:
    # Root's own home directory is closed to the unprivileged user that PostgreSQL must run as.
    return _ROOT_HOME if os.geteuid() == 0 else Path.home() / ".khata"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set."""

    home: Annotated[
        Path,
        Meta(description="Folder of everything that is kept: keys, databases, logs (as root: /var/lib/khata)."),
    ] = msgspec.field(default_factory=_default_home)
    database_url: Annotated[
        str | None,
        Meta(
            description="PostgreSQL server of your own, as postgresql://user:password@host/database; the user may"
            " create roles, or the roles exist. Unset: an embedded server under the home folder.",
            extra_json_schema=_SECRET,
        ),
    ] = None
    nats_url: Annotated[
        str | None,
        Meta(
            description="NATS server of your own with JetStream, as nats://user:password@host:4222."
            " Unset: an embedded server.",
            extra_json_schema=_SECRET,
        ),
    ] = None
    user_keys_url: Annotated[
        str | None,
        Meta(
            description="PostgreSQL server for users' data keys, as postgresql://user:password@host/database; never the"
            " log's own, whose backups would hold the keys. Unset: files under the home folder, on one machine.",
            extra_json_schema=_SECRET,
        ),
    ] = None
    server_user: Annotated[
        str,
        Meta(description="As root only: the existing unprivileged user that the embedded PostgreSQL runs as."),
    ] = "nobody"
    api_host: Annotated[str, Meta(description="Address that the API listens on.")] = "127.0.0.1"
    api_port: Annotated[PortOrFree, Meta(description="Port that the API listens on; 0 takes a free one.")] = 8000
    api_apart: Annotated[
        bool,
        Meta(description="`khata up` runs commands and queries of the API in a process each."),
    ] = False
    query_api_port: Annotated[
        PortOrFree,
        Meta(description="Port of the query half where it runs apart; 0 takes a free one. Commands keep the API's."),
    ] = 8001
    api_processes: Annotated[
        int,
        Meta(
            ge=1,
            description="Number of API processes that requests are spread over; each allows its share of the rates.",
        ),
    ] = 1
    api_cors_origins: Annotated[
        str,
        Meta(
            pattern=r"^$|^https?://[^\s/,*]+(,https?://[^\s/,*]+)*$",
            description="Exact origins of other people's pages that may call the API from a browser, separated by"
            " commas, such as https://desk.example.in. Unset: none.",
        ),
    ] = ""
    api_trusted_proxies: Annotated[
        str,
        Meta(
            pattern=r"^$|^[0-9A-Fa-f.:/]+(,[0-9A-Fa-f.:/]+)*$",
            description="Addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas."
            " Unset: none.",
        ),
    ] = ""
    api_connections_max: Annotated[
        int,
        Meta(ge=1, description="Connections that an API process serves; above it the answer is 503."),
    ] = 4000
    api_request_within_ms: Annotated[
        int,
        Meta(ge=1, description="Time within which a request must have come whole, in milliseconds."),
    ] = 10_000
    api_answer_within_ms: Annotated[
        int,
        Meta(
            ge=1,
            description="Time after which a request that has no answer gets 504, in milliseconds; a command goes on.",
        ),
    ] = 30_000
    api_keep_alive_ms: Annotated[
        int,
        Meta(ge=1, description="Time for which a connection is kept between two requests, in milliseconds."),
    ] = 75_000
    rate_sign_ins_per_minute: Annotated[
        int,
        Meta(ge=1, description="Registrations, log-ins and what else proves who one is, of one address in a minute."),
    ] = 60
    rate_commands_per_second: Annotated[
        int,
        Meta(ge=1, description="Commands of one user in any second; an address may hand in four times as many."),
    ] = 200
    rate_queries_per_second: Annotated[
        int,
        Meta(ge=1, description="Queries of one user in any second; an address may ask four times as many."),
    ] = 200
    rate_searches_per_second: Annotated[
        int,
        Meta(ge=1, description="Searches of one user in any second; an address may ask four times as many."),
    ] = 20
    rate_health_per_second: Annotated[
        int,
        Meta(ge=1, description="Questions of one address for health and readiness in any second."),
    ] = 50
    simulator_host: Annotated[str, Meta(description="Address that the broker simulator listens on.")] = "127.0.0.1"
    simulator_port: Annotated[
        PortOrFree,
        Meta(description="Port of the broker simulator; 0 takes a free one and records it in run/runtime.json."),
    ] = 0
    simulator_faults: Annotated[
        str,
        Meta(
            description="Faults of the broker simulator by rates and a seed, such as: seed=7 delay=0.02 tear_body=0.01."
            " Unset: none."
        ),
    ] = ""
    dhan_url: Annotated[
        str | None,
        Meta(description="Base URL of the broker for paper accounts. Unset: our own simulator."),
    ] = None
    market_clock: Annotated[
        Literal["wall", "tape"],
        Meta(description="What the market's time is: wall (now), or tape (the newest tick's time)."),
    ] = "wall"
    simulator_sessions: Annotated[
        bool,
        Meta(
            description="The simulator keeps the exchange's day: phases, auctions, circuit limits, freeze quantities."
            " Without it, it trades whenever the tape plays."
        ),
    ] = False
    simulator_participation: Annotated[
        Literal["print", "session"],
        Meta(description="What orders at the simulator get a share of: each print, or all that the session traded."),
    ] = "print"
    simulator_participation_bp: Annotated[
        int,
        Meta(ge=1, le=10_000, description="That share, of the orders on one side together, in basis points."),
    ] = 2_500
    simulator_slippage: Annotated[
        str,
        Meta(
            pattern=r"^(none|(ticks|bp|sqrt):[0-9]{1,4})$",
            description="What taking costs at the simulator where the tape has no depth: none, ticks:N, bp:N (basis"
            " points), or sqrt:N (N basis points for a whole print, half of it for a quarter).",
        ),
    ] = "none"
    tape: Annotated[
        str,
        Meta(description="What the simulator plays: synthetic, or a folder of recorded ticks or of candles."),
    ] = SYNTHETIC
    tape_day: Annotated[
        str,
        Meta(
            pattern=r"^(\d{4}-\d{2}-\d{2})?$",
            description="Day of the synthetic session, which goes to 16:00 then, or with which a tape of candles begins"
            " (2026-11-20). Unset: 2026-04-15, or now where it goes on for ever; all candles.",
        ),
    ] = ""
    tape_depth: Annotated[
        bool,
        Meta(description="The synthetic session shows five levels of the book on both sides."),
    ] = False
    tape_speed: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds of the tape in one of ours; 0 plays it as fast as it goes. Another speed than 1 wants"
            " the market clock of the tape.",
        ),
    ] = 1.0
    tape_seconds: Annotated[
        int,
        Meta(ge=0, description="Length of the synthetic session in seconds; 0 goes on for ever, from now on."),
    ] = 0
    tape_seed: Annotated[int, Meta(ge=0, description="Seed of the synthetic session.")] = 1
    feed_symbols: Annotated[
        str,
        Meta(
            description="Symbols of an imported instrument master that ticks are wanted of besides those that are"
            " shipped, parted by commas."
        ),
    ] = ""
    lock_step: Annotated[
        bool,
        Meta(description="The simulator's next tick waits to be asked for, so that outcomes do not depend on speed."),
    ] = False
    entry_not_after_ms: Annotated[
        int,
        Meta(ge=1, description="Age at which an entry that was not sent lapses, in milliseconds of market time."),
    ] = 5000
    intents_per_second_max: Annotated[
        int,
        Meta(ge=1, description="Intents that one account may hand in a second; what comes beyond is not recorded."),
    ] = 100
    order_lookup_window_ms: Annotated[
        int,
        Meta(ge=0, description="Shortest time that an unknown order is looked for before it is presumed absent."),
    ] = 3000
    order_lookups_min: Annotated[
        int,
        Meta(ge=1, description="Fewest look-ups that found nothing before an unknown order is presumed absent."),
    ] = 3
    exit_successor: Annotated[
        Literal["auto", "ask"],
        Meta(
            description="What follows when an exit or stop is presumed absent while the broker's position is open: auto"
            " sends another in its place, ask sends nothing before a person has said what became of the first."
        ),
    ] = "auto"
    stop_reprice_after_ms: Annotated[
        int,
        Meta(
            ge=0,
            description="Time for which the price may be beyond a resting stop's limit before the stop gets another, in"
            " milliseconds of market time.",
        ),
    ] = 3000
    square_off_lead_ms: Annotated[
        int,
        Meta(
            ge=0,
            description="Shortest time before the end of continuous trading at which INTRADAY trades are closed, in"
            " milliseconds; what the limits on orders demand comes on top.",
        ),
    ] = 60_000
    idle_poll_ms: Annotated[
        int,
        Meta(
            ge=100,
            description="Time between two looks at the broker's books of an account that holds something and has no"
            " order there, in milliseconds: for what is traded by other means.",
        ),
    ] = 2000
    order_updates: Annotated[
        bool,
        Meta(
            description="The broker's websocket of order updates is listened to, a connection for each account that has"
            " an order or holds something. Without it, books are read five times a second."
        ),
    ] = True
    order_updates_poll_ms: Annotated[
        int,
        Meta(
            ge=100,
            description="Time between two looks at the broker's books of an account with orders there, as long as the"
            " broker is believed to tell of it by itself, in milliseconds.",
        ),
    ] = 2000
    contract_notes_from_minute: Annotated[
        int,
        Meta(
            ge=0,
            le=1439,
            description="When the broker is first asked what it charged on a day: so many minutes after the next"
            " midnight in India.",
        ),
    ] = 360
    contract_notes_retry_ms: Annotated[
        int,
        Meta(
            ge=1000,
            description="Time after which the broker is asked again for what its statement of a day does not have yet,"
            " in milliseconds.",
        ),
    ] = 900_000
    contract_notes_days_max: Annotated[
        int,
        Meta(ge=1, le=14, description="For so many days back statements of the broker are asked for."),
    ] = 7
    breaker_failures_max: Annotated[
        int,
        Meta(ge=1, description="Failures in a row that open the circuit breaker of a class of broker calls."),
    ] = 3
    breaker_reset_ms: Annotated[
        int,
        Meta(ge=1, description="Time that an open breaker waits before it lets one trial through, in milliseconds."),
    ] = 5000
    anchors_file: Annotated[
        Path | None,
        Meta(
            description="File of the signed anchors of the log; best on another disk than the database."
            " Unset: anchors/anchors.jsonl under the home folder.",
        ),
    ] = None
    archive_folder: Annotated[
        Path | None,
        Meta(description="Folder of the archived part of the log. Unset: archive under the home folder."),
    ] = None
    relay_poll_ms: Annotated[
        int,
        Meta(
            ge=1, description="Longest time between two looks at the log where no notification came, in milliseconds."
        ),
    ] = 500
    projection_shards: Annotated[
        int,
        Meta(ge=1, le=16, description="Number of shards that projectors share; one projector alone has them all."),
    ] = 1
    drain_deadline_ms: Annotated[
        int,
        Meta(ge=100, description="Time a process gets to finish its work before it is ended, in milliseconds."),
    ] = 15_000
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Least severe log line that is written."),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "console", "json"],
        Meta(description="Form of the log: console, json, or auto (console on a terminal, json elsewhere)."),
    ] = "auto"

    def __repr__(self) -> str:
        # URLs hold passwords, and a repr ends up in logs.
        return f"Settings(home={str(self.home)!r})"


class SettingsInvalid(OperatorProblem):
    """A variable `KHATA_*` is unknown or has a value that is not allowed. The process ends with 2."""


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings that *environment* (default: that of the process) asks for. An empty variable is unset.

    Raises:
        SettingsInvalid: a `KHATA_*` variable is unknown, or its value is not allowed.
    """
    variables = os.environ if environment is None else environment
    known = {variable_of(field.name): field.name for field in msgspec.structs.fields(Settings)}
    values: dict[str, str] = {}
    for variable, value in sorted(variables.items()):
        if not variable.startswith(PREFIX) or variable in _INTERNAL_VARIABLES:
            continue
        if variable not in known:
            raise SettingsInvalid(f"{variable} is set, but is no setting.", remedy=_remedy_for(variable, list(known)))
        if value:
            values[known[variable]] = value
    return _convert(values)


def override(settings: Settings, **values: Any) -> Settings:
    """Return *settings* with *values* in place of their fields, checked like any others.

    Raises:
        SettingsInvalid: a value is not allowed.
    """
    return _convert({**msgspec.structs.asdict(settings), **values})


def _convert(values: Mapping[str, Any]) -> Settings:
    try:
        return msgspec.convert(values, Settings, strict=False, dec_hook=_to_path, builtin_types=(Path,))
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        variable = variable_of(place.rstrip("`"))
        # The message tells type and bounds, never the value: a URL holds a password.
        raise SettingsInvalid(
            f"{variable}: {message}.", remedy="docs/configuration.md lists what is allowed."
        ) from None


def _to_path(wanted: type, value: Any) -> Any:
    if wanted is Path and isinstance(value, str):
        return Path(value).expanduser().absolute()
    return value


def variable_of(field: str) -> str:
    """Return the name of the environment variable that sets *field*."""
    return PREFIX + field.upper()


def _remedy_for(variable: str, known: list[str]) -> str:
    close = get_close_matches(variable, known, n=1, cutoff=0.8)
    return f"Did you mean {close[0]}?" if close else f"Unset it; the settings are: {', '.join(known)}."


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as a reader sees it. `value` is hidden where it holds a secret."""

    variable: str
    value: str
    default: str
    allowed: str
    text: str


def describe(settings: Settings) -> list[Description]:
    """Return every setting with its value in *settings*, in the order of the struct."""
    types = {field.name: field.type for field in msgspec.inspect.type_info(Settings).fields}  # type: ignore[attr-defined]
    rows = []
    for field in msgspec.structs.fields(Settings):
        schema = _meta_of(field.type)
        value = getattr(settings, field.name)
        hidden = value is not None and (schema.extra_json_schema or {}) == _SECRET
        rows.append(
            Description(
                variable=variable_of(field.name),
                value="(set, hidden)" if hidden else _text(value),
                default="~/.khata" if field.name == "home" else _text(field.default),
                allowed=_allowed(types[field.name]),
                text=schema.description or "",
            )
        )
    return rows


def _meta_of(annotation: Any) -> Meta:
    # Annotated flattens: an alias' own Meta (bounds) comes first, the field's (description) last.
    return next(meta for meta in reversed(annotation.__metadata__) if isinstance(meta, Meta))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _allowed(described: Any) -> str:
    kind = described.type if isinstance(described, msgspec.inspect.Metadata) else described
    match kind:
        case msgspec.inspect.LiteralType(values=values):
            return ", ".join(str(value) for value in values)
        case msgspec.inspect.BoolType():
            return "true, false"
        case msgspec.inspect.IntType(ge=low, le=high):
            return f"{low} … {high}" if high is not None else f"from {low}"
        case msgspec.inspect.FloatType(ge=least):
            return f"from {least}"
        case msgspec.inspect.CustomType():
            return "folder"
        case _:
            return "text"
