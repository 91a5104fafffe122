"""X2Face: two fields that read a picture, a code without skips, learning, animating."""

from __future__ import annotations

import pytest
import torch

from monkeynet_edu import geometry
from monkeynet_edu.baselines import Practice
from monkeynet_edu.baselines.x2face import X2Face, X2FaceConfig, read_embedded_face
from monkeynet_edu.errors import UserError
from monkeynet_edu.model import Device

CPU = Device(torch.device("cpu"), "float32")
SMALL = X2FaceConfig(32, width=4, max_width=16, levels=3, code=8)


def a_model() -> X2Face:
    torch.manual_seed(0)
    return X2Face(SMALL)


def frames(count: int = 2, side: int = 32) -> torch.Tensor:
    """Pictures that change smoothly: warping loses little in them."""
    grid = geometry.lattice(side, side)
    waves = [torch.sin(3 * grid[..., 0] * (i + 1) + grid[..., 1] * c) / 2 + 0.5 for i in range(count) for c in range(3)]
    return torch.stack(waves).reshape(count, 3, side, side)


def test_fields_of_zeros_give_the_source_back() -> None:
    source = frames()
    still = torch.zeros(2, 32, 32, 2)
    assert torch.allclose(read_embedded_face(source, still, still), source, atol=1e-5)


def test_a_shift_of_the_face_and_a_shift_back_meet() -> None:
    source = frames()
    right = torch.zeros(2, 32, 32, 2)
    right[..., 0] = 4 * 2 / 31  # four pixels
    made = read_embedded_face(source, right, -right)
    assert torch.allclose(made[..., 4:-4], source[..., 4:-4], atol=1e-5)


def test_the_driving_field_reads_the_face_and_the_embedding_field_the_source() -> None:
    source, face, expected = torch.zeros(3, 8, 8).unbind()
    source[2, 3] = 1.0
    down, right = torch.zeros(1, 8, 8, 2), torch.zeros(1, 8, 8, 2)
    down[0, :, 3, 1] = 2 / 7  # column 3 of the face reads one row further down: what was in row 2 appears in row 1
    face[1, 3] = 1.0
    right[0, 1, :, 0] = 2 / 7  # row 1 of the frame reads the face one column further to the right
    expected[1, 2] = 1.0
    still = torch.zeros(1, 8, 8, 2)
    assert torch.allclose(read_embedded_face(source[None, None], down, still)[0, 0], face, atol=1e-5)
    assert torch.allclose(read_embedded_face(source[None, None], down, right)[0, 0], expected, atol=1e-5)


def test_the_source_says_where_the_face_reads_it_and_the_driving_frame_where_the_face_is_read() -> None:
    model, source, driving = a_model().eval(), frames(2), frames(2).flip(0).transpose(-1, -2) * 0.9

    def offsets(picture: torch.Tensor) -> torch.Tensor:
        return 0.2 * picture[:, :2]  # x from red, y from green

    model.embedding.forward = offsets
    model.driving.forward = lambda picture: torch.nn.functional.avg_pool2d(offsets(picture), 2).permute(0, 2, 3, 1)
    made, face = model(source, driving)
    still = geometry.lattice(32, 32)
    expected = geometry.warp(source, still + offsets(source).permute(0, 2, 3, 1))
    assert torch.allclose(face, expected, atol=1e-5)
    field = geometry.bilinear_deformation(model.driving(driving), 32, 32)
    assert torch.allclose(made, geometry.warp(expected, still + field), atol=1e-5)


def test_a_new_model_moves_nothing() -> None:
    source, driving = frames(), frames().flip(0)
    made, face = a_model().eval()(source, driving)
    assert torch.allclose(made, source, atol=1e-4)
    assert torch.allclose(face, source, atol=1e-4)


def test_what_is_known_of_the_driving_frame_passes_a_vector() -> None:
    model = a_model().eval()
    torch.nn.init.normal_(model.driving.field.weight)
    with torch.no_grad():
        changed = model.driving(torch.rand(2, 3, 32, 32))
        assert not torch.equal(changed[0], changed[1])
        model.driving.squeeze.weight.zero_()
        same = model.driving(torch.rand(2, 3, 32, 32))
    assert torch.equal(same[0], same[1])


def test_gradients_reach_every_weight_once_both_fields_have_left_zero() -> None:
    model = a_model()
    torch.nn.init.normal_(model.driving.field.weight, std=0.01)
    torch.nn.init.normal_(model.embedding.decoder.conv.weight, std=0.01)
    model.gradients((frames(4), frames(4).flip(0)), Practice.at(0, 0, 0.0), CPU)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in model.named_parameters() if "conv.bias" not in n)


def test_a_step_compares_what_was_drawn_with_the_driving_frame_at_four_sizes() -> None:
    model, source, driving = a_model(), frames(4), frames(4).flip(0)

    def at_sizes(away: torch.Tensor) -> float:
        halved = [away.reshape(4, 3, 32 // s, s, 32 // s, s).mean(dim=(3, 5)) for s in (1, 2, 4, 8)]
        return float(torch.stack([difference.abs().mean() for difference in halved]).mean())

    loss = float(model.gradients((source, driving), Practice.at(0, 0, 0.0), CPU).losses["frame"])
    assert loss == pytest.approx(at_sizes(source - driving), rel=1e-3)  # a new model moves nothing
    torch.nn.init.normal_(model.driving.field.weight, std=0.1)
    torch.nn.init.normal_(model.embedding.decoder.conv.weight, std=0.01)
    step = model.gradients((source, driving), Practice.at(0, 0, 0.0), CPU)
    made, face = (drawn.detach() for drawn in model(source, driving))
    assert float(step.losses["frame"]) == pytest.approx(at_sizes(made - driving), rel=1e-3)
    wanted = {"source": source, "driving": driving, "embedded face": face, "generated": made}
    assert list(step.pictures) == list(wanted)
    assert all(torch.allclose(step.pictures[name], wanted[name], atol=1e-5) for name in wanted)
    assert torch.equal(step.generated, step.pictures["generated"])
    assert not torch.allclose(face, made, atol=1e-2)


def test_a_batch_is_learned_by_heart() -> None:
    model, batch = a_model(), (frames(2), geometry.warp(frames(2), geometry.lattice(32, 32).expand(2, -1, -1, -1) * 0.8))
    optimizer = model.optimizers(3e-3)["networks"]
    errors = []
    for step in range(60):
        errors.append(float(model.gradients(batch, Practice.at(0, step, 0.0), CPU).losses["frame"]))
        optimizer.step()
    assert errors[-1] < 0.5 * errors[0]


def test_a_clip_drives_a_picture_frame_by_frame() -> None:
    model = a_model()
    torch.nn.init.normal_(model.driving.field.weight, std=0.1)
    driving = torch.rand(3, 3, 32, 32)
    film = model.animate(frames(1)[0], driving, CPU)
    assert film.shape == driving.shape
    assert torch.allclose(film[1:2], model.animate(frames(1)[0], driving[1:2], CPU), atol=1e-5)
    with torch.no_grad():
        made, face = model.eval()(frames(1).expand(3, -1, -1, -1), driving)
    assert torch.allclose(film, made, atol=1e-5)
    assert not torch.allclose(film, face, atol=1e-2)


@pytest.mark.parametrize("change", [{"code": 0}, {"levels": 0}, {"frame_size": 40}])
def test_sizes_that_make_no_network_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(UserError, match="expected"):
        X2FaceConfig(**change)
