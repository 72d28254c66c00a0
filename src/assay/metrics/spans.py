"""Which spans a row of labels names: B-PER I-PER O names one person.

The reading is that of the evaluation script of CoNLL, and so of seqeval's default: a span begins
with B or S, with an I or E that does not continue one, and wherever the type changes; it ends
after E and S, and before whatever does not continue it. M (as in the BMES of Chinese words) is an
I, L an E and U an S, which that script does not know.

Source: Ramshaw and Marcus, 1995, https://aclanthology.org/W95-0107 (BIO); Tjong Kim Sang and
De Meulder, 2003, https://aclanthology.org/W03-0419 (scores).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from assay.metrics.metric import Array

_LABEL = re.compile(r"O|([BIESMLU])(?:[-_](.*))?")
_OUTSIDE, _BEGIN, _INSIDE, _END, _SINGLE = range(5)
_PLACES = {"B": _BEGIN, "I": _INSIDE, "M": _INSIDE} | {"E": _END, "L": _END}
_PLACES |= {"S": _SINGLE, "U": _SINGLE}


def names_spans(classes: Sequence[str]) -> bool:
    """Return whether labels are of BIO or a relative of it: O, and types behind B-, I-, E-, S-.

    Labels without types must have a B, since single letters may mean anything.

    Example:
        >>> names_spans(["B-LOC", "I-LOC", "O"]), names_spans(["NOUN", "VERB"])
        (True, False)
    """
    found = [_LABEL.fullmatch(label) for label in classes]
    typed = any(match and match[2] for match in found)
    return all(found) and (typed or "B" in classes)


def count_spans(labels: Array, truth: Array, classes: Sequence[str]) -> Array:
    """Return the columns found, named and there of a batch, float64 (B, 3).

    A span is found when its first and last token and its type are right. Of labels that name no
    spans, every token is one, so that the F1 of the spans is the accuracy of the tokens.

    Args:
        labels: Predicted, (B, T).
        truth: (B, T); -100 where nothing is scored, such a token is not there at all.
        classes: What the labels are called.
    """
    scored = truth != -100
    row = np.repeat(np.arange(len(truth)), scored.sum(1))
    ours, theirs = _read(labels[scored], row, classes), _read(truth[scored], row, classes)
    both = np.intersect1d(ours.keys, theirs.keys, assume_unique=True, return_indices=True)[1]
    rows = (ours.rows[both], ours.rows, theirs.rows)
    return np.stack([np.bincount(r, minlength=len(truth)) for r in rows], axis=1).astype(np.float64)


class _Spans(NamedTuple):
    keys: Array  # of each span, a number that only the same place and type have
    rows: Array  # where it is


def _read(labels: Array, row: Array, classes: Sequence[str]) -> _Spans:
    """Return the spans of labels (M,) whose rows (M,) stand one behind another."""
    place, kind, kinds = _parts(labels, classes)
    if place is None:
        return _Spans(np.arange(len(labels)) * len(classes) + labels, row)
    first = np.r_[True, row[1:] != row[:-1]] if len(row) else np.zeros(0, bool)
    before = np.where(first, _OUTSIDE, np.r_[_OUTSIDE, place[:-1]])
    continues = np.isin(before, (_BEGIN, _INSIDE)) & np.isin(place, (_INSIDE, _END))
    continues &= kind == np.r_[-1, kind[:-1]]
    begins = np.flatnonzero((place != _OUTSIDE) & ~continues)
    inside = np.flatnonzero(place != _OUTSIDE)
    lengths = np.bincount(np.searchsorted(begins, inside, side="right") - 1, minlength=len(begins))
    keys = (begins * (len(labels) + 1) + lengths) * kinds + kind[begins]
    return _Spans(keys, row[begins])


def _parts(labels: Array, classes: Sequence[str]) -> tuple[Array | None, Array, int]:
    """Return the place and the type of each label (M,), and how many types there are."""
    if not names_spans(classes):
        return None, labels, len(classes)
    found = [_LABEL.fullmatch(label) for label in classes]
    types = [match[2] or "" if match else "" for match in found]
    known = {name: at for at, name in enumerate(dict.fromkeys(types))}
    places = [_PLACES[match[1]] if match and match[1] else _OUTSIDE for match in found]
    return np.array(places)[labels], np.array([known[t] for t in types])[labels], len(known)
