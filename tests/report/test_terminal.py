import io
from dataclasses import replace

import pytest
from fake_study import by_log_loss, evident, hostile, large, regression, study
from rich.cells import cell_len
from rich.console import Console

from assay.compare.result import SeedResult
from assay.report.terminal import broken, print_result, short_name


def printed(result, lang="en", width=80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    print_result(console, result, lang)
    return console.file.getvalue().splitlines()


def row_of(lines: list[str], name: str) -> str:
    return next(line for line in lines if f" {name} " in line)


def test_a_row_tells_rank_score_interval_verdict_and_cost():
    row = " ".join(row_of(printed(study()), "whitened_cnn").split())
    assert row == "2 whitened_cnn 98.4% 96.9–99.6 Recommended 0.21 ms 61.2 k"


def test_the_sentence_stands_after_the_ranking():
    lines = printed(study(), width=400)
    sentence = study().recommendation.why["en"]
    assert lines.index(sentence) > lines.index(row_of(lines, "softmax_regression"))
    assert lines[-1] == "report: assay-runs/runs/5f3a9c1e7b20d84c/report.html"


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("make", [study, evident, by_log_loss, hostile, regression, large])
def test_no_line_of_the_table_is_wider_than_the_terminal(make, width: int, lang: str):
    lines = printed(make(), lang, width)
    assert max(cell_len(line) for line in lines) <= width
    assert not [line for line in lines[1:5] if line.rstrip().endswith("…")]


def test_what_makes_the_ranking_worthless_stands_before_it():
    made = evident(shift=0.012)
    lines = printed(made, width=300)
    first = [line.rstrip() for line in lines if line.strip()]
    assert first[0] == f"! {made.against['en']}"
    assert first[1].startswith("✗ Error: 2 test examples are also in the training part")
    assert first[1].endswith("Where: image 17, image 402.")
    assert first[2].startswith("! Warning: The validation score of vit_tiny")
    assert first[3] == "2 notes in the report"
    assert first[4].split()[:2] == ["#", "Candidate"]


def test_networks_that_beat_the_baselines_need_no_warning():
    assert not [line for line in printed(evident(), width=300) if "simple opponent" in line]


def test_a_baseline_is_told_with_how_many_networks_beat_it():
    lines = printed(evident())
    assert row_of([f" {line}" for line in lines], "nearest neighbours").split()[-5:] == [
        "95.9–98.1", "40", "ms", "6", "of", "12"][-5:]  # fmt: skip
    assert "and 1 more in the report" in lines


def test_the_sentences_on_what_the_study_could_see_stand_after_the_recommendation():
    made = evident()
    lines = printed(made, width=300)
    places = [lines.index(text["en"]) for text in (made.race, made.resolution, made.next_hour)]
    assert places == sorted(places)
    assert places[0] > lines.index(made.recommendation.why["en"])
    assert any(line.startswith("Each candidate was tried with 9 settings") for line in lines)


def test_a_metric_of_which_less_is_better_is_marked():
    lines = printed(by_log_loss())
    assert "Log loss ↓" in lines[lines.index("2 notes in the report") + 2]
    assert "90% interval" in "\n".join(lines)


def test_a_wide_terminal_gets_the_intervals_drawn_on_one_scale():
    lines = printed(study(), width=140)
    drawn = [row_of(lines, c.name).index("●") for c in study().candidates]
    assert drawn == sorted(drawn, reverse=True)
    assert drawn[0] > drawn[-1]
    assert "311 MB" in row_of(lines, "whitened_cnn")
    assert not [line for line in printed(study(), width=80) if "●" in line]


def test_names_cannot_steer_the_terminal():
    text = "\n".join(printed(hostile(), width=300))
    assert "<img src=x onerror=alert(1)>" in text
    assert "[red]bold[/red]" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_failed_candidate_is_named_with_its_reason():
    lines = printed(regression())
    assert "softmax_regression, seed 0: failed: diverged at step 12" in lines
    assert row_of(lines, "softmax_regression").split()[:3] == ["–", "softmax_regression", "–"]
    assert "failed" in row_of(lines, "softmax_regression")


def test_many_failures_are_counted_not_listed():
    made = regression()
    seeds = tuple(SeedResult(seed=k, hash="", status="failed", reason="no") for k in range(30))
    broken = replace(made.candidates[-1], seeds=seeds)
    lines = printed(replace(made, candidates=(*made.candidates[:-1], broken)))
    assert sum("failed: no" in line for line in lines) == 8
    assert "and 22 more in the report" in lines


def test_a_long_ranking_is_cut_and_says_so():
    lines = printed(large())
    assert sum("%  " in line and line[:3].strip().isdigit() for line in lines) == 20
    assert "and 30 more in the report" in lines


def test_no_letter_of_a_chinese_sentence_is_lost_between_lines():
    made = evident(shift=0.012)
    lines = [line.strip() for line in printed(made, "zh", width=40)]
    whole = "".join(lines).replace(" ", "")
    for text in (made.against, made.resolution, made.race, made.recommendation.why):
        assert text["zh"].replace(" ", "") in whole
    assert not [line for line in lines if line[:1] in tuple("，。；：、）")]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("一二三四", ["一二", "三四"]),
        ("一二，三", ["一", "二，", "三"]),
        ("一 abc 二", ["一", "abc", "二"]),
        ("abcdefg一", ["abcdefg", "一"]),
    ],
)
def test_chinese_is_broken_between_any_two_letters_but_not_before_a_stop(text, lines):
    assert broken(text, 4) == lines


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("lenet5", "lenet5"),
        ("a" * 30, "a" * 19 + "…"),
        ("长" * 30, "长" * 9 + "…"),
        ("resnet18-without-shortcut", "…18-without-shortcut"),
    ],
)
def test_a_long_name_is_shortened_by_the_columns_it_takes(name: str, shown: str):
    assert short_name(name, 20) == shown
