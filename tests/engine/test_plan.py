"""Plans: the fastest way found, applied without changing what is computed."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from trials import make_dataset, make_spec

from assay.embeddings import compiled
from assay.engine import tuning, ways
from assay.engine.plan import cache_dir, choose_plan
from assay.engine.spec import Candidate, Plan, Recipe
from assay.engine.tuning import Tuning
from assay.engine.ways import apply_plan
from assay.errors import BadArgumentError
from assay.learners.supervised import Supervised
from assay.models.build import build

IMAGE = {"task": "image-classification", "inputs": (1, 8, 8), "outputs": 10}
ROWS = {"task": "tabular-regression", "inputs": (13,), "outputs": 1}


@pytest.fixture(autouse=True)
def _fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Plan], float]], None]:
    """Replace the clock: the time of a step becomes a function of its plan."""

    def replace_clock(cost: Callable[[Plan], float]) -> None:
        make = Tuning._step

        def step(self: Tuning, plan: Plan, batch: int) -> Callable[[], None]:
            make(self, plan, batch)()
            known = lambda: None  # noqa: E731
            known.cost = cost(plan) * batch / self.recipe.batch_size  # type: ignore[attr-defined]
            return known

        monkeypatch.setattr(tuning, "_LIMIT", 60.0)  # the real clock does not count
        monkeypatch.setattr(tuning, "_LONG_LIMIT", 60.0)
        monkeypatch.setattr(Tuning, "_step", step)
        monkeypatch.setattr(Tuning, "_time", lambda self, step, expected: step.cost)

    return replace_clock


def candidate(name: str, digest: str = "0") -> Candidate:
    return Candidate(name=name, digest=digest, recipe=Recipe(batch_size=16))


def test_the_fastest_way_is_chosen_and_its_step_timed(seconds):
    seconds(lambda plan: 0.01 if plan.precision == "bf16" else 0.02)
    plan = choose_plan(candidate("mlp"), **IMAGE)
    assert (plan.precision, plan.step_seconds) == ("bf16", 0.01)


def test_a_gain_under_three_percent_changes_nothing(seconds):
    seconds(lambda plan: 0.0098 if plan.precision == "bf16" else 0.01)
    plan = choose_plan(candidate("mlp"), **IMAGE)
    assert plan == Plan(step_seconds=0.01)


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("mobilenet_v2", {"precision": "bf16", "fp32_layers": ("depthwise",)}),
        ("mobilenet_v2", {"precision": "bf16", "fp32_layers": ("strided_depthwise",)}),
        ("lenet5", {"memory_format": "channels_last"}),
        ("vit_tiny", {"precision": "bf16", "attention": "matmul"}),
    ],
)
def test_every_way_that_fits_the_network_takes_part(seconds, name: str, best: dict[str, object]):
    def cost(plan: Plan) -> float:
        return 0.01 if all(getattr(plan, k) == v for k, v in best.items()) else 0.02

    seconds(cost)
    plan = choose_plan(candidate(name), **IMAGE)
    assert {k: getattr(plan, k) for k in best} == best


def test_without_autotuning_the_plain_way_is_timed_and_taken(seconds):
    seconds(lambda plan: 0.01 if plan.precision == "bf16" else 0.02)
    plan = choose_plan(candidate("mlp"), **IMAGE, autotune=False)
    assert plan == Plan(step_seconds=0.02)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("autotune", [True, False])
def test_a_precision_that_is_asked_for_is_kept(seconds, precision: str, autotune: bool):
    seconds(lambda plan: 0.01 if plan.precision != precision else 0.02)
    plan = choose_plan(candidate("lenet5"), **IMAGE, precision=precision, autotune=autotune)
    assert plan.precision == precision


def test_regression_stays_in_full_precision(seconds):
    seconds(lambda plan: 0.01 if plan.precision == "bf16" else 0.02)
    assert choose_plan(candidate("mlp"), **ROWS).precision == "fp32"


def test_threads_are_added_while_each_doubling_is_worth_it(seconds):
    seconds(lambda plan: {1: 1.0, 2: 0.7, 4: 0.65, 8: 0.1}[plan.threads])
    assert choose_plan(candidate("mlp"), **IMAGE, threads=8) == Plan(threads=2, step_seconds=0.7)
    assert choose_plan(candidate("mlp"), **IMAGE).threads == 1
    assert choose_plan(candidate("mlp"), **IMAGE, threads=8, autotune=False).threads == 1
    assert torch.get_num_threads() == 1


def compiles_in(monkeypatch: pytest.MonkeyPatch, took: float) -> list[Plan]:
    """Have compilation halve the time of a step after `took` seconds; return what is compiled."""
    asked: list[Plan] = []

    def compiled(self: Tuning, plan: Plan) -> tuple[Plan, float]:
        asked.append(plan)
        return replace(plan, compile=True, step_seconds=plan.step_seconds / 2), took

    monkeypatch.setattr(Tuning, "compiled", compiled)
    return asked


@pytest.mark.parametrize(
    ("training", "took", "chosen"), [(200, 99, True), (200, 101, False), (119, 1, False)]
)
def test_compilation_is_chosen_when_it_saves_more_than_it_takes(
    seconds, monkeypatch, training: float, took: float, chosen: bool
):
    seconds(lambda plan: 0.01)
    asked = compiles_in(monkeypatch, took)
    for _ in range(2):
        plan = choose_plan(candidate("mlp"), **IMAGE, duration=lambda step: training * step / 0.01)
        assert plan.compile is chosen
    assert len(asked) == (training >= 120)  # at most once, and never for a short training


def test_a_machine_that_cannot_compile_trains_without(seconds, monkeypatch):
    def refuse(self: Tuning, plan: Plan) -> None:
        raise RuntimeError("no working C++ compiler")

    seconds(lambda plan: 0.01)
    monkeypatch.setattr(Tuning, "compiled", refuse)
    assert not choose_plan(candidate("mlp"), **IMAGE, duration=lambda step: 1e4).compile


def test_only_training_steps_are_compiled_and_the_weights_keep_their_names(monkeypatch):
    calls = []

    def compile(model: nn.Module, **options: object) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda x: (calls.append(len(x)), model(x))[1]

    monkeypatch.setattr(torch, "compile", compile)
    model = build("mlp", inputs=(13,), outputs=3)
    names = list(model.state_dict())
    learner = Supervised(model, recipe=Recipe(), plan=Plan(compile=True), steps=3)
    for _ in range(3):
        learner.step(torch.randn(8, 13), torch.randint(3, (8,)))
    learner.predict([torch.randn(5, 13)], torch.zeros(5, dtype=torch.int64))
    assert calls == [8, 8, 8]
    assert list(learner.weights()) == names


def test_an_unknown_precision_is_refused():
    with pytest.raises(BadArgumentError) as caught:
        choose_plan(candidate("mlp"), **IMAGE, precision="fp16")
    assert str(caught.value) == (
        "`precision` must be auto, fp32 or bf16. Received precision='fp16'."
    )


def test_a_plan_is_found_once_and_read_from_the_cache_then(seconds):
    seconds(lambda plan: 0.01)
    first = choose_plan(candidate("mlp"), **IMAGE)
    seconds(lambda plan: 0.5)
    assert choose_plan(candidate("mlp"), **IMAGE) == first
    assert choose_plan(candidate("mlp", digest="1"), **IMAGE) != first
    assert choose_plan(candidate("mlp"), **{**IMAGE, "outputs": 3}) != first


@pytest.mark.parametrize("content", ["", "{", "[]", '{"plan": {"fp32_layers": 3}}', '{"plan": {}}'])
def test_a_damaged_cache_is_measured_again(seconds, content: str):
    seconds(lambda plan: 0.01)
    first = choose_plan(candidate("mlp"), **IMAGE)
    (path,) = (cache_dir() / "plans").iterdir()
    path.write_text(content)
    assert choose_plan(candidate("mlp"), **IMAGE) == first
    assert json.loads(path.read_text())["plan"]["step_seconds"] == 0.01


def test_a_cache_that_cannot_be_written_stops_nothing(seconds, monkeypatch, tmp_path: Path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "file"))
    seconds(lambda plan: 0.01)
    assert choose_plan(candidate("mlp"), **IMAGE).step_seconds == 0.01


def test_the_cache_is_where_the_system_keeps_such_things(monkeypatch: pytest.MonkeyPatch):
    assert cache_dir().name == "cache"
    monkeypatch.delenv("ASSAY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_dir() == Path("/somewhere/assay")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "assay"


def test_a_real_choice_is_made_quickly_and_says_how_long_a_step_takes():
    plan = choose_plan(candidate("lenet5"), **IMAGE)
    assert plan.step_seconds is not None
    assert 0 < plan.step_seconds < 1


WAYS = [
    Plan(memory_format="channels_last"),
    Plan(attention="matmul"),
    Plan(precision="bf16"),
    Plan(precision="bf16", memory_format="channels_last", fp32_layers=("depthwise",)),
    Plan(precision="bf16", fp32_layers=("depthwise", "norm"), attention="matmul"),
]


@pytest.mark.parametrize("plan", WAYS, ids=tuning._label)
@pytest.mark.parametrize("name", ["mobilenet_v2", "vit_tiny", "whitened_cnn"])
def test_every_way_computes_the_same_step_within_its_precision(name: str, plan: Plan):
    torch.manual_seed(0)
    model = build(name, inputs=(1, 16, 16), outputs=3)
    x, y = torch.randn(32, 1, 16, 16), torch.randint(3, (32,))
    losses = []
    for way in (Plan(), plan):
        learner = Supervised(
            apply_plan(copy.deepcopy(model), way), recipe=Recipe(), plan=way, steps=10
        )
        losses.append(torch.stack([learner.step(x, y) for _ in range(2)]))
    exact = plan.precision == "fp32"
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if exact else {"rtol": 0.03, "atol": 0.03}
    torch.testing.assert_close(losses[1], losses[0], **tolerance)


def test_layers_kept_in_full_precision_get_it():
    seen: list[torch.dtype] = []

    class Depthwise(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = super().forward(x)
            seen.append(out.dtype)
            return out

    def run(*kept: str, stride: int = 1) -> torch.dtype:
        plan = Plan(precision="bf16", fp32_layers=kept)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), Depthwise(4, 4, 3, stride, groups=4), nn.Flatten()
        )
        learner = Supervised(
            apply_plan(nn.Sequential(*model), plan), recipe=Recipe(), plan=plan, steps=2
        )
        learner.step(torch.randn(2, 1, 8, 8), torch.tensor([0, 1]))
        return seen[-1]

    assert (run(), run("depthwise")) == (torch.bfloat16, torch.float32)
    assert run("strided_depthwise") == torch.bfloat16
    assert run("strided_depthwise", stride=2) == torch.float32


def test_a_plan_leaves_the_names_and_values_of_the_weights():
    model = build("mobilenet_v2", inputs=(1, 8, 8), outputs=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = apply_plan(model, WAYS[-2]).state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_written_out_attention_of_timm_networks_is_found():
    timm = pytest.importorskip("timm")
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3, depth=1)
    assert list(ways._attentions(model)) == ["matmul", "fused"]
    apply_plan(model, Plan(attention="matmul"))
    assert model.blocks[0].attn.fused_attn is False


def test_a_contest_drops_what_falls_behind_and_ends_when_one_way_is_left(
    monkeypatch: pytest.MonkeyPatch,
):
    contest = Tuning(candidate("mlp"), **IMAGE)
    monkeypatch.setattr(contest, "_time", lambda step, expected: expected)
    costs = (1.29, 1.0, 1.5, 1.12)
    contenders = [tuning._Contender(Plan(), 16, lambda: None, [cost]) for cost in costs]
    contest._repeat(contenders, deadline=float("inf"))
    assert [len(contender.timings) for contender in contenders] == [2, 3, 1, 3]


TEXT = {"task": "text-classification", "inputs": (8, 50), "outputs": 3}


@pytest.mark.parametrize(
    ("name", "found"),
    [("mean_of_cbow", "compiled"), ("paragraph_vector", "compiled"), ("gru", "")],
)
def test_a_plan_says_which_loops_word_vectors_learn_in(
    monkeypatch: pytest.MonkeyPatch, name: str, found: str
):
    monkeypatch.setattr(compiled, "library", object)
    plan = choose_plan(candidate(name), **TEXT, autotune=False)
    assert plan.loops == found
    monkeypatch.setattr(compiled, "library", lambda: None)  # and the plan is in the cache
    assert choose_plan(candidate(name), **TEXT, autotune=False).loops == (found and "torch")


def test_a_network_may_call_layers_of_its_own_loops():
    model = nn.Linear(2, 2)
    model.loops = nn.ModuleList([nn.Linear(2, 2)])
    assert ways.loops_of(model) == ""


def test_loops_make_another_trial():
    dataset = make_dataset("table")
    hashes = {make_spec("mlp", dataset, plan=Plan(loops=loops)).hash for loops in ("", "torch")}
    assert len(hashes) == 2
