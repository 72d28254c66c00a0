"""Blocks and small networks against torch's own layers, formulas and stated shapes."""

import pytest
import torch
from torch import Tensor, nn

from assay.blocks.convolution import ConvNormAct
from assay.blocks.in_place import residual_sum
from assay.blocks.patch import PatchEmbedding, count_patches, small_patch
from assay.blocks.position import sinusoids
from assay.blocks.residual import Residual
from assay.blocks.self_attention import SelfAttention
from assay.blocks.squeeze_excitation import SqueezeExcitation
from assay.errors import BadArgumentError
from assay.models.tabular.mlp import mlp
from assay.models.tabular.softmax_regression import softmax_regression
from assay.models.vision.lenet import lenet5
from assay.models.vision.se_resnet import se_bottleneck


@pytest.mark.parametrize("kernel", ["fused", "matmul"])
def test_attention_equals_torchs_multihead_attention(kernel: str):
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(embed_dim=12, num_heads=3, batch_first=True).double()
    nn.init.normal_(theirs.in_proj_bias)  # torch starts both biases at zero
    nn.init.normal_(theirs.out_proj.bias)
    ours = SelfAttention(12, 3).double()
    ours.load_state_dict(
        {
            "qkv.weight": theirs.in_proj_weight,
            "qkv.bias": theirs.in_proj_bias,
            "out.weight": theirs.out_proj.weight,
            "out.bias": theirs.out_proj.bias,
        }
    )
    ours.kernel = kernel
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0])


@pytest.mark.parametrize("num_heads", [5, 0])
def test_heads_that_do_not_divide_are_named(num_heads: int):
    with pytest.raises(BadArgumentError) as caught:
        SelfAttention(12, num_heads)
    assert str(caught.value) == (
        "`num_heads` must divide `embed_dim`. "
        f"Received num_heads={num_heads}, embed_dim=12; these divide it: 1, 2, 3, 4, 6, 12."
    )


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_stride_alone_sets_the_size_of_a_convolution(side: int, stride: int):
    out = ConvNormAct(2, 4, 3, stride)(torch.randn(2, 2, side, side))
    assert out.shape == (2, 4, -(-side // stride), -(-side // stride))


def test_a_residual_block_adds_then_activates():
    block = Residual(nn.Flatten(), shortcut=nn.Flatten(), act=nn.ReLU())
    assert block(torch.tensor([[-1.0, 2.0]])).tolist() == [[0.0, 4.0]]
    assert Residual(nn.Identity())(torch.tensor([[-1.0, 2.0]])).tolist() == [[-2.0, 4.0]]


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


@pytest.mark.parametrize("branch", [Doubled(), nn.Identity(), nn.Flatten(2)])
@pytest.mark.parametrize("shortcut", [nn.Identity(), Doubled(), nn.Flatten(2)])
def test_a_sum_in_inference_overwrites_nothing_that_is_still_read(
    branch: nn.Module, shortcut: nn.Module
):
    x = torch.ones(1, 2, 3)
    with torch.inference_mode():
        assert torch.equal(Residual(branch, shortcut=shortcut)(x), branch(x) + shortcut(x))
    assert torch.equal(x, torch.ones(1, 2, 3))


def test_a_sum_in_inference_takes_the_place_of_what_the_branch_made():
    made: list[Tensor] = []
    block = Residual(Doubled())
    block.branch.register_forward_hook(lambda *call: made.append(call[2]))
    x = torch.ones(1, 2)
    with torch.no_grad():
        assert block(x).data_ptr() == made[0].data_ptr()
    assert block(x).data_ptr() != made[1].data_ptr()


def test_a_sum_in_training_takes_the_place_of_what_a_normalisation_made():
    made: list[Tensor] = []
    block = Residual(ConvNormAct(2, 2, 1, act=None))
    block.branch.register_forward_hook(lambda *call: made.append(call[2]))
    assert block(torch.ones(1, 2, 3, 3)).data_ptr() == made[0].data_ptr()


def test_a_sum_of_two_precisions_has_the_finer_one():
    with torch.no_grad():
        total = residual_sum(torch.ones(2).bfloat16(), torch.tensor([0.001, 0.0]), torch.ones(2))
    assert total.tolist() == pytest.approx([1.001, 1.0])


@pytest.mark.parametrize(
    "last", [nn.Sigmoid(), nn.ReLU(), nn.BatchNorm2d(4), ConvNormAct(4, 4, 1, act=None)]
)
@pytest.mark.parametrize("followed", [False, True])
def test_gradients_of_a_residual_block_are_those_of_the_plain_sum(last: nn.Module, followed: bool):
    torch.manual_seed(0)
    branch = nn.Sequential(nn.Conv2d(4, 4, 1), last)
    images = torch.randn(3, 4, 2, 2)
    block = Residual(*branch)
    if followed:  # as Grad-CAM follows a network
        for layer in block.modules():
            layer.register_full_backward_hook(lambda *_: None)
    grads = []
    for network in (block, lambda x: branch(x) + x):
        x = images.clone().requires_grad_()
        network(x).square().sum().backward()
        grads.append([x.grad, *(p.grad.clone() for p in branch.parameters())])
        branch.zero_grad()
    assert all(torch.equal(ours, plain) for ours, plain in zip(*grads, strict=True))


def test_what_is_weighed_and_added_in_one_pass_is_the_sum_with_its_gradients():
    torch.manual_seed(0)
    block = se_bottleneck(64, 64, 1).double().eval()
    found = []
    for once in (block, lambda x: block.act(block.branch(x) + x)):
        x = torch.randn(2, 64, 3, 3, generator=torch.manual_seed(1)).double().requires_grad_()
        out = once(x)
        found.append([out, *torch.autograd.grad(out.square().sum(), [x, *block.parameters()])])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain)


def test_a_patch_is_one_token_and_edges_are_filled_with_zeros():
    torch.manual_seed(0)
    patches = PatchEmbedding(3, 5, 4)
    image = torch.randn(1, 3, 6, 9)
    whole = torch.zeros(1, 3, 8, 12)
    whole[:, :, :6, :9] = image
    tokens = patches(image)
    assert tokens.shape == (1, count_patches(6, 9, 4), 5) == (1, 6, 5)
    last = (whole[0, :, 4:, 8:].flatten() * patches.map.weight.flatten(1)).sum(1) + patches.map.bias
    torch.testing.assert_close(tokens[0, 5], last)


@pytest.mark.parametrize(("side", "patch"), [(8, 2), (16, 2), (28, 4), (32, 4), (64, 8)])
def test_small_images_make_at_most_64_patches(side: int, patch: int):
    assert small_patch(side, side) == patch
    assert 16 <= count_patches(side, side, patch) <= 64


def test_positions_are_sines_and_cosines_of_growing_wavelength():
    codes = sinusoids(7, 6)
    rates = [1.0, 10_000 ** (-2 / 6), 10_000 ** (-4 / 6)]
    for i, rate in enumerate(rates):
        steps = torch.arange(7.0) * rate
        torch.testing.assert_close(codes[:, 2 * i], steps.sin())
        torch.testing.assert_close(codes[:, 2 * i + 1], steps.cos())


def test_softmax_regression_is_one_linear_layer():
    torch.manual_seed(0)
    model, theirs = softmax_regression((2, 3, 4), 5), nn.Linear(24, 5)
    model.linear.load_state_dict(theirs.state_dict())
    x = torch.randn(3, 2, 3, 4)
    torch.testing.assert_close(model(x), theirs(x.reshape(3, 24)))


def test_the_mlp_is_two_hidden_layers_of_torchs():
    torch.manual_seed(0)
    model = mlp((13,), 3)
    theirs = nn.Sequential(
        nn.Linear(13, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 3)
    )
    values = zip(model.state_dict(), theirs.state_dict().values(), strict=True)
    model.load_state_dict(dict(values))
    x = torch.randn(4, 13)
    torch.testing.assert_close(model(x), theirs(x))


def test_lenet_has_the_maps_and_counts_of_the_papers_figure():
    model = lenet5((1, 32, 32), 10)
    shapes, x = [], torch.randn(1, 1, 32, 32)
    for layer in model.features:
        x = layer(x)
        shapes.append(tuple(x.shape[1:]))
    assert [shapes[i] for i in (0, 2, 3, 5)] == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5)]
    counts = [sum(p.numel() for p in layer.parameters()) for layer in model.modules()]
    assert {156, 48_120, 10_164, 850} <= set(counts)  # C1, C5, F6 and a linear output


def test_excitation_overwrites_its_input_only_where_it_may():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 3, 3)
    kept, careful, careless = (
        x.clone(),
        SqueezeExcitation(4, 2),
        SqueezeExcitation(4, 2, inplace=True),
    )
    careless.load_state_dict(careful.state_dict())
    weighed = careless(x).detach()
    with torch.inference_mode():
        assert torch.equal(careful(x), weighed)
        assert torch.equal(x, kept)
        assert careless(x).data_ptr() == x.data_ptr()
    assert torch.equal(x, weighed)
