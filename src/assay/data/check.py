"""`check(dataset)`: what to know of the data before anything is trained on them.

What is looked for, and from where on it is told (a constant in the file that is named):

| kind | told from | file |
| --- | --- | --- |
| empty-class-name, class-of-missing-labels | one class | check_names |
| class-written-twice | equal but for case, spaces, Unicode form, way of writing a number | |
| class-misspelt | one letter apart, at most 15% of the examples | |
| numbers-read-as-classes | more than 20 classes, all of them numbers with a unit or comma | |
| class-absent | no example in a part | check_counts |
| tiny-classes | fewer than 10 training or 5 test examples | |
| unequal-classes | largest 10 times the smallest, or 80% of all | |
| copies-across-parts | one test example | check_division |
| copies-with-different-labels | one example; in tables 1% of the rows | |
| groups-across-parts, test-before-training | one test example | |
| blank-images | one image | check_images |
| same-picture-across-parts | pixels correlate by 0.99, their Laplacian by 0.93 | |
| constant-columns, numbered-rows, copies-but-for-number | one column | check_columns |
| column-gives-target-away | balanced accuracy or R² of 0.985 alone | |
| nearly-same-rows-across-parts | 0.001 standard deviations; more often than crowding makes it | |
| nearly-same-texts-across-parts | one test text | check_text |
| text-repeated-across-parts | 5% of the test part's stretches of 32 tokens | |
| texts-cut | 5% of the examples | |
| unknown-tokens, texts-without-words | 1% of the test part's tokens; 5% of the texts | |
| rare-tags | fewer than 10 training words | |
| test-part-differs, class-shares-differ | p < 0.001 (Holm) and a difference of 0.1 | check_drift |
| suspicious-labels | after a study: the confident joint's off-diagonal | check_labels |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from assay.data.check_columns import columns_of, columns_that_mislead
from assay.data.check_counts import counts_that_mislead
from assay.data.check_division import division_that_leaks
from assay.data.check_drift import drift
from assay.data.check_images import images_that_mislead, look
from assay.data.check_labels import suspicious_labels
from assay.data.check_names import names_that_mislead
from assay.data.check_text import texts_that_mislead
from assay.data.concern import Concern
from assay.data.dataset import TASKS, Dataset
from assay.data.prepare import named_column
from assay.data.split import groups_of

__all__ = ["check", "suspicious_labels"]
SEVERITIES = ("error", "warning", "note")
MOST_BYTES = 8 * 2**30  # of examples; more are not read through for copies


def check(
    dataset: Dataset, *, group: str | None = None, time: str | None = None
) -> tuple[Concern, ...]:
    """Return what to know before training, the gravest first; nothing for clean data.

    The arrays are read in pieces and never copied whole. Of more than 8 GiB only labels, names
    and the division are checked.

    Args:
        dataset: From `load` or `load_arrays`.
        group: The column of groups that the data were loaded with; None takes the one they were
            loaded with, if any.
        time: Likewise of times.

    Raises:
        BadArgumentError: The data were not loaded with that column.
    """
    found: list[Concern] = []
    if TASKS[dataset.task].labels:
        found += [*names_that_mislead(dataset), *counts_that_mislead(dataset)]
    small = dataset.x.nbytes <= MOST_BYTES
    groups = groups_of(dataset.x) if small else np.arange(len(dataset.x))
    found += division_that_leaks(dataset, groups, group=group, time=time)
    if small:
        found += _of_the_examples(dataset, groups)
    return tuple(sorted(found, key=lambda concern: SEVERITIES.index(concern.severity)))


def _of_the_examples(dataset: Dataset, groups: np.ndarray) -> Iterator[Concern]:
    kin = named_column(dataset.folder, "group")
    units = kin.values if kin else groups
    if dataset.kind == "image":
        looks = look(dataset.x)
        yield from images_that_mislead(dataset, looks, groups)
        yield from drift(dataset, looks.facts, units)
    elif dataset.kind == "table":
        yield from columns_that_mislead(dataset, groups)
        facts = {column.name: column.values for column in columns_of(dataset)}
        yield from drift(dataset, facts, units)
    elif dataset.kind == "tokens":
        yield from texts_that_mislead(dataset, groups)
    else:
        yield from drift(dataset, _sequence_facts(dataset.x), units)


def _sequence_facts(x: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return each channel's mean, spread and roughness per sequence.

    Shape:
        (N, T, F) float32
    """
    facts = {}
    for channel in range(x.shape[2]):
        values = x[:, :, channel]
        facts[f"mean of channel {channel}"] = values.mean(axis=1)
        facts[f"spread of channel {channel}"] = values.std(axis=1)
        if x.shape[1] > 1:
            rough = np.abs(np.diff(values, axis=1)).mean(axis=1)
            facts[f"roughness of channel {channel}"] = rough
    return facts
