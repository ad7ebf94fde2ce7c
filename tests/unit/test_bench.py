"""The bench's own arithmetic: a wrong ratio would be worse than none."""

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from app.domain.commands import OpeningRow
from bench import functions, load, machine, plots, report
from bench.client import Job, Measured, end_of_http, percentiles
from bench.options import FAMILIES, Options, quick
from bench.report import Results, Target
from bench.run import CpuWatch
from bench.targets import TARGETS

ROOT = Path(__file__).parents[2]


def measured(requests=100, seconds=2.0, answers=None, **more):
    answers = answers if answers is not None else {"200": requests}
    latency = {"p50": 1.0, "p99": 3.0}
    return Measured(
        tool="t",
        requests=requests,
        everything=requests,
        seconds=seconds,
        answers=answers,
        latency_ms=latency,
        **more,
    )


def results(**values):
    made = Results()
    for key, rounds in values.items():
        for value in rounds:
            made.add(key, f"the {key}", value)
    return made


# Figures and targets


@pytest.mark.parametrize(
    ("ours", "theirs", "bound", "reached", "word"),
    [
        ([200.0], [100.0], 2, 2.0, "OK"),
        ([199.0], [100.0], 2, 1.99, "below"),
        # The ratio of each round: a slow minute of the machine slows both sides of it.
        ([200.0, 20.0, 220.0], [100.0, 10.0, 100.0], 2, 2.0, "OK"),
        # An interrupted run compares the rounds that both sides have.
        ([200.0, 400.0], [100.0], 2, 2.0, "OK"),
    ],
)
def test_a_ratio_is_the_median_of_the_rounds_ratios(ours, theirs, bound, reached, word):
    verdict = results(a=ours, b=theirs).judge(Target("a to b", "a", bound, against="b"))
    assert verdict.reached == pytest.approx(reached)
    assert verdict.word == word


@pytest.mark.parametrize(
    ("values", "word"), [([250.0], "OK"), ([251.0], "above"), ([1.0, 9000.0, 2.0], "OK")]
)
def test_a_value_may_be_at_most_the_bound(values, word):
    assert results(lag=values).judge(Target("lag", "lag", 250, at_most=True)).word == word


def test_what_was_not_measured_has_no_verdict():
    made = results(a=[1.0])
    for target in (Target("", "a", 1, against="b"), Target("", "b", 1), Target("", "b", 1, against="a")):
        assert made.judge(target).word == "not measured"
        assert made.judge(target).reached is None


def test_a_figure_keeps_every_round_and_tells_other_answers():
    made = Results()
    made.add_load("g", "locks", measured(), "200")
    made.add_load("g", "locks", measured(300, 2.0, {"200": 290, "503": 10}, examples={"503": "why"}), "200")
    figure = made.figures["g"]
    assert figure.values == [50.0, 150.0]
    assert figure.median == 100.0
    assert figure.p99_ms == [3.0, 3.0]
    (note,) = figure.notes
    assert note.startswith("10 of 300")
    assert note.endswith("why")


def test_the_targets_are_of_figures_that_exist_and_the_issue_names_them_all():
    families = {target.key.partition(".")[0] for target in TARGETS}
    assert families <= set(FAMILIES)
    bounds = [target.bound for target in TARGETS]
    assert {2.5, 1.2, 20, 0.85, 6, 12, 1.25, 250, 0.9, 200, 450} == set(bounds)


def test_json_and_tables_show_everything():
    made = results(a=[1.0, 3.0], b=[2.0, 2.0])
    made.add_point("reads", "a", 64, measured())
    verdicts = [made.judge(Target("a to b", "a", 1, against="b")), made.judge(Target("c", "c", 1))]
    told = json.loads(report.as_json(made, verdicts, {"cores": 2}))
    assert told["figures"][0]["median"] == 2.0
    assert [target["verdict"] for target in told["targets"]] == ["OK", "not measured"]
    assert told["targets"][0]["per_round"] == [0.5, 1.5]
    assert told["curves"]["reads"]["a"][0]["rate"] == 50.0
    console = Console(width=150, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    report.print_tables(made, verdicts, console)
    console.file.close()
    said = console.export_text()
    assert "a to b" in said
    assert "not measured" in said


@pytest.mark.parametrize(
    ("value", "text"), [(0.8512, "0.85"), (2.5, "2.50"), (123.45, "123.5"), (29_000.4, "29,000"), (0, "0.00")]
)
def test_figures_have_the_digits_they_deserve(value, text):
    assert report.shown(value) == text


# Plots


def test_plots_are_svg_with_a_line_for_each_series(tmp_path):
    made = Results()
    for connections in (1, 4, 64):
        for name in ("ours & <theirs>", "bare"):
            made.add_point("reads", name, connections, measured(connections * 1000))
    made.add_point("catalogue", "locks", 1000, measured())  # a single point has no width
    written = plots.write_plots(tmp_path / "plots", made)
    assert sorted(path.name for path in written) == [
        "catalogue-latency.svg",
        "catalogue-rate.svg",
        "reads-latency.svg",
        "reads-rate.svg",
    ]
    for path in written:
        root = ET.fromstring(path.read_text())  # noqa: S314 - our own
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    lines = ET.parse(tmp_path / "plots" / "reads-rate.svg").getroot().findall("{*}polyline")  # noqa: S314
    assert len(lines) == 2
    for line in lines:
        for point in line.attrib["points"].split():
            left, top = map(float, point.split(","))
            assert 0 <= left <= plots.WIDTH
            assert 0 <= top <= plots.HEIGHT


def test_a_chart_of_nothing_but_zeros_can_be_drawn():
    assert ET.fromstring(plots.chart("t", "x", "y", {"a": [(1, 0.0), (10, 0.0)]})) is not None  # noqa: S314


# The client


ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 5\r\nETag: x\r\n\r\nhello"


@pytest.mark.parametrize("cut", range(len(ANSWER)))
def test_an_answer_cut_anywhere_is_incomplete(cut):
    assert end_of_http(ANSWER[:cut]) == -1


@pytest.mark.parametrize("rest", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_an_answer_ends_where_its_length_says(rest):
    assert end_of_http(ANSWER + rest) == len(ANSWER)
    assert end_of_http(ANSWER.replace(b"Content-Length", b"content-length") + rest) == len(ANSWER)


def test_an_answer_without_a_body_ends_with_its_head():
    answer = b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n"
    assert end_of_http(answer) == len(answer)


def test_a_length_in_the_body_is_no_header():
    answer = b"HTTP/1.1 204 No Content\r\n\r\ncontent-length: 900"
    assert end_of_http(answer) == answer.index(b"content-length")


def test_percentiles_are_by_nearest_rank_in_ms():
    assert percentiles([number / 1000 for number in range(1, 101)]) == {
        "p50": 50.0,
        "p90": 90.0,
        "p99": 99.0,
        "max": 100.0,
    }
    assert percentiles([0.002]) == {"p50": 2.0, "p90": 2.0, "p99": 2.0, "max": 2.0}
    assert percentiles([]) == {}


def test_ids_fill_the_place_that_was_built_for_them():
    prefix = load.fresh_prefix()
    assert prefix != load.fresh_prefix()
    assert len(prefix + f"{7:012x}") == len(load.ID_MARK)
    before, after = load.lock_request(["A", "B"])
    request = before + load.ID_MARK.encode() + after
    head, _, body = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert [line["sku"] for line in json.loads(body)["lines"]] == ["A", "B"]


def test_a_function_call_is_what_the_hot_store_sends():
    calls = functions.Functions("7")
    words = functions.words_of(calls.lock(["A", "B"]), "x" * 20)
    assert words[0] == b"FCALL"
    assert words[1].startswith(b"lock_")
    assert words[4] == b"7"
    assert b"x" * 20 in words
    opening = calls.opening([OpeningRow("A", "north", 5)])
    assert opening[1].startswith("opening_")


def test_wrk_is_read():
    figures = '"requests":10,"micros":2000000,"refused":2,"broken":0,"p50":1500,"p90":2,"p99":3,"max":4'
    said = f"Running 1s test\n{{{figures}}}\n"
    told = load.measured_by_wrk(said)
    assert told.rate == 5.0
    assert told.answers == {"200": 8, "4xx or 5xx": 2}
    assert told.latency_ms["p50"] == 1.5
    with pytest.raises(load.BrokenLoadError):
        load.measured_by_wrk("unable to connect")


def test_a_job_survives_the_pipe():
    job = Job(port=1, protocol="http", requests=[(b"a", b"b")], connections=1, seconds=1.0, id_prefix="p")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(job), type=Job) == job


# The run


def test_quick_keeps_what_was_not_made_smaller():
    assert quick(Options(only=frozenset("a"))).only == {"a"}
    assert quick(Options()).rounds == 1


def test_where_cores_cannot_be_named_nothing_is_pinned(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: ())
    free = machine.placement("shared")
    assert free.http == ()
    with machine.on_cores(free.http):
        pass


def test_two_cores_carry_three_parties(monkeypatch):
    monkeypatch.setattr(machine, "usable_cores", lambda: (4, 6, 8))
    shared, apart = machine.placement("shared"), machine.placement("apart")
    assert (shared.http, shared.databases, shared.load) == ((4,), (6,), (6,))
    assert (apart.http, apart.databases, apart.load) == ((4,), (6,), (4,))


@pytest.mark.tier
def test_a_run_writes_its_figures(tmp_path):
    asked = ["--quick", "--only", "a", "--seconds", "0.2", "--dir", str(tmp_path), "--plots", str(tmp_path)]
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "bench", *asked, "--json", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    told = json.loads(out.read_text())
    (figure,) = told["figures"]
    assert figure["key"] == "a"
    assert figure["notes"] == []
    assert figure["median"] > 0
    assert (tmp_path / "reads-rate.svg").exists()


def test_cpu_time_is_told_by_process():
    watch = CpuWatch({"us": os.getpid(), "gone": 2**30})
    deadline = time.process_time() + 0.05
    while time.process_time() < deadline:
        pass
    told = watch.micros_each(10)
    assert set(told) == {"us", "gone", "load"}
    assert told["gone"] == 0
    assert told["us"] >= (0 if sys.platform != "linux" else 1000)
