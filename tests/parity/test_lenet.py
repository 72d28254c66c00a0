"""LeNet-5 of 1998 is the paper's, layer by layer: the paper's own counts are the reference."""

import torch
from torch import nn

from assay.models.vision.lenet import (
    TABLE_I,
    ChosenMaps,
    Distances,
    ScaledTanh,
    Subsample,
    lenet5_1998,
)


def test_it_has_the_papers_trainable_parameters_layer_by_layer():
    model = lenet5_1998((1, 32, 32), 10)
    layers = (nn.Conv2d, Subsample, ChosenMaps, nn.Linear)
    counts = [
        sum(p.numel() for p in layer.parameters())
        for layer in model.modules()
        if isinstance(layer, layers)
    ]
    assert counts == [156, 12, 1_516, 32, 48_120, 10_164]  # C1, S2, C3, S4, C5, F6 (section II.B)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == sum(counts) == 60_000


def test_its_maps_have_the_sizes_of_the_papers_figure():
    x, sizes = torch.randn(2, 1, 32, 32), []
    for layer in lenet5_1998((1, 32, 32), 10).features:
        x = layer(x)
        if not isinstance(layer, ScaledTanh):
            sizes.append(tuple(x.shape[1:]))
    assert sizes == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1)]


def test_a_map_of_c3_reads_the_maps_of_table_i_and_no_other():
    torch.manual_seed(0)
    layer, x = ChosenMaps(), torch.randn(1, 6, 5, 5)
    before, reads = layer(x), []
    for source in range(6):
        changed = x.clone()
        changed[:, source] += 1
        reads.append((layer(changed) != before).flatten().tolist())
    assert [tuple(s for s in range(6) if reads[s][t]) for t in range(16)] == list(TABLE_I)
    assert [sum(row) for row in reads] == [10] * 6  # each map of S2 is read ten times


def test_c3_is_a_convolution_with_the_chosen_kernels():
    torch.manual_seed(0)
    layer, x = ChosenMaps(), torch.randn(2, 6, 9, 7)
    out, used = layer(x), 0
    for target, row in enumerate(TABLE_I):
        kernels = layer.kernels[used : used + len(row)]
        alone = nn.functional.conv2d(
            x[:, list(row)], kernels[None], layer.bias[target : target + 1]
        )
        torch.testing.assert_close(out[:, target : target + 1], alone)
        used += len(row)


def test_subsampling_is_four_times_the_weight_plus_the_bias():
    layer = Subsample(2)
    layer.weight.data[:, 0, 0] = torch.tensor([2.0, -1.0])
    layer.bias.data[:, 0, 0] = torch.tensor([0.5, 0.0])
    x = torch.arange(8.0).view(1, 2, 2, 2)
    torch.testing.assert_close(layer(x).flatten(), torch.tensor([2 * 6 + 0.5, -22.0]))


def test_the_activation_is_one_at_one():
    x = torch.tensor([-1.0, 0.0, 1.0, 1e9])
    torch.testing.assert_close(
        ScaledTanh()(x), torch.tensor([-1.0, 0.0, 1.0, 1.7159]), rtol=0, atol=1e-4
    )


def test_a_score_is_minus_the_squared_distance_to_a_fixed_code():
    layer = Distances(10)
    assert list(layer.parameters()) == []
    assert torch.equal(layer.codes, Distances(10).codes)
    assert set(layer.codes.flatten().tolist()) == {-1.0, 1.0}
    x = layer.codes[3:4].clone()
    x[0, :2] *= -1  # two signs wrong: 2 * 2² away
    scores = layer(x)[0]
    assert scores.argmax() == 3
    assert scores[3] == -8
    torch.testing.assert_close(scores, -torch.cdist(x, layer.codes)[0].square())
