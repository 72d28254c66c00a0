"""What a layer table is made for, where only part of it is said: task, input and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from assay.canon.card import Architecture, Lang, Shape, Variant
from assay.canon.task import TASKS, Answers, Reads, Task
from assay.errors import UnknownNameError, nearest

NATIVE, OUTPUTS = (3, 224, 224), 1000  # of networks that have no card
INPUTS: Mapping[Reads, Shape] = {  # of a task whose kind of input is not the native one
    "image": NATIVE,
    "sequence": (64, 8),
    "tokens": (64, 8192),
    "table": (16,),
}
_OUTPUTS: Mapping[Answers, int] = {"label": 10, "labels": 10, "value": 1, "values": 12}


@dataclass(frozen=True)
class Setting:
    """For what a network is built.

    Attributes:
        inputs: Shape of one example.
        outputs: Width of the last layer.
        task: None of a network without a card, unless one is asked for.
    """

    inputs: Shape
    outputs: int
    task: Task | None = None

    def told(self, lang: Lang, *, task: bool) -> str:
        """Return "an input of 28×28 (sequence classification, 10 outputs)".

        Args:
            lang: Language.
            task: Whether to name it.
        """
        tokens = self.task is not None and TASKS[self.task].reads == "tokens"
        given = _tokens(self, lang) if tokens else _shape(self.inputs)
        given = (
            f"输入{given if tokens else f' {given}'}" if lang == "zh" else f"an input of {given}"
        )
        if self.task is None or not task:
            return given
        facts = TASKS[self.task]
        wide = facts.answers != "tokens"  # there it is the vocabulary
        if lang == "zh":
            return f"{facts.zh}{f'（{self.outputs} 个输出）' if wide else ''}，{given}"
        return f"{given} ({facts.en}{f', {_outputs(self.outputs)}' if wide else ''})"


def setting_of(
    card: Architecture, variant: Variant, *, task: str | None = None, inputs: Shape | None = None
) -> Setting:
    """Return for what a canon network is built.

    Args:
        card: The entry.
        variant: Which of its networks.
        task: Of it; what it was made for, as far as that fits the input, if not given.
        inputs: Shape of one example; the native one if not given, or that of `INPUTS` for a task
            that reads something else.

    Raises:
        UnknownNameError: The entry does not do the task.
    """
    native = card.native_task(variant)
    chosen = _of_card(card, variant, task) if task else card.task_for(variant, inputs or ())
    if inputs is None:
        alike = TASKS[chosen].reads == TASKS[native].reads
        inputs = card.native(variant) if alike else INPUTS[TASKS[chosen].reads]
    return Setting(inputs, _width(chosen, inputs, variant, native), chosen)


def task_named(text: str) -> Task:
    """Return the task of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if text not in TASKS:
        raise UnknownNameError(
            f"Unknown --task {text!r}.{nearest(text, TASKS)} There are {', '.join(TASKS)}."
        )
    return cast("Task", text)


def _of_card(card: Architecture, variant: Variant, task: str) -> Task:
    if task not in card.tasks:
        raise UnknownNameError(
            f"`--task` must be one that {variant.name} does: {', '.join(card.tasks)}. Received "
            f"{task!r}; `assay list --task` shows which networks do it."
            if task in TASKS
            else f"Unknown --task {task!r}.{nearest(task, card.tasks)} {variant.name} does "
            f"{', '.join(card.tasks)}."
        )
    return task


def _width(task: Task, inputs: Shape, variant: Variant, native: Task) -> int:
    """Return the outputs: the native ones, the words to choose from, or what is usual."""
    answers = TASKS[task].answers
    if answers == "tokens":
        return inputs[1]
    same = answers == TASKS[native].answers or {answers, TASKS[native].answers} <= _LABELS
    return variant.outputs if same else _OUTPUTS[answers]


_LABELS = {"label", "labels"}


def _tokens(setting: Setting, lang: Lang) -> str:
    length, vocabulary = setting.inputs
    pair = setting.task == "text-to-text"
    if lang == "zh":
        return f"{'源文本与目标文本各' if pair else ''} {length} 个词元、词表 {vocabulary}"
    return f"{length} tokens{' and as many to answer,' if pair else ''} out of {vocabulary}"


def _outputs(count: int) -> str:
    return f"{count} output{'s' if count > 1 else ''}"


def _shape(shape: Shape) -> str:
    return "×".join(map(str, shape))
