"""Examples in which a document stands beside the words: the two forms of doc2vec."""

import numpy as np

from assay.embeddings.vocabulary import Ids
from assay.embeddings.windows import Examples, Stretch


def with_document(stretch: Stretch, around: Ids, first: int) -> Examples:
    """Let the words around a word and its document tell it: PV-DM.

    Args:
        stretch: The words.
        around: What `windows.contexts` gives for them.
        first: Row of the first document's vector.
    """
    rows = (stretch.sentences + first).astype(np.int32)
    return Examples(np.concatenate([around, rows[:, None]], axis=1), stretch.tokens)


def document_alone(stretch: Stretch, first: int) -> Examples:
    """Let a document tell each of its words: PV-DBOW.

    Args:
        stretch: The words.
        first: Row of the first document's vector.
    """
    return Examples((stretch.sentences + first).astype(np.int32)[:, None], stretch.tokens)
