"""Movement embedding, part masks, flow: order of channels, sign of the motion, ablations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from monkeynet_edu import geometry, motion
from monkeynet_edu.keypoints import Keypoints
from monkeynet_edu.motion import EmbeddingConfig, MotionConfig, MotionNetwork

ALL = EmbeddingConfig(("heatmap", "displacement", "deformed_source"), normalisation=1.0)


def points(*means: tuple[float, float], variance: float = 0.05, dtype: torch.dtype = torch.float32) -> Keypoints:
    """Keypoints (1, K) of one variance."""
    mean = torch.tensor([means], dtype=dtype)
    return Keypoints(mean, (variance * torch.eye(2, dtype=dtype)).expand(1, len(means), 2, 2))


def square(column: int, side: int = 17) -> Tensor:
    """A picture (1, 3, side, side) with a 3×3 square around a column of the middle row."""
    image = torch.zeros(1, 3, side, side)
    image[..., side // 2 - 1 : side // 2 + 2, column - 1 : column + 2] = torch.tensor([1.0, 0.5, 0.25])[:, None, None]
    return image


def network(config: MotionConfig, keypoints: int = 2) -> MotionNetwork:
    torch.manual_seed(0)
    return MotionNetwork(config, keypoints).eval()


def small(**changes: object) -> MotionConfig:
    return MotionConfig(width=4, max_width=8, levels=2, **changes)  # type: ignore[arg-type]


def test_displacements_are_source_minus_driving_with_the_background_first() -> None:
    shifts = motion.displacements(points((0.25, 0.5), (0.0, 1.0)), points((0.75, 0.25), (0.0, 0.5)))
    assert shifts[0].tolist() == [[0, 0], [-0.5, 0.25], [0, 0.5]]


def test_the_displacement_reads_a_square_that_moved_right_where_it_was() -> None:
    # 17 pixels: a pixel is 1/8. The square stands at column 4 (x = -½) and moves to column 8 (x = 0).
    source, driving = points((-0.5, 0.0)), points((0.0, 0.0))
    copies = motion.shifted_copies(square(4), motion.displacements(source, driving))
    assert torch.equal(copies[:, 0], square(4))
    assert torch.equal(copies[:, 1], square(8))


def test_channels_are_keypoint_major_with_the_background_first() -> None:
    source, driving = points((-0.5, 0.0), (0.5, 0.25)), points((0.0, 0.0), (0.5, -0.5))
    image = torch.rand(1, 3, 17, 17)
    out = motion.movement_embedding(image, source, driving, ALL, "first")
    assert out.shape == (1, 18, 17, 17)
    shifts = motion.displacements(source, driving)[0]
    heat = motion.movement_heatmap(source, driving, 17, 17, ALL)[0]
    grid = geometry.lattice(17, 17)
    for k in range(3):
        part = out[0, 6 * k : 6 * k + 6]
        assert torch.equal(part[0], torch.zeros(17, 17) if k == 0 else heat[k - 1])
        assert torch.equal(part[1], shifts[k, 0].expand(17, 17))
        assert torch.equal(part[2], shifts[k, 1].expand(17, 17))
        torch.testing.assert_close(part[3:], geometry.warp(image, (grid + shifts[k])[None])[0])
    assert torch.equal(out[0, 3:6], image[0])


def test_without_the_background_the_keypoints_stay_as_they_are() -> None:
    source, driving = points((-0.5, 0.0), (0.5, 0.25)), points((0.0, 0.0), (0.5, -0.5))
    image = torch.rand(1, 3, 8, 12)
    with_it = motion.movement_embedding(image, source, driving, ALL, "first")
    assert torch.equal(motion.movement_embedding(image, source, driving, ALL, "none"), with_it[:, 6:])


@pytest.mark.parametrize(
    ("features", "channels"),
    [
        (("heatmap",), 1),
        (("displacement",), 2),
        (("heatmap", "deformed_source"), 4),
        (("heatmap", "displacement", "deformed_source"), 6),
    ],
)
def test_features_left_out_leave_their_channels_out(features: tuple[motion.Feature, ...], channels: int) -> None:
    config = EmbeddingConfig(features)
    assert config.channels_per_keypoint() == channels
    out = motion.movement_embedding(torch.rand(1, 3, 8, 8), points((0, 0)), points((0.5, 0)), config, "first")
    assert out.shape[1] == 2 * channels


def test_a_difference_heatmap_is_the_driving_one_minus_the_source() -> None:
    source, driving = points((-1.0, 0.0)), points((1.0, 0.0))
    heat = motion.movement_heatmap(source, driving, 5, 5, EmbeddingConfig(normalisation=4.0))[0, 0]
    assert float(heat[2, 4]) == pytest.approx(0.25)  # peak 1 over the constant
    assert float(heat[2, 0]) == pytest.approx(-0.25)
    gaussian = motion.movement_heatmap(source, driving, 5, 5, EmbeddingConfig(heatmap="gaussian", normalisation=4.0))
    assert gaussian.min() >= 0
    assert float(gaussian[0, 0, 2, 4]) == pytest.approx(0.25)


def test_each_heatmap_is_normalised_before_the_difference() -> None:
    wide = Keypoints(torch.zeros(1, 1, 2), 0.2 * torch.eye(2).expand(1, 1, 2, 2))
    heat = motion.movement_heatmap(points((0.0, 0.0)), wide, 9, 9, EmbeddingConfig(normalisation="sum"))
    assert float(heat.sum()) == pytest.approx(0, abs=1e-5)  # 1 - 1
    assert heat[0, 0, 4, 4] < 0  # the narrow source is higher in the middle


def test_the_scale_of_an_embedding_shrinks_it_by_nearest() -> None:
    config = EmbeddingConfig(("deformed_source",), scale=0.5)
    image = torch.rand(1, 3, 8, 12)
    out = motion.movement_embedding(image, points((0, 0)), points((0, 0)), config, "first")
    torch.testing.assert_close(out[:, :3], image[..., ::2, ::2])


def test_masks_sum_to_one_at_every_pixel() -> None:
    masks = motion.part_masks(torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(masks.sum(dim=1), torch.ones(2, 3, 5))


def test_the_coarse_flow_by_hand() -> None:
    masks = torch.tensor([0.5, 0.25, 0.25]).view(1, 3, 1, 1).expand(1, 3, 2, 3).clone()
    masks[0, :, 0, 0] = torch.tensor([0.0, 0.0, 1.0])
    shifts = torch.tensor([[[0.0, 0.0], [0.4, -0.8], [0.2, 0.6]]])
    flow = motion.coarse_flow(masks, shifts)
    assert flow.shape == (1, 2, 3, 2)
    assert flow[0, 0, 0].tolist() == pytest.approx([0.2, 0.6])
    assert flow[0, 1, 2].tolist() == pytest.approx([0.4 / 4 + 0.2 / 4, -0.8 / 4 + 0.6 / 4])


def test_an_untrained_network_mostly_follows_the_background() -> None:
    source, driving = points((0.5, 0.0), (0.0, -0.5)), points((0.0, 0.0), (0.0, 0.5))
    found = network(small())(torch.rand(1, 3, 8, 12), source, driving)
    assert found.masks is not None
    assert found.residual is not None
    total = float(torch.tensor(2.0).exp()) + 2  # softmax of [2, 0, 0]
    torch.testing.assert_close(found.masks[0, :, 3, 4], torch.tensor([total - 2, 1, 1]) / total)
    assert found.residual.abs().max() == 0
    moved = (found.deformation - geometry.lattice(8, 12))[0]
    torch.testing.assert_close(moved, torch.tensor([0.5, -1.0]).expand(8, 12, 2) / total, atol=1e-6, rtol=0)


def test_an_untrained_network_leaves_still_keypoints_still() -> None:
    still = points((0.5, 0.0), (0.0, -0.5))
    found = network(small())(torch.rand(1, 3, 8, 8), still, still)
    torch.testing.assert_close(found.deformation[0], geometry.lattice(8, 8))


def test_the_deformation_is_lattice_plus_coarse_plus_residual() -> None:
    net = network(small())
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(1))
    found = net(torch.rand(1, 3, 8, 12), points((0.5, 0.0), (0.0, 0.0)), points((0.0, 0.0), (0.0, 0.5)))
    assert found.coarse is not None
    assert found.residual is not None
    assert found.coarse.abs().max() > 0.01
    assert found.residual.abs().max() > 0.01
    torch.testing.assert_close(found.deformation, geometry.lattice(8, 12) + found.coarse + found.residual)


@pytest.mark.parametrize(("flow", "channels"), [(("coarse", "residual"), 5), (("coarse",), 3), (("residual",), 2)])
def test_ablations_leave_their_channels_and_results_out(flow: tuple[motion.FlowTerm, ...], channels: int) -> None:
    net = network(small(flow=flow))
    last = net.hourglass.decoder.conv
    assert last is not None
    assert last.bias is not None
    assert last.out_channels == channels
    assert last.weight.abs().max() == 0
    assert last.bias.tolist() == ([2.0] + [0.0] * (channels - 1) if "coarse" in flow else [0.0, 0.0])
    found = net(torch.rand(1, 3, 8, 8), points((0.5, 0.0), (0, 0)), points((0.0, 0.0), (0, 0)))
    assert (found.masks is not None) == ("coarse" in flow)
    assert (found.coarse is not None) == ("coarse" in flow)
    assert (found.residual is not None) == ("residual" in flow)
    assert found.deformation.shape == (1, 8, 8, 2)


def test_the_group_blocks_have_one_group_for_each_part() -> None:
    net = network(small(group_blocks=2), keypoints=3)
    assert [block.conv.groups for block in net.group_blocks if isinstance(block, motion.GroupBlock)] == [4, 4]
    assert len(network(small(group_blocks=0)).group_blocks) == 0


def test_the_scale_halves_the_deformation_and_doubles_the_stride() -> None:
    net = network(small(scale=0.5))
    found = net(torch.rand(1, 3, 16, 24), points((0, 0), (0, 0)), points((0, 0), (0, 0)))
    assert found.deformation.shape == (1, 8, 12, 2)
    assert net.config.stride == 8
    assert small(scale=0.5, embedding=EmbeddingConfig(scale=0.5)).stride == 16


def test_wrong_configurations_name_field_and_value() -> None:
    with pytest.raises(ValueError, match=r"features.*deformed_source.*heatmap"):
        EmbeddingConfig(("deformed_source", "heatmap"))
    with pytest.raises(ValueError, match="features"):
        EmbeddingConfig(())
    with pytest.raises(ValueError, match="'blob'"):
        EmbeddingConfig(heatmap="blob")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="normalisation"):
        EmbeddingConfig(normalisation=0.0)
    with pytest.raises(ValueError, match=r"flow.*got \(\)"):
        MotionConfig(flow=())


def test_the_deformation_is_place_plus_coarse_flow_plus_residual() -> None:
    # 3×5 pixels: the pixel in row 1, column 3 stands at (½, 0).
    coarse, residual = torch.zeros(1, 3, 5, 2), torch.zeros(1, 2, 3, 5)
    assert torch.equal(motion.assemble_deformation(coarse, residual)[0], geometry.lattice(3, 5))
    coarse[0, 1, 3], residual[0, :, 1, 3] = torch.tensor([-0.5, 0.25]), torch.tensor([0.125, -0.5])
    assert motion.assemble_deformation(coarse, residual)[0, 1, 3].tolist() == [0.125, -0.25]


def test_the_networks_deformation_is_assembled_from_what_it_reports() -> None:
    net = network(small())
    torch.nn.init.normal_(net.hourglass.decoder.conv.weight)
    found = net(torch.rand(2, 3, 8, 12), points((0, 0), (0.5, 0.5))[[0, 0]], points((0.2, 0), (0.5, 0))[[0, 0]])
    again = motion.assemble_deformation(found.coarse, found.residual.permute(0, 3, 1, 2))
    assert torch.equal(found.deformation, again)
