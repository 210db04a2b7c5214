"""`khata verify`."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.problems import OperatorProblem

if TYPE_CHECKING:
    from domain.integrity.anchors import CheckedAnchors
    from infra.settings import Settings
    from projections.integrity.verifier import Verdict

EXIT_TOUCHED = 1


def verify(
    *,
    first: Annotated[int, typer.Option("--from", min=1, help="First sequence, to check a part of the log.")] = 1,
    last: Annotated[int | None, typer.Option("--to", min=1, help="Last sequence, to check a part of the log.")] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            help="Check the anchors with this public key (PEM), without keys of the installation.", exists=True
        ),
    ] = None,
    anchors: Annotated[Path | None, typer.Option(help="Anchors file; default: that of the settings.")] = None,
    anchors_only: Annotated[bool, typer.Option(help="Check the anchors alone, without a database.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one line for machines.")] = False,
) -> None:
    """Check that nobody touched the log, and name the first place where somebody did; end with 0 only if nobody did."""
    from infra.settings import load

    settings = load()
    checked = _check_anchors(settings, anchors, public_key)
    if anchors_only:
        _tell_anchors(checked, as_json=as_json)
        sys.exit(EXIT_TOUCHED if checked.findings else 0)
    verdict = asyncio.run(_verify(settings, checked, first, last))
    _tell(verdict, as_json=as_json)
    sys.exit(0 if verdict.is_intact else EXIT_TOUCHED)


def _check_anchors(settings: "Settings", path: Path | None, public_key: Path | None) -> "CheckedAnchors":
    from adapters.anchor_file import AnchorFile
    from adapters.security.anchors import AnchorKey, AnchorPublicKey
    from domain.integrity.anchors import check_anchors
    from infra.home import Home
    from infra.keys import load_keys
    from infra.places import anchors_path

    path = path or anchors_path(settings)
    if public_key is None:
        key = AnchorPublicKey(AnchorKey(load_keys(Home(settings.home)).signing_pem).public_pem())
    else:
        try:
            key = AnchorPublicKey(public_key.read_bytes())
        except ValueError:
            raise OperatorProblem(
                f"{public_key} is no Ed25519 public key in PEM.", remedy="`khata keys --public` prints the right one."
            ) from None
    try:
        return check_anchors(AnchorFile(path).lines(), key.verify)
    except OSError as error:
        raise OperatorProblem(f"The anchors {path} cannot be read: {error.strerror}.", remedy="") from None


async def _verify(settings: "Settings", checked: "CheckedAnchors", first: int, last: int | None) -> "Verdict":
    import psycopg
    from msgspec.structs import replace
    from rich.console import Console
    from rich.progress import Progress

    from commands.ports import StoreUnavailable
    from infra.logs import configure
    from infra.places import archive_folder
    from infra.reaching import reach_database
    from infra.wiring.integrity import verify_audit, verify_log

    configure(settings)
    console = Console(stderr=True)
    async with reach_database(settings, is_migrated=True) as database:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("Verifying events", total=None)
            try:
                verdict = await asyncio.to_thread(
                    verify_log,
                    database.query,
                    archive_folder(settings),
                    anchors=checked,
                    progress=lambda done, total: progress.update(task, completed=done, total=total),
                    first=first,
                    last=last,
                )
                if first > 1 or last is not None:
                    return verdict
                audit = await verify_audit(database.writer, anchors=checked)
            except (psycopg.OperationalError, StoreUnavailable) as error:
                raise OperatorProblem(
                    f"The log cannot be read: {type(error).__name__}.", remedy="`khata doctor` says more."
                ) from error
    found = () if audit.finding is None else (audit.finding,)
    return replace(verdict, audit_entries=audit.entries, findings=(*verdict.findings, *found))


def _tell(verdict: "Verdict", *, as_json: bool) -> None:
    import msgspec

    if as_json:
        document = {
            "intact": verdict.is_intact,
            "first_finding": verdict.first_finding,
            **msgspec.to_builtins(verdict),
        }
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    write = sys.stdout.write
    write(f"Checked {verdict.events:,} events ({verdict.first_sequence} to {verdict.last_sequence}),")
    write(f" {verdict.streams:,} streams, {verdict.anchors:,} anchors.\n")
    if verdict.audit_entries is not None:
        write(f"Checked {verdict.audit_entries:,} entries of the audit table.\n")
    for note in verdict.notes:
        write(f"Note: {note}.\n")
    if verdict.anchored_to < verdict.last_sequence:
        write(
            f"Anchors cover the log up to sequence {verdict.anchored_to}. Of what follows nothing is promised:"
            " whoever may write to the database could have chained it anew.\n"
        )
    if verdict.is_intact:
        write("The log is as it was written.\n")
        return
    write(f"SOMEBODY TOUCHED THE LOG. First place: {verdict.first_finding}\n")
    for finding in verdict.findings:
        write(f"  {finding}\n")


def _tell_anchors(checked: "CheckedAnchors", *, as_json: bool) -> None:
    import msgspec

    last = checked.last
    if as_json:
        document = {
            "intact": not checked.findings,
            "anchors": len(checked.anchors),
            "sequence": 0 if last is None else last.sequence,
            "findings": checked.findings,
        }
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    where = "" if last is None else f" up to sequence {last.sequence} in epoch {last.epoch}"
    sys.stdout.write(f"{len(checked.anchors):,} anchors with valid signatures{where}.\n")
    for finding in checked.findings:
        sys.stdout.write(f"  {finding}\n")
