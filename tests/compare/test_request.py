"""A request is checked at once, and can be stored and repeated."""

import shlex

import pytest

from assay.cli import compare
from assay.compare.request import Request
from assay.compare.study import Study
from assay.errors import BadArgumentError


def parsed(words: list[str]) -> Request:
    import argparse

    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    return compare.request_of(parser.parse_args(words))


FULL = Request(
    data="my photos",
    models=("mlp", "timm:resnet10t"),
    pretrained="head",
    seeds=2,
    budget="20epochs",
    task="image-classification",
    target="label; rm",
    prefer="params",
    margin="0.5%",
    require=("latency<5ms", "params<1e6"),
    store="/tmp/a store",
    precision="fp32",
    autotune=False,
    workers=3,
    data_dir="/data",
    skip_bad=True,
    split_seed=4,
    patience=None,
    evaluations=7,
    lang="zh",
)


def test_the_command_of_a_request_asks_the_same():
    words = shlex.split(FULL.command())
    assert words[:2] == ["assay", "compare"]
    assert parsed(words[2:]) == FULL


def test_a_request_survives_json():
    assert Request.from_json(FULL.as_json()) == FULL


def test_the_command_line_has_the_defaults_of_python():
    assert parsed(["digits"]) == Study("digits").request == Request(data="digits")
    assert Request(data="digits").command() == "assay compare digits"


def test_what_only_changes_the_display_does_not_decide_the_trials():
    plain = Request(data="digits")
    shown = Request(data="digits", prefer="params", margin="1%", lang="zh")
    assert plain.deciding == shown.deciding
    assert plain.deciding != Request(data="digits", patience=None).deciding


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"seeds": 0}, "`seeds` must be a whole number of at least 1. Received seeds=0."),
        ({"seeds": 2.5}, "`seeds` must be a whole number of at least 1. Received seeds=2.5."),
        ({"seeds": 1001}, "`seeds` must be at most 1000. Received seeds=1001."),
        ({"seeds": True}, "`seeds` must be a whole number of at least 1. Received seeds=True."),
        ({"workers": -1}, "`workers` must be a whole number of at least 0. Received workers=-1."),
        ({"patience": 0}, "`patience` must be a whole number of at least 1. Received patience=0."),
        (
            {"evaluations": 0},
            "`evaluations` must be a whole number of at least 1. Received evaluations=0.",
        ),
        (
            {"prefer": "latensy"},
            "`prefer` must be one of latency, params, memory, energy-proxy, score. "
            "Received prefer='latensy'. Did you mean 'latency'?",
        ),
        (
            {"margin": "a little"},
            "`margin` must be a percentage such as 0.3%, or a number of at least 0 in the metric's "
            "unit such as 0.003. Received margin='a little'; leave it out for 0.3 points of a "
            "share such as accuracy and 1% of any other score.",
        ),
        (
            {"precision": "fp16"},
            "`precision` must be one of auto, fp32, bf16. "
            "Received precision='fp16'. Did you mean 'bf16'?",
        ),
        ({"lang": "xx"}, "`lang` must be one of en, zh. Received lang='xx'."),
        (
            {"budget": "30"},
            "`budget` must be a positive number with a unit: 30s, 2000steps, 20epochs, 1e13flops, "
            "or auto. Received budget='30'.",
        ),
        (
            {"require": ["fast"]},
            "`require` must be a quantity, one of < <= > >=, and a number with a unit, such as "
            '"latency<5ms" or "params<1e6". Received \'fast\'.',
        ),
        (
            {"tune": 0},
            "`tune` must be a whole number from 1 to 1000, the settings that each candidate gets. "
            "Received tune=0; leave it out to train by the recipes of the cards.",
        ),
        (
            {"until": "bored"},
            "`until` must be decided, a time above zero such as 90s, 30m or 2h, or both as in "
            "'decided or 30m'. Received until='bored'.",
        ),
        (
            {"confidence": 1.0},
            "`confidence` must lie between 0.5 and 1, such as 0.95. Received confidence=1.0.",
        ),
        ({"splits": 0}, "`splits` must be a whole number of at least 1. Received splits=0."),
        (
            {"accelerator": "gpu"},
            "`accelerator` must be cpu, or cuda for a graphics card. Received accelerator='gpu'.",
        ),
        (
            {"accelerator": "cuda", "devices": 2},
            "`accelerator` cuda trains each network on one graphics card. Received devices=2 and "
            "nodes=1; leave one of them out.",
        ),
        (
            {"accelerator": "cuda", "executor": "ray?cpus=2"},
            "`accelerator` cuda needs graphics cards of the cluster. Received "
            "executor='ray?cpus=2', which asks for none; add gpus=1 or a fraction, such as "
            "ray?gpus=0.25.",
        ),
    ],
)
def test_a_bad_option_is_refused_when_the_study_is_made(options: dict, text: str):
    with pytest.raises(BadArgumentError) as caught:
        Study("digits", **options)
    assert str(caught.value) == text


def test_an_unknown_option_is_answered_with_the_nearest():
    with pytest.raises(BadArgumentError) as caught:
        Study("digits", seed=3)
    assert str(caught.value) == (
        "Study has no option 'seed'. Did you mean 'seeds'? It has accelerator, autotune, "
        "baselines, budget, confidence, correction, data, data_dir, devices, evaluations, "
        "executor, family, group, horizon, lang, length, margin, metric, models, nodes, patience, "
        "precision, prefer, pretrained, require, seeds, series, skip_bad, split_seed, splits, "
        "store, strategy, target, task, text, time, tokenizer, tune, until, vocabulary, window, "
        "workers."
    )
