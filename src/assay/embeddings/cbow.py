"""CBOW: the words around a word tell it, all together."""

import numpy as np

from assay.embeddings.vocabulary import Ids
from assay.embeddings.windows import NONE, Examples, Stretch


def cbow(stretch: Stretch, around: Ids) -> Examples:
    """Return one example per word: the rows around it, and the word; one that stands alone is none.

    Args:
        stretch: The words.
        around: What `windows.contexts` gives for them.

    Source:
        Mikolov et al., 2013, https://arxiv.org/abs/1301.3781, section 3.1.
    """
    some = (around != NONE).any(axis=1)
    return Examples(np.ascontiguousarray(around[some]), stretch.tokens[some])
