"""Mirrors train/run_page.py and train/metrics.py: the page is whole, safe and shows what the log says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from train.curves import MAX_POINTS, round_steps
from train.errors import ConfigError
from train.metrics import MetricsLog, read_metrics
from train.peaks import peak_flops
from train.run_page import render_run


def rows(n_steps: int, source: str = "web") -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [{"step": i + 1, "loss": 9.0 - i / n_steps} for i in range(n_steps)]
    score = {
        "split": "val",
        "source": source,
        "nats_per_token": 8.5,
        "n_docs": 3,
        "n_tokens": 1234,
        "perplexity": 4914.8,
    }
    return [*steps, {"step": n_steps, **score, "bits_per_byte": 2.5}]


def test_the_page_is_self_contained_and_escaped() -> None:
    page = render_run("run <1>", {"preset": "<script>alert(1)</script>"}, rows(10, source='<img src=x onerror="y">'))
    assert "<script" not in page
    assert "<img" not in page
    assert "run &lt;1&gt;" in page
    assert not re.search(r"(src|href)=", page.replace("&lt;img src=x", ""))
    assert "2.5000" in page


@pytest.mark.parametrize("n_steps", [1, 2, 60, 3 * MAX_POINTS + 1])
def test_the_curve_has_a_point_per_step_up_to_a_limit(n_steps: int) -> None:
    found = re.search(r'<polyline class="loss" points="([^"]*)"', render_run("run", {}, rows(n_steps)))
    assert found is not None
    points = [tuple(map(float, point.split(","))) for point in found[1].split()]
    assert len(points) == (n_steps if n_steps <= MAX_POINTS else pytest.approx(MAX_POINTS, rel=0.3))
    heights = [y for _, y in points]
    assert heights == sorted(heights)  # the loss falls: lower on the page is a larger y
    assert all(0 <= x <= 760 and 0 <= y <= 320 for x, y in points)


def test_no_steps_and_no_held_out_documents_are_said() -> None:
    page = render_run("run", {}, [])
    assert "No step was taken yet." in page
    assert "no held-out documents" in page


def test_steps_to_be_done_again_leave_the_log(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, 0)
    for step in range(1, 6):
        log.add({"step": step, "loss": 1.0})
    log.close()
    with path.open("a") as file:
        file.write('{"step": 6, "lo')  # cut short by a crash
    log = MetricsLog(path, keep_to_step=3)
    log.add({"step": 4, "loss": 2.0})
    log.close()
    assert [(row["step"], row["loss"]) for row in read_metrics(path)] == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0)]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_number_that_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        MetricsLog(tmp_path / "metrics.jsonl", 0).add({"step": 1, "loss": float("nan")})


def test_peaks_are_found_by_the_name_of_the_device() -> None:
    assert peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_flops("NVIDIA H100 PCIe") == 756e12
    assert peak_flops("NVIDIA A100-SXM4-40GB") == 312e12
    assert peak_flops("Some future device") is None


def score(split: str = "val", step: int = 10, **more: Any) -> dict[str, Any]:
    figures = {"nats_per_token": 2.0, "perplexity": 7.389, "bits_per_byte": 1.25, "n_docs": 3, "n_tokens": 1234}
    return {"step": step, "split": split, "source": "web", **figures, **more}


def test_sources_have_curves_and_tables_of_the_last_scores() -> None:
    metrics = [*rows(20)[:-1], score(step=10), score(step=20, nats_per_token=1.5, perplexity=4.4817)]
    metrics += [score(step=20, source="books", bits_per_byte=None)]
    page = render_run("run", {}, metrics)
    curves = re.findall(r'<polyline class="held c(\d)" points="([^"]*)"', page)
    assert [(colour, len(points.split())) for colour, points in curves] == [("0", 2), ("1", 1)]
    assert "<td>web</td>" in page
    assert '<td class="number">1.5000</td><td class="number">4.48</td><td class="number">1.2500</td>' in page
    assert '<td class="number">2.0000</td><td class="number">7.39</td><td class="number">no text</td>' in page
    assert page.count("<td>web</td>") == 1  # the scores of step 10 are in the curve


def test_domains_stand_in_a_table_of_their_own() -> None:
    page = render_run("run", {}, [*rows(5), score("val-domain", 5, domain="a.example")])
    assert "<td>web</td><td>a.example</td>" in page
    assert "largest domains" in page
    assert "largest domains" not in render_run("run", {}, rows(5))


def test_samples_are_shown_as_text_whatever_the_model_writes() -> None:
    hostile = "one\n<script>alert(1)</script>\u202eabc\x1b[31m\x00\u200b&amp;"
    metrics = [*rows(5), {"step": 5, "split": "sample", "prompt": "The <b>", "text": hostile}]
    page = render_run("run", {}, metrics)
    assert "<script" not in page
    assert not re.search("[\x00-\x09\x0b-\x1f\u200b\u202a-\u202e]", page)
    assert "one\n&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}abc\\u{1b}[31m\\u{0}\\u{200b}&amp;amp;</pre>" in page
    assert "After “The &lt;b&gt;”" in page


@pytest.mark.parametrize("last", [1, 2, 9, 10, 60, 999, 1_000, 123_456])
def test_steps_under_the_curve_are_few_and_round(last: int) -> None:
    shown = round_steps(last)
    assert shown[0] == 0
    assert 2 <= len(shown) <= 6
    assert shown[-1] <= last
    assert all(step % 10 ** (len(str(shown[1])) - 1) == 0 for step in shown)


@pytest.mark.parametrize("line", [b"\xff", b"{", b"[1]", b'{"loss": 1.0}', b'{"step": "3"}', b"\0\0", b"[" * 100_000])
def test_a_damaged_line_of_the_log_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1, "loss": 2.0}\n' + line)
    assert len(read_metrics(path)) == 1  # cut short by a crash
    path.write_bytes(b'{"step": 1, "loss": 2.0}\n' + line + b"\n")
    with pytest.raises(ConfigError, match=r"metrics.jsonl:2 is damaged"):
        read_metrics(path)
