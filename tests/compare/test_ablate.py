"""A network against itself with one idea removed, from the command line to the winner."""

import json
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
import torch

from assay.canon.catalog import catalog, code_digest
from assay.cli import main
from assay.compare.candidates import candidate, resolve
from assay.compare.result import Estimate, PairVerdict, StudyResult
from assay.compare.study import Study
from assay.engine.spec import Measurement
from assay.errors import BadArgumentError
from assay.models import foreign
from assay.models.foreign import foreign_digest
from assay.report import page
from assay.report.ablation import removals
from assay.report.codec import read_result
from assay.ship.load import load

DIGITS = {"task": "image-classification", "inputs": (1, 8, 8)}


def test_a_candidate_without_an_idea_keeps_the_recipe_and_tells_what_is_missing():
    whole = candidate("resnet18", (1, 8, 8), "image-classification")
    found = candidate("resnet-without-shortcut", (1, 8, 8), "image-classification")
    assert found.name == "resnet18-without-shortcut"
    assert (found.recipe, found.family) == (whole.recipe, whole.family)
    assert found.adaptation["en"] == (
        "Without shortcuts: a block passes on its branch alone, and projections vanish. "
        + whole.adaptation["en"]
    )
    assert found.adaptation["zh"] == (
        "去掉残差连接：模块只输出其分支，捷径上的投影一并去掉。" + whole.adaptation["zh"]
    )


def test_a_digest_covers_the_idea_and_the_code_that_removes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    card = catalog().entry("resnet18")[0]
    digest = foreign_digest("resnet18-without-shortcut")
    assert digest not in (code_digest(card), foreign_digest("resnet18-without-batch_norm"))
    (tmp_path / "models").mkdir()
    for file in ("ablation.py", "ablation_series.py", "surgery.py"):
        (tmp_path / "models" / file).write_text("# another way to remove\n")
    monkeypatch.setattr(foreign, "PACKAGE", tmp_path)
    assert foreign_digest("resnet18-without-shortcut") != digest
    assert foreign_digest("resnet18") == code_digest(card)


def test_each_stands_for_every_idea_that_the_network_has_at_this_shape():
    found = resolve(["vgg11_bn", "vgg11_bn-without-each"], None, **DIGITS)
    assert [c.name for c in found] == ["vgg11_bn", "vgg11_bn-without-batch_norm"]
    large = resolve(["vggnet-without-each"], None, **{**DIGITS, "inputs": (3, 96, 96)})
    assert [c.name for c in large] == ["vgg11_bn-without-batch_norm", "vgg11_bn-without-dropout"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "vgg11-without-batch_norm",
            "Only what a network has can be removed. vgg11 built for inputs=(1, 8, 8) has no "
            "batch_norm; choose another idea, another variant or larger examples.",
        ),
        (
            "resnet18-without-shortcuts",
            "An idea to remove must be one that the card of resnet18 lists: batch_norm, shortcut. "
            "Received 'shortcuts'. Did you mean 'shortcut'?",
        ),
        (
            "rnn-without-each",
            "The card of rnn lists no idea that can be removed; "
            "`assay show NAME` says which ideas a network's card lists.",
        ),
    ],
)
def test_what_cannot_be_removed_is_told_before_anything_is_trained(name: str, says: str):
    with pytest.raises(BadArgumentError) as caught:
        resolve([name], None, **DIGITS)
    assert str(caught.value) == says


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store with the study of a command that ran, and what the command printed."""
    store = tmp_path_factory.mktemp("ablate") / "store"
    words = ["ablate", "mlp", "--without", "relu", "--data", "digits", "--store", str(store)]
    short = ["--budget", "40steps", "--seeds", "2", "--evaluations", "2", "--no-autotune"]
    with pytest.MonkeyPatch.context() as patch, Captured() as captured:
        patch.setenv("COLUMNS", "160")
        assert main([*words, *short, "--workers", "0"]) == 0
    return store, captured.text


class Captured:
    """What is written to the standard output meanwhile."""

    def __enter__(self) -> "Captured":
        import contextlib
        import io

        self._file = io.StringIO()
        self._redirected = contextlib.redirect_stdout(self._file)
        self._redirected.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._redirected.__exit__(*error)

    @property
    def text(self) -> str:
        return self._file.getvalue()


def only_result(store: Path) -> tuple[Path, StudyResult]:
    (path,) = store.glob("runs/*/results.json")
    return path.parent, read_result(path)


def test_the_command_compares_and_says_what_the_removal_did(ablated: tuple[Path, str]):
    store, printed = ablated
    folder, result = only_result(store)
    assert {c.name for c in result.candidates} == {"mlp", "mlp-without-relu"}
    assert len(result.verdicts) == 1
    (sentence,) = removals(result, "en")
    assert printed.splitlines().count(sentence) == 1
    assert sentence.startswith("Without rectified units ")
    assert " Parameters unchanged, multiply-accumulates unchanged, latency " in sentence
    assert "mlp-without-relu" in (folder / "report.html").read_text()


def test_a_study_that_is_resumed_or_compared_by_names_says_it_too(
    ablated: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "60")
    store = ["--store", str(ablated[0])]
    _, result = only_result(ablated[0])
    (sentence,) = removals(result, "en")
    assert main(["resume", result.id, *store]) == 0
    assert sentence in capsys.readouterr().out.splitlines()
    short = ["--budget", "40steps", "--seeds", "2", "--evaluations", "2", "--no-autotune"]
    names = ["compare", "digits", "--models", "mlp,mlp-without-relu", "--workers", "0"]
    assert main([*names, *short, *store]) == 0
    assert sentence in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_report_says_what_each_removal_did(ablated: tuple[Path, str], lang: str):
    result = found(ablated[0], WORSE)
    text = unescape(page.render(result, lang))
    (sentence,) = removals(result, lang)
    assert f"<li><bdi>{sentence}</bdi></li>" in text
    heading = {"en": "What removing an idea did", "zh": "去掉某个设计的影响"}[lang]
    assert f"<h2>{heading}</h2>" in text
    whole_alone = replace(result, candidates=result.candidates[:1], verdicts=())
    assert heading not in page.render(whole_alone, lang)


def test_a_network_without_an_idea_can_be_loaded_and_predicts(ablated: tuple[Path, str]):
    store, _ = ablated
    _, result = only_result(store)
    predictor = load(f"{result.id}/mlp-without-relu", store=store)
    assert any(isinstance(m, torch.nn.Tanh) for m in predictor.model.modules())


def test_a_study_without_an_idea_continues_from_its_records(ablated: tuple[Path, str]):
    store, _ = ablated
    _, result = only_result(store)
    again = Study.again(result.id, store=str(store)).run()
    assert (again.id, again.trials_run) == (result.id, 0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["resnet18", "--without", "class_token"],
            "assay: An idea to remove must be one that the card of resnet18 lists: batch_norm, "
            "shortcut. Received 'class_token'.\n",
        ),
        (
            ["rnn"],
            "assay: The card of rnn lists no idea that can be removed; "
            "`assay show NAME` says which ideas a network's card lists.\n",
        ),
    ],
)
def test_the_command_refuses_what_it_cannot_remove(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["ablate", *words, "--data", "digits"]) == 2
    assert capsys.readouterr().err == says


def test_show_names_what_can_be_removed(capsys: pytest.CaptureFixture[str]):
    main(["show", "resnet18"])
    assert "shortcut (shortcuts), batch_norm (batch normalisation)" in capsys.readouterr().out
    main(["show", "resnet18", "--lang", "zh"])
    assert "shortcut (残差连接), batch_norm (批归一化)" in capsys.readouterr().out


COST = {
    "throughput": 1.0,
    "artifact_bytes": 4,
    "peak_memory_bytes": 4,
    "energy_proxy_mj": 1.0,
    "latency_p95_ms": 2.0,
}


def found(store: Path, verdict: PairVerdict, **changes: object) -> StudyResult:
    """Return the study's result with a made-up verdict and made-up costs."""
    _, result = only_result(store)
    costs = {
        "mlp": Measurement(parameters=2_000_000, macs=4_000, latency_p50_ms=1.0, **COST),
        "mlp-without-relu": Measurement(
            parameters=1_500_000, macs=4_000, latency_p50_ms=0.5, **COST
        ),
    }
    wide = Estimate(0.9, 0.85, 0.95)
    rows = tuple(replace(c, cost=costs[c.name], score=wide) for c in result.candidates)
    return replace(result, candidates=rows, verdicts=(verdict,), **changes)


WORSE = PairVerdict(
    a="mlp", b="mlp-without-relu", difference=0.02, low=0.01, high=0.03, p=0.01, p_holm=0.02,
    verdict="better", better=0.995, loss=0.001,
)  # fmt: skip


def test_what_a_removal_did_is_told_from_the_side_of_what_is_left(ablated: tuple[Path, str]):
    result = found(ablated[0], WORSE)
    (en,), (zh,) = removals(result, "en"), removals(result, "zh")
    assert en == (
        "Without rectified units it is worse: accuracy −2.0 points (95% interval −3.0 points to "
        "−1.0 points, p = 0.02 after Holm). Parameters −25.0% (2.00 M → 1.50 M), "
        "multiply-accumulates unchanged, latency −50.0% (1.0 ms → 0.50 ms)."
    )
    assert zh == (
        "去掉 ReLU 后变差：准确率 −2.0 个百分点（95% 区间 −3.0 个百分点至 −1.0 个百分点，"
        "Holm 校正后 p = 0.02）。参数量 −25.0%（2.00 M → 1.50 M），乘加次数不变，"
        "延迟 −50.0%（1.0 ms → 0.50 ms）。"
    )


def test_an_error_that_grows_is_told_as_worse(ablated: tuple[Path, str]):
    result = found(ablated[0], WORSE, metric="rmse", higher_is_better=False)
    (sentence,) = removals(result)
    assert sentence.startswith(
        "Without rectified units it is worse: RMSE +0.020 (95% interval +0.010 to +0.030, "
    )


def test_a_removal_that_fails_is_told_with_its_reason(ablated: tuple[Path, str]):
    result = found(ablated[0], WORSE)
    rows = [
        replace(
            c,
            score=None,
            cost=None,
            seeds=tuple(
                replace(s, status="failed", reason="the loss became nan.") for s in c.seeds
            ),
        )
        if c.name == "mlp-without-relu"
        else c
        for c in result.candidates
    ]
    (sentence,) = removals(replace(result, candidates=tuple(rows), verdicts=()))
    assert sentence == "Without rectified units no trial finished: the loss became nan."


def test_a_difference_that_cannot_be_told_is_not_called_one(ablated: tuple[Path, str]):
    result = found(ablated[0], replace(WORSE, verdict="not distinguishable"))
    (sentence,) = removals(result)
    assert sentence.startswith("Without rectified units these data cannot tell a difference: ")


def test_the_result_as_json_is_only_json(
    ablated: tuple[Path, str], capsys: pytest.CaptureFixture[str]
):
    words = ["ablate", "mlp", "--without", "relu", "--data", "digits", "--store", str(ablated[0])]
    short = ["--budget", "40steps", "--seeds", "2", "--evaluations", "2", "--no-autotune"]
    assert main([*words, *short, "--workers", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials_run"] == 0
