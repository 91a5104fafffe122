"""``monkeynet-edu reproduce``: tables from records, exit codes, and one clear line for every bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import test_experiments as made
from command_line import Command, runner

from monkeynet_edu import experiments
from monkeynet_edu.errors import UserError
from monkeynet_edu.experiments import plans, pool, reproduction


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs ``reproduce`` in this process; nothing is trained unless a test says so."""
    monkeypatch.setattr("monkeynet_edu.experiments.reproduction.outdated", lambda *_: None)
    monkeypatch.setattr(pool.Pool, "_start", lambda _, job: pytest.fail(f"{job.name} is trained"))
    return runner(monkeypatch, capsys, "reproduce")


def where(folder: Path) -> list[str]:
    return ["--out", str(folder / "results"), "--runs", str(folder / "runs")]


FIGURES: dict[str, list[float | None]] = {"akd": [1.0, 2.0, 4.0], "l1_moving": [0.1, 0.2, 0.3]}


def test_finished_runs_give_the_table_without_training(run: Command, tmp_path: Path) -> None:
    made.fill(tmp_path, "table2", {(m, s): FIGURES for m in experiments.VARIANTS for s in (0, 1)})
    done = run("table2", *where(tmp_path))
    assert done.code == 0
    assert done.err == ""
    assert made.NOTE in " ".join(done.out.split())
    assert "No F_residual" in done.out
    assert "15 orders: 15 not decided" in " ".join(done.out.split())
    for name in ("table2.md", "table2.png"):
        assert (tmp_path / "results" / "table2" / name).is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table5"], "unknown experiment 'table5'"),
        (["table2", "--budget", "cpus"], "unknown budget 'cpus'"),
        (["table2", "--methods", "full,noflow"], "unknown method of table2 'noflow'"),
        (["fig7", "--methods", "full"], "unknown method of fig7 'full'"),
        (["table2", "--only", "full-seed"], "unknown run of table2 'full-seed'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run: Command, tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run(*arguments, *where(tmp_path))
    assert done.code == 2
    assert done.err.startswith(f"error: {words}")
    assert len(done.err.strip().splitlines()) == 1
    assert done.out == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--seeds", "--jobs"])
def test_no_seeds_and_no_processes_are_refused(run: Command, option: str) -> None:
    assert run("table2", option, "0").code == 2


def test_a_broken_record_is_named(run: Command, tmp_path: Path) -> None:
    job = experiments.find_job(plans.experiment("table2"), "full-seed0", plans.effort("short"))
    path = made.places_in(tmp_path).record(job)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    done = run("table2", *where(tmp_path))
    assert done.code == 2
    assert str(path) in done.err


def test_ctrl_c_says_how_to_go_on_and_leaves_with_130(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pool.Pool, "work", interrupted)
    done = run("table2", *where(tmp_path))
    assert done.code == 130
    assert "the same command goes on" in done.err


def test_networks_that_are_missing_are_complained_of_before_anything_is_trained(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> None:
        raise UserError("evaluators: none")

    monkeypatch.setattr(reproduction, "instruments", missing)
    monkeypatch.setattr(pool.Pool, "work", None)
    done = run("table2", "--methods", "full", *where(tmp_path))
    assert (done.code, done.err) == (2, "error: evaluators: none\n")


def test_failed_runs_are_named_the_others_tabled_and_the_exit_code_is_1(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.fill(tmp_path, "table2", {(m, 0): FIGURES for m in ("full", "no_flow")})

    def work(self: pool.Pool, todo: list[plans.Job]) -> None:
        self.failed.update({job.name: "error: no room" for job in todo})

    monkeypatch.setattr(pool.Pool, "work", work)
    done = run("table2", "--seeds", "1", *where(tmp_path))
    assert done.code == 1
    assert "no_source-seed0" in done.err
    assert "full-seed0" not in done.err
    assert "No F" in done.out
    assert "No record yet: No F_residual" in done.out.replace("\n", " ")


def test_a_process_is_given_its_run_and_every_option(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def work(self: pool.Pool, todo: list[plans.Job]) -> None:
        seen.extend(self.command(job) for job in todo)

    monkeypatch.setattr(pool.Pool, "work", work)
    run("fig7", "--methods", "k4,k10", "--seeds", "1", "--budget", "smoke", "--device", "cpu", *where(tmp_path))
    assert [command[2:7] for command in seen] == [
        ["monkeynet_edu", "reproduce", "fig7", "--only", "k4-seed0"],
        ["monkeynet_edu", "reproduce", "table2", "--only", "full-seed0"],
    ]
    for command in seen:
        options = dict(zip(command[7::2], command[8::2], strict=True))
        assert options == {
            "--budget": "smoke",
            "--out": str(tmp_path / "results"),
            "--runs": str(tmp_path / "runs"),
            "--device": "cpu",
            "--precision": "auto",
        }


def test_one_run_alone_is_trained_measured_and_marked(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made.tiny()
    monkeypatch.setattr(plans, "preset", lambda _: config)
    monkeypatch.setitem(plans.BUDGETS, "cpu", replace(made.tiny_effort(1), name="cpu"))
    done = run("table2", "--budget", "cpu", "--only", "no_flow-seed1", "--device", "cpu", *where(tmp_path))
    assert done.code == 0
    assert done.out.startswith("no_flow-seed1: l1 ")
    assert '"note": "smoke: not a result"' in (tmp_path / "results/cpu/table2/no_flow-seed1.json").read_text("utf-8")


def test_rows_seeds_and_processes_are_those_asked_for(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {(m, s): FIGURES for m in ("full", "no_flow", "no_source") for s in (0, 1)}
    made.fill(tmp_path, "table2", values)
    todo: list[tuple[int, list[str]]] = []
    monkeypatch.setattr(pool.Pool, "work", lambda self, jobs: todo.append((self.jobs, [job.name for job in jobs])))
    done = run("table2", "--methods", "full,no_flow", "--seeds", "3", "--jobs", "7", *where(tmp_path))
    assert done.code == 0
    assert todo == [(7, ["full-seed2", "no_flow-seed2"])]
    assert "No F" in done.out
    assert "No x" not in done.out


# ---------------------------------------------------------------------------------------------------- table 4, and all


def study_of_two_pairs(folder: Path) -> None:
    """Where Table 4 is looked for in ``where(folder)``."""
    (folder / "results" / "table4").mkdir(parents=True)
    (folder / "results" / "table4" / "pairs-mini-taichi.csv").write_text("source,driving\n0015,0013\n0003,0001\n")


def counted_pairs(said: str) -> str:
    """The second cell of mini-taichi's row in Table 4."""
    table = said[said.index("Table 4 in miniature") :]
    line = next(line for line in table.splitlines() if "mini-taichi" in line)
    return line.replace("│", "|").split("|")[2].strip()


def test_table_4_is_read_from_its_folder_and_trains_nothing(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reproduction, "instruments", None)
    study_of_two_pairs(tmp_path)
    done = run("table4", *where(tmp_path))
    assert done.code == 0
    assert counted_pairs(done.out) == "2"
    assert "Nobody has voted yet" in done.out
    assert counted_pairs(run("table4").out) == "50"


def test_all_is_every_experiment_then_table_4_and_a_failure_stops_none(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_of_two_pairs(tmp_path)
    worked: list[set[tuple[str, str]]] = []

    def work(self: pool.Pool, todo: list[plans.Job]) -> None:
        worked.append({(job.task, job.variant) for job in todo})
        if len(worked) == 1:
            self.failed.update({todo[0].name: "error: no room"})

    monkeypatch.setattr(pool.Pool, "work", work)
    monkeypatch.setattr(reproduction, "instruments", lambda data: {})
    done = run("all", "--seeds", "1", *where(tmp_path))
    assert done.code == 1
    assert "full-seed0" in done.err
    assert worked == [
        {("reconstruction", name) for name in experiments.VARIANTS},
        {("reconstruction", name) for name in ("k1", "k2", "k4", "full", "k20")},
        {("reconstruction", name) for name in ("x2face", "full", "mini")},
        {("prediction", name) for name in ("mocogan", "cmmnet", "sv2p", "full", "mini")},
    ]
    assert counted_pairs(done.out) == "2"


@pytest.mark.parametrize("option", [("--methods", "full"), ("--only", "full-seed0")])
def test_rows_and_runs_belong_to_one_experiment(run: Command, tmp_path: Path, option: tuple[str, str]) -> None:
    done = run("all", *option, *where(tmp_path))
    assert done.code == 2
    assert done.err.startswith("error: --methods, --only: expected one experiment beside them, got all")
    assert not list(tmp_path.iterdir())
