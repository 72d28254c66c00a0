"""A network of sequences or tokens held against its reference, at a small size.

A family's pairs stand in `assay/testing/pairs_FAMILY.py`, in a list `PAIRS`. Both sides get the
same random weights, larger than those that training starts from, so that attention prefers some
places to others and an exchanged bias is seen.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import assay.testing
from assay.data.tokens import PAD
from assay.testing.parity import LEAST_SPREAD, Parity, ParityError

SPREAD = 0.7  # of the matrices' random values, before the division by the root of their width

Translate = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


def tokens(vocabulary: int = 61) -> tuple[Tensor, ...]:
    """Return three rows of tokens, two of them padded on the right. -> ((3, 11),)."""
    ids = torch.randint(5, vocabulary, (3, 11))
    ids[1, 7:] = PAD
    ids[2, 3:] = PAD
    return (ids,)


def sources_and_targets(vocabulary: int = 61) -> tuple[Tensor, ...]:
    """Return sources and what a decoder reads, both padded. -> ((3, 11), (3, 7))."""
    targets = torch.randint(5, vocabulary, (3, 7))
    targets[1, 4:] = PAD
    return (*tokens(vocabulary), targets)


def real_places(*inputs: Tensor) -> Tensor:
    """Return where the last input holds a token, not padding. (B, T) -> (B, T) bool."""
    return inputs[-1] != PAD


@dataclass(frozen=True, kw_only=True)
class LanguagePair:
    """An entry and what it is held against; everything but the two names is called when needed.

    Attributes:
        entry: The variant.
        reference: "transformers:BertForPreTraining".
        ours: Our network, of a small configuration.
        theirs: The reference in the same configuration, without dropout.
        translate: The reference's state dict under our names; linear, as gradients are
            translated by it too.
        ask: The reference's scores, of the reference and what our network reads.
        inputs: What our network reads.
        counted: Which places of the answer count, of the same inputs; those of answers (B, K) all
            do.
        full: Our network and the reference at the entry's native shape, of which only the
            parameters are counted, on the meta device; none where the small ones are the entry.
    """

    entry: str
    reference: str
    ours: Callable[[], nn.Module]
    theirs: Callable[[], nn.Module]
    translate: Translate
    ask: Callable[..., Tensor]
    inputs: Callable[[], tuple[Tensor, ...]] = tokens
    counted: Callable[..., Tensor] = real_places
    full: Callable[[], tuple[nn.Module, nn.Module]] | None = None


def pairs() -> dict[str, LanguagePair]:
    """Return all pairs of the modules `assay.testing.pairs_*`, by entry, sorted."""
    modules = (m.name for m in pkgutil.iter_modules(assay.testing.__path__, "assay.testing."))
    families = (import_module(m) for m in modules if m.startswith("assay.testing.pairs_"))
    found = {pair.entry: pair for family in families for pair in family.PAIRS}
    return dict(sorted(found.items()))


def compare(pair: LanguagePair) -> Parity:
    """Return how far an entry is from its reference, in float32.

    Dropout is off. The step is one of cross-entropy, or of squares where there is one score.

    Raises:
        ParityError: The reference has weights that ours has not, or the other way round, or gives
            all examples the same scores.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ours, theirs = pair.ours(), pair.theirs()
        _unsettle(theirs)
        _load(pair, ours, theirs)
        inputs = pair.inputs()
        answers = _answers(pair, ours, theirs, inputs)
        losses, norms = _step(pair, ours, theirs, inputs)
    return Parity(
        name=pair.entry,
        reference=pair.reference,
        parameters=count(pair, ours, theirs),
        outputs=_apart(*answers),
        loss=_apart(*losses),
        gradients=_apart(*norms),
    )


def count(pair: LanguagePair, ours: nn.Module, theirs: nn.Module) -> int:
    """Return the trainable parameters of the entry, where its reference has as many.

    Args:
        pair: Whose `full` networks count, where it has them.
        ours: The small one, else counted.
        theirs: Likewise.

    Raises:
        ParityError: The reference has more or fewer.
    """
    if pair.full:
        with torch.device("meta"):
            ours, theirs = pair.full()
    mine, other = _trainable(ours), _trainable(theirs)
    if mine != other:
        raise ParityError(
            f"{pair.entry} must have as many parameters as {pair.reference}, which has {other:,}. "
            f"Received {mine:,}; correct the network or the configuration of the reference."
        )
    return mine


def _trainable(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@torch.no_grad()
def _unsettle(theirs: nn.Module) -> None:
    """Draw all weights anew: matrices by their width, the others near the value they start from."""
    for value in theirs.parameters():
        if value.ndim > 1:
            value.normal_(std=SPREAD * value.shape[-1] ** -0.5)
        else:
            value.add_(torch.randn_like(value), alpha=0.1)


def _load(pair: LanguagePair, ours: nn.Module, theirs: nn.Module) -> None:
    try:
        ours.load_state_dict(dict(pair.translate(theirs.state_dict())), strict=True)
    except RuntimeError as error:
        told = " ".join(str(error).split())
        raise ParityError(
            f"{pair.entry} must have a place for each weight of {pair.reference}. Received {told} "
            "Correct the network or what translates the names."
        ) from error


def _answers(
    pair: LanguagePair, ours: nn.Module, theirs: nn.Module, inputs: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        mine, other = ours.eval()(*inputs), pair.ask(theirs.eval(), *inputs)
    if mine.shape != other.shape:
        raise ParityError(
            f"{pair.entry} must answer in the shape of {pair.reference}, {tuple(other.shape)}. "
            f"Received {tuple(mine.shape)}; correct the network or what asks the reference."
        )
    if _apart(other[0], other[1]) < LEAST_SPREAD:
        raise ParityError(
            f"{pair.reference} must tell two examples apart for a comparison to prove anything. "
            f"Received scores that differ by {_apart(other[0], other[1]):.1e} of the largest; "
            "compare with other inputs."
        )
    return _counted(pair, mine, inputs), _counted(pair, other, inputs)


def _step(
    pair: LanguagePair, ours: nn.Module, theirs: nn.Module, inputs: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the losses of both sides in training, and the norms of their gradients."""
    _without_dropout(ours)
    mine = _loss(_counted(pair, ours.train()(*inputs), inputs))
    other = _loss(_counted(pair, pair.ask(theirs.train(), *inputs), inputs))
    mine.backward()  # type: ignore[no-untyped-call]
    other.backward()  # type: ignore[no-untyped-call]
    translated = pair.translate(_gradients(theirs))
    own = _gradients(ours)
    names = [name for name, _ in ours.named_parameters()]
    norms = (torch.stack([g[name].norm() for name in names]) for g in (own, translated))
    return (mine.detach(), other.detach()), (next(norms), next(norms))


def _without_dropout(ours: nn.Module) -> None:
    for module in ours.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):  # attention's, of its weights
            module.dropout = 0.0  # type: ignore[assignment]  # modules hold plain values too


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    """Return the gradients in the form of a state dict; zeros for what has none."""
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    for name, value in model.named_parameters(remove_duplicate=False):
        if value.grad is not None:
            state[name] = value.grad
    return state


def _loss(scores: Tensor) -> Tensor:
    """Return a loss that asks something else of each row of scores (N, K)."""
    number, width = scores.shape
    if width == 1:
        return F.mse_loss(scores[:, 0], torch.linspace(-1, 1, number))
    return F.cross_entropy(scores, torch.arange(number) * 7 % width)


def _counted(pair: LanguagePair, answer: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    return answer if answer.ndim == 2 else answer[pair.counted(*inputs)]


def _apart(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference as a share of the largest value."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()
