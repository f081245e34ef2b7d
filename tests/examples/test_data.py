"""The example crawl is what its README says: valid to the digest, small, and built by its script from its sources."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers import ROOT, shared_data

DATA = ROOT / "examples" / "data"
FILES = sorted(DATA.glob("crawl-*.warc.gz"))


def test_there_are_eight_small_files() -> None:
    assert [path.name for path in FILES] == [f"crawl-{n}.warc.gz" for n in range(8)]
    assert sum(path.stat().st_size for path in FILES) < 4_000_000


def test_the_counts_are_those_of_the_readme() -> None:
    warcio = pytest.importorskip("warcio.archiveiterator")
    kinds, n_ok_html, codings = Counter[str](), 0, Counter[str]()
    for path in FILES:
        with path.open("rb") as file:
            for record in warcio.ArchiveIterator(file):
                kinds[record.rec_type] += 1
                if record.rec_type == "response":
                    headers = record.http_headers
                    html = (headers.get_header("Content-Type") or "").startswith("text/html")
                    n_ok_html += html and headers.get_statuscode() == "200"
                    codings[
                        headers.get_header("Content-Encoding") or headers.get_header("Transfer-Encoding") or ""
                    ] += 1
    assert kinds == {"response": 890, "request": 890, "metadata": 391, "warcinfo": 8, "revisit": 8}
    assert n_ok_html == 847
    assert (codings["gzip"], codings["chunked"]) == (39, 9)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_digest_holds(path: Path) -> None:
    pytest.importorskip("warcio")
    check = [sys.executable, "-m", "warcio.cli", "check", str(path)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_script_builds_the_same_bytes(tmp_path: Path) -> None:
    sources = shared_data("pages").parent
    script = [sys.executable, str(ROOT / "examples" / "make_data.py"), str(sources), "-o", str(tmp_path)]
    environment = {"PATH": "", "PYTHONPATH": str(ROOT / "examples")}
    subprocess.run(script, check=True, capture_output=True, env=environment)
    for path in FILES:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
