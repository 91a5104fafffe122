"""``reproduce``: works off what an experiment still lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monkeynet_edu.experiments.measuring import instruments, outdated
from monkeynet_edu.experiments.plans import Effort, Experiment, Job, choose_methods, jobs_of
from monkeynet_edu.experiments.pool import Pool, default_jobs
from monkeynet_edu.experiments.records import Places, read_record
from monkeynet_edu.model import Device
from monkeynet_edu.run_folder import CHECKPOINT_FILE


@dataclass(frozen=True)
class Progress:
    """What came of :func:`reproduce`.

    Attributes:
        finished: runs that have a record.
        failed: run → why it has none.
        stale: records that want measuring again but whose models are not here, and why.
    """

    finished: list[Job]
    failed: dict[str, str]
    stale: dict[str, str]


def unfinished(jobs: Sequence[Job], places: Places, device: Device) -> tuple[list[Job], dict[str, str]]:
    """Runs that are left to do, and records that want measuring again although no model of theirs is here.

    The latter, shipped results for instance, stay as they are.

    Raises:
        UserError: a record is broken, or of another configuration.
    """
    left: list[Job] = []
    stale: dict[str, str] = {}
    for job in jobs:
        path = places.record(job)
        reason = outdated(read_record(path, job), job, device) if path.is_file() else "not there"
        if reason and path.is_file() and not (places.run(job) / CHECKPOINT_FILE).is_file():
            stale[str(path)] = reason
        elif reason:
            left.append(job)
    return left, stale


def reproduce(
    what: Experiment,
    how: Effort,
    places: Places,
    device: Device,
    command: Callable[[Job], list[str]],
    methods: Sequence[str] | None = None,
    seeds: int | None = None,
    jobs: int | None = None,
) -> Progress:
    """Trains and measures everything of an experiment that has no record yet.

    Args:
        what: the experiment.
        how: how much a run may cost.
        places: where records and run folders lie.
        device: of this process, to ask what can be computed.
        command: a run's command line.
        methods: rows; None for all that are available.
        seeds: how many, from 0; None for the budget's.
        jobs: processes at once; None for as many as the machine carries.

    Raises:
        UserError: an unknown method, a broken record, one of another configuration, or no networks to measure with.
        KeyboardInterrupt: Ctrl-C; every run kept what it reached.
    """
    rows = choose_methods(what, methods)
    wanted = jobs_of(what, rows, range(seeds or how.seeds), how)
    pool = Pool(places, command, jobs or default_jobs())
    todo, stale = unfinished(wanted, places, device)
    for data in {job.data for job in todo}:
        instruments(data)  # networks that are missing are complained of now and not after an hour
    if todo:
        pool.work(todo)
    done = [job for job in wanted if places.record(job).is_file()]
    return Progress(done, pool.failed, stale)
