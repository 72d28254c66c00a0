"""Paragraph vector: the vector that best tells a text's words (PV-DBOW), and a linear layer.

Source: Le and Mikolov, 2014, https://arxiv.org/abs/1405.4053, section 2.3; the words' outputs come
from `assay.embeddings`.
"""

import torch
from torch import Tensor, nn

from assay.blocks.sequence_head import real_steps
from assay.embeddings import doc2vec, training
from assay.embeddings.compiled import loops
from assay.embeddings.token_text import passes, token_text

WIDTH, STEPS, NEGATIVE = 64, 10, 5
PASSES = 4  # times those of skip-gram, which learns several pairs from a word


class ParagraphVector(nn.Module):
    """Each text's own vector, found anew by a few steps of gradient, and a linear layer on it.

    A text's vector d maximises Σ log σ(d·o_w) over its words and, for each word, five times the
    expected log σ(-d·o_v) of a noise word. The outputs o are random until `initialize` has trained
    them on the training texts; only the linear layer learns from labels.

    Args:
        vocabulary: Tokens, V.
        outputs: Scores per text.

    Shape:
        (B, T) tokens -> (B, outputs) logits
    """

    told: Tensor
    noise: Tensor
    rate: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, vocabulary: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("told", torch.randn(vocabulary, WIDTH) * WIDTH**-0.5)
        self.register_buffer("noise", torch.full((vocabulary,), 1 / vocabulary))
        self.register_buffer("rate", torch.ones(()))
        self.register_buffer("centre", torch.zeros(WIDTH))
        self.register_buffer("spread", torch.ones(()))
        self.head = nn.Linear(WIDTH, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Score a batch of texts."""
        return self.head((self.infer(x) - self.centre) / self.spread)

    @torch.no_grad()
    def infer(self, x: Tensor) -> Tensor:
        """Return each text's vector. (B, T) -> (B, WIDTH)."""
        shares = self._shares(x)  # (B, V)
        vectors = self.told.new_zeros(len(x), WIDTH)
        for _ in range(STEPS):
            tells = torch.sigmoid(vectors @ self.told.T)  # (B, V)
            slopes = shares * (1 - tells) - NEGATIVE * self.noise * tells
            vectors = vectors + self.rate * (slopes @ self.told)
        return vectors

    @property
    def loops(self) -> str:
        """Which loops the vectors learn in on this machine: "compiled" or "torch"."""
        return loops()

    @torch.no_grad()
    def initialize(self, tokens: Tensor) -> None:
        """Train the outputs on the training texts, (N, T); see how their vectors are spread."""
        text = token_text(tokens.cpu().numpy())
        settings = training.Settings(
            vector_size=WIDTH,
            min_count=1,
            negative=NEGATIVE,
            epochs=PASSES * passes(text),
            seed=int(torch.randint(2**31, ())),
        )
        learned = doc2vec.learned(text.corpus, text.counts, settings, dm=0)
        words = torch.from_numpy(text.words).to(self.told.device)
        chances = torch.from_numpy(text.counts**settings.ns_exponent).to(self.noise)
        self.told.zero_()
        self.told[words] = torch.from_numpy(learned.told_from).to(self.told)
        self.noise.zero_()
        self.noise[words] = chances / chances.sum()
        self.rate.copy_(1 / self._curvature())
        vectors = torch.cat([self.infer(part) for part in torch.split(tokens, 256)])
        self.centre.copy_(vectors.mean(0))
        self.spread.copy_((vectors - self.centre).square().mean().sqrt().clamp_min(1e-6))

    def _shares(self, x: Tensor) -> Tensor:
        """Return how much of a text each token makes up. (B, T) -> (B, V)."""
        real = real_steps(x)
        counts = self.told.new_zeros(len(x), len(self.told))
        if real is not None:
            counts.scatter_add_(1, x.long(), real.to(counts))
        return counts / counts.sum(1, keepdim=True).clamp_min(1)

    def _curvature(self) -> Tensor:
        """Return a bound on the second derivative where words are as frequent as noise is."""
        products = (self.told * self.noise[:, None]).T @ self.told
        return torch.linalg.matrix_norm(products, 2).clamp_min(1e-6) * (1 + NEGATIVE) / 4


def paragraph_vector(inputs: tuple[int, ...], outputs: int, *, task: str) -> ParagraphVector:
    """Return vectors of 64 numbers, found in ten steps."""
    return ParagraphVector(inputs[1], outputs)
