"""The course on the command line: exercises, check, verify, progress, build."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monkeynet_edu.errors import UserError

if TYPE_CHECKING:
    from monkeynet_edu.course.judge import Verdict

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Lessons = Annotated[list[str] | None, typer.Argument(help="Numbers of lessons (01 03); all, where none is given.")]


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def exercises(as_json: JsonFlag = False) -> None:
    """List the exercises of the course."""
    from monkeynet_edu.course import checking

    found = checking.list_exercises()
    if as_json:
        _print_json(found)
        return
    for row in found:
        typer.echo(f"{row['lesson']}  {row['id']:24} {row['function']:26} {row['level']:10} {row['title']}")


def check(
    exercise_id: Annotated[str, typer.Argument(metavar="ID", help="Exercise, as `exercises` lists it.")],
    file: Annotated[Path, typer.Argument(help="Python file or notebook that defines the function.")],
    as_json: JsonFlag = False,
) -> None:
    """Check an answer: exit code 0 for PASS, 1 for anything else."""
    from monkeynet_edu.course import checking, lessons
    from monkeynet_edu.course.banner import Banner

    def say(verdict: Verdict) -> None:
        if as_json:
            _print_json(verdict.to_json())
        else:
            typer.echo(str(Banner(verdict)))

    lessons.find(exercise_id)
    with checking.give_up(checking.PATIENCE, lambda: say(checking.given_up(exercise_id))):
        verdict = checking.check_file(exercise_id, file)
    say(verdict)
    if verdict.status != "PASS":
        raise typer.Exit(1)


def verify_checks(numbers: Lessons = None, as_json: JsonFlag = False) -> None:
    """Certify the checks: wrong answers are rejected with their own hints, right ones pass."""
    from monkeynet_edu.course import verify

    certificates = verify.certify_all(numbers or [])
    if as_json:
        _print_json(verify.to_json(certificates))
    else:
        typer.echo(verify.report(certificates))
    if any(certificate.problems for certificate in certificates):
        raise typer.Exit(1)


def progress(
    export: Annotated[Path | None, typer.Option(help="Copy the progress into this JSON file.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the progress into this PNG file.")] = None,
    erase: Annotated[bool, typer.Option("--erase", help="Delete the progress and my_monkeynet.py for good.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what has been passed and how well predictions went; it lies in one file on this machine."""
    from monkeynet_edu.course import progress as kept

    mine = kept.Progress.open()
    if as_json:
        _print_json(kept.report(mine))
    elif export is None and picture is None and not erase:
        typer.echo(kept.table(mine))
    if export is not None:
        mine.export(export)
        typer.echo(f"exported to {export}", err=as_json)
    if picture is not None:
        typer.echo(f"drawn into {kept.picture(mine).save(picture)}", err=as_json)
    if erase:
        gone = mine.erase()
        typer.echo(f"erased {', '.join(map(str, gone)) or 'nothing: there was none'}", err=as_json)


def build(
    numbers: Lessons = None,
    check_only: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 where notebooks drifted.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Execute nothing; changed cells lose their outputs.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Execute although no cell has changed.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="Execute; write time and memory to measured.json.")] = False,
) -> None:
    """Build notebooks/ and solutions/ from the lessons' sources."""
    if importlib.util.find_spec("jupytext") is None or importlib.util.find_spec("nbclient") is None:
        raise UserError('build: expected jupytext and nbclient to be installed; run `pip install -e ".[test]"`')
    from monkeynet_edu.course import build as builder

    builder.run(numbers, check_only, text, force, measure)


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    panel = "Course"
    app.command(rich_help_panel=panel)(exercises)
    app.command(rich_help_panel=panel, epilog="[bold]Example:[/bold]  monkeynet-edu check lattice answer.py --json")(check)
    app.command("verify", rich_help_panel=panel)(verify_checks)
    app.command(rich_help_panel=panel)(progress)
    app.command(rich_help_panel=panel)(build)
