"""Mean of word vectors: vectors learned from the text alone, their mean, and a linear layer.

Source: Mikolov et al., 2013, https://arxiv.org/abs/1301.3781 and 1310.4546 (word2vec); Pennington
et al., 2014, https://aclanthology.org/D14-1162 (GloVe). The vectors come from `assay.embeddings`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from assay.blocks.sequence_head import MeanStep, real_steps
from assay.embeddings import glove, training, word2vec
from assay.embeddings.compiled import loops
from assay.embeddings.token_text import TokenText, passes, token_text
from assay.embeddings.vocabulary import Floats

WIDTH = 100
WINDOW, X_MAX = 10, 10.0  # of GloVe; x_max as its authors set it for small corpora
PAIRS = 20_000_000  # that GloVe fits in all, in 10 to 100 passes

Learn = Callable[[TokenText, int], Floats]  # of a text and a seed: one vector per word


class MeanOfVectors(nn.Module):
    """The mean of a text's word vectors, brought to a mean square of 1, and a linear layer.

    Only the linear layer learns from labels. The vectors are random until `initialize` has seen
    the training texts; words that are not in them have the vector zero.

    Args:
        vocabulary: Tokens, V.
        outputs: Scores per text.
        learn: Makes the vectors.

    Shape:
        (B, T) tokens -> (B, outputs) logits
    """

    vectors: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, vocabulary: int, outputs: int, learn: Learn) -> None:
        super().__init__()
        self.learn = learn
        self.register_buffer("vectors", torch.randn(vocabulary, WIDTH))
        self.register_buffer("centre", torch.zeros(WIDTH))
        self.register_buffer("spread", torch.ones(()))
        self.mean = MeanStep()
        self.head = nn.Linear(WIDTH, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of texts."""
        return self.head((self.summary(x) - self.centre) / self.spread)

    def summary(self, x: Tensor) -> Tensor:
        """Return the mean of each text's vectors. (B, T) -> (B, WIDTH)."""
        return self.mean(self.vectors[x.long()], real_steps(x))

    @property
    def loops(self) -> str:
        """Which loops the vectors learn in on this machine: "compiled" or "torch"."""
        return loops()

    @torch.no_grad()
    def initialize(self, tokens: Tensor) -> None:
        """Learn the vectors from the training texts, (N, T), and how their means are spread."""
        text = token_text(tokens.cpu().numpy())
        seed = int(torch.randint(2**31, ()))
        learned = torch.from_numpy(self.learn(text, seed))
        self.vectors.zero_()
        self.vectors[torch.from_numpy(text.words)] = learned.to(self.vectors)
        means = torch.cat([self.summary(part) for part in torch.split(tokens, 1024)])
        self.centre.copy_(means.mean(0))
        self.spread.copy_((means - self.centre).square().mean().sqrt().clamp_min(1e-6))


def mean_of_cbow(inputs: tuple[int, ...], outputs: int, *, task: str) -> MeanOfVectors:
    """Return the mean of 100 numbers per word, by CBOW."""
    return MeanOfVectors(inputs[1], outputs, _by_word2vec(0))


def mean_of_skip_gram(inputs: tuple[int, ...], outputs: int, *, task: str) -> MeanOfVectors:
    """Return the mean of 100 numbers per word, by skip-gram."""
    return MeanOfVectors(inputs[1], outputs, _by_word2vec(1))


def mean_of_glove(inputs: tuple[int, ...], outputs: int, *, task: str) -> MeanOfVectors:
    """Return the mean of 100 numbers per word, by GloVe."""
    return MeanOfVectors(inputs[1], outputs, _by_glove)


def _by_word2vec(sg: int) -> Learn:
    def learn(text: TokenText, seed: int) -> Floats:
        settings = training.Settings(vector_size=WIDTH, min_count=1, epochs=passes(text), seed=seed)
        return word2vec.learned(text.corpus, text.counts, settings, sg=sg)

    return learn


def _by_glove(text: TokenText, seed: int) -> Floats:
    counts = glove.count_pairs(text.corpus, len(text.words), WINDOW)
    epochs = min(max(PAIRS // max(len(counts.often), 1), 10), 100)
    settings = glove.Settings(vector_size=WIDTH, min_count=1, x_max=X_MAX, epochs=epochs, seed=seed)
    return glove.learned(counts, len(text.words), settings)[0]
