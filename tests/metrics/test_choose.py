"""`--metric` finds what it names and refuses what it cannot use."""

from pathlib import Path

import numpy as np
import pytest

from assay.data.dataset import TASKS
from assay.errors import BadArgumentError, MissingPathError
from assay.metrics import ALIASES, METRICS, evaluate, metric_for, metrics_of

TASK = "image-classification"


def test_every_metric_has_what_a_reader_needs():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.en
        assert metric.zh
        assert metric.tasks
        assert metric.source
    assert set(ALIASES.values()) <= set(METRICS)
    assert not set(ALIASES) & set(METRICS)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("auto", "accuracy"),
        ("accuracy", "accuracy"),
        ("Macro_F1", "macro-f1"),
        ("f1", "macro-f1"),
        ("ECE", "calibration-error"),
        ("roc_auc", "auroc"),
        ("top-5", "top-5"),
        ("top-3", "top-3"),
    ],
)
def test_names_lead_to_metrics(name: str, found: str):
    assert metric_for(name, TASK).name == found


@pytest.mark.parametrize(("name", "found"), [("auto", "rmse"), ("quantile-0.9", "quantile-0.9")])
def test_names_lead_to_metrics_of_values(name: str, found: str):
    assert metric_for(name, "tabular-regression").name == found


@pytest.mark.parametrize(
    ("name", "task", "found"),
    [
        ("auto", "language-modeling", "token-log-loss"),
        ("auto", "masked-language-modeling", "token-log-loss"),
        ("auto", "token-classification", "span-f1"),
        ("auto", "text-to-text", "bleu"),
        ("auto", "text-classification", "accuracy"),
        ("nll", "language-modeling", "token-log-loss"),
        ("accuracy", "text-to-text", "token-accuracy"),
        ("f1", "token-classification", "span-f1"),
        ("recall", "token-classification", "span-recall"),
    ],
)
def test_names_lead_to_metrics_of_tokens(name: str, task: str, found: str):
    assert metric_for(name, task).name == found


def test_tags_without_spans_are_compared_by_their_accuracy():
    assert metric_for("auto", "token-classification", ("NOUN", "VERB")).name == "token-accuracy"
    assert metric_for("auto", "token-classification", ("B-LOC", "O")).name == "span-f1"


KNOWN = (
    f"`metric` must be auto, one of {', '.join(METRICS)} (top-K with a whole K from 1, quantile-Q "
    "with Q between 0 and 1), path/to/file.py:function, or torchmetrics:NAME. "
)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("acuracy", "Received 'acuracy'. Did you mean 'accuracy'?"),
        ("top-0", "Received 'top-0'. Did you mean 'top-5'?"),
        ("quantile-1", "Received 'quantile-1'. Did you mean 'quantile-0.5'?"),
        ("", "Received ''."),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, answer: str):
    with pytest.raises(BadArgumentError) as caught:
        metric_for(name, TASK)
    assert str(caught.value) == KNOWN + answer


def test_a_metric_of_another_task_is_refused():
    with pytest.raises(BadArgumentError) as caught:
        metric_for("f1", "tabular-regression")
    assert str(caught.value) == (
        "`metric` must be one that the task has. Received 'f1' for tabular-regression, which has "
        "rmse, mae, r2, quantile-0.5, smape."
    )
    with pytest.raises(BadArgumentError, match="Received 'bleu' for image-classification, which"):
        metric_for("bleu", TASK)


def test_a_record_keeps_every_metric_that_is_defined():
    probs, truth = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1])
    assert sorted(evaluate(probs, truth, TASK)) == [
        "accuracy",
        "auroc",
        "balanced_accuracy",
        "calibration_error",
        "log_loss",
        "macro_f1",
        "precision",
        "recall",
        "top_5",
    ]
    assert "auroc" not in evaluate(probs, np.array([0, 0]), TASK)
    for task in TASKS:
        assert all(task in metric.tasks for metric in metrics_of(task).values())


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_function_of_a_file_is_a_metric(tmp_path: Path):
    (tmp_path / "prices.py").write_text("PRICE = 4.0\n")
    file = write(
        tmp_path / "mine.py",
        "from prices import PRICE\n"
        "def cost(predicted, truth):\n"
        "    return PRICE * (predicted.argmax(1) != truth).mean()\n"
        "cost.higher_is_better = False\n"
        "def gain(predicted, truth):\n"
        "    return -cost(predicted, truth)\n",
    )
    probs, truth = np.eye(2)[[0, 1, 1, 0]], np.array([0, 1, 0, 1])
    cost, gain = metric_for(f"{file}:cost", TASK), metric_for(f"{file}:gain", TASK)
    assert (cost.higher_is_better, gain.higher_is_better) == (False, True)
    assert cost.of(probs, truth) == 2.0
    assert gain.per_example(probs, truth) == pytest.approx([0.0, 0.0, -4.0, -4.0])
    assert (cost.en, cost.tasks) == ("cost", (TASK,))


def test_a_function_cannot_change_the_predictions_of_others(tmp_path: Path):
    file = write(tmp_path / "m.py", "def f(p, y):\n    p[:] = 0\n    y[:] = 0\n    return 1.0\n")
    predicted, truth = np.ones(3), np.ones(3)
    metric_for(f"{file}:f", "tabular-regression").of(predicted, truth)
    assert (predicted.sum(), truth.sum()) == (3, 3)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("raise KeyError('weights')", "raised KeyError: 'weights'"),
        ("raise ValueError", "raised ValueError: no text"),
        ("return float('nan')", "returned nan"),
        ("return -float('inf')", "returned -inf"),
        ("return 'good'", "returned str"),
        ("return predicted", "returned ndarray"),
        ("return None", "returned NoneType"),
    ],
)
def test_a_function_that_fails_is_one_sentence(tmp_path: Path, body: str, what: str):
    name = write(tmp_path / "m.py", f"def f(predicted, truth):\n    {body}\n") + ":f"
    with pytest.raises(BadArgumentError) as caught:
        metric_for(name, TASK).of(np.full((4, 2), 0.5), np.array([0, 1, 0, 1]))
    assert str(caught.value) == (
        f"A metric must return one finite number. {name} {what}, given predictions of shape (4, 2) "
        "and their truth; correct it or choose another with --metric."
    )


def test_files_that_hold_no_metric_are_refused(tmp_path: Path):
    file = write(tmp_path / "m.py", "def cost(predicted, truth):\n    return 0.0\n")
    with pytest.raises(BadArgumentError) as caught:
        metric_for(f"{file}:cots", TASK)
    assert str(caught.value) == (
        f"{file} has no function 'cots'. Did you mean 'cost'? Name one as path/to/file.py:function."
    )
    with pytest.raises(BadArgumentError) as caught:
        metric_for(file, TASK)
    assert str(caught.value) == (
        f"A file must be followed by its function, path/to/file.py:function. Received {file!r}."
    )
    with pytest.raises(MissingPathError) as caught:
        metric_for(f"{tmp_path}/gone.py:f", TASK)
    assert str(caught.value) == (
        f"There is no file '{tmp_path}/gone.py'; correct the path of '{tmp_path}/gone.py:f'."
    )
    broken = write(tmp_path / "b.py", "import nowhere_to_be_found\n")
    with pytest.raises(BadArgumentError) as caught:
        metric_for(f"{broken}:f", TASK)
    assert str(caught.value) == (
        f"{broken} cannot be executed. It raised ModuleNotFoundError: No module named "
        "'nowhere_to_be_found'; correct it."
    )
