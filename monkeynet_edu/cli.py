"""``monkeynet-edu``: the command line. It parses, calls the library and says what came of it.

Everything heavy is imported inside the commands, so that ``--help`` answers at once. Bad input ends in one line on
standard error and exit code 2; Ctrl-C in a word about what was kept and 130; anything unexpected in a traceback.
With ``--json`` there is JSON alone on standard output; progress goes to standard error.
"""

from __future__ import annotations

import errno
import io
import json
import math
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from monkeynet_edu import __version__
from monkeynet_edu.course import commands as course_commands
from monkeynet_edu.errors import ToldElsewhereError, UserError, unknown_name
from monkeynet_edu.files import check_file, kind_of
from monkeynet_edu.paths import expanded

if TYPE_CHECKING:
    from torch import Tensor

    from monkeynet_edu.baselines import Rival, RivalConfig
    from monkeynet_edu.data.datasets import Clip
    from monkeynet_edu.data.video import Frames, Video
    from monkeynet_edu.doctor import Finding
    from monkeynet_edu.evaluators import Evaluators
    from monkeynet_edu.experiments import Effort, Experiment, Progress, Reproduction
    from monkeynet_edu.interrupts import CtrlC
    from monkeynet_edu.keypoints import Keypoints
    from monkeynet_edu.metrics import Evaluation
    from monkeynet_edu.model import Device, MonkeyNet, MonkeyNetConfig
    from monkeynet_edu.prediction import Predictor
    from monkeynet_edu.training import AnyRun, Budget, Learns, Recipe, Report

Fit = Literal["crop", "pad"]
SplitName = Literal["train", "test", "all"]
ClipFormat = Literal["png", "jpg", "gif", "webp", "mp4", "mov", "folder"]

_SETS = "mini-nemo, mini-taichi, mini-bair, mini-mgif"
_PRESETS = "shapes, actions, nemo, taichi, bair, mgif, mini, mini-absolute, mini-plain, mini-plain-absolute"
_RIVALS = "x2face, mocogan, cmmnet, sv2p"
_WHOLE_CLIPS = 300  # of a miniature, for those that learn from windows: 120 MB of frames
_LENGTH, _TRANSFER = "Length (one of them)", "Transfer"
_MOST_SEED = 2**62
_MOST_PREDICTED = 5000  # frames of all films together: each takes 150 kB on its way

app = typer.Typer(
    name="monkeynet-edu",
    help="Monkey-Net: a still picture takes over the motion of a film. Train it, animate with it, look inside.",
    epilog="[bold]Begin here:[/bold]  monkeynet-edu demo\n\nAll options of a command:  monkeynet-edu train --help",
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Make, inspect and convert data sets and clips.", no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(data_app, name="data", rich_help_panel="Data")


class StopError(Exception):
    """Ctrl-C was pressed; the text says what was kept."""


# ------------------------------------------------------------------------------------------------------------- options

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]
DataOption = Annotated[str, typer.Option("--data", help=f"A miniature ({_SETS}) or a folder of clips.", metavar="DATA")]
SplitOption = Annotated[SplitName, typer.Option("--split", help="Which part of the data set.")]
LimitOption = Annotated[
    int | None, typer.Option("--limit", help="Only the first N clips.", metavar="N", show_default="all")
]
FitOption = Annotated[Fit, typer.Option("--fit", help="How frames of other sizes become square: cut off, or filled up.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of everything drawn at random.", min=0, max=_MOST_SEED)]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Trained weights: a run folder, a .safetensors file, a miniature's name, or the authors' .pth.tar "
        "(then with --preset).",
        metavar="MODEL",
        show_default="shipped: of the data set, else mini-taichi",
        rich_help_panel="Model",
    ),
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help=f"Configuration that the weights must have: {_PRESETS}.",
        metavar="PRESET",
        show_default="as the weights say",
        rich_help_panel="Model",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.", metavar="DEVICE", rich_help_panel="Computation"),
]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option("--precision", help="Of the networks; auto: bfloat16 where it is fast.", rich_help_panel="Computation"),
]

RunFolder = Annotated[Path | None, typer.Option("--out", help="Run folder.", show_default="runs/<data>")]
TrainPreset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help=f"Configuration and recipe: {_PRESETS}; or a rival: {_RIVALS}.",
        metavar="PRESET",
        show_default="mini",
    ),
]
Steps = Annotated[int | None, typer.Option("--steps", help="How many steps in all.", rich_help_panel=_LENGTH)]
Minutes = Annotated[float | None, typer.Option("--minutes", help="How many minutes in all.", rich_help_panel=_LENGTH)]
Epochs = Annotated[
    int | None,
    typer.Option("--epochs", help="Times over all clips.", show_default="the preset's", rich_help_panel=_LENGTH),
]
ResumeFlag = Annotated[bool, typer.Option("--resume", help="Go on where the run folder's checkpoint stopped.")]
InitOption = Annotated[
    str | None, typer.Option("--init", help="Start from trained weights (as --model elsewhere).", metavar="MODEL")
]
LearnOption = Annotated[
    Literal["all", "generator", "drawing"] | None,
    typer.Option(
        "--learn",
        help="Everything all the time; or, with --init, only a part of a trained model: the generator (M, G, D; keypoints "
        "stay), or the drawing (G, D; keypoints and motion stay).",
        show_default="as the preset's recipe says",
    ),
]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Pairs in a step.", show_default="the preset's")]
SizeOption = Annotated[int | None, typer.Option("--size", help="Side of the frames.", show_default="the preset's")]
PlantOption = Annotated[
    str | None,
    typer.Option(
        "--plant",
        help="Break the training on purpose and see the monitor name it: nan, identical, learning-rate, outside, "
        "collapsed, resting, background, d-won, few-clips.",
        metavar="FAULT",
        show_default="a sound training",
        rich_help_panel="Computation",
    ),
]
ModeOption = Annotated[
    Literal["relative", "absolute"] | None,
    typer.Option(
        "--mode",
        help="relative: the source's own pose moves as the driving pose does; absolute: the driving pose itself.",
        show_default="as the model says",
        rich_help_panel=_TRANSFER,
    ),
]
Reference = Annotated[
    str,
    typer.Option(
        "--reference",
        help="Driving frame taken to be in the source's pose: auto (the nearest), first, or its number from 0.",
        metavar="auto|first|N",
        rich_help_panel=_TRANSFER,
    ),
]
ScalingOption = Annotated[
    Literal["none", "hull"],
    typer.Option("--scaling", help="hull: movements grow with the figure's size.", rich_help_panel=_TRANSFER),
]
CovarianceOption = Annotated[
    Literal["driving", "adapted"],
    typer.Option("--covariance", help="Shapes of parts: the driving clip's, or the source's.", rich_help_panel=_TRANSFER),
]
ClipKeypoints = Annotated[
    bool, typer.Option("--clip-keypoints", help="Keep keypoints inside the frame.", rich_help_panel=_TRANSFER)
]
SideBySide = Annotated[bool, typer.Option("--side-by-side", help="Show source, driving clip and animation, enlarged.")]
Audio = Annotated[
    Literal["keep", "drop"], typer.Option("--audio", help="The driving film's sound, in .mp4, .m4v and .mov.")
]
Label = Annotated[
    str, typer.Option("--label", help="Word in the corner of every generated frame; an empty one for none.", metavar="WORD")
]


# ------------------------------------------------------------------------------------------------------------- helpers


def _say(text: str) -> None:
    """A word on the way, on standard error: standard output holds results alone."""
    typer.echo(text, err=True)


def _say_nothing(text: str) -> None:
    """The word of a process whose neighbour speaks for all."""


def _print_json(value: Any) -> None:
    """JSON on standard output; what is not a number becomes null, which every JSON reader takes."""

    def plain(item: Any) -> Any:
        if isinstance(item, dict):
            return {str(key): plain(x) for key, x in item.items()}
        if isinstance(item, list | tuple):
            return [plain(x) for x in item]
        if isinstance(item, float) and not math.isfinite(item):
            return None
        return str(item) if isinstance(item, Path) else item

    typer.echo(json.dumps(plain(value), indent=2))


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal:  # a file has no right edge at which words must break
        needed = console.measure(table, options=console.options.update(width=1000)).maximum
        console.width = max(console.width, needed)
    console.print(table)


def _pick_device(device: str = "auto", precision: Literal["auto", "float32", "bfloat16"] = "auto") -> Device:
    from monkeynet_edu.model import pick_device

    return pick_device(device, precision)


def resolve_model(model: str | None, preset: str | None, data: str | None = None) -> MonkeyNet:
    """Finds and loads what ``--model`` and ``--preset`` name.

    Args:
        model: run folder, safetensors file, miniature's name, or a file of the authors; None for the shipped weights.
        preset: configuration that the weights must have; needed for the authors' files, which do not say.
        data: data set whose shipped weights are meant where ``model`` is None.

    Raises:
        UserError: nothing there, unreadable, or of another configuration.
    """
    from monkeynet_edu.data.datasets import MINIATURES
    from monkeynet_edu.model import MonkeyNet
    from monkeynet_edu.model import preset as preset_config
    from monkeynet_edu.paths import weights_path

    config = preset_config(preset) if preset is not None else None
    if model is None:
        return MonkeyNet.load(weights_path(data if data in MINIATURES else "mini-taichi"), config)
    if model in MINIATURES:
        return MonkeyNet.load(weights_path(model), config)
    path = expanded(model)
    kind = kind_of(path)
    if kind == "nothing":
        if path.name == model and not path.suffix:
            raise UserError(f"{unknown_name('model', model, MINIATURES)} (the path of a run folder or a file works too)")
        raise UserError(f"{path}: expected a run folder or a file of weights, got nothing there; check the path")
    if kind == "folder" or _is_safetensors(path):
        return MonkeyNet.load(path, config)
    if preset is None:
        raise UserError(
            f"{path}: expected --preset beside a file of weights that does not say its configuration, got none; "
            "add for instance --preset taichi"
        )
    return MonkeyNet.from_official(path, preset)


def resolve_rival(model: str | None) -> Rival | None:
    """The rival that ``--model`` names: shipped weights as in ``x2face-mini-taichi``, a run folder or a file; else None.

    Raises:
        UserError: a rival's weights that are damaged.
    """
    from monkeynet_edu import baselines

    if model is None:
        return None
    name, _, data = model.partition("-")
    if name in baselines.RIVALS and data in baselines.RIVALS[name].shipped:
        return baselines.shipped(name, data)
    path = expanded(model)
    return baselines.load(path) if kind_of(path) != "nothing" and baselines.is_rival(path) else None


def _is_safetensors(path: Path) -> bool:
    """By its ending, or by its first bytes: a length (8 bytes), then JSON."""
    check_file(path, "a run folder or a file of weights")
    if path.suffix == ".safetensors":
        return True
    try:
        with path.open("rb") as file:
            return file.read(9)[8:] == b"{"
    except OSError as error:
        raise UserError(f"{path}: expected a readable file, got an error ({error.strerror}); check it") from error


def _limited(clips: Sequence[Clip], limit: int | None) -> Sequence[Clip]:
    if limit is None:
        return clips
    if limit < 1:
        raise UserError(f"--limit: expected at least 1 clip, got {limit}; leave it out for all")
    return clips[:limit]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"monkeynet-edu {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Takes the options that stand before a command."""


# ---------------------------------------------------------------------------------------------------------------- demo


@app.command(rich_help_panel="Start", epilog="[bold]Example:[/bold]  monkeynet-edu demo --out pictures")
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the pictures.")] = Path("demo_out"),
    as_json: JsonFlag = False,
) -> None:
    """Animate pictures of the four miniatures with the shipped weights (half a minute).

    Writes for each miniature a table of animations as GIF and as MP4, and a sheet that shows what happens inside:
    keypoints, part masks and flow.
    """
    from tqdm.auto import tqdm

    from monkeynet_edu import demo as show
    from monkeynet_edu.data.datasets import MINIATURES

    shown, skipped = show.run(out, _pick_device(), tqdm(MINIATURES, desc="animating", unit="set", leave=False))
    if as_json:
        _print_json({"shown": [vars(s) for s in shown], "skipped": [vars(s) for s in skipped]})
        return
    for files in shown:
        typer.echo(f"{files.name:12}  {files.gif}  {files.mp4}  {files.sheet}")
    for left in skipped:
        _say(f"skipped {left.name}: {left.reason}")
    typer.echo(
        "Open a GIF: the top row is the driving motion, the left column the still pictures; every other cell is a still\n"
        "picture that takes over the motion above it. The sheets (-inside.png) show what happens on the way."
    )


# --------------------------------------------------------------------------------------------------------------- train


def _training_config(data: str, preset: str | None, size: int | None) -> tuple[str, MonkeyNetConfig | RivalConfig]:
    """Preset's name and configuration, at the frame size wanted; the name of a rival counts as a preset."""
    from dataclasses import replace

    from monkeynet_edu.baselines.registry import RIVALS, config_of
    from monkeynet_edu.model import PRESETS, small_preset
    from monkeynet_edu.model import preset as preset_config

    name = preset or small_preset(data)
    if name not in RIVALS and name not in PRESETS:
        raise unknown_name("preset", name, (*PRESETS, *RIVALS))
    config = config_of(name) if name in RIVALS else preset_config(name)
    if size is not None:
        config.check_frame_size(size)
        config = replace(config, frame_size=size)
    return name, config


def _recipe(name: str, data: str, seed: int, batch_size: int | None, learn: Learns | None = None) -> Recipe:
    """How a preset or a rival is trained."""
    from dataclasses import replace

    from monkeynet_edu import baselines
    from monkeynet_edu.data.datasets import MINIATURES
    from monkeynet_edu.training import recipe_for

    known = baselines.recipe_for if name in baselines.RIVALS else recipe_for
    recipe = known(name, data, seed, data in MINIATURES)
    if learn is not None:
        recipe = recipe.all_at_once() if learn == "all" else recipe.with_resting(learn)
    return recipe if batch_size is None else replace(recipe, batch_size=_positive("--batch-size", batch_size))


def _check_learn(learn: Learns | None, name: str, init: str | None, resume: bool) -> None:
    """Refuses to let a part rest that nobody has trained, or that is none."""
    from monkeynet_edu.baselines.registry import RIVALS

    if learn in (None, "all"):
        return
    if name in RIVALS:
        raise UserError(f"--learn {learn}: expected a preset of Monkey-Net, got {name}, which has no motion; drop it")
    if init is None and not resume:
        raise UserError(f"--learn {learn}: expected --init MODEL, whose motion is kept, got none; name a trained model")


def _started(
    config: MonkeyNetConfig | RivalConfig,
    name: str,
    recipe: Recipe,
    title: str,
    where: Device,
    clips: Sequence[Clip],
    plant: str | None,
) -> tuple[AnyRun[Any, Any, Any], Sequence[Clip]]:
    """A new training and its clips, with a planted fault where one is asked for."""
    from monkeynet_edu import baselines
    from monkeynet_edu.model import MonkeyNetConfig
    from monkeynet_edu.monitor import plant as plant_of
    from monkeynet_edu.training import sabotage, start

    if not isinstance(config, MonkeyNetConfig):
        if plant is not None:
            raise UserError(
                f"--plant {plant}: expected a preset of Monkey-Net, got {name}, whose parts are others; drop one"
            )
        return baselines.start(name, recipe, title, where, config), clips
    if plant is None:
        return start(config, recipe, title, where), clips
    return sabotage(plant_of(plant), config, recipe, clips, title, where)


def _check_training_clips(clips: Sequence[Clip]) -> None:
    """Reads every clip once, so that a bad one is found now and not after an hour."""
    from tqdm.auto import tqdm

    for clip in tqdm(clips, desc="checking clips", unit="clip", delay=2, leave=False):
        if len(clip.frames) < 2:
            raise UserError(
                f"clip {clip.name}: training pairs need two frames, expected at least 2, got {len(clip.frames)}; "
                "take the clip out of the training data"
            )


def _training_clips(
    data: str, name: str, config: MonkeyNetConfig | RivalConfig, recipe: Recipe, fit: Fit
) -> Sequence[Clip]:
    """The training split, every clip looked at; a miniature's clips are generated and need no look."""
    from monkeynet_edu.baselines.registry import takes_windows
    from monkeynet_edu.data.datasets import MINIATURES, open_dataset

    if takes_windows(name):
        clips = _whole_clips(data, _WHOLE_CLIPS, recipe.seed, fit, config.frame_size)
    else:
        clips = open_dataset(data, "train", size=config.frame_size, seed=recipe.seed, fit=fit)
    if len(clips) < recipe.batch_size:
        raise UserError(
            f"{data}: expected at least {recipe.batch_size} training clips, one for each pair of a batch, got "
            f"{len(clips)}; add --batch-size {len(clips)}, or clips"
        )
    if data not in MINIATURES:
        _check_training_clips(clips)
    return clips


def _check_budget(steps: int | None, minutes: float | None, epochs: int | None) -> None:
    """Refuses a wrong budget before any clip is read."""
    from monkeynet_edu.training import Budget

    given = [name for name, x in (("--steps", steps), ("--minutes", minutes), ("--epochs", epochs)) if x is not None]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)}: expected one of them, got {len(given)}; leave out the others")
    if epochs is not None and epochs < 1:
        raise UserError(f"--epochs: expected at least 1, got {epochs}; leave it out for the preset's epochs")
    if steps is not None or minutes is not None:
        Budget(steps, minutes)


def _budget(steps: int | None, minutes: float | None, epochs: int | None, clips: Sequence[Clip], recipe: Recipe) -> Budget:
    """When to stop: what was asked for, or the recipe's epochs."""
    from monkeynet_edu.data.pairs import PairSampler
    from monkeynet_edu.training import Budget

    if steps is not None or minutes is not None:
        return Budget(steps, minutes)
    return Budget(PairSampler(clips, recipe.batch_size).steps(epochs or recipe.epochs))


def _prepare_run(run: AnyRun[Any, Any, Any], out: Path, resume: bool, init: str | None) -> None:
    """Restores a run, or fills it with trained weights, or makes sure that it overwrites none."""
    from dataclasses import replace

    from monkeynet_edu import baselines
    from monkeynet_edu.model import first_difference
    from monkeynet_edu.run_folder import CHECKPOINT_FILE

    if resume:
        run.restore(out)
        return
    if (out / CHECKPOINT_FILE).exists():
        raise UserError(
            f"{out}: expected a new run folder, got one that holds a checkpoint; add --resume to go on, or choose "
            "another --out"
        )
    if init is not None:
        rival = isinstance(run, baselines.RivalRun)
        trained = baselines.load(expanded(init)) if rival else resolve_model(init, None)
        config = run.config
        if difference := first_difference(config, replace(trained.config, frame_size=config.frame_size)):
            raise UserError(f"--init {init}: weights of another configuration; first difference {difference}")
        run.model.load_state_dict(trained.state_dict())


def _say_report(report: Report, data: str, out: Path, preset: str, recipe: Recipe) -> None:
    """What was reached and where it lies, then what to do next."""
    from monkeynet_edu.baselines.registry import takes_windows

    losses = ", ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
    typer.echo(f"trained {report.step} steps in {report.seconds / 60:.1f} min; last losses: {losses or 'none logged'}")
    typer.echo(f"run folder: {out} (model.safetensors, checkpoint, metrics.csv, preview.png)")
    if takes_windows(preset):
        typer.echo(f"next: monkeynet-edu predict --model {out} --source PICTURE --out {out / 'film.gif'}")
    else:
        typer.echo(f"next: monkeynet-edu reconstruct --data {data} --model {out} --out {out / 'reconstructed'}")
    if recipe.learns == "drawing":
        typer.echo(
            f"to come nearer: the same command, its length and --out replaced by --init {out} --learn all --minutes 20 "
            f"--out {out}-more: everything learns once more (--learn generator: keypoints stay where they are)"
        )


@app.command(
    rich_help_panel="Train and measure",
    epilog="[bold]Examples[/bold]\n\nmonkeynet-edu train --data mini-taichi --minutes 10 --out runs/first\n\n"
    "monkeynet-edu train --data my_films --batch-size 8 --steps 2000 --out runs/films\n\n"
    "monkeynet-edu train --data my_films --batch-size 8 --steps 4000 --out runs/films --resume",
)
def train(
    data: DataOption,
    out: RunFolder = None,
    preset: TrainPreset = None,
    steps: Steps = None,
    minutes: Minutes = None,
    epochs: Epochs = None,
    seed: SeedOption = 0,
    resume: ResumeFlag = False,
    init: InitOption = None,
    learn: LearnOption = None,
    batch_size: BatchSize = None,
    size: SizeOption = None,
    fit: FitOption = "crop",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    plant: PlantOption = None,
) -> None:
    """Train a model on a miniature or on your own clips.

    Frames of other sizes are fitted. Ctrl-C saves and stops; the same command with --resume goes on. On several GPUs or
    processors: torchrun --nproc-per-node N -m monkeynet_edu train …, each with its share of every batch.
    """
    from monkeynet_edu.baselines.registry import takes_windows
    from monkeynet_edu.data.datasets import MINIATURES
    from monkeynet_edu.monitor import plant as plant_of
    from monkeynet_edu.processes import joined, local_device
    from monkeynet_edu.training import train as run_training

    with joined() as processes:
        say = _say if processes.first else _say_nothing
        fault = None if plant is None else plant_of(plant)
        _check_budget(steps, minutes, epochs)
        name, config = _training_config(data, preset, size)
        _check_learn(learn, name, init, resume)
        recipe = _recipe(name, data, seed, batch_size, learn)
        processes.check_batch(recipe.batch_size)
        title = data if data in MINIATURES else expanded(data).resolve().name
        out = out or Path("runs") / title
        where = _pick_device(local_device(device), precision)
        clips = _training_clips(data, name, config, recipe, fit)
        budget = _budget(steps, minutes, epochs, clips, recipe)
        run, clips = _started(config, name, recipe, title, where, clips, plant)
        if fault is not None:
            say(f"planted fault {plant}: {fault.said}")
        _prepare_run(run, out, resume, init)
        drawn = "windows" if takes_windows(name) else "pairs"
        rest = "" if learn in (None, "all") else f", the {learn} alone"
        shared = f", shared by {processes.count} processes" if processes.count > 1 else ""
        say(
            f"{name} on {len(clips)} clips of {title}, "
            f"frames {config.frame_size}x{config.frame_size} ({fit} where they differ), "
            f"{budget.steps or budget.minutes} {'steps' if budget.steps else 'minutes'} of {recipe.batch_size} {drawn}"
            f"{rest}{shared}, {where.device}, {where.precision}"
        )
        report = run_training(run, clips, budget, out, where, None, None, processes)
    if not processes.first:
        raise typer.Exit(0 if report.finished else 130)
    if not report.finished:
        raise StopError(f"stopped at step {report.step}; kept in {out}; --resume goes on")
    _say_report(report, data, out, name, recipe)


def _positive(option: str, value: int) -> int:
    if value < 1:
        raise UserError(f"{option}: expected at least 1, got {value}; leave it out for the default")
    return value


# --------------------------------------------------------------------------------------------------------- reconstruct


@app.command(
    rich_help_panel="Train and measure",
    epilog="[bold]Example:[/bold]  monkeynet-edu reconstruct --data mini-nemo --limit 3 --out pictures",
)
def reconstruct(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="Folder for the pictures.")] = Path("reconstructed"),
    split: SplitOption = "test",
    limit: LimitOption = None,
    fit: FitOption = "crop",
    model: ModelOption = None,
    preset: PresetOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Rebuild clips from their first frame and the keypoints of all frames.

    For each clip a film (GIF and MP4) of driving frame, deformed source, generated frame, keypoints and flow; and one
    sheet of them all.
    """
    from tqdm.auto import tqdm

    from monkeynet_edu.data.datasets import open_dataset
    from monkeynet_edu.data.video import write_image
    from monkeynet_edu.viz import grid

    where = _pick_device(device, precision)
    open_dataset(data, split)  # a mistyped name is complained of before missing weights
    rival = resolve_rival(model)
    if rival:
        rival.check_can("animate")
    net = (rival or resolve_model(model, preset, data)).to(where.device)
    clips = _limited(open_dataset(data, split, size=net.config.frame_size, fit=fit), limit)
    errors: dict[str, float] = {}
    rows: list[list[Frames]] = []
    for clip in tqdm(clips, desc="reconstructing", unit="clip", leave=False):
        errors[clip.name], parts = _reconstruct_clip(net, clip, out, where)
        rows.append([part[-1] for part in parts.values()])
        titles = list(parts)
    sheet = out / "summary.png"
    labels = [f"{name}\nL1 {error:.4f}" for name, error in errors.items()]
    write_image(sheet, grid(rows, column_labels=titles, row_labels=labels))
    mean = sum(errors.values()) / len(errors)
    if as_json:
        _print_json({"l1": mean, "clips": errors, "out": out, "summary": sheet})
        return
    typer.echo(f"L1 {mean:.4f}, mean over {len(errors)} clips (0: the same, 1: black for white)")
    typer.echo(f"{out}: a GIF and an MP4 for each clip; {sheet}: the last frame of each")


def _reconstruct_clip(net: MonkeyNet | Rival, clip: Clip, out: Path, where: Device) -> tuple[float, dict[str, Frames]]:
    """Writes the two films of a clip; its L1 and the columns of its film."""
    from monkeynet_edu import demo as show
    from monkeynet_edu.animation import reconstruct as rebuild
    from monkeynet_edu.data.video import to_frames, to_tensor, write_video
    from monkeynet_edu.model import MonkeyNet

    if len(clip.frames) < 2:
        raise UserError(f"clip {clip.name}: expected at least 2 frames, got {len(clip.frames)}; take the clip out")
    video = to_tensor(clip.frames)
    if isinstance(net, MonkeyNet):
        made = rebuild(net, video, where)
        generated, parts = made.prediction, show.strip(net, clip.frames, made)
    else:
        generated = net.animate(video[0], video, where)
        parts = {"driving": show.enlarge(clip.frames), "generated": show.enlarge(to_frames(generated))}
    film = show.film_of([list(parts.values())], columns=list(parts))
    name = clip.name.replace("/", "_")
    for ending in (".gif", ".mp4"):
        write_video(out / f"{name}{ending}", film, clip.fps)
    return float((generated[1:].float() - video[1:]).abs().mean()), parts


# ------------------------------------------------------------------------------------------------------------- animate


@app.command(
    rich_help_panel="Start",
    epilog="[bold]Examples[/bold]\n\nmonkeynet-edu animate --source me.jpg --driving dance.mp4 --out me_dancing.gif\n\n"
    "monkeynet-edu animate --source cat.png --driving walk.gif --model runs/cats --mode absolute --out cat.mp4",
)
def animate(
    source: Annotated[Path, typer.Option("--source", help="Picture to animate (of a clip: its first frame).")],
    driving: Annotated[Path, typer.Option("--driving", help="Film, GIF, stacked picture or folder of frames to follow.")],
    out: Annotated[Path, typer.Option("--out", help="Where to: .mp4 .mov .gif .webp .png .jpg (stacked), or a folder.")],
    mode: ModeOption = None,
    reference: Reference = "auto",
    scaling: ScalingOption = "none",
    covariance: CovarianceOption = "driving",
    clip_keypoints: ClipKeypoints = False,
    fit: FitOption = "crop",
    side_by_side: SideBySide = False,
    label: Label = "synthetic",
    audio: Audio = "keep",
    model: ModelOption = None,
    preset: PresetOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Animate a picture with the motion of a clip, however long.

    Says first whether the model knows such pictures and whether the poses fit. Every generated frame is marked as
    synthetic. Ctrl-C keeps the frames drawn so far. Animate people only with their consent.
    """
    from monkeynet_edu.animation import Transfer
    from monkeynet_edu.data.blocks import read_clock, write_blocks
    from monkeynet_edu.data.video import fit as fit_frames
    from monkeynet_edu.data.video import read_image, to_tensor
    from monkeynet_edu.interrupts import CtrlC
    from monkeynet_edu.streaming import animate_blocks

    _check_ending(out, source, driving)
    wanted = _reference_number(reference)
    where = _pick_device(device, precision)
    if rival := resolve_rival(model):
        _animate_with(rival.to(where.device), source, driving, out, where, fit, label)
        return
    net = resolve_model(model, preset).to(where.device)
    picture = fit_frames(read_image(source), net.config.frame_size, fit)
    image = to_tensor(picture[None].copy())[0]
    chosen = mode or net.config.transfer
    if chosen == "absolute" and clip_keypoints:
        raise UserError("--clip-keypoints: expected --mode relative, got absolute, whose keypoints are inside; drop it")
    with CtrlC() as ctrl_c:
        motion, sample, fps = _read_motion(net, driving, fit, where, ctrl_c)
        _say_domain(net, model, {"picture": image[None], "film": sample})
        frame = _align(net, image, motion, wanted, where) if chosen == "relative" else 0
        drawn = animate_blocks(net, image, motion, where, Transfer(chosen, frame, scaling, covariance, clip_keypoints))
        sound = driving if audio == "keep" and _sound_fits(driving, out) else None
        made = _marked(_watched(drawn, len(motion), "drawing", ctrl_c), label)
        shown = _beside(picture, driving, fit, made) if side_by_side else made
        clock = read_clock(driving, len(motion))
        count = write_blocks(out, shown, fps, length=len(motion), clock=clock, sound=sound)
    if count < len(motion):
        raise StopError(f"stopped after {count} of {len(motion)} frames; {out} holds them")
    typer.echo(f"{out}: {count} frames, {fps or 25:g} a second{', with the sound of the film' if sound else ''}")


def _animate_with(rival: Rival, source: Path, driving: Path, out: Path, where: Device, fit: Fit, label: str) -> None:
    """Animates with a rival, block by block; it draws poses as they are, so there is no transfer to choose."""
    from itertools import chain

    from monkeynet_edu.data.blocks import read_blocks, read_clock, stated_length, write_blocks
    from monkeynet_edu.data.video import fit as fit_frames
    from monkeynet_edu.data.video import read_image, to_tensor
    from monkeynet_edu.interrupts import CtrlC

    rival.check_can("animate")
    size = rival.config.frame_size
    image = to_tensor(fit_frames(read_image(source), size, fit)[None].copy())[0]
    length = stated_length(driving) or sum(len(block.frames) for block in read_blocks(driving, size=size, how=fit))
    coming = read_blocks(driving, size=size, how=fit)
    first = next(coming)
    fps = first.fps
    with CtrlC() as ctrl_c:
        blocks = (rival.animate(image, to_tensor(block.frames), where) for block in chain([first], coming))
        made = _marked(_watched(blocks, length, "drawing", ctrl_c), label)
        count = write_blocks(out, made, fps, length=length, clock=read_clock(driving, length))
    if ctrl_c.wanted and count < length:
        raise StopError(f"stopped after {count} of {length} frames; {out} holds them")
    typer.echo(f"{out}: {count} frames, {fps or 25:g} a second, by {rival.title}")


def _watched(blocks: Iterable[Tensor], total: int | None, doing: str, ctrl_c: CtrlC) -> Iterator[Tensor]:
    """Shows how far the blocks of a clip have got; Ctrl-C ends them after the block in hand."""
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=doing, unit="frame", delay=0.5, leave=False, dynamic_ncols=True) as bar:
        for block in blocks:
            yield block
            bar.update(len(block))
            if ctrl_c.wanted:
                return


def _read_motion(
    net: MonkeyNet, driving: Path, fit: Fit, where: Device, ctrl_c: CtrlC
) -> tuple[Keypoints, Tensor, float | None]:
    """Keypoints (T, K) of a driving clip, a sample of its frames, and its frame rate."""
    from itertools import chain

    from monkeynet_edu.data.blocks import read_blocks, stated_length
    from monkeynet_edu.data.video import to_tensor
    from monkeynet_edu.streaming import Sample, read_motion

    sample = Sample()
    fps: float | None = None

    def looked_at(blocks: Iterable[Video]) -> Iterator[Tensor]:
        nonlocal fps
        for block in blocks:
            fps = block.fps
            video = to_tensor(block.frames)
            sample.add(video)
            yield video

    coming = read_blocks(driving, size=net.config.frame_size, how=fit)
    first = next(coming)  # refuses what is no clip before anything is asked of it
    blocks = looked_at(chain([first], coming))
    motion = read_motion(net, _watched(blocks, stated_length(driving), "reading the motion", ctrl_c), where)
    if ctrl_c.wanted:
        raise StopError(f"stopped while reading the motion, after {len(motion)} frames; nothing was written")
    return motion, sample.frames, fps


def _marked(blocks: Iterable[Tensor], label: str) -> Iterator[Frames]:
    """Generated frames as pixels, with the word in the corner."""
    from monkeynet_edu.animation import mark_synthetic
    from monkeynet_edu.data.video import to_frames

    return (mark_synthetic(to_frames(block), label) for block in blocks)


def _beside(picture: Frames, driving: Path, fit: Fit, made: Iterable[Frames]) -> Iterator[Frames]:
    """The animation between what it was made from; the driving clip is decoded once more."""
    from itertools import islice

    import numpy as np

    from monkeynet_edu import demo as show
    from monkeynet_edu.data.video import each_frame

    frames = each_frame(driving, size=len(picture), how=fit)
    for block in made:
        film = [frame for frame, _ in islice(frames, len(block))]
        if len(film) < len(block):
            raise UserError(f"{driving}: expected the same clip as at first, got a shorter one; leave it alone meanwhile")
        row = [show.enlarge(clip) for clip in (picture[None], np.stack(film), block)]
        yield show.film_of([row], columns=["source", "driving", "animation"])


def _sound_fits(driving: Path, out: Path) -> bool:
    """Whether there is sound and a place for it; says so where there is only sound."""
    from monkeynet_edu.data.sound import CARRIED, has_sound

    if not has_sound(driving):
        return False
    if out.suffix.lower() not in CARRIED:
        _say(f"{out}: this format has no sound, so the film's is left out; write .mp4 to keep it")
        return False
    return True


def _reference_number(reference: str) -> int | None:
    """The number in ``--reference``; None for auto."""
    if reference in ("auto", "first"):
        return None if reference == "auto" else 0
    if not reference.isdecimal() or len(reference) > 18:
        raise UserError(f"--reference: expected auto, first or a number from 0, got {reference!r}; choose one")
    return int(reference)


def _align(net: MonkeyNet, image: Tensor, motion: Keypoints, wanted: int | None, where: Device) -> int:
    """The reference frame; says which and how well it fits, and what to do where it does not."""
    from monkeynet_edu.alignment import align
    from monkeynet_edu.animation import detect_clip

    if wanted is not None and wanted >= len(motion):
        raise UserError(f"--reference: expected a frame from 0 to {len(motion) - 1}, got {wanted}; or give auto")
    net.eval()
    found = align(detect_clip(net, image[None], where), motion, wanted)
    _say(f"{found.describe()} ({'chosen by pose' if wanted is None else 'as asked'})")
    if found.verdict == "poor":
        _say(f"warning: {found.advice()}")
    return found.reference


def _say_domain(net: MonkeyNet, model: str | None, pictures: dict[str, Any]) -> None:
    """Says whether the model was trained on such pictures, where that is known."""
    from monkeynet_edu.alignment import Domain, domain_path
    from monkeynet_edu.data.datasets import MINIATURES
    from monkeynet_edu.paths import weights_path

    shipped = model is None or model in MINIATURES
    path = domain_path(weights_path(model or "mini-taichi") if shipped else expanded(str(model)))
    if kind_of(path) != "file":
        _say(f"domain: unknown, since {path.name} is not beside the weights")
        return
    try:
        domain = Domain.load(path, net)
    except UserError as error:
        _say(f"domain: unknown ({error})")
        return
    net.eval()
    scores = {name: float(domain.scores(net, frames).median()) for name, frames in pictures.items()}
    _say(f"domain: {', '.join(f'{name} {score:.2f}' for name, score in scores.items())} (up to 1: as in training)")
    strange = " and ".join(name for name, score in scores.items() if score > 1)
    if strange:
        _say(
            f"warning: the {strange} is unlike anything that these weights were trained on, so expect smears; take weights "
            "trained on such pictures (--model), or train them on clips of that kind (monkeynet-edu train)"
        )


def _check_ending(out: Path, *inputs: Path) -> None:
    """Refuses an ending that cannot be written, and a place that is read from, before anything is computed."""
    import tempfile

    import numpy as np

    from monkeynet_edu.data.video import write_video

    _check_apart(out, *inputs)
    _check_parents(out)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            write_video(Path(scratch) / out.name, np.zeros((2, 16, 16, 3), np.uint8))
        except UserError as error:
            raise UserError(str(error).replace(f"{Path(scratch) / out.name}", str(out))) from None


def _check_apart(out: Path, *inputs: Path) -> None:
    """Refuses to write over what is read."""
    for given in inputs:
        if kind_of(out) != "nothing" and kind_of(given) != "nothing" and out.samefile(given):
            raise UserError(f"{out}: expected another place than what is read from, got the same; choose another name")


def _check_parents(out: Path) -> None:
    """Refuses a place in which no file can be made, before anything is computed."""
    import os

    for parent in out.absolute().parents:
        kind = kind_of(parent)
        if kind == "nothing":
            continue
        if kind != "folder" or not os.access(parent, os.W_OK):
            came = "Permission denied" if kind == "folder" else "a file"
            raise UserError(f"{parent}: expected a folder that can be written to, got {came}; choose another --out")
        return


# ------------------------------------------------------------------------------------------------------------- predict

PredictorOption = Annotated[
    str | None,
    typer.Option(
        "--predictor",
        help="Trained predictor: a file of train-predictor, or a miniature's name.",
        metavar="PREDICTOR",
        show_default="shipped: of the model",
        rich_help_panel="Model",
    ),
]


def resolve_predictor(predictor: str | None, model: str | None, net: MonkeyNet) -> Predictor:
    """Finds and loads what ``--predictor`` names and sees to it that it fits the model.

    Args:
        predictor: file or miniature's name; None for the shipped one of the model.
        model: what ``--model`` said.
        net: that model.

    Raises:
        UserError: nothing there, not a predictor, for another number of keypoints, or none known for an own model.
    """
    from monkeynet_edu.data.datasets import MINIATURES
    from monkeynet_edu.prediction import Predictor, shipped_predictor

    name = predictor or model or "mini-taichi"
    if predictor is None and name not in MINIATURES:
        raise UserError(
            f"--predictor: expected one beside a model of your own ({model}), got none; train it with "
            f"monkeynet-edu train-predictor --model {model} --data YOUR_CLIPS --out FILE"
        )
    found = shipped_predictor(name) if name in MINIATURES else Predictor.load(expanded(name))
    found.check_fits(net)
    if not found.knows(net):
        _say(
            "warning: the predictor learned the keypoints of other weights, which number other parts of the figure; expect "
            "nonsense, or train one for this model (monkeynet-edu train-predictor)"
        )
    return found


@app.command(
    rich_help_panel="Start",
    epilog="[bold]Examples[/bold]\n\nmonkeynet-edu predict --source me.png --out film.gif\n\n"
    "monkeynet-edu predict --source me.png --futures 5 --out five.mp4",
)
def predict(
    source: Annotated[Path, typer.Option("--source", help="Picture to film (of a clip: its first frame).")],
    out: Annotated[Path, typer.Option("--out", help="Where to: .mp4 .mov .gif .webp, or .png .jpg for a strip of frames.")],
    futures: Annotated[int, typer.Option("--futures", help="How many films of it, side by side.", metavar="N")] = 1,
    frames: Annotated[int, typer.Option("--frames", help="Length, the picture included.")] = 32,
    seed: Annotated[
        int, typer.Option("--seed", help="Which future; the next ones take the next seeds.", min=0, max=_MOST_SEED)
    ] = 0,
    fps: Annotated[float, typer.Option("--fps", help="Frames per second.")] = 12.0,
    fit: FitOption = "crop",
    label: Label = "synthetic",
    model: ModelOption = None,
    predictor: PredictorOption = None,
    preset: PresetOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Make a film of one still picture: predict how its keypoints move, and draw it.

    Every generated frame is marked as synthetic. Film people only with their consent.
    """
    from monkeynet_edu.animation import mark_synthetic
    from monkeynet_edu.data.video import fit as fit_frames
    from monkeynet_edu.data.video import read_image, to_frames, to_tensor
    from monkeynet_edu.prediction import predicted_film

    _check_ending(out, source)
    _positive("--futures", futures)
    if frames < 2:
        raise UserError(f"--frames: expected at least 2, the picture and one more, got {frames}; leave it out for 32")
    if futures * frames > _MOST_PREDICTED:
        raise UserError(
            f"--frames, --futures: expected at most {_MOST_PREDICTED} frames in all, got {futures * frames}; ask for fewer"
        )
    where = _pick_device(device, precision)
    if rival := resolve_rival(model):
        rival.check_can("predict")
        image = to_tensor(fit_frames(read_image(source), rival.config.frame_size, fit)[None].copy())[0]
        drawn = rival.to(where.device).predict(image, frames, where, futures, seed)
        _write_futures(out, [mark_synthetic(to_frames(film), label) for film in drawn], fps, seed)
        typer.echo(f"{out}: {frames} frames, {fps:g} a second, by {rival.title}")
        return
    net = resolve_model(model, preset).to(where.device)
    network = resolve_predictor(predictor, model, net)
    image = to_tensor(fit_frames(read_image(source), net.config.frame_size, fit)[None].copy())[0]
    _say_domain(net, model, {"picture": image[None]})
    made = [predicted_film(net, network, image, frames, seed + i, where) for i in range(futures)]
    _write_futures(out, [mark_synthetic(to_frames(film.prediction), label) for film in made], fps, seed)
    if futures > 1 and network.config.form == "single":
        _say("warning: this predictor knows a single future, so all films are the same")
    typer.echo(f"{out}: {frames} frames, {fps:g} a second" + (f", {futures} futures" if futures > 1 else ""))


def _write_futures(out: Path, films: list[Frames], fps: float, seed: int) -> None:
    """One film as it is; several side by side; as a picture, a strip of frames each, one below the other."""
    import numpy as np

    from monkeynet_edu import demo as show
    from monkeynet_edu.data.video import write_image, write_video

    if len(films) == 1:
        write_video(out, films[0], fps)
    elif out.suffix.lower() in (".png", ".jpg", ".jpeg"):
        write_image(out, np.concatenate([np.concatenate(list(film), axis=1) for film in films]))
    else:
        names = [f"future {seed + i}" for i in range(len(films))]
        write_video(out, show.film_of([[show.enlarge(film) for film in films]], columns=names), fps)


@app.command(
    "train-predictor",
    rich_help_panel="Train and measure",
    epilog="[bold]Example:[/bold]  monkeynet-edu train-predictor --model mini-nemo --data mini-nemo --out mine.safetensors",
)
def train_predictor(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", help="File for the predictor (.safetensors).")],
    model: ModelOption = None,
    preset: PresetOption = None,
    form: Annotated[
        Literal["single", "several"], typer.Option("--form", help="One future (the paper's) or several, chosen by a seed.")
    ] = "several",
    covariance: Annotated[
        Literal["factor", "first"], typer.Option("--covariance", help="Predicted (limbs turn), or the first frame's kept.")
    ] = "factor",
    feedback: Annotated[
        Literal["previous", "zeros"], typer.Option("--feedback", help="What the network reads after the first frame.")
    ] = "previous",
    hidden: Annotated[int, typer.Option("--hidden", help="Units of the LSTM.")] = 96,
    clips: Annotated[int, typer.Option("--clips", help="Clips to generate (miniatures only).")] = 400,
    steps: Annotated[int | None, typer.Option("--steps", help="Steps of training.", show_default="the recipe's")] = None,
    seed: SeedOption = 0,
    fit: FitOption = "crop",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Train a predictor of keypoints for a trained model (a few minutes).

    The keypoints are found once and kept beside the result; interrupted, the same command goes on from there. Ctrl-C during
    the training itself saves what was learned.
    """
    from dataclasses import replace

    from monkeynet_edu.alignment import fingerprint
    from monkeynet_edu.prediction import PredictorConfig, PredictorRecipe, extract_cached
    from monkeynet_edu.prediction import train_predictor as run_training

    if out.suffix != ".safetensors":
        raise UserError(f"{out}: expected a name that ends in .safetensors, got {out.suffix or 'no ending'!r}; rename it")
    where = _pick_device(device, precision)
    recipe = PredictorRecipe(seed=seed)
    recipe = recipe if steps is None else replace(recipe, steps=_positive("--steps", steps))
    net = resolve_model(model, preset, data).to(where.device)
    source = _whole_clips(data, _positive("--clips", clips), seed, fit, net.config.frame_size)
    config = PredictorConfig(net.config.detector.keypoints, hidden, covariance=covariance, form=form, feedback=feedback)
    cache = out.with_name(f"{out.stem}.keypoints.safetensors")
    try:
        found = extract_cached(net, source, f"{data}, seed {seed}, {fit}", cache, where)
    except KeyboardInterrupt:
        raise StopError(f"stopped; the keypoints found so far are in {cache}, and the same command goes on") from None
    done = run_training(found, config, recipe, fingerprint(net))
    done.predictor.save(out)
    if not done.finished:
        raise StopError(f"stopped at step {done.steps}; what was learned is in {out}")
    typer.echo(f"{out}: {done.steps} steps, loss {done.losses[-1]:.4f}, on clips set aside {min(done.set_aside):.4f}")
    typer.echo(f"keypoints of {len(found)} clips: {cache}, for another training; delete it when done")
    typer.echo(f"next: monkeynet-edu predict --model {model or data} --predictor {out} --futures 5 --source … --out …")


def _whole_clips(data: str, count: int, seed: int, fit: Fit, size: int) -> Sequence[Clip]:
    """Whole training clips: a miniature's are generated."""
    from monkeynet_edu.data.datasets import MINIATURES, open_dataset
    from monkeynet_edu.data.sprites import training_clips

    if data in MINIATURES:
        return training_clips(data, seed, count, size, None)
    return open_dataset(data, "train", size=size, seed=seed, fit=fit)


# ------------------------------------------------------------------------------------------------------------ evaluate


@app.command(
    rich_help_panel="Train and measure",
    epilog="[bold]Example:[/bold]  monkeynet-edu evaluate --dataset mini-taichi --model runs/first --json",
)
def evaluate(
    dataset: Annotated[str, typer.Option("--dataset", help=f"A miniature ({_SETS}) or a folder of clips.", metavar="DATA")],
    task: Annotated[
        Literal["reconstruction", "prediction"],
        typer.Option(
            "--task",
            help="reconstruction: clips from their first frame and all keypoints; prediction: from the first frame alone.",
        ),
    ] = "reconstruction",
    split: SplitOption = "test",
    limit: LimitOption = None,
    fit: FitOption = "crop",
    model: ModelOption = None,
    preset: PresetOption = None,
    predictor: PredictorOption = None,
    inception: Annotated[
        str | None,
        typer.Option(
            "--inception",
            help="FID by Inception's features: torch-fidelity's file of weights, or download.",
            metavar="FILE|download",
            show_default="the mini-FID",
            rich_help_panel="Model",
        ),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Measure how well clips are rebuilt or predicted: L1, AKD, MKR, AED, FID, and errors against the truth.

    L1 in [0, 1]; akd, flow_epe and landmark_error in pixels; mkr a share. The source (the first frame) is left out and
    every clip counts once; akd_l1, mkr_published, aed_squared and l1_published do as the authors' code instead.
    """
    from monkeynet_edu import baselines
    from monkeynet_edu.data.datasets import MINIATURES, open_dataset
    from monkeynet_edu.metrics import measure

    if predictor is not None and task != "prediction":
        raise UserError(f"--predictor {predictor}: expected --task prediction, got {task}; add it, or leave this out")
    where = _pick_device(device, precision)
    open_dataset(dataset, split)  # a mistyped name is complained of before missing weights
    if rival := resolve_rival(model):
        clips = _limited(open_dataset(dataset, split, size=rival.config.frame_size, fit=fit), limit)
        networks = _evaluators(dataset, inception)
        found = baselines.measure(rival, clips, where, task, networks, seed)
        _say_evaluation(found, f"{dataset}, {split}, {task}", networks, as_json)
        return
    net = resolve_model(model, preset, dataset)
    shipped = dataset if model is None and dataset in MINIATURES else model
    foreseen = resolve_predictor(predictor, shipped, net) if task == "prediction" else None
    networks = _evaluators(dataset, inception)
    clips = _limited(open_dataset(dataset, split, size=net.config.frame_size, fit=fit), limit)
    learning = None if foreseen is not None else _landmark_clips(dataset, net)
    found = measure(net, clips, where, task, networks, foreseen, learning, seed)
    _say_evaluation(found, f"{dataset}, {split}, {task}", networks, as_json)


def _say_evaluation(found: Evaluation, title: str, networks: Evaluators, as_json: bool) -> None:
    """Prints figures as JSON or as a table, and why figures are missing."""
    bare = networks.detector is None and networks.embedder is None and networks.features is None
    if as_json:
        _print_json(found.flat())
    else:
        _table(title, ("figure", "mean", "frames", "points"), _figure_rows(found, found.missing if bare else ()))
        typer.echo(
            "repeat_source, zero and constant: what one gets without trying. "
            "monkeynet-edu evaluate --help says what the figures are."
        )
    _say_unmeasured(found, bare)


def _evaluators(dataset: str, inception: str | None) -> Evaluators:
    """The external networks for a data set, as far as they are there; says what is not."""
    from dataclasses import replace

    from monkeynet_edu.evaluators import Evaluators, evaluators_for
    from monkeynet_edu.metrics import InceptionFeatures

    try:
        networks = evaluators_for(dataset)
    except UserError as error:
        _say(f"warning: AKD, MKR, AED and FID are left out: {error}")
        networks = Evaluators()
    if inception is None:
        return networks
    return replace(networks, features=InceptionFeatures(None if inception == "download" else inception))


def _landmark_clips(dataset: str, net: MonkeyNet) -> Sequence[Clip]:
    """Clips to learn from what keypoints mean: generated ones of a miniature; of other data no true joints are known."""
    from monkeynet_edu.data.datasets import MINIATURES
    from monkeynet_edu.data.sprites import training_clips

    # More clips (200) or more frames of each (12) change the error by less than 2 %.
    return training_clips(dataset, clips=100, size=net.config.frame_size, frames=4) if dataset in MINIATURES else ()


def _figure_rows(found: Evaluation, left_out: Collection[str]) -> list[tuple[str, str, str, str]]:
    """Rows of the table; what is not measurable has its reason below it, or is left out."""
    rows = [
        (name, "not measurable" if figure.value is None else f"{figure.value:.4f}", str(figure.frames), str(figure.points))
        for name, figure in found.figures.items()
        if figure.value is not None or name not in left_out
    ]
    return [*rows, ("clips", str(len(found.rows)), str(found.frames), "")]


def _say_unmeasured(found: Evaluation, without_networks: bool) -> None:
    """Notes, and why figures are missing, each reason once; without any network one line says how to add one."""
    for note in found.notes:
        _say(note)
    if without_networks:
        _say(
            "AKD, MKR, AED and FID need networks that know this data: to add a detector, give evaluate() of "
            "monkeynet_edu.metrics Evaluators(detector=…), five lines as in monkeynet_edu.evaluators"
        )
        return
    for why in dict.fromkeys(found.missing.values()):
        _say(f"not measurable: {', '.join(name for name, reason in found.missing.items() if reason == why)}: {why}")


# ----------------------------------------------------------------------------------------------------------- reproduce


_Rows = Annotated[
    str | None, typer.Option("--methods", help="Rows, with commas between.", metavar="A,B", show_default="all")
]
_Cost = Annotated[
    str,
    typer.Option("--budget", help="short, cpu: 5, 12 minutes a run on two cores; gpu: longer; smoke: only a try."),
]
_Seeds = Annotated[
    int | None, typer.Option("--seeds", help="Runs of each row.", min=1, metavar="N", show_default="2; smoke 1")
]
_Results = Annotated[
    Path | None, typer.Option("--out", help="Folder of the results.", show_default="the shipped ones, or runs/results")
]
_Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", help="Runs at once.", min=1, metavar="N", show_default="1 a 2 cores", rich_help_panel="Computation"
    ),
]
_Only = Annotated[
    str | None,
    typer.Option(
        "--only",
        help="This run alone, in this process, and no table: full-seed0.",
        metavar="RUN",
        rich_help_panel="Computation",
    ),
]


@app.command(
    rich_help_panel="Train and measure",
    epilog="[bold]Examples[/bold]\n\nmonkeynet-edu reproduce table2\n\n"
    "monkeynet-edu reproduce table2 --budget smoke\n\nmonkeynet-edu reproduce fig7 --seeds 3 --out my_results",
)
def reproduce(
    experiment: Annotated[str, typer.Argument(help="table1, table2, table3, table4, fig7, or all.", metavar="EXPERIMENT")],
    methods: _Rows = None,
    budget: _Cost = "short",
    seeds: _Seeds = None,
    out: _Results = None,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of checkpoints and models.")] = Path("runs/reproduce"),
    jobs: _Jobs = None,
    only: _Only = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Train and measure the rows of a table of the paper, in miniature, and set them beside the paper's figures.

    Runs that are finished are not made again, shipped ones neither; interrupted ones go on where they stopped.
    """
    from monkeynet_edu import experiments

    how = experiments.effort(budget)
    if experiment == "all" and (methods or only):
        raise UserError("--methods, --only: expected one experiment beside them, got all; name it, for instance table1")
    if experiment == "table4":
        _say_table4(out)
        return
    wanted = list(experiments.EXPERIMENTS) if experiment == "all" else [experiment]
    named = [experiments.experiment(name) for name in wanted]
    chosen = None if methods is None else [name.strip() for name in methods.split(",")]
    where = _pick_device(device, precision)
    if only is not None:
        places = experiments.Places(out or experiments.default_results(named[0], how), runs)
        figures = experiments.run_job(experiments.find_job(named[0], only, how), places, where)["figures"]
        typer.echo(f"{only}: " + ", ".join(f"{name} {x}" for name, x in figures.items() if isinstance(x, float)))
        return
    options = {"--budget": budget, "--runs": runs, "--device": device, "--precision": precision}
    failed = [
        what.name
        for what in named
        if not _reproduce_one(what, how, out or experiments.default_results(what, how), options, where, chosen, seeds, jobs)
    ]
    if experiment == "all":
        _say_table4(out)
    if failed:
        raise typer.Exit(1)


def _say_table4(out: Path | None) -> None:
    """The user study's pairs and votes; nothing is trained for it, people vote."""
    from monkeynet_edu.course.study.reports import shipped_table4

    found, complaints = shipped_table4(None if out is None else out / "table4")
    _table(found.title, found.columns, found.rows)
    for line in complaints:
        _say(line)
    for line in found.remarks:
        typer.echo(f"- {line}")


def _reproduce_one(
    what: Experiment,
    how: Effort,
    results: Path,
    options: dict[str, Any],
    where: Device,
    methods: list[str] | None,
    seeds: int | None,
    jobs: int | None,
) -> bool:
    """Works off what an experiment lacks and says what it shows; whether every run came to its end."""
    from monkeynet_edu import experiments

    places = experiments.Places(results, options["--runs"])
    words = [str(word) for option in {**options, "--out": results}.items() for word in option]

    def command(job: experiments.Job) -> list[str]:
        return [sys.executable, "-m", "monkeynet_edu", "reproduce", job.experiment, "--only", job.name, *words]

    try:
        came = experiments.reproduce(what, how, places, where, command, methods, seeds, jobs)
    except KeyboardInterrupt:
        kept = places.runs
        raise StopError(f"stopped; every run kept what it reached in {kept}; the same command goes on") from None
    _say_runs(came, places.runs)
    if came.finished:
        _say_table(experiments.report(what, how, places, methods), places.records(what.name, how.name))
    return not came.failed


def _say_runs(came: Progress, runs: Path) -> None:
    """Says what is missing from a table, and why."""
    for name, why in came.stale.items():
        _say(f"{name}: {why}; its model is not in {runs}, so it stays as it is")
    if came.failed:
        _say(f"{len(came.failed)} runs failed: {', '.join(came.failed)}; the same command tries them again")


def _say_table(found: Reproduction, folder: Path) -> None:
    """Prints an experiment's table and words, and writes page and picture."""
    files = found.save(folder)
    _table(found.title, found.columns, found.rows)
    ranked = [line for line in found.orders if line.startswith("Ranked")]  # the page has the others
    for line in [*found.differences, *ranked, *found.remarks]:
        typer.echo(f"- {line}")
    typer.echo(", ".join(map(str, files)))


# ---------------------------------------------------------------------------------------------------------------- data


@data_app.command("make", epilog="[bold]Example:[/bold]  monkeynet-edu data make --name mini-nemo --clips 5 --out data")
def data_make(
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the sets.", show_default="where the library looks")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="A miniature; may be given several times.", show_default="all four")
    ] = None,
    clips: Annotated[int | None, typer.Option("--clips", help="Clips of each set.", show_default="20")] = None,
    seed: SeedOption = 0,
) -> None:
    """Render test sets of the miniatures, with their truth."""
    from monkeynet_edu.data.datasets import MINIATURES
    from monkeynet_edu.data.miniatures import make
    from monkeynet_edu.paths import data_small

    for path in make(out or data_small(), name or MINIATURES, clips, seed):
        typer.echo(str(path))


@data_app.command("checksums", epilog="[bold]Example:[/bold]  monkeynet-edu data checksums data_small/weights")
def data_checksums(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of files.", metavar="FOLDER", show_default="the shipped weights and time machine"),
    ] = None,
) -> None:
    """Write checksums.sha256 anew, with which files are compared when they are read."""
    from monkeynet_edu.files import write_checksums
    from monkeynet_edu.paths import data_small

    for folder in folders or [data_small() / "weights", data_small() / "time_machine"]:
        typer.echo(str(write_checksums(folder)))


@data_app.command("info", epilog="[bold]Example:[/bold]  monkeynet-edu data info my_films --picture sheet.png")
def data_info(
    data: Annotated[str, typer.Argument(help=f"A miniature ({_SETS}) or a folder of clips.", metavar="DATA")],
    split: Annotated[
        SplitName | None, typer.Option("--split", help="Which part.", show_default="all that is on disk")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Write a contact sheet: a few frames of the first clips.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what a data set holds: clips, frames, sizes, frame rates, truth."""
    from monkeynet_edu.data.datasets import MINIATURES, open_dataset
    from monkeynet_edu.data.video import write_image

    clips = open_dataset(data, split or ("test" if data in MINIATURES else "all"))
    found, rows = _look_over(clips)
    if picture is not None:
        from monkeynet_edu.viz import grid

        write_image(picture, grid([frames for _, frames in rows], row_labels=[name for name, _ in rows], title=data))
    if as_json:
        _print_json({"data": data, **found, "picture": picture})
        return
    _table(data, ("", ""), [(key, _listed(value)) for key, value in found.items()])
    if picture is not None:
        typer.echo(f"contact sheet: {picture}")


def _look_over(clips: Sequence[Clip], shown: int = 12) -> tuple[dict[str, Any], list[tuple[str, list[Frames]]]]:
    """What a data set holds, and name and a few frames of its first clips."""
    import numpy as np
    from tqdm.auto import tqdm

    lengths, sizes, rates, truth = [], set(), set(), 0
    rows: list[tuple[str, list[Frames]]] = []
    for clip in tqdm(clips, desc="reading", unit="clip", delay=2, leave=False):
        lengths.append(len(clip.frames))
        sizes.add(f"{clip.frames.shape[2]}x{clip.frames.shape[1]}")
        rates.add("unknown" if clip.fps is None else f"{clip.fps:g}")
        truth += clip.truth is not None
        if len(rows) < shown:
            rows.append((clip.name, [clip.frames[round(t)] for t in np.linspace(0, len(clip.frames) - 1, 6)]))
    found: dict[str, Any] = {
        "clips": len(lengths),
        "frames": sum(lengths),
        "frames of a clip": [min(lengths), max(lengths)],
        "sizes": sorted(sizes),
        "frames per second": sorted(rates),
        "clips with truth": truth,
    }
    return found, rows


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(map(str, value)) if value and isinstance(value[0], int) else ", ".join(map(str, value[:8]))
    return str(value)


@data_app.command(
    "convert",
    epilog="[bold]Examples[/bold]\n\nmonkeynet-edu data convert walk.mov walk.gif --size 128\n\n"
    "monkeynet-edu data convert my_films my_stacks --to png --size 64",
)
def data_convert(
    source: Annotated[Path, typer.Argument(help="A clip; with --to a folder of clips.", metavar="SRC")],
    target: Annotated[Path, typer.Argument(help="The clip to write, in the format of its ending; with --to a folder.")],
    to: Annotated[
        ClipFormat | None, typer.Option("--to", help="Convert every clip of the folder SRC (train/ and test/ are kept).")
    ] = None,
    size: Annotated[int | None, typer.Option("--size", help="Fit frames to this side.", show_default="as they are")] = None,
    fit: FitOption = "crop",
    fps: Annotated[float | None, typer.Option("--fps", help="Frames per second.", show_default="the clip's, or 25")] = None,
) -> None:
    """Convert a clip, or a folder of clips, to another format."""
    from monkeynet_edu.data.video import read_video, write_video

    if to is not None:
        count = _convert_folder(source, target, "" if to == "folder" else f".{to}", size, fit, fps)
        typer.echo(f"{target}: {count} clips")
        return
    _check_apart(target, source)
    _check_parents(target)
    clip = read_video(source, size=size, how=fit)
    write_video(target, clip.frames, clip.fps if fps is None else fps)
    typer.echo(f"{target}: {len(clip.frames)} frames, {clip.frames.shape[2]}x{clip.frames.shape[1]}")


def _convert_folder(source: Path, target: Path, ending: str, size: int | None, fit: Fit, fps: float | None) -> int:
    """Converts beside the target, then renames: the folder appears whole or not at all."""
    import os
    import shutil
    import tempfile

    from tqdm.auto import tqdm

    from monkeynet_edu.data.datasets import ClipFolder
    from monkeynet_edu.data.video import write_video

    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{target}: expected a new or empty folder, got one in use; choose another")
    parts = [name for name in ("train", "test") if (source / name).is_dir()] or ["."]
    folders = {part: ClipFolder(source / part, "all", size=size, fit=fit) for part in parts}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
    except OSError as error:
        raise UserError(f"{target.parent}: expected a folder to write in, got {error.strerror}; choose another") from error
    try:
        for part, clips in folders.items():
            for clip in tqdm(clips, desc=f"converting {part}".removesuffix(" ."), unit="clip", leave=False):
                name = clip.name.replace("/", "_")
                write_video(scratch / part / f"{name}{ending}", clip.frames, clip.fps if fps is None else fps)
        if size is None and (source / "truth").is_dir():
            shutil.copytree(source / "truth", scratch / "truth")
        scratch.chmod(0o755)
        os.replace(scratch, target)
    except OSError as error:
        raise UserError(f"{target}: could not be written ({error.strerror}); choose another place") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return sum(map(len, folders.values()))


# ---------------------------------------------------------------------------------------------------------- user study

study_app = typer.Typer(
    help="Ask people which of two films follows the driving one better: the paper's Table 4.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(study_app, name="study", rich_help_panel="Train and measure")
_StudyFolder = Annotated[Path, typer.Argument(help="The study's folder.", metavar="STUDY")]
_Votes = Annotated[list[Path], typer.Argument(help="Studies, folders of votes, or files of votes.", metavar="VOTES…")]


@study_app.command(
    "make",
    epilog="[bold]Examples[/bold]\n\nmonkeynet-edu study make my_study --count 10\n\n"
    "monkeynet-edu study make theirs --pairs x2face-taichi.csv --films user-study",
)
def study_make(
    folder: Annotated[Path, typer.Argument(help="New folder.", metavar="STUDY")],
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", help="CSV: source,driving or first,second,…", show_default="the shipped list of DATA"),
    ] = None,
    data: DataOption = "mini-taichi",
    methods: Annotated[str, typer.Option("--methods", help="Two or more, with commas.")] = "monkey-net,x2face",
    films: Annotated[Path | None, typer.Option("--films", help="Folder of the films of a list first,second,….")] = None,
    count: Annotated[
        int | None, typer.Option("--count", help="Only N pairs of the list.", metavar="N", show_default="all")
    ] = None,
    checks: Annotated[
        int | None, typer.Option("--checks", help="Attention checks.", min=0, metavar="N", show_default="1 in 10 pairs")
    ] = None,
    step: Annotated[int, typer.Option("--step", help="Take every N-th frame.", min=1, metavar="N")] = 1,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Make the films of a study: every pair, animated by every method."""
    from monkeynet_edu.course.study import commands

    made = commands.make(folder, pairs, data, methods.split(","), films, count, checks, step, seed, _pick_device(device))
    typer.echo(f"{made.folder}: {len(made.trials)} pairs of films; monkeynet-edu study run {made.folder}")


@study_app.command("run", epilog="[bold]Example:[/bold]  monkeynet-edu study run my_study")
def study_run(
    folder: _StudyFolder,
    port: Annotated[int, typer.Option("--port", help="Of the page; 0 takes a free one.", min=0, max=65535)] = 8767,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    synthetic: Annotated[bool, typer.Option("--synthetic", help="Mark the votes as made to try things out.")] = False,
) -> None:
    """Show a study in the browser; every vote is kept at once, Ctrl-C ends, the same command goes on."""
    from monkeynet_edu.course.study import commands

    commands.run(folder, port, browser, synthetic, typer.echo)


@study_app.command("report", epilog="[bold]Example:[/bold]  monkeynet-edu study report my_study --leave-out-failed")
def study_report(
    votes: _Votes,
    leave_out_failed: Annotated[
        bool, typer.Option("--leave-out-failed", help="Leave out raters who failed the attention checks.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the page (.md).")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say what the votes show: shares, intervals, agreement, attention, ranking."""
    from monkeynet_edu.course.study import commands
    from monkeynet_edu.course.study.reports import MATCHUP_COLUMNS, matchup_row

    found = commands.report_on(votes, leave_out_failed)
    for line in found.complaints:
        _say(line)
    if out is not None:
        commands.write_page(out, found.markdown())
    if as_json:
        _print_json(found.plain())
        return
    _table("User study", MATCHUP_COLUMNS, [matchup_row(row) for row in found.matchups])
    for line in found.remarks() or ["No votes yet."]:
        typer.echo(f"- {line}")


@study_app.command("merge", epilog="[bold]Example:[/bold]  monkeynet-edu study merge all.jsonl anna.jsonl my_study")
def study_merge(
    target: Annotated[Path, typer.Argument(help="File to write (.jsonl).", metavar="TARGET")], votes: _Votes
) -> None:
    """Join votes of several people or machines into one file; lines that do not count are named and left out."""
    from monkeynet_edu.course.study import commands

    found = commands.join(target, votes)
    for line in found.complaints:
        _say(line)
    raters = len({vote.rater for vote in found.votes})
    typer.echo(f"{target}: {len(found.votes)} votes of {raters} raters; {len(found.complaints)} lines left out")


@study_app.command("erase", epilog="[bold]Example:[/bold]  monkeynet-edu study erase my_study --rater r-k3v7q2ma")
def study_erase(
    place: Annotated[Path, typer.Argument(help="A study, a folder of votes, or a file of votes.", metavar="STUDY")],
    rater: Annotated[str | None, typer.Option("--rater", help="Whose votes.", metavar="CODE")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="The votes of all raters.")] = False,
) -> None:
    """Erase the votes of one rater, or of all, for good."""
    from monkeynet_edu.course.study import commands

    for line in commands.erased(place, rater, everybody):
        typer.echo(line)


# -------------------------------------------------------------------------------------------------------- installation


@app.command(rich_help_panel="Installation")
def doctor(as_json: JsonFlag = False) -> None:
    """Look the installation over: versions, device, speed, write access, data, weights, notebooks."""
    from monkeynet_edu.doctor import examine

    findings = examine(Path.cwd())
    broken = any(finding.state == "fail" for finding in findings)
    if as_json:
        _print_json({"healthy": not broken, "findings": [vars(finding) for finding in findings]})
    else:
        _print_findings(findings)
    if broken:
        raise typer.Exit(1)


def _print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        typer.echo(f"{finding.state:4}  {finding.name:15}  {finding.found}")
        if finding.advice:
            typer.echo(f"{'':23}-> {finding.advice}")
    counts = {state: sum(f.state == state for f in findings) for state in ("ok", "warn", "fail")}
    typer.echo(", ".join(f"{count} {state}" for state, count in counts.items()))


@app.command(rich_help_panel="Installation")
def lab() -> None:
    """Open the lessons in JupyterLab, the first one in front."""
    import importlib.util
    import subprocess

    if importlib.util.find_spec("jupyterlab") is None:
        raise UserError('jupyterlab: expected it to be installed, it is not; run `pip install -e ".[lab]"` in the clone')
    clone = Path(__file__).resolve().parent.parent
    lessons = sorted((clone / "notebooks").glob("*.ipynb"))
    if not lessons:
        raise UserError(f"{clone / 'notebooks'}: expected the lessons, got none; run this in a clone of the repository")
    first = f"/lab/tree/notebooks/{lessons[0].name}"
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={clone}", f"--LabApp.default_url={first}"]
    raise typer.Exit(subprocess.call(command))


course_commands.register(app)


# ---------------------------------------------------------------------------------------------------------------- main


# Faults of the place that was named, wherever they come up.
_OF_PLACES = (
    errno.ENAMETOOLONG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ELOOP,
)


def _one_line(text: str) -> str:
    """A message on one line, without characters that would steer the terminal."""
    joined = " ".join(text.split())
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in joined)


def main() -> None:
    """Runs the command line; see the module's first lines for what comes out when."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name may hold what the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")  # of decoders, about files; what matters is said by an error
            app()
    except ToldElsewhereError:
        sys.exit(2)
    except UserError as error:
        _say(f"error: {_one_line(str(error))}")
        sys.exit(2)
    except OSError as error:
        if error.errno not in _OF_PLACES:
            raise
        place = error.filename or "a file"
        _say(f"error: {_one_line(f'{place}: expected a place to read or write, got {error.strerror}; choose another')}")
        sys.exit(2)
    except StopError as kept:
        _say(str(kept))
        sys.exit(130)
    except KeyboardInterrupt:
        _say("interrupted; files already written are whole")
        sys.exit(130)
