"""The `boilerplate` fold: which lines are cut, against a plain definition; and what texts look like afterwards."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate import api
from curate.errors import InputError
from curate.folds.boilerplate import Boilerplate
from curate.folds.boilerplate.lines import lines_of
from curate.schema import SPANS, SPANS_TYPE
from curate.verdicts import cut_spans
from tests.folds.drive import run_fold, verdicts_of
from tests.helpers import batch_of, shared_data
from tests.runs import sentences

Doc = tuple[str | None, str | None]  # url, text


class Line(NamedTuple):
    """A line that is not blank: what it is compared by (empty: never cut) and where it stands, in bytes."""

    key: str
    start: int
    end: int
    before: int


def plain_lines(text: str) -> Iterator[Line]:
    """Yield the lines of a text, by the definition that `lines_of` follows for many texts at once."""
    raw = text.encode().split(b"\n")
    folded = [" ".join(line.split()) for line in re.sub(r"\d+", "0", text.lower()).split("\n")]
    starts = [0, *accumulate(len(line) + 1 for line in raw)]
    shown = [number for number, line in enumerate(folded) if line]
    ends = [*(starts[number] for number in shown[1:]), starts[-1] - 1]
    before, is_code = 0, False
    for number, end in zip(shown, ends, strict=False):  # a text without such a line has an end too
        line = folded[number]
        is_fence = line.startswith("```")
        stays = is_code or is_fence or line.endswith((";", "{", "}")) or not re.search(r"[^\W\d_]", line)
        yield Line("" if stays else line, starts[number], end, before)
        before = starts[number] + len(raw[number])
        is_code ^= is_fence


MENU = ["Home", "Latest news", "Sign in | Register", "© 2024 The Paper, all rights reserved"]


def run(docs: Sequence[Doc], folder: Path, cuts: Sequence[int] = (), **given: Any) -> list[dict[str, Any]]:
    """Run the fold over docs that are cut into shards; return each doc's text afterwards, and its columns."""
    folder.mkdir(parents=True)
    ends = [0, *sorted(min(c, len(docs)) for c in cuts), len(docs)]
    shards = [[batch_of(url=[u for u, _ in docs[a:b]], text=[t for _, t in docs[a:b]])] for a, b in pairwise(ends)]
    verdicts = verdicts_of(run_fold(Boilerplate(**given), shards, folder))
    numbers = [(shard, row) for shard, batches in enumerate(shards) for row in range(batches[0].num_rows)]
    found = [verdicts.get(place, {SPANS: None, "n_boilerplate_lines": 0, "boilerplate_frac": 0.0}) for place in numbers]
    texts = cut_spans(pa.array([t for _, t in docs], pa.string()), pa.array([f[SPANS] for f in found], SPANS_TYPE))
    return [{**f, "text": text} for f, text in zip(found, texts.to_pylist(), strict=True)]


def pages(n: int, *, site: str = "https://paper.example") -> list[Doc]:
    """Return pages of one site: two lines of menu, a body of their own, two lines of menu."""
    return [(f"{site}/{k}", "\n".join([*MENU[:2], sentences(k), sentences(100 + k), *MENU[2:]])) for k in range(n)]


def body(k: int) -> str:
    return f"{sentences(k)}\n{sentences(100 + k)}"


def test_what_all_pages_of_a_site_share_is_cut_and_the_rest_is_theirs(tmp_path: Path) -> None:
    found = run(pages(5), tmp_path / "run")
    assert [f["text"] for f in found] == [body(k) for k in range(5)]
    assert [f["n_boilerplate_lines"] for f in found] == [4] * 5
    whole = len(pages(1)[0][1] or "") + 1
    assert found[0]["boilerplate_frac"] == pytest.approx(sum(len(line.encode()) + 1 for line in MENU) / whole, abs=0.01)
    totals = json.loads((tmp_path / "run" / "out" / "boilerplate.json").read_text())
    assert (totals["n_docs"], totals["n_sites"], totals["n_docs_cut"], totals["n_lines_cut"]) == (5, 1, 5, 20)


def test_few_pages_are_no_reason(tmp_path: Path) -> None:
    for n, cut in ((2, False), (3, True)):
        found = run(pages(n), tmp_path / str(n))
        assert [f["text"] for f in found] == [body(k) if cut else text for k, (_, text) in enumerate(pages(n))]


def test_the_share_of_a_sites_pages_counts(tmp_path: Path) -> None:
    plain = [(f"https://paper.example/plain/{k}", body(k)) for k in range(20, 60)]
    docs = [*pages(4), *plain]  # 4 of 44 pages
    cut = [f["text"] for f in run(docs, tmp_path / "a", min_frac=0.09)]
    assert cut[:4] == [body(k) for k in range(4)]
    assert [f["text"] for f in run(docs, tmp_path / "b", min_frac=0.1)] == [text for _, text in docs]


def test_sites_are_looked_at_by_themselves_and_hosts_on_demand(tmp_path: Path) -> None:
    docs = [doc for k in range(4) for doc in pages(1, site=f"https://paper{k}.example")]
    assert [f["text"] for f in run(docs, tmp_path / "a")] == [text for _, text in docs]
    hosts = [(f"https://h{k}.paper.example/", text) for k, (_, text) in enumerate(pages(4))]
    assert [f["text"] for f in run(hosts, tmp_path / "b")] == [body(k) for k in range(4)]
    assert [f["text"] for f in run(hosts, tmp_path / "c", by="host")] == [text for _, text in hosts]


def test_a_page_that_was_fetched_often_is_not_emptied(tmp_path: Path) -> None:
    same = [(f"https://paper.example/?session={k}", f"{body(7)}\nUpdated {k}") for k in range(6)]
    assert [f["text"] for f in run(same, tmp_path / "a")] == [text for _, text in same]
    near = [(url, f"{text}\nSession {chr(97 + k)}") for k, (url, text) in enumerate(same)]
    found = run(near, tmp_path / "b")  # no two alike, but nearly all of each would go
    assert [f["text"] for f in found] == [text for _, text in near]
    assert all(f["boilerplate_frac"] > 0.9 and f["n_boilerplate_lines"] == 0 for f in found)
    assert json.loads((tmp_path / "b" / "out" / "boilerplate.json").read_text())["n_docs_left_whole"] == 6
    cut = run(near, tmp_path / "c", max_cut_frac=1.0)
    assert [f["text"] for f in cut] == [f"Session {chr(97 + k)}" for k in range(6)]


def test_case_digits_and_white_space_make_no_other_line(tmp_path: Path) -> None:
    notes = ["12 comments  so far", "3 Comments so far", "\t77 COMMENTS so\xa0far "]
    docs = [(f"http://a.example/{k}", f"{body(k)}\n{note}\nsent {'x' * k}") for k, note in enumerate(notes)]
    assert [f["text"] for f in run(docs, tmp_path / "a")] == [f"{body(k)}\nsent {'x' * k}" for k in range(3)]


def test_code_and_lines_without_letters_stay(tmp_path: Path) -> None:
    code = "int main() {\n    return 0;\n}\n---\n12 | 13"
    fenced = "```\nimport numpy as np\nx = 1\n```"
    docs = [(f"http://a.example/{k}", f"Menu\n{body(k)}\n{code}\n{fenced}\nFooter") for k in range(4)]
    assert [f["text"] for f in run(docs, tmp_path / "a")] == [f"{body(k)}\n{code}\n{fenced}" for k in range(4)]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("MENU\nown", "own"),
        ("own\nMENU", "own"),
        ("own\nMENU\nmore", "own\nmore"),
        ("own\n\nMENU\n\nmore", "own\n\nmore"),
        ("MENU\n\nown\n\nMENU", "own"),
        ("own\n\nMENU\n\n", "own"),
        ("own\n \nMENU\nTEASER\n\nmore\n", "own\n \nmore\n"),
        ("\n\nMENU\nown", "\n\nown"),
        ("öwn\nMENU\nTEASER", "öwn"),
        ("MENU\nTEASER", ""),
        ("own\r\nMENU\r\nmore\r\n", "own\r\nmore\r\n"),
    ],
)
def test_no_empty_lines_are_left(tmp_path: Path, text: str, left: str) -> None:
    others: list[Doc] = [(f"http://a.example/{k}", f"MENU\nTEASER\n{body(k)}") for k in range(3)]
    found = run([("http://a.example/x", text), *others], tmp_path / "a", max_cut_frac=1.0)
    assert found[0]["text"] == left


def test_docs_without_url_or_text_are_left_alone(tmp_path: Path) -> None:
    docs: list[Doc] = [(None, "MENU\nx"), ("urn:x", "MENU\nx"), ("http://a.example/", None), ("http://a.example/", "")]
    docs += [("http://a.example/b", "\n \n")] * 3 + [(None, "MENU\ny"), (None, "MENU\nz")]
    assert [f["text"] for f in run(docs, tmp_path / "a", min_docs=2)] == [text for _, text in docs]


LINES = st.lists(st.sampled_from(["menu", "Menu ", "", " ", "a1", "a2", "x;", "42", "é", "long line " * 5]), max_size=7)
DOCS = st.lists(st.tuples(st.sampled_from(["a", "b", "c.b"]), LINES), max_size=12)


def expected(docs: list[Doc], min_docs: int, min_frac: float, max_cut_frac: float) -> list[int]:
    """Return how many lines of each doc are cut, by the definition."""
    keys = [[line.key for line in plain_lines(text or "")] for _, text in docs]
    sites = [re.sub(r".*//(?:.*\.)?(.*\.example).*", r"\1", url or "") for url, _ in docs]
    pages, holders = defaultdict(set), defaultdict(set)
    for site, lines, (_, text) in zip(sites, keys, docs, strict=True):
        if text:
            pages[site].add(tuple(lines))
            for line in lines:
                holders[site, line].add(tuple(lines))
    found = []
    for site, lines, (_, text) in zip(sites, keys, docs, strict=True):
        n = [len(holders[site, line]) for line in lines]
        cut = [bool(k) and c >= min_docs and c >= min_frac * len(pages[site]) for k, c in zip(lines, n, strict=True)]
        spans = [line.end - line.start for line in plain_lines(text or "")]
        n_bytes = sum(size for size, is_cut in zip(spans, cut, strict=True) if is_cut)
        found.append(sum(cut) if n_bytes <= max_cut_frac * len((text or "").encode()) else 0)
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    docs=DOCS,
    cuts=st.lists(st.integers(0, 12), max_size=3),
    min_docs=st.integers(2, 4),
    min_frac=st.sampled_from([0.0, 0.3, 1.0]),
    max_cut_frac=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_any_docs_in_any_shards_are_cut_by_the_definition(
    tmp_path_factory: pytest.TempPathFactory,
    docs: list[tuple[str, list[str]]],
    cuts: list[int],
    min_docs: int,
    min_frac: float,
    max_cut_frac: float,
) -> None:
    limits = {"min_docs": min_docs, "min_frac": min_frac, "max_cut_frac": max_cut_frac}
    given_docs: list[Doc] = [(f"http://{site}.example/", "\n".join(lines)) for site, lines in docs]
    found = run(given_docs, tmp_path_factory.mktemp("run") / "a", cuts, **limits)
    assert [f["n_boilerplate_lines"] for f in found] == expected(given_docs, min_docs, min_frac, max_cut_frac)
    for (_, text), f in zip(given_docs, found, strict=True):
        kept = [line for line in f["text"].split("\n") if line.strip()]
        lines = [line for line in (text or "").split("\n") if line.strip()]
        assert len(lines) - len(kept) == f["n_boilerplate_lines"]
        rest = iter(lines)
        assert all(line in rest for line in kept)  # in their order


TEXTS = st.lists(st.text("aB12\n\n `;{\u2028\u0660é京\t\r\xa0\u3000_\x1c", min_size=1, max_size=50), max_size=6)


@given(TEXTS | st.lists(st.lists(st.sampled_from(["```", "x", "", "```py", "y;"])).map("\n".join), max_size=5))
def test_lines_are_those_of_the_definition(texts: list[str]) -> None:
    found = lines_of(pa.array(texts, pa.string()))
    places = zip(found.start.tolist(), found.end.tolist(), found.before.tolist(), strict=True)
    keys = [key.decode() if goes else "" for key, goes in zip(found.key.to_pylist(), found.may_go, strict=True)]
    lines = [(doc, Line(key, *place)) for doc, key, place in zip(found.doc.tolist(), keys, places, strict=True)]
    assert lines == [(doc, line) for doc, text in enumerate(texts) for line in plain_lines(text)]


def test_lines_of_real_pages_are_those_of_the_definition() -> None:
    path = shared_data("pages", "web-dev.gold.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as rows:
        texts = list(islice((text for row in rows if (text := json.loads(row).get("text"))), 600))
    found = lines_of(pa.array(texts, pa.string()))
    wanted = [line for text in texts for line in plain_lines(text)]
    assert len(wanted) > 5000
    assert found.start.tolist() == [line.start for line in wanted]
    assert found.end.tolist() == [line.end for line in wanted]
    differ = sum(
        key.decode().replace("ς", "σ") != line.key.replace("ς", "σ")  # Python alone knows where a word ends
        for key, line, goes in zip(found.key.to_pylist(), wanted, found.may_go.tolist(), strict=True)
        if goes
    )
    assert differ == 0


def test_thousands_of_docs_in_any_order(tmp_path: Path) -> None:
    docs = [doc for k in range(40) for doc in pages(25, site=f"http://s{k}.example")]
    order = random.Random(2).sample(range(len(docs)), len(docs))
    found = run([docs[i] for i in order], tmp_path / "a", [100, 333, 800])
    assert [f["text"] for f in found] == [body(i % 25) for i in order]


def test_wrong_parameters_are_refused() -> None:
    for given_, said in (({"min_docs": 1}, "2 or more"), ({"min_frac": 1.1}, "0 to 1"), ({"by": "page"}, "site, host")):
        with pytest.raises(InputError, match=said):
            Boilerplate(**given_)  # type: ignore[arg-type]


def test_a_run_cuts_accounts_and_shows_what_it_did(tmp_path: Path) -> None:
    rows = [{"url": url, "text": text} for url, text in pages(30)]
    for n in range(3):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows[n * 10 : n * 10 + 10])
        (tmp_path / f"{n}.jsonl").write_text("".join(lines))
    inputs = sorted(tmp_path.glob("*.jsonl"))
    out = tmp_path / "out"
    summary = api.run_step("boilerplate", inputs, out, workers=2, shard_bytes=20_000)
    assert [phase["docs"]["kept"] for phase in summary.phases] == [30, 30]
    table = pa.concat_tables([pq.read_table(file) for file in sorted((out / "documents").glob("*.parquet"))])
    assert sorted(table["text"].to_pylist()) == sorted(body(k) for k in range(30))
    assert set(table["n_boilerplate_lines"].to_pylist()) == {4}
    assert SPANS not in table.column_names
    assert json.loads((out / "boilerplate" / "boilerplate.json").read_text())["n_docs_cut"] == 30
    assert api.verify(out, deep=True).ok
    assert not api.run_step("boilerplate", inputs, out, workers=1, shard_bytes=20_000).wrote_anything
