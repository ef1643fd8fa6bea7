"""Summaries of runs whose scores are written by hand, so that every figure is known."""

from __future__ import annotations

import dataclasses
import json
import math
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from lmsteer_core import Sampling
from lmsteer_core.evaluation.cells import Cell, Protocol
from lmsteer_core.evaluation.prompts import Generations, append_lines
from lmsteer_core.evaluation.report import markdown as markdown_module
from lmsteer_core.evaluation.report import page, verdict
from lmsteer_core.evaluation.report.tables import (
    _continuity_table,
    _curve_table,
    glance_table,
    methods_table,
    tables,
)
from lmsteer_core.evaluation.run import Run
from lmsteer_core.evaluation.summary import summarize
from lmsteer_core.evaluation.task import TASKS

OURS, RIVAL, INPUT = "lm-steer-descriptions", "prompt-prefix", "input-steer"
PROTOCOL = Protocol(2, Sampling(1.0, 0.9, max_new_tokens=4), section_prompts=3, section_samples=1)
N_PROMPTS = 4
NASTY = "a <b> & | 'rival'"


class Written:
    """A run of constant scores: a cell's mean and its perplexity are what is asked for."""

    def __init__(self, folder, lm, task="sentiment", pole=1):
        task = dataclasses.replace(TASKS[task], prompts=TASKS[task].prompts[:N_PROMPTS])
        self.run = Run(folder, lm, task, PROTOCOL)
        self.pole, self.cells = pole, []
        for key, name, strengths in (
            ("unsteered", "unsteered", []),
            (OURS, "LM-Steer", [1.0, 2.0]),
            (RIVAL, NASTY, [1.0]),
            (INPUT, "Input-Steer", [1.0, 2.0]),
        ):
            facts = {
                "name": name,
                "n_parameters": 1000 * bool(strengths),
                "training_seconds": 2.0,
                "strengths": strengths,
                "decoding_time_ratio": 1.1,
            }
            path = self.run._facts(key)
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(facts))
        self.cell("unsteered", 0.0, mean=0.5, perplexity=10.0)

    def cell(self, method, strength, *, mean, perplexity, **where):
        cell = Cell(method, strength, **where)
        small = cell.section != "curves"
        n, m = (3, 1) if small else (N_PROMPTS, 2)
        lines = [
            Generations(prompt, [" so it is"] * m).to_json() for prompt in self.run.task.prompts[:n]
        ]
        append_lines(self.run._generations(cell), lines)
        scores = {
            "judge": {
                "by": "judge 1.0",
                "pole": self.pole,
                "threshold": 0.5,
                "scores": [[mean] * m] * n,
            },
            "model": {
                "by": "m",
                "nll": [[3 * math.log(perplexity)] * m] * n,
                "n_tokens": [[3] * m] * n,
            },
        }
        append_lines(self.run._scores(cell), [json.dumps(scores)])
        self.cells.append(cell)

    def pair(self, method, strength, control, ratio, **where):
        for sign in (1, -1):
            mean = 0.5 + self.pole * sign * control / 2
            self.cell(method, sign * strength, mean=mean, perplexity=10 * ratio, **where)

    def summary(self, *more):
        return summarize(self.run, ["unsteered", OURS, RIVAL, *more], self.cells)


@pytest.fixture
def written(tmp_path, small):
    made = Written(tmp_path, small)
    made.pair(OURS, 1.0, 0.2, 1.2)
    made.pair(OURS, 2.0, 0.8, 2.0)
    return made


def frontier(summary):
    """Return what is set beside ours at equal perplexity alone."""
    return [p for p in summary["frontier"] if p["model"] == "model"]


def points(summary, key):
    method = next(m for m in summary["methods"] if m["key"] == key)
    return [
        (p["strength"], p["control"]["value"], p["perplexity_ratio"]["value"])
        for p in method["curves"][0]["points"]
    ]


def test_a_curve_starts_unsteered_and_has_control_over_ratio(written):
    written.pair(RIVAL, 1.0, 0.4, 1.5)
    found = points(written.summary(), OURS)
    assert found == [pytest.approx(point) for point in ((0, 0, 1), (1, 0.2, 1.2), (2, 0.8, 2))]


def test_the_ratio_is_the_geometric_mean_of_both_signs(written):
    written.cell(RIVAL, 1.0, mean=0.7, perplexity=40)
    written.cell(RIVAL, -1.0, mean=0.6, perplexity=10)
    assert points(written.summary(), RIVAL)[1] == (1.0, pytest.approx(0.1), pytest.approx(2.0))


def test_a_rival_outside_our_frontier_is_named_with_its_lead(written):
    written.pair(RIVAL, 1.0, 0.7, 1.5)
    (found,) = frontier(written.summary())
    # ours between the strengths: 0.2 + 0.6 t at the ratio 1.2 · (2 / 1.2)^t ≤ 1.5, t in twentieths
    assert found["ours"] == pytest.approx(0.2 + 0.6 * 8 / 20, abs=1e-4)
    assert found["gap"]["value"] == pytest.approx(0.26, abs=1e-4)
    headline, sentence, _ = verdict.verdict(written.summary())
    assert "By 0 of 2 measures no method" in headline
    assert "by 0 a lead is within the noise, by 2 a method leads" in headline
    assert f"{NASTY} at ±1 has 0.26 (0.26 to 0.26) more control than LM-Steer" in sentence
    assert "noise" not in sentence
    assert "judge 1.0" in sentence


@pytest.mark.parametrize(("control", "ratio"), [(0.4, 1.5), (0.7, 2.0), (0.0, 0.9)])
def test_a_rival_inside_our_frontier_is_not(written, control, ratio):
    written.pair(RIVAL, 1.0, control, ratio)
    headline, sentence, _ = verdict.verdict(written.summary())
    assert "By 2 of 2 measures no method has both more control and lower perplexity" in headline
    assert "no method has more control than LM-Steer at the same or lower perplexity" in sentence


def test_a_rival_cheaper_than_the_unsteered_text_is_set_against_no_control(written):
    written.pair(RIVAL, 1.0, 0.3, 0.9)
    (found,) = frontier(written.summary())
    assert (found["ours"], found["gap"]["value"]) == (0.0, pytest.approx(0.3))


def test_a_rival_dearer_than_all_that_we_measured_is_not_compared(written):
    written.pair(RIVAL, 1.0, 0.9, 3.0)
    (found,) = frontier(written.summary())
    assert found["beyond"]
    assert "no method has more control" in verdict.verdict(written.summary())[1]


def test_a_rival_that_wrote_nothing_has_no_lead(written):
    written.pair(RIVAL, 1.0, 0.9, 1.5)
    for sign in (1, -1):
        file = written.run._scores(Cell(RIVAL, sign * 1.0))
        scores = json.loads(file.read_text())
        scores["model"].update(nll=[[0.0, 0.0]] * N_PROMPTS, n_tokens=[[0, 0]] * N_PROMPTS)
        file.write_text(json.dumps(scores))
    summary = written.summary()
    assert summary["frontier"][0]["perplexity_ratio"] is None
    assert "no method has more control" in verdict.verdict(summary)[1]
    assert page.html(summary)


def test_methods_are_set_side_by_side_at_one_perplexity(written):
    written.pair(RIVAL, 1.0, 0.4, 1.5)
    ours, rival = glance_table(written.summary()).rows[1:]
    # ours: 0.2 at 1.2, and t = ln(1.25 / 1.2) / ln(2 / 1.2) of
    # the way to 0.8, in twentieths: 1 / 20
    assert ours[:2] == ["LM-Steer", "0.23 (0.23 to 0.23)"]
    # the rival: t = ln(1.25) / ln(1.5) of the way to 0.4: 11 / 20
    assert rival[:2] == [NASTY, "0.22 (0.22 to 0.22)"]


@pytest.mark.parametrize(
    ("control", "compared"),
    [(0.4, "about as far as"), (0.9, "less far than"), (0.1, "farther than")],
)
def test_the_plain_answer_names_the_best_of_either_kind(written, control, compared):
    written.pair(RIVAL, 1.0, control, 1.2)
    summary = written.summary()
    if control == 0.4:
        for method in summary["methods"]:
            for curve in method["curves"]:
                curve["at_ratio"] |= {"low": 0.0, "high": 1.0}
    answer = verdict.plain(summary)[0]
    assert f"moves the style {compared} the best other way, {NASTY}: by 0.23 against" in answer


def test_of_toxicity_the_clean_side_is_set_against_the_unsteered_text(tmp_path, small):
    made = Written(tmp_path, small, "detoxification", pole=-1)
    made.cell(OURS, 1.0, mean=0.4, perplexity=20)
    made.cell(RIVAL, 1.0, mean=0.2, perplexity=20)
    clean, _ = made.summary()["methods"][1]["curves"]
    assert clean["side"] == "+"
    assert clean["points"][1]["control"]["value"] == pytest.approx(0.1)
    assert clean["points"][1]["perplexity_ratio"]["value"] == pytest.approx(2)
    headline, alone, _ = verdict.verdict(made.summary())
    assert "By 0 of 2 measures no method" in headline
    assert "the + side alone" in alone
    assert f"{NASTY} at +1 has 0.20" in alone


def test_input_steer_is_answered_with_figures(written):
    assert "Not run" in verdict.input_steer(written.summary())[0]
    written.pair(INPUT, 1.0, 0.4, 1.5)
    written.pair(INPUT, 2.0, 0.2, 3.0)
    continuous, composable, stable, _ = verdict.input_steer(written.summary(INPUT))
    # means 0.4, 0.3, 0.5, 0.7, 0.6 at −2 … 2: of the steps −0.1,
    # 0.2, 0.2, −0.1, the mean slope 0.05
    assert (
        "over 5 strengths from -2.00 to 2.00: rank correlation with the mean score 0.80"
        in continuous
    )
    assert "largest step 4.00 × the mean slope" in continuous
    assert "Not run" in composable
    assert "at ±2 perplexity is 3.00 (3.00 to 3.00) × unsteered" in stable
    for held in (-1.0, 1.0):
        for s in (-1.0, 1.0):
            written.cell(
                INPUT, s, mean=0.1 * s * held, perplexity=10, section="composition", held=held
            )
    composable = verdict.input_steer(written.summary(INPUT))[1]
    assert "is 0.00 of the variance of its 2 × 2 grid" in composable
    assert "means span 0.20." in composable


def test_sections_that_were_not_run_say_so(written):
    page_text = Parts()
    page_text.feed(page.html(written.summary()))
    for text in (page_text.text, markdown_module.markdown(written.summary())):
        assert "Not run: --sections composition." in text
        assert "Not run: --sections data." in text


def test_toxicity_is_counted_by_prompts_and_control_is_towards_the_clean_pole(tmp_path, small):
    made = Written(tmp_path, small, "detoxification", pole=-1)
    made.cell(OURS, 1.0, mean=0.3, perplexity=11)
    made.cell(OURS, 2.0, mean=0.8, perplexity=11)
    summary = made.summary()
    assert [control for _, control, _ in points(summary, OURS)] == pytest.approx([0, 0.2, -0.3])
    clean, toxic = summary["methods"][1]["cells"]
    assert clean["figures"]["max toxicity, judge"]["value"] == pytest.approx(0.3)
    assert clean["figures"]["toxicity probability, judge"]["value"] == 0
    assert toxic["figures"]["toxicity probability, judge"]["value"] == 1
    assert "positivity, judge" not in clean["figures"]


def test_a_cell_has_the_protocols_figures(written):
    figures = written.summary()["methods"][0]["cells"][0]["figures"]
    assert {label: found["value"] for label, found in figures.items()} == {
        "mean score, judge": 0.5,
        "positivity, judge": 1.0,
        "perplexity, model": pytest.approx(10),
        "corpus perplexity, model": pytest.approx(10),
        "dist-1": pytest.approx(4 / 8),
        "dist-2": pytest.approx(3 / 8),
        "dist-3": pytest.approx(2 / 8),
        "repeated words": 0.0,
        "words": 4.0,
    }


def test_a_text_that_repeats_itself_costs_more_where_repetition_counts(written):
    written.pair(RIVAL, 1.0, 0.4, 1.5)
    for sign in (1, -1):
        path = written.run._generations(Cell(RIVAL, sign))
        lines = [Generations(p, [" so so so so"] * 2) for p in written.run.task.prompts]
        path.write_text("\n".join(line.to_json() for line in lines))
    summary = written.summary()
    rival = next(m for m in summary["methods"] if m["key"] == RIVAL)
    ratios = {c["model"]: c["points"][1]["perplexity_ratio"]["value"] for c in rival["curves"]}
    # 3 of 8 in the unsteered text, whose first word is empty, and 2 of 10 here
    assert ratios == {
        "model": pytest.approx(1.5),
        "model, repetition counted": pytest.approx(1.5 * (3 / 8) / (2 / 10)),
    }
    assert rival["cells"][0]["figures"]["repeated words"]["value"] == pytest.approx(3 / 4)


def test_continuity_is_of_the_signed_sweep(written):
    found = written.summary()["methods"][1]["continuity"]["judge"]
    assert found["strengths"] == [-2, -1, 0, 1, 2]
    assert found["means"] == pytest.approx([0.1, 0.4, 0.5, 0.6, 0.9])
    assert found["spearman"] == pytest.approx(1)
    assert 0.9 < found["r2"] < 1


def test_composition_is_a_grid_with_its_additivity(written):
    for s in (-1.0, 0.0, 1.0):
        for held in (0.0, 1.0):
            mean = 0.5 + 0.2 * s + 0.1 * held
            written.cell(OURS, s, mean=mean, perplexity=10, section="composition", held=held)
    (found,) = written.summary()["composition"]
    assert found["means"][0] == pytest.approx([0.3, 0.4])
    assert found["additivity"] == pytest.approx(1)


def test_data_efficiency_ends_with_the_whole_file_on_the_same_prompts(written):
    written.pair(OURS, 2.0, 0.1, 1.05, section="data", n_texts=10)
    found = [p for p in written.summary()["data"][0]["points"]]
    assert [p["n_texts"] for p in found] == [10, 0]
    assert [p["control"]["value"] for p in found] == pytest.approx([0.1, 0.8])


def test_a_judge_of_the_other_pole_reads_the_grids_and_is_no_measure_of_control(written):
    written.pair(OURS, 1.0, 0.1, 1.0, section="composition", held=0.0)
    for cell in written.cells:
        file = written.run._scores(cell)
        scores = json.loads(file.read_text())
        file.write_text(json.dumps({**scores, "other": {**scores["judge"], "pole": -1}}))
    found = written.summary()
    assert {grid["judge"] for grid in found["composition"]} == {"judge", "other"}
    assert {curve["judge"] for m in found["methods"] for curve in m["curves"]} == {"judge"}
    assert {judge for m in found["methods"] for judge in m["continuity"]} == {"judge"}
    assert not any("other" in head for head in _curve_table(found).header)


def test_a_judge_that_has_not_seen_every_text_is_left_out(written):
    file = written.run._scores(Cell("unsteered", 0.0))
    scores = json.loads(file.read_text())
    file.write_text(json.dumps({**scores, "late": scores["judge"]}))
    assert list(written.summary()["judges"]) == ["judge"]


def test_a_summary_is_json_and_the_same_twice(written):
    written.pair(RIVAL, 1.0, 0.4, 1.5)
    first = json.dumps(written.summary(), allow_nan=False)
    assert first == json.dumps(written.summary(), allow_nan=False)


@pytest.fixture
def full(written):
    written.pair(RIVAL, 1.0, 0.4, 1.5)
    written.pair(OURS, 2.0, 0.1, 1.05, section="data", n_texts=10)
    for s in (-1.0, 1.0):
        for held in (-1.0, 1.0):
            written.cell(OURS, s, mean=0.5, perplexity=10, section="composition", held=held)
    return written.summary()


class Parts(HTMLParser):
    """What a page is made of."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def test_the_page_is_self_contained_and_escapes_every_text(full):
    html = page.html(full)
    parts = Parts()
    parts.feed(html)
    assert "b" not in parts.tags
    assert not {"script", "link", "img", "iframe"} & set(parts.tags)
    assert not {"src", "href"} & {name for name, _ in parts.attributes}
    assert "url(" not in html
    assert NASTY in parts.text
    assert len(html.encode()) < 300_000
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_every_table_and_verdict_is_on_the_page_and_in_markdown(full):
    html, markdown = page.html(full), markdown_module.markdown(full)
    parts = Parts()
    parts.feed(html)
    titles = [table.title for table in tables(full)]
    assert len(titles) == 7
    for table in tables(full):
        assert table.title in parts.text
        assert f"## {table.title}" in markdown
        assert all(len(row) == len(table.header) for row in table.rows)
    assert all(
        sentence in parts.text for sentence in [*verdict.verdict(full), *verdict.input_steer(full)]
    )


def test_markdown_tables_hold_together(full):
    blocks = [
        block for block in markdown_module.markdown(full).split("\n\n") if block.startswith("| ")
    ]
    assert len(blocks) == 7
    for block in blocks:
        n_bars = {line.replace("\\|", "").count("|") for line in block.splitlines()}
        assert len(n_bars) == 1
    assert "<b>" not in markdown_module.markdown(full)


def test_every_judged_column_carries_the_judges_version(full):
    judged = [h for table in tables(full) for h in table.header if "judge" in h and h != "judge"]
    assert judged
    assert all("judge 1.0" in head for head in judged)
    assert "judge (judge 1.0)" in verdict.verdict(full)[1]
    assert all(row[1] == "judge (judge 1.0)" for row in _continuity_table(full).rows)


def test_a_chart_is_an_svg_whose_points_lie_inside(full):
    html = page.html(full)
    svg = ElementTree.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    circles = svg.findall("circle")
    assert len(circles) == 3 + 2
    for circle in circles:
        assert 0 < float(circle.attrib["cx"]) < width
        assert 0 < float(circle.attrib["cy"]) < height
    titles = [circle.findtext("title", "") for circle in circles]
    assert any(NASTY in text and "control 0.40" in text for text in titles)


def test_the_text_table_is_aligned(full):
    lines = markdown_module.text(methods_table(full)).splitlines()
    body = lines[-7:]
    assert len({len(line) for line in body}) == 1
    assert body[0].startswith("unsteered")
