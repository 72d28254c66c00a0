"""Skip-gram: each word around a word tells it, one at a time."""

import numpy as np

from assay.embeddings.vocabulary import Ids
from assay.embeddings.windows import NONE, Examples, Stretch


def skip_gram(stretch: Stretch, around: Ids) -> Examples:
    """Return one example per pair of near words: the row of one, and the other.

    Each pair comes in both orders, so that it is all the same which of the two is called context.

    Args:
        stretch: The words.
        around: What `windows.contexts` gives for them.

    Source:
        Mikolov et al., 2013, https://arxiv.org/abs/1301.3781, section 3.2.
    """
    there = around != NONE
    targets = np.repeat(stretch.tokens, there.sum(axis=1))
    return Examples(around[there][:, None], targets)
