import csv
import hashlib
import io
import json
import re
from base64 import b64decode, b64encode
from dataclasses import fields, replace
from gzip import decompress
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_study import HOSTILE, by_log_loss, evident, hostile, large, regression, study
from PIL import Image

from assay.cli import main
from assay.compare.mcnemar import McNemar
from assay.compare.request import Request
from assay.compare.result import StudyResult
from assay.data.concern import Concern
from assay.engine.spec import Plan, Recipe
from assay.errors import BadArgumentError, DataError, StoreError
from assay.report import page, plots
from assay.report.codec import read_result, result_from_json, result_to_json
from assay.report.text import TEXT
from assay.report.write import cell, table, write_report

ALLOWED_TAGS = {
    "html", "head", "meta", "title", "link", "style", "body", "a", "header", "div", "svg",
    "path", "nav", "button", "circle", "main", "p", "bdi", "h1", "span", "dl", "dt", "dd",
    "small", "noscript", "section", "h2", "h3", "table", "thead", "tr", "th", "tbody", "td", "i",
    "b", "g", "line", "text", "figure", "label", "select", "aside", "ol", "details", "summary",
    "ul", "li", "img", "br", "code", "pre", "footer", "script",
}  # fmt: skip


class Reader(HTMLParser):
    """Collects elements, attributes and the text of scripts as a browser would see them."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.words.append(data)


@pytest.fixture(scope="module")
def english() -> str:
    return page.render(study())


@pytest.fixture(scope="module")
def attacked() -> Reader:
    return Reader(page.render(hostile()))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    return write_report(study(), tmp_path_factory.mktemp("run") / "new")


def policy_of(reader: Reader) -> str:
    return next(a["content"] for t, a in reader.elements if t == "meta" and "http-equiv" in a)


# The page


def test_a_name_never_becomes_an_element(attacked: Reader):
    assert {tag for tag, _ in attacked.elements} <= ALLOWED_TAGS
    assert sum(tag == "script" for tag, _ in attacked.elements) == 3
    sources = [a["src"] for t, a in attacked.elements if t == "img"]
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_a_name_never_becomes_an_attribute(attacked: Reader):
    names = {name for _, attributes in attacked.elements for name in attributes}
    assert not [name for name in names if name.startswith("on") or not name.isprintable()]
    assert not [name for name in names if set(name) & set("'\"<>=")]


def test_hostile_names_are_shown_as_they_are(attacked: Reader):
    words = "".join(attacked.words)
    assert HOSTILE[0] in words
    assert "{{7*7}}" in words
    assert "\x1b" not in words
    assert "\u202e" not in words


def test_nothing_in_the_embedded_json_can_end_the_script(attacked: Reader):
    assert not set("<>&\u2028\u2029") & set(attacked.scripts[0])
    names = [c["name"] for c in json.loads(attacked.scripts[0])["curves"]]
    assert HOSTILE[2] in names


def test_the_policy_admits_nothing_from_elsewhere(english: str):
    policy = policy_of(Reader(english))
    parts = dict(part.split(" ", 1) for part in policy.split("; "))
    assert parts["default-src"] == "'none'"
    assert "http" not in policy
    assert "unsafe-inline" not in parts["script-src"]
    assert "unsafe-eval" not in policy
    assert parts["img-src"] == "data: blob:"


def test_the_policy_admits_exactly_the_scripts_of_the_page(english: str):
    reader = Reader(english)
    allowed = re.findall(r"'sha256-([^']+)'", policy_of(reader))
    _, packed, ours = reader.scripts
    plotly = decompress(b64decode(packed))
    found = [b64encode(hashlib.sha256(s).digest()).decode() for s in (ours.encode(), plotly)]
    assert allowed == found


def test_the_page_asks_for_nothing_from_elsewhere(english: str):
    for _, attributes in Reader(english).elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))


def test_the_page_shows_every_part(english: str):
    found = {a["id"] for _, a in Reader(english).elements if "id" in a}
    assert found >= {"ranking", "cost", "curves", "verdicts", "confusion", "hardest", "adapted"}
    assert found >= {"settings", "origin", "chart-latency", "chart-parameters", "chart-curves"}
    for fact in ("41c7" * 16, "Platinum 8481C", "2.15.0", "assay compare digits --seeds 3"):
        assert fact in english


def test_a_regression_has_no_confusion_and_names_the_failure():
    text = page.render(regression(), "zh")
    assert "diverged at step 12" in text
    assert 'id="confusion"' not in text
    assert "均方根误差" in text


def test_a_hard_example_is_told_as_its_task_is():
    assert "mostly read as" in page.render(study())
    text = page.render(regression())
    assert "predicted 3.5 on average" in text
    assert "mostly read as" not in text


def test_what_makes_the_ranking_worthless_stands_before_the_recommendation():
    made = evident(shift=0.012)
    text = page.render(made)
    assert text.index(made.against["en"]) < text.index("<h1>") < text.index('id="concerns"')
    assert text.index('id="concerns"') < text.index('id="ranking"')
    beaten = page.render(evident())
    assert beaten.index(evident().against["en"]) > beaten.index('id="baselines"')


def test_errors_and_warnings_are_open_and_notes_are_folded():
    text = page.render(evident())
    section = text[text.index('id="concerns"') : text.index('id="ranking"')]
    opened, folded = section.split("<details>")
    assert opened.count("<li") == 2
    assert opened.index("2 test examples are also") < opened.index("The validation score of")
    assert "Where: image 17, image 402." in opened
    assert "Notes: 2" in folded
    assert folded.count("<li") == 2


def test_what_against_says_is_not_said_twice():
    made = evident(shift=0.012)
    same = Concern(kind="baselines-not-beaten", severity="warning", **made.against)
    text = page.render(replace(made, concerns=(same,)))
    assert text.count(made.against["en"]) == 1


def test_the_page_shows_what_stands_behind_the_ranking():
    made = evident()
    found = {a["id"] for _, a in Reader(page.render(made)).elements if "id" in a}
    assert found >= {"concerns", "baselines", "race", "tuning", "classwise"}
    for lang in ("en", "zh"):
        text = page.render(made, lang)
        for said in (made.resolution, made.next_hour, made.race, made.dropped["mlp"]):
            assert said[lang] in text
    assert not found & {a.get("id") for _, a in Reader(page.render(study())).elements} & {
        "concerns", "baselines", "race", "tuning"}  # fmt: skip


def test_a_cell_tells_the_probability_and_the_loss_from_its_row():
    verdict = replace(
        study().verdicts[0], difference=0.1, low=0.05, high=0.15, better=0.98, loss=0.001
    )
    text = page.render(replace(study(), verdicts=(verdict,)))
    assert (
        "resnet18 is truly better with probability 98%; choosing it would lose 0.10 points on "
        "average."
    ) in text
    assert (
        "whitened_cnn is truly better with probability 2%; choosing it would lose 10.10 points on "
        "average."
    ) in text


@pytest.mark.parametrize(
    ("lang", "head", "about"),
    [
        ("en", "McNemar p (only first : second right)", "trained once each"),
        ("zh", "McNemar p（仅前者 : 仅后者答对）", "各只训练一次"),
    ],
)
def test_networks_trained_once_each_are_told_with_mcnemars_test(lang: str, head: str, about: str):
    made = study()
    tested = replace(made.verdicts[0], mcnemar=McNemar(only_a=12, only_b=3, p=0.0213))
    text = page.render(replace(made, verdicts=(tested, *made.verdicts[1:])), lang)
    assert head in text
    assert about in text
    assert "0.021 (12 : 3)" in text
    assert "McNemar" not in page.render(made, lang)


def test_the_confidence_and_the_correction_are_those_of_the_study():
    words = " ".join(Reader(page.render(by_log_loss())).words)
    assert "90% interval" in words
    assert "95% interval" not in words
    assert "corrected for the number of pairs (Benjamini-Hochberg)" in words
    assert "Holm" not in words


def test_a_metric_of_which_less_is_better_says_so():
    text = page.render(by_log_loss())
    told = json.loads(Reader(text).scripts[0])
    assert told["words"]["test"] == "Test log loss (smaller is better)"
    assert told["words"]["validation"] == "validation accuracy"
    assert (told["quality"]["share"], told["learning"]["share"]) == (False, True)
    assert "Smaller log loss is better." in text


def test_a_single_seed_says_what_cannot_be_said():
    assert TEXT["one_seed"][0] in page.render(study(seeds=1))
    assert TEXT["one_seed"][0] not in page.render(study(seeds=2))


def test_a_study_in_which_everything_failed_has_a_page(tmp_path: Path):
    assert "No recommendation" in write_report(nothing(), tmp_path)["report.html"].read_text()


def nothing() -> StudyResult:
    made = regression()
    why = {"en": "Every candidate failed.", "zh": "所有候选均失败。"}
    return replace(
        made,
        candidates=(made.candidates[-1],),
        verdicts=(),
        hardest=(),
        recommendation=replace(made.recommendation, candidate=None, why=why),
    )


def test_fifty_candidates_with_ten_seeds_stay_under_ten_megabytes():
    assert len(page.render(large()).encode()) < 10_000_000


# Languages


@pytest.mark.parametrize("key", sorted(TEXT))
def test_both_languages_say_the_same_with_the_same_values(key: str):
    english, chinese = TEXT[key]
    assert english
    assert chinese
    assert set(re.findall(r"{(\w+)}", english)) == set(re.findall(r"{(\w+)}", chinese))


@pytest.mark.parametrize("kind", [Request, Plan, Recipe])
def test_every_setting_has_a_name_in_both_languages(kind: type):
    assert {field.name for field in fields(kind)} <= TEXT.keys()


def test_tokens_are_told_as_a_length_and_a_vocabulary():
    made = study()
    tokens = {"task": "language-modeling", "inputs": [32, 107]}
    text = page.render(replace(made, data={**made.data, **tokens}), "zh")
    assert "语言建模" in text
    assert "≤ 32 个词元，词表 107" in text


def test_the_chinese_page_has_no_english_headings():
    text = page.render(study(), "zh")
    assert 'lang="zh-CN"' in text
    for heading in re.findall(r"<h[23][^>]*>(.*?)</h[23]>", text):
        assert re.search(r"[\u4e00-\u9fff]", heading), heading


@pytest.mark.parametrize(
    ("lang", "steps", "told"),
    [
        ("en", (400, 12_000), "auto a trial: 400 to 12,000 steps"),
        ("zh", (400, 12_000), "每次试验 auto：400 至 12,000 步"),
        ("zh", (60, 60), "每次试验 auto：60 步"),
        ("zh", (), ">auto<"),
    ],
)
def test_the_budget_is_told_with_the_steps_it_came_to(lang: str, steps: tuple[int, ...], told: str):
    assert told in page.render(replace(study(), planned_steps=steps), lang)


def test_another_language_is_refused():
    with pytest.raises(BadArgumentError) as error:
        page.render(study(), "fr")
    assert str(error.value) == (
        "A report is written in English or Chinese. Received lang='fr'; use en or zh."
    )


# The table


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r1", "  =1", "＝1"])
def test_a_text_that_a_spreadsheet_would_calculate_gets_an_apostrophe(text: str):
    assert cell(text).startswith("'")


@pytest.mark.parametrize(("value", "wanted"), [(-0.5, -0.5), (3, 3), ("a=1", "a=1"), ("", "")])
def test_numbers_and_harmless_texts_stay_as_they_are(value, wanted):
    assert cell(value) == wanted


def test_a_number_that_is_not_finite_is_an_empty_cell():
    assert cell(float("nan")) is None


def test_no_text_in_the_table_is_a_formula():
    rows = list(csv.reader(io.StringIO(table(hostile()).decode("utf-8-sig"))))
    cells = [text for row in rows for text in row]
    assert any(text.startswith("'=1+1") for text in cells)
    for text in cells:
        assert text[:1] not in tuple("=+@\t\r") or not text
        assert not text.startswith("-") or float(text) < 0


def test_the_table_has_a_row_for_each_candidate(written):
    rows = list(csv.DictReader(io.StringIO(written["results.csv"].read_text())))
    made = study()
    assert [row["candidate"] for row in rows] == [c.name for c in made.candidates]
    assert float(rows[0]["accuracy"]) == made.candidates[0].score.mean
    assert int(rows[0]["parameters"]) == made.candidates[0].cost.parameters
    assert float(rows[0]["accuracy_seed_2"]) == made.candidates[0].seeds[2].score
    assert [row["candidate"] for row in rows if row["recommended"] == "yes"] == ["whitened_cnn"]


# The result as JSON


@pytest.mark.parametrize("make", [study, evident, hostile, regression])
def test_a_result_survives_json(make):
    facts = result_to_json(make())
    again = result_from_json(json.loads(json.dumps(facts, allow_nan=False)))
    assert result_to_json(again) == facts
    assert isinstance(again.candidates[0].seeds[0].curve, tuple)


def test_a_finished_study_is_equal_after_json():
    assert result_from_json(json.loads(json.dumps(result_to_json(study())))) == study()


def test_the_saved_result_is_the_result(written):
    assert read_result(written["results.json"]) == study()


def test_a_name_that_is_no_unicode_can_be_saved(tmp_path: Path):
    odd = replace(study(), folder="bad \udcff name")
    assert read_result(write_report(odd, tmp_path)["results.json"]).folder == "bad \udcff name"


def test_a_damaged_result_is_refused(tmp_path: Path):
    damaged = tmp_path / "results.json"
    damaged.write_text('{"id": ')
    with pytest.raises(DataError) as error:
        read_result(damaged)
    assert str(error.value) == (
        f"A saved result must be a JSON file. Cannot read {damaged} (not whole JSON); run the "
        "comparison again, which reuses its records."
    )


def test_a_result_of_another_version_is_refused():
    with pytest.raises(DataError) as error:
        result_from_json({**result_to_json(study()), "colour": "red"})
    assert str(error.value) == (
        "A saved result must have the fields of this version of Assay. In result, 'colour' is "
        "unknown; run the comparison again, which reuses its records."
    )


# Files


def test_every_file_is_written_and_no_other(written):
    folder = written["report.html"].parent
    assert set(written) == {
        "report.html", "results.csv", "results.json", "plots/ranking.png",
        "plots/quality-latency.png", "plots/quality-parameters.png", "plots/learning-curves.png",
        "plots/confusion.png",
    }  # fmt: skip
    there = {path for path in folder.rglob("*") if path.is_file()}
    assert there == set(written.values())


def test_every_plot_is_a_picture(written):
    for name, path in written.items():
        if name.endswith(".png"):
            with Image.open(path) as picture:
                assert min(picture.size) > 500
                assert len(picture.convert("L").resize((64, 64)).getcolors()) > 5


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_hostile_names_can_be_plotted(lang: str):
    assert [name for name, _ in plots.draw(hostile(), lang)] == list(plots.PLOTS)


def test_a_study_with_baselines_is_plotted():
    assert [name for name, _ in plots.draw(by_log_loss())] == list(plots.PLOTS)


def test_a_regression_is_plotted_without_confusion():
    assert "confusion" not in dict(plots.draw(regression()))


def test_a_file_that_cannot_be_replaced_stays_as_it_was(tmp_path: Path, monkeypatch):
    (tmp_path / "report.html").write_text("before")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError) as error:
        write_report(study(), tmp_path)
    assert str(error.value) == (
        "The report needs a folder that can be written. Cannot write "
        f"{tmp_path}/report.html (No space left on device); free space there or change its "
        "permissions, then run `assay report` on this run."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "before"


# The command


def test_the_command_writes_the_report_in_another_language(tmp_path: Path, capsys):
    write_report(study(), tmp_path)
    (tmp_path / "results.csv").unlink()
    assert main(["report", str(tmp_path), "--lang", "zh"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert str(tmp_path / "report.html") in printed
    assert 'lang="zh-CN"' in (tmp_path / "report.html").read_text("utf-8")
    assert (tmp_path / "results.csv").is_file()


def test_the_command_finds_a_run_by_how_its_id_begins(tmp_path: Path, capsys):
    from assay.store.store import Store

    with Store.open(tmp_path) as store:
        store.add_study("5f3a9c1e7b20d84c", {}, [], {"name": "digits"})
        folder = store.run_folder("5f3a9c1e7b20d84c")
    write_report(study(), folder)
    assert main(["report", "5f3a", "--store", str(tmp_path)]) == 0
    assert str(folder / "report.html") in capsys.readouterr().out


def test_the_command_says_that_an_unfinished_run_has_no_report(tmp_path: Path, capsys):
    from assay.store.store import Store

    with Store.open(tmp_path) as store:
        store.add_study("5f3a9c1e7b20d84c", {}, [], {"name": "digits"})
        folder = store.run_folder("5f3a9c1e7b20d84c")
        status = store.study("5f3a").status
    assert main(["report", "5f3a", "--store", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"assay: A run has a report when it is finished. Run 5f3a9c1e7b20d84c is {status} and "
        f"{folder} has no results.json; continue it with `assay resume 5f3a9c1e7b20d84c --store "
        f"{tmp_path}`.\n"
    )


def test_the_command_refuses_a_folder_without_a_result(tmp_path: Path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"assay: A run's folder holds results.json. {tmp_path} does not; `assay runs` lists the "
        "runs, and `assay runs show ID` where their files are.\n"
    )


def test_settings_that_changed_nothing_are_not_told():
    made = study()
    words = " ".join(Reader(page.render(made)).words)
    assert "Label smoothing" in words
    assert "Momentum" in words  # some learn by SGD
    adamw = [replace(c, recipe={**c.recipe, "optimizer": "adamw"}) for c in made.candidates]
    task = {"task": "language-modeling", "inputs": (64, 100)}
    text = replace(made, data={**made.data, **task}, candidates=tuple(adamw))
    words = " ".join(Reader(page.render(text)).words)
    assert "Weight decay" in words
    for name in ("Label smoothing", "Momentum", "Augmentation", "Shift reach"):
        assert name not in words
