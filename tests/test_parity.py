"""Agreement with the authors' published model, and the comparison script itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import parity
import pytest
import torch

FIXTURES = Path(__file__).parent / "fixtures"
CHECKPOINT, EXPECTED = FIXTURES / "nemo_tiny.pth.tar", FIXTURES / "nemo_tiny.expected.pt"
SHARED = Path(__file__).parents[2] / "shared" / "parity"
PAIRS = sorted(SHARED.glob("*.expected.pt")) if SHARED.is_dir() else []


def reference() -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(EXPECTED, weights_only=True)
    return loaded


def altered_checkpoint(folder: Path, network: str, name: str, change: float) -> Path:
    """The fixture's checkpoint with one weight changed."""
    checkpoint = torch.load(CHECKPOINT, weights_only=True)
    checkpoint[network][name].flatten()[0] += change
    torch.save(checkpoint, folder / "altered.pth.tar")
    return folder / "altered.pth.tar"


def test_the_forward_pass_and_a_training_step_agree_with_the_authors_model_in_float64() -> None:
    errors = parity.compare(CHECKPOINT, EXPECTED, torch.float64)
    assert errors.keys() == reference()["expected"].keys()
    assert {"deformation", "prediction", "grad_norm_kp_detector", "after_step_abs_sum"} <= errors.keys()
    assert max(errors.values()) <= 1e-6, errors


def test_the_forward_pass_agrees_in_float32_and_training_is_left_out() -> None:
    errors = parity.compare(CHECKPOINT, EXPECTED, torch.float32)
    left_out = reference()["expected"].keys() - errors.keys()
    assert left_out == {
        "train_losses_generator",
        "train_loss_discriminator",
        "grad_norm_generator",
        "grad_norm_kp_detector",
        "grad_norm_discriminator",
        "after_step_abs_sum",
    }
    assert max(errors.values()) <= 1e-4, errors


@pytest.mark.skipif(not PAIRS, reason="the full reference pairs are not beside the repository")
@pytest.mark.parametrize("expected", PAIRS, ids=lambda path: path.name.split(".")[0])
def test_every_full_reference_pair_agrees_in_float64(expected: Path) -> None:
    checkpoint = expected.with_name(expected.name.replace(".expected.pt", ".pth.tar"))
    errors = parity.compare(checkpoint, expected, torch.float64)
    assert max(errors.values()) <= 1e-6, errors


def test_the_script_passes_on_the_fixture_with_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert parity.main([str(CHECKPOINT), str(EXPECTED), "--float32"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("PASS")


@pytest.mark.parametrize(
    ("network", "name", "seen_in"),
    [
        ("kp_detector", "predictor.encoder.down_blocks.0.conv.weight", "kp_source_mean"),
        ("generator", "refinement_module.conv-last.bias", "prediction"),
        ("discriminator", "conv.bias", "discriminator_score"),
    ],
)
def test_one_perturbed_weight_is_seen_and_gives_exit_code_1(
    network: str, name: str, seen_in: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered = altered_checkpoint(tmp_path, network, name, 0.02)
    assert parity.main([str(altered), str(EXPECTED), "--float32"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(f"{seen_in} ") and line.endswith("EXCEEDS")]
    assert lines[-1].endswith("FAIL")


@pytest.mark.parametrize("missing", ["checkpoint", "expected"])
def test_a_missing_file_gives_exit_code_2_and_one_line(
    missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent"
    pair = [absent, EXPECTED] if missing == "checkpoint" else [CHECKPOINT, absent]
    assert parity.main([str(path) for path in pair]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "absent" in said.err


@pytest.mark.parametrize("content", [b"", b"no tensors here", EXPECTED.read_bytes()[:5000]])
def test_a_damaged_reference_gives_exit_code_2(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "damaged.pt").write_bytes(content)
    assert parity.main([str(CHECKPOINT), str(tmp_path / "damaged.pt")]) == 2


def test_a_checkpoint_in_the_place_of_the_reference_gives_exit_code_2() -> None:
    assert parity.main([str(CHECKPOINT), str(CHECKPOINT)]) == 2


def test_a_quantity_that_is_not_computed_counts_as_a_failure(tmp_path: Path) -> None:
    altered = reference()
    altered["expected"] = {"unheard_of": torch.ones(1), "train_unheard_of": torch.ones(1)}
    torch.save(altered, tmp_path / "more.pt")
    assert parity.compare(CHECKPOINT, tmp_path / "more.pt", torch.float32) == {"unheard_of": float("inf")}
    in_float64 = parity.compare(CHECKPOINT, tmp_path / "more.pt", torch.float64)
    assert in_float64 == {"unheard_of": float("inf"), "train_unheard_of": float("inf")}


def test_relative_error_is_the_largest_difference_over_the_largest_expected_value() -> None:
    assert parity.relative_error(torch.tensor([1.0, -4.5]), torch.tensor([1.25, -4.0])) == 0.5 / 4
    assert parity.relative_error(torch.zeros(2), torch.zeros(3)) == float("inf")
    nan = torch.tensor([float("nan")])
    assert parity.relative_error(nan, torch.ones(1)) == float("inf")
    assert parity.relative_error(torch.ones(1), nan) == float("inf")
