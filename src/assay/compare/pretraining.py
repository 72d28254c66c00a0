"""Candidates that start from published weights: `assay compare DATA --pretrained`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from assay.canon.catalog import catalog
from assay.canon.idea import parted
from assay.canon.pretrained import pretrained, untrained
from assay.engine.spec import Candidate
from assay.errors import AssayError, BadArgumentError
from assay.models.foreign import origin

Tune = Literal["full", "head", "frozen", "gradual"]

# How a network that starts from published weights goes on learning, in words.
TUNES: Mapping[Tune, Mapping[str, str]] = {
    "full": {
        "en": "All layers learn, those before the head at a tenth of its rate.",
        "zh": "全部层都训练，输出层之前各层的学习率为其十分之一。",
    },
    "head": {
        "en": "Only the head learns; the statistics of normalisations follow the data.",
        "zh": "只训练输出层；归一化的统计量随数据更新。",
    },
    "frozen": {
        "en": "Only the head learns; all else stays as it was published.",
        "zh": "只训练输出层，其余部分保持公开权重不变。",
    },
    "gradual": {
        "en": "The head learns first; with each fifth of the run a quarter of the other layers "
        "joins, the last first, at a tenth of its rate.",
        "zh": "先训练输出层；训练每过五分之一，再放开其余层的四分之一，从后往前，"
        "学习率为输出层的十分之一。",
    },
}


def start_candidate(candidate: Candidate, inputs: tuple[int, ...], tune: Tune) -> Candidate:
    """Return the candidate that starts from what is published for a network of the canon.

    Args:
        candidate: The network, started at random.
        inputs: Shape of one image.
        tune: What learns.

    Raises:
        AssayError: There are no such weights, or they cannot be had.
    """
    from assay.models.start import prepare_start  # torch: only who asks for weights waits for it
    from assay.models.weights import full_size

    whole, idea = parted(untrained(candidate.name)[0])
    if origin(candidate.name)[0] != "canon" or idea is not None:
        raise BadArgumentError(
            "Published weights are loaded into whole networks of the canon. Received "
            f"{candidate.name!r}; leave it out, or compare without --pretrained."
        )
    card, variant = catalog().entry(whole)
    library = variant.reference.partition(":")[0]
    if library not in ("torchvision", "timm"):
        raise BadArgumentError(
            "`pretrained` needs networks whose weights torchvision or timm publishes. Received "
            f"{variant.name}, which has no reference there; leave it out."
        )
    weights = prepare_start(whole, inputs)
    size = full_size(card, variant, inputs)
    return replace(
        candidate,
        name=pretrained(variant.name),
        weights=weights,
        tune=tune,
        adaptation={
            "en": f"It starts from {library}'s weights, and images are standardised as theirs "
            f"were. {TUNES[tune]['en']}" + (f" {size.en}" if size else ""),
            "zh": f"从 {library} 公开的权重开始训练，图像按其方式标准化。{TUNES[tune]['zh']}"
            + (size.zh if size else ""),
        },
    )


def start_those_that_can(
    candidates: Sequence[Candidate], inputs: tuple[int, ...], tune: Tune
) -> list[Candidate]:
    """Return the candidates whose weights can be had, started from them.

    Raises:
        BadArgumentError: There are none; the text has the first reason.
    """
    found: list[Candidate] = []
    reasons: list[AssayError] = []
    for candidate in candidates:
        try:
            found.append(start_candidate(candidate, inputs, tune))
        except AssayError as error:
            reasons.append(error)
    if not found:
        raise BadArgumentError(
            "`pretrained` needs candidates with published weights that are here or can be "
            f"downloaded. Received none such among {len(candidates)}; the first: {reasons[0]}"
        )
    return found


def left_out(asked: Iterable[Candidate], found: Iterable[Candidate]) -> Mapping[str, str] | None:
    """Return the note that names the proposals without weights; None where all have some."""
    started = {untrained(candidate.name)[0] for candidate in found}
    names = [c.name for c in asked if c.name not in started]
    if not names:
        return None
    return {
        "en": f"Left out, because no published weights could be had for them: {', '.join(names)}.",
        "zh": f"以下网络没有可用的公开权重，未参加比较：{'、'.join(names)}。",
    }
