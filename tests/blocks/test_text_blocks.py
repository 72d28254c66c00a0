"""Parts of networks that read text, beside numpy and torch's own."""

import numpy as np
import pytest
import torch
from parts import part
from torch import nn

from assay.blocks.relative_bias import RelativeBias, bucket_of
from assay.blocks.segment_embedding import segments


def test_segment_embedding_tells_two_sentences_by_their_ends():
    embed = part("segment-embedding")(4)
    ids = torch.tensor([[2, 9, 3, 8, 7, 3, 0], [2, 9, 8, 3, 0, 0, 0]])
    expected = [[0, 0, 0, 1, 1, 1, 0], [0] * 7]
    assert segments(ids).tolist() == expected
    rows = np.take(embed.by_segment.weight.detach().numpy(), expected, axis=0)
    np.testing.assert_array_equal(embed(ids).detach().numpy(), rows)


@pytest.mark.parametrize("kernel", ["fused", "matmul"])
def test_cross_attention_equals_torchs(kernel: str):
    torch.manual_seed(0)
    ours = part("cross-attention")(12, 3, memory_dim=8)
    ours.kernel = kernel
    theirs = nn.MultiheadAttention(12, 3, kdim=8, vdim=8, batch_first=True)
    k, v = ours.kv.weight.chunk(2)
    theirs.load_state_dict(
        {
            "q_proj_weight": ours.q.weight,
            "k_proj_weight": k,
            "v_proj_weight": v,
            "in_proj_bias": torch.cat([ours.q.bias, ours.kv.bias]),
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    x, memory = torch.randn(2, 5, 12), torch.randn(2, 7, 8)
    mask = torch.arange(7) < torch.tensor([[7], [4]])
    expected, _ = theirs(x, memory, memory, key_padding_mask=~mask)
    torch.testing.assert_close(ours(x, memory, mask=mask), expected)
    read_once = ours.keys_values(memory)
    torch.testing.assert_close(ours(x, read_once, mask=mask), expected)


@pytest.mark.parametrize(
    ("apart", "both_ways", "bucket"),
    [
        (0, True, 0), (-1, True, 1), (1, True, 17), (-7, True, 7), (-8, True, 8), (7, True, 23),
        (-500, True, 15), (500, True, 31), (-15, False, 15), (-16, False, 16), (3, False, 0),
        (-500, False, 31),
    ],
)  # fmt: skip
def test_distances_fall_into_the_buckets_of_t5(apart: int, both_ways: bool, bucket: int):
    found = bucket_of(torch.tensor([apart]), both_ways=both_ways, buckets=32, furthest=128)
    assert found.item() == bucket


def test_the_last_places_get_the_scores_that_they_have_among_all():
    bias = RelativeBias(4, both_ways=False)
    torch.testing.assert_close(bias(3, 20), bias(20, 20)[:, -3:])
