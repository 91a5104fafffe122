"""Trainings in two processes: a program that forks them, lets one of them fail, and prints JSON, what came of both.

``python tests/pairs.py FOLDER`` carries out every scenario of ``main``. The processes find each other as under
``torchrun``, by its environment variables, and run the command line on the small model.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from killing import ended, make_clips, warm_up
from small_model import TINY

from monkeynet_edu import cli, model, processes, training
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import MODEL_FILE, Device, MonkeyNet, load_tensors, weights_digest
from monkeynet_edu.training import CHECKPOINT_FILE, Pace

Deed = Callable[[int], None]  # done in the process of this rank
CPU = Device(torch.device("cpu"), "float32")


def forked(deed: Deed, count: int, said: Path) -> list[int]:
    """Runs a deed in so many connected processes; their exit codes. What they say goes into ``said``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    numbers = []
    for rank in range(count):
        number = os.fork()
        if not number:
            where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "LOCAL_RANK": str(rank)}
            os.environ.update(where | {"WORLD_SIZE": str(count)})
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
            try:
                deed(rank)
            except SystemExit as left:
                os._exit(int(left.code or 0))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        numbers.append(number)
    return [ended(number) for number in numbers]


def command(folder: Path, *more: str) -> None:
    """``train`` in this process; writes down the bits of its weights when it is done."""
    train = training.train

    def noted(run: training.Run, *rest: object) -> training.Report:
        report = train(run, *rest)
        rank = os.environ.get("RANK", "0")
        found = {"step": run.step, "digest": weights_digest(run.model.state_dict())}
        folder.with_name(f"{folder.name}.{rank}.json").write_text(json.dumps(found))
        return report

    training.train = noted
    again = ["--resume"] if (folder / CHECKPOINT_FILE).is_file() else []
    base = ["train", "--data", "clips", "--batch-size", "4", "--device", "cpu", "--precision", "float32"]
    sys.argv = ["monkeynet-edu", *base, "--out", str(folder), *again, *more]
    cli.main()


def outcome(folder: Path, codes: Sequence[int]) -> dict[str, object]:
    """Exit codes, lines of errors, what each process ended with, and what the folder holds."""
    said = folder.with_name(f"{folder.name}.txt").read_text()
    path = folder / CHECKPOINT_FILE
    step = json.loads(load_tensors(path)[1]["progress"])["step"] if path.is_file() else None
    notes = [folder.with_name(f"{folder.name}.{rank}.json") for rank in range(2)]
    return {
        "codes": list(codes),
        "errors": [line for line in said.splitlines() if "error: " in line],
        "traceback": "Traceback" in said,
        "bars": said.count("training:   0%"),
        "processes": [json.loads(note.read_text()) for note in notes if note.is_file()],
        "step": step,
        "model": weights_digest(MonkeyNet.load(folder).state_dict()) if (folder / MODEL_FILE).is_file() else None,
        "files": sorted(p.name for p in folder.iterdir() if p.name != "tensorboard") if folder.is_dir() else None,
    }


def pair(folder: Path, *more: str, deed: Deed | None = None) -> dict[str, object]:
    """Two processes; ``deed`` is done in each before its command line runs."""

    def work(rank: int) -> None:
        if deed:
            deed(rank)
        command(folder, *more)

    return outcome(folder, forked(work, 2, folder.with_name(f"{folder.name}.txt")))


# ------------------------------------------------------------------------------------------------------------ scenarios


def at_step(wanted: int, only: int, what: Callable[[training.StepResult | None], training.StepResult | None]) -> Deed:
    """Does something before a step of one process alone."""

    def deed(rank: int) -> None:
        if rank != only:
            return
        train, steps = training.training_step, iter(range(1, 10**6))

        def planted(*values: object) -> training.StepResult:
            now = next(steps)
            if now == wanted:
                what(None)
            result = train(*values)
            return (what(result) or result) if now == wanted else result

        training.training_step = planted

    return deed


def truncated(result: training.StepResult | None) -> None:
    """A clip that cannot be read."""
    raise UserError("clip 2: expected a whole file, got a truncated one; replace it")


def not_finite(result: training.StepResult | None) -> training.StepResult | None:
    """A loss that is not a number."""
    if result is None:
        return None
    return dataclasses.replace(result, losses=result.losses | {"frame": torch.tensor(float("nan"))})


def pressed(result: training.StepResult | None) -> None:
    """Ctrl-C."""
    if result is None:
        os.kill(os.getpid(), signal.SIGINT)


def killed(result: training.StepResult | None) -> None:
    """The end."""
    os.kill(os.getpid(), signal.SIGKILL)


def disk_full(rank: int) -> None:
    """No checkpoint can be written."""

    def full(*_: object) -> None:
        raise UserError("checkpoint.safetensors: could not be written (No space left on device)")

    training.Run.save = full


def slow(rank: int) -> None:
    """The second process takes longer, and its clock runs ten times too fast."""
    if rank:
        clock = time.monotonic
        time.monotonic = lambda: 10 * clock()


def resumed(place: Path, first: int, then: int) -> dict[str, object]:
    """Begins in so many processes, stops before the end, and goes on in another number of them."""
    folder = place / f"resumed{first}{then}"
    log = folder.with_name(f"{folder.name}.txt")

    def stopped(rank: int) -> None:
        at_step(2, rank, pressed)(rank)
        command(folder, "--steps", "4")

    codes = [*forked(stopped, first, log), *forked(lambda rank: command(folder, "--steps", "4"), then, log)]
    return outcome(folder, codes)


def gradients(place: Path) -> dict[str, object]:
    """Largest difference between the mean gradients of two processes and those of one, statistics frozen; float64."""
    torch.manual_seed(3)
    frames = torch.rand(2, 4, 3, 16, 16, dtype=torch.float64)

    def work(rank: int) -> None:
        torch.manual_seed(5)
        net = MonkeyNet(TINY).double().eval()
        torch.nn.init.normal_(net.generator.dense_motion_module.hourglass.decoder.conv.weight, std=0.05)
        with processes.joined() as together:
            source, driving = (together.share(part) for part in frames)
            training.compute_gradients(net, source, driving, CPU)
            together.average_step(net)
            found = {name: p.grad for name, p in net.named_parameters()}
            torch.save(found, place / f"gradients{together.count}.{rank}.pt")

    codes = [*forked(work, 1, place / "gradients.txt"), *forked(work, 2, place / "gradients.txt")]
    alone, first, second = (torch.load(place / f"gradients{name}.pt") for name in ("1.0", "2.0", "2.1"))
    size = max(float(g.abs().max()) for g in alone.values())
    apart = [float((mine[n] - alone[n]).abs().max()) / size for mine in (first, second) for n in alone]
    return {"codes": codes, "apart": max(apart), "alike": all(torch.equal(first[n], second[n]) for n in alone)}


def main() -> None:
    """Carries out all scenarios."""
    place = Path(sys.argv[1])
    torch.set_num_threads(1)
    os.chdir(place)
    make_clips(place / "clips")
    model.PRESETS["mini"] = TINY
    training.Pace = lambda: Pace(log=1, checkpoint=0.0)
    warm_up(place)
    steps = ("--steps", "4")
    found = {
        "gradients": gradients(place),
        "whole": pair(place / "whole", *steps),
        "minutes": pair(place / "minutes", "--minutes", "0.01", deed=slow),
        "odd": pair(place / "odd", *steps, "--batch-size", "3"),
        "resumed 2 to 1": resumed(place, 2, 1),
        "resumed 1 to 2": resumed(place, 1, 2),
        "error in the second": pair(place / "second", *steps, deed=at_step(3, 1, truncated)),
        "error in both": pair(place / "both", *steps, deed=lambda rank: at_step(1, rank, truncated)(rank)),
        "nan in the second": pair(place / "nan", *steps, deed=at_step(3, 1, not_finite)),
        "full disk": pair(place / "full", *steps, deed=disk_full),
        "Ctrl-C in the second": pair(place / "pressed", *steps, deed=at_step(2, 1, pressed)),
        "second killed": pair(place / "killed", *steps, deed=at_step(3, 1, killed)),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
