"""The user study: figures worked by hand, votes that survive, blind and balanced plans. All votes here are synthetic."""

from __future__ import annotations

import base64
import http.client
import io
import json
import math
import os
import random
import re
import signal
import stat
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from study_example import FIRST, FRAMES, RATERS, SECOND, SIDE, clips, negative, small_study, still, vote

from monkeynet_edu.course import study as user_study
from monkeynet_edu.course.study import folder, lists, methods, plans, reports, server, sitting, statistics, votes
from monkeynet_edu.data.datasets import Pair, open_dataset, read_pairs
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import Device
from monkeynet_edu.paths import data_small
from monkeynet_edu.widgets.study_script import PAGE, PAGE_SCRIPT, PAGE_STYLE, STUDY_SCRIPT


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> folder.Study:
    """A study that no test votes in."""
    return small_study(tmp_path_factory.mktemp("shared") / "study", pairs=9, checks=2)


# ---------------------------------------------------------------------------------------------------------- statistics


def tail(from_: int, to: int, votes_: int, p: float) -> float:
    """Probability of so many wins, the sum written out."""
    return sum(math.comb(votes_, k) * p**k * (1 - p) ** (votes_ - k) for k in range(from_, to + 1))


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_interval_has_its_closed_form_where_nobody_or_everybody_agrees(level: float) -> None:
    for n in (1, 7, 50):
        edge = ((1 - level) / 2) ** (1 / n)
        assert statistics.clopper_pearson(0, n, level) == pytest.approx((0, 1 - edge))
        assert statistics.clopper_pearson(n, n, level) == pytest.approx((edge, 1))


@pytest.mark.parametrize(("wins", "n"), [(1, 2), (3, 10), (17, 20), (42, 50)])
def test_the_interval_inverts_the_binomial_tails(wins: int, n: int) -> None:
    low, high = statistics.clopper_pearson(wins, n)
    assert tail(wins, n, n, low) == pytest.approx(0.025)
    assert tail(0, wins, n, high) == pytest.approx(0.025)
    assert low < wins / n < high


def test_alpha_of_a_worked_table() -> None:
    # Two raters chose AA, AB, BB, BB. Of 8 votes 3 are A, 5 are B. Observed disagreement 2/8; expected 2·3·5/(8·7).
    table = np.array([[2, 0], [1, 1], [0, 2], [0, 2]], float)
    assert statistics.krippendorff_alpha(table) == pytest.approx(float(1 - Fraction(2, 8) / Fraction(30, 56)))
    assert statistics.agreement(table) == pytest.approx(3 / 4)


def test_alpha_is_fleiss_kappa_corrected_for_small_samples() -> None:
    # Three raters: P̄ = (1 + 1/3 + 1)/3 = 7/9, chance (5/9)² + (4/9)² = 41/81, kappa 22/40; alpha 1 - 0.45·8/9 = 0.6.
    table = np.array([[3, 0], [2, 1], [0, 3]], float)
    assert statistics.krippendorff_alpha(table) == pytest.approx(0.6)
    assert statistics.agreement(table) == pytest.approx(7 / 9)


def test_a_pair_with_one_vote_says_nothing_about_agreement() -> None:
    table = np.array([[3, 0], [2, 1], [0, 3]], float)
    more = np.concatenate([table, [[1.0, 0.0]]])
    assert statistics.krippendorff_alpha(more) == pytest.approx(0.6)
    assert statistics.agreement(more) == pytest.approx(7 / 9)
    assert statistics.krippendorff_alpha(more[3:]) is None
    assert statistics.agreement(more[3:]) is None
    assert statistics.krippendorff_alpha(np.array([[2.0, 0.0], [3.0, 0.0]])) is None  # all alike: no chance to compare with


def test_bradley_terry_of_two_methods_is_the_share() -> None:
    for wins, losses in ((7, 3), (1, 99), (5, 0)):
        strength = statistics.bradley_terry(np.array([[0, wins], [losses, 0]], float))
        assert strength == pytest.approx([wins / (wins + losses), losses / (wins + losses)])


def test_bradley_terry_finds_the_strengths_that_the_wins_were_made_of() -> None:
    # Strengths 4 : 2 : 1; each two meet as often as their sum, so each wins exactly what the model expects.
    wins = np.array([[0, 4, 4], [2, 0, 2], [1, 1, 0]], float)
    assert statistics.bradley_terry(wins) == pytest.approx(np.array([4, 2, 1]) / 7)
    circle = np.array([[0, 3, 0], [0, 0, 3], [3, 0, 0]], float)
    assert statistics.bradley_terry(circle) == pytest.approx([1 / 3] * 3)


def test_no_strengths_where_a_method_never_won_or_never_lost() -> None:
    never_won = np.array([[0, 2, 1], [2, 0, 1], [0, 0, 0]], float)
    assert statistics.bradley_terry(never_won) is None
    assert statistics.bradley_terry(never_won.T) is None
    assert statistics.bradley_terry(np.zeros((2, 2))) is None


# --------------------------------------------------------------------------------------------------------------- votes


def test_a_vote_that_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "votes" / "a.jsonl"
    cast = [vote("p001"), vote("p002", choice="right", seconds=3.25, replays=2, synthetic=False)]
    for one in cast:
        votes.append_vote(path, one)
    assert votes.read_votes([tmp_path]) == votes.Reading(tuple(cast), ())
    assert "synthetic" not in path.read_text().splitlines()[1]
    assert [one.preferred for one in cast] == [FIRST, SECOND]
    assert [one.other for one in cast] == [SECOND, FIRST]


def test_a_vote_is_flushed_to_the_disk_before_it_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, sizes = tmp_path / "a.jsonl", []
    flush = os.fsync

    def noted(number: int) -> None:
        if stat.S_ISREG(os.fstat(number).st_mode):  # folders are flushed as well
            sizes.append(path.stat().st_size)
        flush(number)

    monkeypatch.setattr(os, "fsync", noted)
    votes.append_vote(path, vote())
    assert sizes == [len(vote().line())]


def test_a_torn_line_spoils_nothing_but_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    votes.append_vote(path, vote("p001"))
    with path.open("a") as file:
        file.write(vote("p002").line()[:40])
    votes.append_vote(path, vote("p003"))
    found = votes.read_votes([path])
    assert [one.pair for one in found.votes] == ["p001", "p003"]
    assert len(found.complaints) == 1
    assert found.complaints[0].startswith(f"{path}, line 2: expected a vote as one JSON object")


@pytest.mark.skipif(os.name == "nt", reason="needs fork")
def test_no_vote_that_was_answered_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    for number, patience in enumerate((3, 11, 40)):
        path, (reading, writing) = tmp_path / f"{number}.jsonl", os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            for count in range(10_000):
                votes.append_vote(path, vote(f"p{count}"))
                os.write(writing, b".")
            os._exit(0)
        os.close(writing)
        answered = b""
        while len(answered) < patience:
            answered += os.read(reading, 1)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(reading, 1000):
            answered += more
        os.close(reading)
        kept = votes.read_votes([path]).votes
        assert len(answered) <= len(kept) <= len(answered) + 1
        assert [one.pair for one in kept] == [f"p{count}" for count in range(len(kept))]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rater": "Anna"}, "rater: expected a random code"),
        ({"choice": "both"}, "choice: expected left or right"),
        ({"right": FIRST}, "another method than on the left"),
        ({"seconds": -1}, "seconds: expected a number from 0"),
        ({"seconds": math.nan}, "seconds: expected a number from 0"),
        ({"seconds": True}, "seconds: expected a number from 0"),
        ({"replays": 0.5}, "replays: expected a whole number"),
        ({"synthetic": 1}, "synthetic: expected true or false"),
        ({"pair": ""}, "pair: expected a short text"),
        ({"data": ["noise"]}, "data: expected a short text"),
        ({"name": "Anna"}, "got 'name'"),
    ],
)
def test_a_malformed_line_is_named_with_its_number(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    bad = json.loads(vote("p002").line()) | change
    path.write_text(vote("p001").line() + json.dumps(bad) + "\n\n" + vote("p003").line())
    found = votes.read_votes([path])
    assert [one.pair for one in found.votes] == ["p001", "p003"]
    assert len(found.complaints) == 1
    assert f"{path}, line 2: " in found.complaints[0]
    assert said in found.complaints[0]
    assert "\n" not in found.complaints[0]


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    plain = json.loads(vote().line())
    del plain["choice"]
    path.write_text(json.dumps(plain))
    assert votes.read_votes([path]).complaints == (f"{path}, line 1: expected the field 'choice', got none; not counted",)


def test_the_first_of_two_like_votes_counts_and_the_other_is_named(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    votes.write_votes(first, [vote("p001"), vote("p002")])
    again = vote("p001", left=SECOND, right=FIRST, choice="right", seconds=5.0)  # other sides, the same preference
    votes.write_votes(second, [again, vote("p001", RATERS[1])])
    found = votes.read_votes([first, second])
    assert found.votes == (vote("p001"), vote("p002"), vote("p001", RATERS[1]))
    assert found.complaints == (
        f"{second}, line 1: {RATERS[0]} has voted on pair p001 before, in {first}, line 1; not counted",
    )


def test_of_contradictory_votes_none_counts_and_each_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    votes.write_votes(path, [vote("p001"), vote("p002"), vote("p001", choice="right"), vote("p001", study="another")])
    found = votes.read_votes([path])
    assert found.votes == (vote("p002"), vote("p001", study="another"))
    assert [line.partition(" prefers")[0] for line in found.complaints] == [
        f"{path}, line {number}: {RATERS[0]}" for number in (1, 3)
    ]
    assert all(f"prefers {SECOND} and {FIRST} in pair p001, a contradiction" in line for line in found.complaints)


def no_vote(line: bytes) -> bool:
    try:
        votes.parse_vote(line)
    except UserError:
        return bool(line.strip())
    return False


GARBAGE = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(str.encode),
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=4).map(
        lambda value: json.dumps(value).encode()
    ),
    st.integers(1, 150).map(lambda cut: vote("p9").line().encode()[:cut]),
    st.sampled_from([b"[" * 20_000, b'{"study":' * 5000, b"9" * 6000, b"NaN", b"\xff\xfe{}"]),
).map(lambda data: data.replace(b"\n", b""))
ENTRY = st.tuples(st.booleans(), GARBAGE.filter(no_vote))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(entries=st.lists(ENTRY, max_size=8))
def test_whatever_stands_between_them_sound_votes_count_and_bad_lines_are_named(
    entries: list[tuple[bool, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "between.jsonl"
    sound = [vote(f"p{number}") for number, (good, _) in enumerate(entries) if good]
    lines = [vote(f"p{n}").line().encode()[:-1] if good else bad for n, (good, bad) in enumerate(entries)]
    # A byte order mark is only one at the beginning of a file.
    path.write_bytes(b"\n" + b"\n".join(lines))
    found = votes.read_votes([path])
    assert list(found.votes) == sound
    bad_numbers = [number + 2 for number, (good, _) in enumerate(entries) if not good]
    assert [int(re.findall(r", line (\d+): ", line)[0]) for line in found.complaints] == bad_numbers


CODES, PAIRS = st.sampled_from(RATERS), st.sampled_from(["p1", "p2", "p3"])
CAST = st.builds(vote, PAIRS, CODES, choice=st.sampled_from(["left", "right"]))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(cast=st.lists(CAST, max_size=20), cut=st.integers(0, 20))
def test_every_vote_counts_or_is_named_and_no_rater_counts_twice_on_a_pair(
    cast: list[votes.Vote], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.getbasetemp()
    files = [base / "one.jsonl", base / "two.jsonl"]
    for path, part in zip(files, (cast[:cut], cast[cut:]), strict=True):
        path.write_text("".join(one.line() for one in part))
    found = votes.read_votes(files)
    assert len(found.votes) + len(found.complaints) == len(cast)
    assert all(count == 1 for count in Counter(one.key for one in found.votes).values())
    wanted = {key: {one.preferred for one in cast if one.key == key} for key in {one.key for one in cast}}
    assert {one.key for one in found.votes} == {key for key, preferred in wanted.items() if len(preferred) == 1}
    merged = votes.merge(base / "merged.jsonl", files)
    assert merged == found
    assert votes.read_votes([base / "merged.jsonl"]) == votes.Reading(found.votes, ())


def test_one_rater_is_erased_torn_lines_and_all_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    votes.write_votes(path, [vote("p1"), vote("p1", RATERS[1]), vote("p2")])
    with path.open("a") as file:
        file.write(f'{{"rater": "{RATERS[0]}"')
    assert votes.erase(path, RATERS[0]) == [path]
    assert path.read_text() == vote("p1", RATERS[1]).line()
    assert votes.erase(path, RATERS[2]) == []
    assert votes.erase(path) == [path]
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_rater_s_own_file_is_removed_from_a_study(tmp_path: Path) -> None:
    place = tmp_path / "votes"
    for rater in RATERS[:2]:
        votes.append_vote(place / f"{rater}.jsonl", vote(rater=rater))
    assert votes.erase(tmp_path, RATERS[0]) == [place / f"{RATERS[0]}.jsonl"]
    assert [path.name for path in place.glob("*.jsonl")] == [f"{RATERS[1]}.jsonl"]


def test_codes_are_random_and_hold_nothing_else() -> None:
    made = {votes.new_code() for _ in range(500)}
    assert len(made) == 500
    assert all(votes.is_code(code) for code in made)
    assert not any(map(votes.is_code, ("r-anna", "anna", "r-ANNAANNA", "r-aaaaaaa1", 5, None)))


# --------------------------------------------------------------------------------------------------------------- lists

ANIMATION = "first,second,apperance,video\nset/mtm-1.jpg-2.jpg.gif,set/x2face-1.jpg-2.jpg.gif,set/app2.gif,set/video1.gif\n"
TO_VIDEO = "first,second,appearance\nset/wei-7_smile.gif,set/mtm-7_smile.gif,set/7_smile.png\n"


def test_both_published_forms_are_read(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(ANIMATION)
    names = ("set/mtm-1.jpg-2.jpg.gif", "set/x2face-1.jpg-2.jpg.gif")
    assert lists.read_film_list(path) == [
        lists.FilmPair(*names, lists.OURS, "x2face", "set/app2.gif", "set/video1.gif"),
    ]
    path.write_text("\ufeff" + TO_VIDEO.replace("\n", "\r\n"))
    (row,) = lists.read_film_list(path)
    assert (row.first_method, row.second_method, row.video) == ("cmm-net", lists.OURS, None)
    assert lists.is_film_list(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("first,second\na-1.gif,b-1.gif\n", "line 1: expected the columns first,second,appearance"),
        (ANIMATION + "set/mtm.gif,b-1.gif,a,v\n", "line 3: expected a file METHOD-"),
        (ANIMATION + "a-1.gif,a-2.gif,a,v\n", "line 3: expected films of two methods, got twice a"),
        (ANIMATION + "a-1.gif,b-2.gif,a\n", "line 3, column video: expected the name of a file"),
        (ANIMATION + "frozen-1.gif,b-2.gif,a,v\n", "line 3: 'frozen' names films of attention checks"),
        ("first,second,appearance\n", "expected at least one pair"),
        ('first,second,appearance\n"a-1.gif\n', "expected a row of a CSV file"),
    ],
)
def test_a_broken_list_is_refused_by_its_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=re.escape(said)):
        lists.read_film_list(path)


def test_the_shipped_list_has_the_paper_s_fifty_pairs_of_similar_poses() -> None:
    data = open_dataset("mini-taichi", "test")
    path = data_small() / "results" / "table4" / "pairs-mini-taichi.csv"
    pairs = read_pairs(path, data)
    assert len(set(pairs)) == len(pairs) == 50
    assert all(pair.source != pair.driving for pair in pairs)
    assert path.read_text() == lists.pair_list(data, lists.similar_pairs(data, 50, seed=0))
    poses = [clip.truth.joints[0] - clip.truth.joints[0].mean(axis=0) for clip in data if clip.truth]

    def apart(pair: Pair) -> float:
        return float(np.sqrt(((poses[pair.source] - poses[pair.driving]) ** 2).sum(axis=1)).mean())

    everything = [apart(Pair(i, j)) for i in range(20) for j in range(20) if i != j]
    assert max(map(apart, pairs)) <= np.median(everything) < max(everything)


def test_pairs_are_chosen_by_the_seed_in_the_list_s_order() -> None:
    pairs = [Pair(0, k) for k in range(1, 21)]
    chosen = lists.choose(pairs, 5, 3)
    assert chosen == lists.choose(pairs, 5, 3) != lists.choose(pairs, 5, 4)
    assert chosen == sorted(chosen, key=lambda pair: pair.driving)
    assert lists.choose(pairs, None, 0) == pairs
    with pytest.raises(UserError, match="between 1 and 20"):
        lists.choose(pairs, 21, 0)


# -------------------------------------------------------------------------------------------------------------- folder


def test_a_study_holds_the_films_that_the_methods_made(shared: folder.Study) -> None:
    real = [trial for trial in shared.trials if not trial.is_check]
    assert len(real) == 9
    assert all(trial.methods == (SECOND, FIRST) for trial in real)
    first = real[0]
    source, driving = (clips()[int(name[-1])].frames for name in (first.source, first.driving))
    made = {film.method: shared.frames(film) for film in first.films}
    assert (made[FIRST] == source[0]).all()
    assert (made[SECOND] == 255 - driving).all()
    assert (shared.frames(first.reference) == driving).all()


def test_a_check_sets_the_driving_film_against_a_plainly_wrong_one(shared: folder.Study) -> None:
    checks = [trial for trial in shared.trials if trial.is_check]
    assert len(checks) == 2
    for check in checks:
        driving = shared.frames(check.reference)
        good, bad = check.films
        assert (shared.frames(good) == driving).all()
        wrong = shared.frames(bad)
        assert (wrong == driving[0]).all() if bad.method == votes.FROZEN else (wrong == driving[::-1]).all()
        assert (wrong != driving).any()


def test_the_wrong_film_is_the_one_that_differs_more() -> None:
    there = np.zeros((4, 2, 2, 3), np.uint8)
    there[3] = 200  # only the last frame differs: frozen is wrong in one frame of four, backwards in two
    assert folder.wrong_film(there)[0] == votes.REVERSED
    there_and_back = np.zeros((3, 2, 2, 3), np.uint8)
    there_and_back[1] = 200
    assert folder.wrong_film(there_and_back)[0] == votes.FROZEN
    with pytest.raises(UserError, match="in which something moves"):
        folder.wrong_film(there[:3])


def test_three_methods_meet_in_every_two(tmp_path: Path) -> None:
    three = {"a": still, "b": negative, "c": lambda source, driving: driving}
    made = folder.build_study(clips(), [Pair(0, 1)], three, tmp_path / "study", data="noise", checks=0)
    assert [trial.methods for trial in made.trials] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_bad_studies_are_refused_and_leave_nothing_behind(tmp_path: Path) -> None:
    def build(chosen: dict[str, Any], name: str = "study", **options: Any) -> None:
        folder.build_study(clips(), [Pair(0, 1)], chosen, tmp_path / name, data="noise", **options)

    with pytest.raises(UserError, match="two or more, got 1"):
        build({"a": still})
    with pytest.raises(UserError, match="method 'frozen'"):
        build({"frozen": still, "a": negative})
    with pytest.raises(UserError, match="method b: expected a film"):
        build({"a": still, "b": lambda source, driving: driving[:2]})
    with pytest.raises(UserError, match="checks: expected 0 to 1"):
        build({"a": still, "b": negative}, checks=2)
    assert list(tmp_path.iterdir()) == []
    build({"a": still, "b": negative}, seed=2**62)
    with pytest.raises(UserError, match="new or empty folder"):
        build({"a": still, "b": negative})


def test_a_damaged_study_is_refused_in_one_line(tmp_path: Path) -> None:
    made = small_study(tmp_path / "study")
    film = made.folder / made.trials[0].first.file
    film.write_bytes(film.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="expected the film that study"):
        made.frames(made.trials[0].first)
    film.unlink()
    with pytest.raises(UserError, match="beside it, got none"):
        folder.open_study(made.folder)
    file = made.folder / folder.FILE
    sound = json.loads(file.read_text())
    trial = sound["trials"][0]
    for change, said in [
        ({"fps": 0}, "fps"),
        ({"trials": []}, "at least one"),
        ({"trials": [trial, trial]}, "twice"),
        ({"trials": [trial | {"first": trial["reference"] | {"file": "../x.png"}}]}, "below the folder"),
        ({"question": f"Is {FIRST} better?"}, "no method in it"),
        ({"format": 2}, "update monkeynet-edu"),
        ({"trials": 3}, "list of trials"),
    ]:
        file.write_text(json.dumps(sound | change))
        with pytest.raises(UserError, match=said) as error:
            folder.open_study(made.folder)
        assert "\n" not in str(error.value)


def test_a_study_is_made_from_a_published_list_and_its_films(tmp_path: Path) -> None:
    from monkeynet_edu.data.video import write_video

    path = tmp_path / "list.csv"
    path.write_text(ANIMATION)
    (row,) = lists.read_film_list(path)
    for number, name in enumerate((row.first, row.second, row.video)):
        write_video(tmp_path / str(name), clips()[number].frames, 10)
    made = folder.import_study([row], tmp_path, tmp_path / "study", data="taichi")
    assert made.trials[0].methods == (lists.OURS, "x2face")
    assert made.trials[1].is_check
    assert made.frames(made.trials[0].reference).shape == (FRAMES, SIDE, SIDE, 3)
    path.write_text(TO_VIDEO)
    with pytest.raises(UserError, match="driving film"):
        folder.import_study(lists.read_film_list(path), tmp_path, tmp_path / "other", data="nemo")


def test_a_rival_animates_with_its_shipped_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rival:
        def to(self, device: torch.device) -> Rival:
            return self

        def animate(self, source: torch.Tensor, driving: torch.Tensor, device: Device) -> torch.Tensor:
            return driving + 0.75

    asked = []

    def shipped(*names: str) -> Rival:
        asked.append(names)
        return Rival()

    monkeypatch.setattr(methods.baselines, "shipped", shipped)
    made = methods.named_methods(["x2face"], "mini-nemo", Device(torch.device("cpu"), "float32"))
    film = made["x2face"](torch.zeros(3, 2, 2), torch.full((4, 3, 2, 2), 0.5))
    assert asked == [("x2face", "mini-nemo")]
    assert (film == 1).all()  # what lies outside [0, 1] is clipped


# ---------------------------------------------------------------------------------------------------------------- plan


def test_the_plan_is_the_same_again_and_another_for_another_rater(shared: folder.Study) -> None:
    mine = plans.plan(shared, RATERS[0])
    assert mine == plans.plan(shared, RATERS[0])
    others = [plans.plan(shared, rater) for rater in RATERS[1:]]
    assert all([s.trial.id for s in mine] != [s.trial.id for s in other] for other in others)
    assert sorted(s.trial.id for s in mine) == sorted(trial.id for trial in shared.trials)
    assert len({s.token for s in mine} | {s.token for other in others for s in other}) == 3 * len(shared.trials)


def test_each_method_stands_on_the_left_in_half_of_the_pairs_for_every_rater(shared: folder.Study) -> None:
    draw, lefts, places = random.Random(0), Counter[str](), Counter[str]()
    for _ in range(200):
        rater = "r-" + "".join(draw.choice("abcdefgh") for _ in range(8))
        showings = [one for one in plans.plan(shared, rater) if not one.trial.is_check]
        left = [one.methods[0] for one in showings]
        assert sorted(Counter(left).values()) == [4, 5]  # nine pairs
        lefts.update(one.trial.id for one in showings if one.methods[0] == FIRST)
        places[showings[0].trial.id] += 1
    assert all(70 <= lefts[trial.id] <= 130 for trial in shared.trials if not trial.is_check)  # half of 200, 4 deviations
    assert 860 <= lefts.total() <= 940  # nine is odd: who gets the fifth pair is drawn as well
    assert len(places) == 9
    assert max(places.values()) <= 50  # a ninth of 200 on average


def test_no_plan_begins_with_a_check(shared: folder.Study) -> None:
    every = [plans.plan(shared, f"r-{''.join(code)}") for code in zip(*[iter("abcdefgh" * 40)] * 8, strict=True)]
    assert not any(showings[0].trial.is_check for showings in every)
    assert not any(plans.plan(shared, "r-" + letter * 8)[0].trial.is_check for letter in "abcdefghijklmnopqrstuvwxyz")


# ------------------------------------------------------------------------------------------------------------- sitting


def all_answers(talk: sitting.Sitting, side: str = "left") -> list[dict[str, Any]]:
    """Everything that a page hears from beginning to end."""
    heard = [talk.answer({"do": "welcome"}), talk.answer({"do": "begin"})]
    while heard[-1]["stage"] == "pair":
        heard.append(talk.answer(ballot(heard[-1], side)))
    return heard


def ballot(page: dict[str, Any], side: str = "left") -> dict[str, Any]:
    """The message of a vote."""
    return {"do": "vote", "rater": page["rater"], "token": page["token"], "side": side, "seconds": 1.234, "replays": 1}


def test_nothing_that_the_page_hears_names_method_clip_or_check(tmp_path: Path) -> None:
    made = small_study(tmp_path / "study", pairs=6, checks=2)
    heard = all_answers(sitting.Sitting(made, synthetic=True))
    assert heard[-1]["stage"] == "done"
    assert [page["number"] for page in heard[1:-1]] == list(range(1, 9))
    said = json.dumps(heard) + PAGE + PAGE_SCRIPT + PAGE_STYLE + STUDY_SCRIPT
    films = [film["src"] for page in heard[1:-1] for film in page["films"].values()]
    inside = b"".join(base64.b64decode(src.partition(",")[2]) for src in films)
    kept = json.dumps(sorted(path.name for path in (made.folder / folder.FILMS).iterdir()))
    for text in (said, inside.decode("latin-1"), kept):
        for word in (FIRST, SECOND, "ibexclip", "frozen", "reversed", "monkey-net", "x2face", "p001"):
            assert word not in text.lower()
    assert all(set(page) == set(heard[1]) for page in heard[1:-1])  # checks look like pairs


def test_films_go_to_the_sides_that_the_vote_says(tmp_path: Path) -> None:
    made = small_study(tmp_path / "study", checks=0)
    talk = sitting.Sitting(made, synthetic=True)
    page = talk.answer({"do": "begin"})
    while page["stage"] == "pair":
        before = page
        page = talk.answer(ballot(before, "right"))
        cast = votes.read_votes([made.folder]).votes[-1]
        trial = next(trial for trial in made.trials if trial.id == cast.pair)
        for side in ("left", "right"):
            film = next(film for film in trial.films if film.method == getattr(cast, side))
            assert (unpacked(before["films"][side]) == made.frames(film)).all()
        assert (unpacked(before["films"]["reference"]) == made.frames(trial.reference)).all()
        assert (cast.choice, cast.seconds, cast.replays, cast.synthetic) == ("right", 1.23, 1, True)


def unpacked(film: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Frames of a sheet, cut out one by one."""
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(film["src"].partition(",")[2]))))
    w, h, columns = film["width"], film["height"], film["columns"]
    at = [(t % columns * w, t // columns * h) for t in range(film["count"])]
    return np.stack([sheet[y : y + h, x : x + w] for x, y in at])


def test_a_long_film_is_laid_out_in_rows() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (37, 3, 5, 3), np.uint8)
    assert (unpacked(sitting.sheet(frames)) == frames).all()


def test_a_vote_sent_twice_counts_once_and_another_side_changes_nothing(tmp_path: Path) -> None:
    made = small_study(tmp_path / "study")
    talk = sitting.Sitting(made, synthetic=True)
    page = talk.answer({"do": "begin"})
    second = talk.answer(ballot(page))
    assert talk.answer(ballot(page)) == second
    assert talk.answer(ballot(page, "right")) == second
    (kept,) = votes.read_votes([made.folder]).votes
    assert kept.choice == "left"
    assert second["number"] == 2


def test_another_process_goes_on_where_the_first_one_ended(tmp_path: Path) -> None:
    made = small_study(tmp_path / "study")
    page = sitting.Sitting(made, synthetic=True).answer({"do": "begin"})
    expected = sitting.Sitting(made, synthetic=True).answer(ballot(page))
    again = sitting.Sitting(folder.open_study(made.folder), synthetic=True)
    assert again.answer({"do": "welcome"})["unfinished"] == [{"rater": page["rater"], "done": 1}]
    assert again.answer({"do": "next", "rater": page["rater"]}) == expected
    assert again.answer({"do": "next", "rater": "r-zzzzzzzz"})["stage"] == "welcome"  # nobody with this code was here
    assert again.answer({"do": "next", "rater": "../../x"})["stage"] == "welcome"


@pytest.mark.parametrize(
    "change", [{"token": "x"}, {"side": "both"}, {"rater": "../x"}, {"seconds": "1"}, {"replays": -1}, {"do": "shout"}]
)
def test_a_wrong_message_is_answered_in_words_and_writes_nothing(change: dict[str, Any], tmp_path: Path) -> None:
    made = small_study(tmp_path / "study")
    talk = sitting.Sitting(made, synthetic=True)
    answer = talk.answer(ballot(talk.answer({"do": "begin"})) | change)
    assert answer["stage"] == "error"
    assert next(iter(change)) in answer["error"] or "pair:" in answer["error"]
    assert not made.votes.exists()


# -------------------------------------------------------------------------------------------------------------- report


def cast_votes(wins: int, losses: int, rater: str = RATERS[0], **changes: Any) -> list[votes.Vote]:
    """Synthetic votes for FIRST and SECOND, on pairs of their own."""
    choices = ["left"] * wins + ["right"] * losses
    return [vote(f"p{number}", rater, choice=choice, **changes) for number, choice in enumerate(choices)]


def check_votes(rater: str, right: int, wrong: int) -> list[votes.Vote]:
    """Synthetic answers to attention checks."""
    sides = {"left": votes.REFERENCE, "right": votes.FROZEN}
    return [vote(f"c{k}", rater, choice="left" if k < right else "right", **sides) for k in range(right + wrong)]


def test_the_report_counts_shares_intervals_and_raters() -> None:
    cast = cast_votes(7, 3) + cast_votes(7, 3, RATERS[1]) + check_votes(RATERS[0], 2, 0)
    found = reports.report(votes.Reading(tuple(cast), ("a complaint",)))
    (row,) = found.matchups
    assert (row.method, row.other) == (SECOND, FIRST)  # by name, since ours is not among them
    assert (row.wins, row.votes, row.pairs, row.raters) == (6, 20, 10, 2)
    assert tail(6, 20, 20, row.low) == pytest.approx(0.025)
    assert (row.alpha, row.agreement) == (1, 1)
    assert found.attention == (reports.Attention(RATERS[0], 2, 2), reports.Attention(RATERS[1], 0, 0))
    assert "30.0 %" in found.markdown()
    assert "1 raters answered no attention check" in found.markdown()
    assert "no result" in found.markdown().splitlines()[0]


def test_who_fails_the_checks_is_named_and_can_be_left_out() -> None:
    cast = cast_votes(1, 0) + check_votes(RATERS[0], 3, 1) + cast_votes(0, 4, RATERS[1]) + check_votes(RATERS[1], 2, 2)
    reading = votes.Reading(tuple(cast), ())
    every, some = reports.report(reading), reports.report(reading, leave_out_failed=True)
    assert [one.failed for one in every.attention] == [False, True]  # 3 of 4 right passes, 2 of 4 does not
    assert (every.matchups[0].votes, every.left_out) == (5, ())
    assert (some.matchups[0].votes, some.left_out) == (1, (RATERS[1],))
    assert f"{RATERS[1]} got 2 of 4 attention checks right" in every.markdown()
    assert "left out" in some.markdown()


def test_three_methods_are_ranked_and_the_report_says_where_they_cannot_be() -> None:
    def duel(winner: str, loser: str, count: int, start: int) -> list[votes.Vote]:
        return [vote(f"p{start + k}", left=winner, right=loser) for k in range(count)]

    cast = duel("a", "b", 4, 0) + duel("b", "a", 2, 10) + duel("a", "c", 4, 20) + duel("c", "a", 1, 30)
    cast += duel("b", "c", 2, 40)
    found = reports.report(votes.Reading((*cast, *duel("c", "b", 1, 50)), ()))
    assert dict(found.rankings["noise"] or ()) == pytest.approx({"a": 4 / 7, "b": 2 / 7, "c": 1 / 7})
    assert [name for name, _ in found.rankings["noise"] or ()] == ["a", "b", "c"]
    assert len(found.matchups) == 3
    lost = [one for one in cast if one.preferred != "c"]
    assert reports.report(votes.Reading(tuple(lost), ())).rankings["noise"] is None
    assert "no Bradley–Terry ranking" in reports.report(votes.Reading(tuple(lost), ())).markdown()


def test_votes_of_another_study_are_named_and_left_out(tmp_path: Path) -> None:
    made = small_study(tmp_path / "study")
    own = {"study": made.fingerprint}
    good = vote("p001", **own)
    odd = [vote("p001", RATERS[1]), vote("p099", **own), vote("p002", left="a", **own)]
    found = reports.check_against(made, votes.Reading((good, *odd), ()))
    assert found.votes == (good,)
    assert len(found.complaints) == 3


def test_table4_without_votes_shows_pairs_and_the_paper_s_figures() -> None:
    made = reports.table4([], {"mini-taichi": [("0001", "0002")] * 50})
    page = made.markdown()
    assert "| mini-taichi | 50 | no votes yet | – | – | – | – | 85.0 % (Tai-Chi) |" in page
    assert "| mini-nemo | – | – | – | – | – | – | 79.2 % (Nemo) |" in page
    assert "90.8 % (Bair)" in page
    assert "Nobody has voted yet" in page


def test_table4_counts_our_method_against_x2face_alone_and_marks_synthetic_votes() -> None:
    ours = {"left": lists.OURS, "right": "x2face", "data": "mini-nemo"}
    cast = cast_votes(3, 1, **ours) + cast_votes(5, 0, RATERS[1], data="mini-taichi")
    made = reports.table4(cast, {})
    row = next(row for row in made.rows if row[0] == "mini-nemo")
    assert row[:3] == ["mini-nemo", "–", "75.0 %"]
    assert row[4:6] == ["4", "1"]
    assert next(row for row in made.rows if row[0] == "mini-taichi")[2] == "–"
    assert "no result" in made.title


def test_the_shipped_result_is_empty_and_its_page_is_up_to_date() -> None:
    place = data_small() / "results" / "table4"
    made, complaints = reports.shipped_table4()
    assert complaints == ()
    assert (place / "votes.jsonl").read_text() == ""
    assert (place / "table4.md").read_text("utf-8") == made.markdown()


# -------------------------------------------------------------------------------------------------------------- server


@contextmanager
def served(made: folder.Study) -> Iterator[server.StudyServer]:
    with server.StudyServer(sitting.Sitting(made, synthetic=True), 0) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


def ask(running: server.StudyServer, method: str, path: str, body: str = "", **headers: str) -> tuple[int, bytes, Any]:
    line = http.client.HTTPConnection("127.0.0.1", running.server_address[1], timeout=10)
    plain = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    line.request(method, path, body or None, plain)
    reply = line.getresponse()
    found = reply.status, reply.read(), reply.headers
    line.close()
    return found


def test_the_page_is_served_to_this_machine_s_own_page_alone(tmp_path: Path) -> None:
    made = small_study(tmp_path / "study")
    begin = json.dumps({"do": "begin"})
    with served(made) as running:
        assert running.server_address[0] == "127.0.0.1"
        status, page, headers = ask(running, "GET", "/")
        assert (status, page.decode()) == (200, PAGE)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert ask(running, "GET", "/study.js")[1].decode() == PAGE_SCRIPT
        assert ask(running, "GET", "/../study.json")[0] == 404
        assert ask(running, "GET", "/", Host="evil.example")[0] == 403
        assert ask(running, "POST", "/answer", begin, Origin="http://evil.example")[0] == 403
        assert ask(running, "POST", "/answer", begin, Content_Type="text/plain")[0] == 404
        assert ask(running, "POST", "/answer", "no json")[0] == 400
        assert ask(running, "POST", "/answer", "[1]")[0] == 400
        assert ask(running, "POST", "/answer", "x" * 20_000)[0] == 413
        status, text, _ = ask(running, "POST", "/answer", begin, Origin=running.address.rstrip("/"))
        assert status == 200
        assert json.loads(text)["stage"] == "pair"
        with pytest.raises(UserError, match="expected a free one"):
            server.StudyServer(sitting.Sitting(made), running.server_address[1])
    assert not made.votes.exists()


# -------------------------------------------------------------------------------------------------------- command line


def test_a_study_from_the_command_line_to_the_report(tmp_path: Path, run: Command) -> None:
    place = tmp_path / "study"
    made = run("study", "make", place, "--count", "1", "--methods", "monkey-net,still", "--step", "10", "--device", "cpu")
    assert (made.code, made.err) == (0, "")
    assert "2 pairs of films" in made.out
    assert run("study", "make", place, "--methods", "monkey-net,still").err.count("\n") == 1  # it is there already
    empty = run("study", "report", place)
    assert "No votes yet" in empty.out
    all_answers(sitting.Sitting(folder.open_study(place), synthetic=True))
    found = json.loads(run("study", "report", place, "--json", "--out", tmp_path / "page.md").out)
    assert [(row["method"], row["other"], row["votes"]) for row in found["matchups"]] == [("monkey-net", "still", 1)]
    assert found["synthetic"] == 2
    assert "no result" in (tmp_path / "page.md").read_text("utf-8")


def test_merge_and_erase_on_the_command_line(tmp_path: Path, run: Command) -> None:
    one, two, both = (tmp_path / f"{name}.jsonl" for name in ("one", "two", "both"))
    votes.write_votes(one, cast_votes(2, 0))
    votes.write_votes(two, cast_votes(1, 1, RATERS[1]))
    two.write_text(two.read_text() + "no vote\n")
    done = run("study", "merge", both, one, two)
    assert done.out == f"{both}: 4 votes of 2 raters; 1 lines left out\n"
    assert f"{two}, line 3: expected a vote" in done.err
    assert run("study", "erase", both).code == 2
    assert run("study", "erase", both, "--rater", "Anna").code == 2
    assert run("study", "erase", both, "--rater", RATERS[0]).out == f"{both}: erased\n"
    assert {one.rater for one in votes.read_votes([both]).votes} == {RATERS[1]}
    gone = run("study", "erase", both, "--rater", RATERS[0])
    assert (gone.code, gone.err.count("\n")) == (2, 1)
    assert run("study", "erase", both, "--all").code == 0
    assert not both.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "nowhere"], "expected a study, got nothing there"),
        (["report", "nowhere"], "no such file"),
        (["make", "new", "--pairs", "nowhere.csv"], "expected a list of pairs"),
        (["make", "new", "--methods", "monkeynet,still"], "unknown method"),
        (["make", "new", "--methods", "still"], "two or more"),
        (["merge", "all.txt", "nowhere"], "ends in .jsonl"),
    ],
)
def test_bad_input_ends_in_one_line(words: list[str], said: str, run: Command, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("study", *words)
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------------------------------------- widget


def test_the_widget_answers_and_says_what_goes_wrong(tmp_path: Path) -> None:
    made = small_study(tmp_path / "study")
    shown = user_study.take_part(made.folder)
    begun = shown.take({"number": "7", "message": {"do": "begin"}})
    assert (begun["number"], begun["answer"]["stage"]) == ("7", "pair")
    assert shown.take({"number": 8})["answer"]["stage"] == "error"
    assert shown.take("nonsense")["answer"]["stage"] == "error"
    (made.folder / made.trials[0].reference.file).unlink()
    for path in (made.folder / folder.FILMS).iterdir():
        path.unlink()
    broken = shown.take({"number": "9", "message": {"do": "begin"}})
    assert "make the study again" in broken["answer"]["error"]


def test_a_stored_notebook_shows_a_pair_and_how_many_votes_there_are(
    shared: folder.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "monkeynet_edu.widgets.front", raising=False)
    bundle = user_study.take_part(shared.folder)._repr_mimebundle_()
    assert "11 pairs, 0 votes so far" in bundle["text/plain"]
    assert FIRST not in bundle["text/html"]
    assert "monkeynet-edu[lab]" in bundle["text/html"]
