"""The command line `khata`.

A command is a module with one function of the same name and one line in `COMMANDS`; several words of one kind are a
group, with a line in `GROUPS`. Those modules import at their top
only what is quick; a command that needs the engine's parts imports them when it is called, so that `khata --help` is
instant.
"""

import sys

import typer

from infra.cli import (
    alerts,
    archive,
    backup,
    bars,
    bench,
    broker,
    charges,
    contract_note,
    corporate_action,
    demo,
    docs,
    doctor,
    erase,
    instruments,
    keys,
    kill,
    login,
    logout,
    market_calendar,
    migrate,
    orders,
    parked,
    positions,
    preopen,
    rebuild,
    reconcile,
    replay,
    resolve,
    restore,
    run,
    trades,
    up,
    verify,
    version,
)
from infra.problems import OperatorProblem
from infra.settings import SettingsInvalid

EXIT_PROBLEM = 1
EXIT_SETTINGS = 2

app = typer.Typer(
    name="khata",
    help="An event-sourced trading engine: every intent is risk-checked, durable, and sent once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # Its tracebacks show local variables, passwords among them.
)

COMMANDS = (
    up.up,
    demo.demo,
    run.run,
    login.login,
    logout.logout,
    orders.orders,
    resolve.resolve,
    alerts.alerts,
    trades.trades,
    positions.positions,
    preopen.preopen,
    migrate.migrate,
    verify.verify,
    archive.archive,
    bench.bench,
    parked.parked,
    rebuild.rebuild,
    reconcile.reconcile,
    charges.charges,
    contract_note.contract_note,
    doctor.doctor,
    keys.keys,
    replay.replay,
    erase.erase,
    kill.kill,
    corporate_action.corporate_action,
    backup.backup,
    restore.restore,
    docs.docs,
    version.version,
)
for command in COMMANDS:
    app.command()(command)
GROUPS = (bars.bars, broker.broker, instruments.instruments, market_calendar.market_calendar)
for group in GROUPS:
    app.add_typer(group)


def main() -> None:
    """Run the command that the arguments name."""
    try:
        app()
    except OperatorProblem as problem:
        sys.stderr.write(f"khata: {problem.message}\n")
        if problem.remedy:
            sys.stderr.write(f"  {problem.remedy}\n")
        sys.exit(EXIT_SETTINGS if isinstance(problem, SettingsInvalid) else EXIT_PROBLEM)
