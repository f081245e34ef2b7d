"""Mirrors curate/inputs.py and curate/sources/lists.py: what an input stands for, and what its files are called."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from curate import api
from curate.errors import InputError
from curate.inputs import expand, names_of
from curate.plan import Plan, make_plan
from curate.recipe import SourceSpec
from curate.sources.lists import COMMON_CRAWL
from curate.sources.remote.address import full
from tests.runs import crawl, curate, said_in_one_line
from tests.sources.build import PAGE, http_response, page, record
from tests.sources.remote import server as faults
from tests.sources.remote.server import serving

LINE = b'{"text": "x"}\n'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("a.jsonl", "b.jsonl", "deep/c.jsonl"):
        (tmp_path / "data" / name).write_bytes(LINE)
    return tmp_path / "data"


@pytest.mark.parametrize("ending", [".txt", ".list", ".paths", ".paths.gz", ".TXT"])
def test_a_list_file_stands_for_its_lines(data: Path, ending: str) -> None:
    lines = f"# comment\n\na.jsonl\r\n  deep/c.jsonl  \n{data}/b.jsonl\nhttps://user:pw@example.org/x.warc.gz?sig=1#f\n"
    path = data / f"inputs{ending}"
    path.write_bytes(gzip.compress(lines.encode()) if ending.endswith(".gz") else b"\xef\xbb\xbf" + lines.encode())
    local = [str(data / name) for name in ("a.jsonl", "deep/c.jsonl", "b.jsonl")]
    assert expand(path.name, str(data)) == [*local, "https://example.org/x.warc.gz"]


def test_lines_start_at_the_base_that_is_given(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "my.list"
    path.write_text("a.jsonl\ncrawl-data/x.warc.gz\n")
    assert expand(str(path), ".", "s3://commoncrawl") == [
        "s3://commoncrawl/a.jsonl", "s3://commoncrawl/crawl-data/x.warc.gz",
    ]  # fmt: skip
    found = expand(str(path), ".", "https://me:pw@h.example/y/?key=1")
    assert found[0] == "https://h.example/y/a.jsonl"
    assert full(found[0]) == "https://me:pw@h.example/y/a.jsonl?key=1"
    path.write_text("a.jsonl\ndeep/c.jsonl\n")
    assert expand(str(path), ".", str(data)) == [str(data / "a.jsonl"), str(data / "deep/c.jsonl")]


def test_a_path_list_of_common_crawl_works_as_it_is(tmp_path: Path) -> None:
    lines = [f"crawl-data/CC-MAIN-2024-10/segments/1.2/warc/CC-MAIN-{n:05}.warc.gz" for n in range(90_000)]
    path = tmp_path / "warc.paths.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    found = expand(str(path), ".")
    assert found == [COMMON_CRAWL + line for line in lines]
    assert names_of(found)[:1] == ["CC-MAIN-00000.warc.gz"]
    (tmp_path / lines[0]).parent.mkdir(parents=True)
    (tmp_path / lines[0]).write_bytes(b"a copy")
    path.write_bytes(gzip.compress(lines[0].encode()))
    assert expand(str(path), ".") == [str(tmp_path / lines[0])]


def test_a_list_may_lie_on_a_server() -> None:
    with serving(**{"cc/warc.paths.gz": gzip.compress(b"crawl-data/a.warc.gz\nnear.warc.gz\n/abs.warc.gz")}) as server:
        assert expand(server.url("cc/warc.paths.gz"), ".") == [
            COMMON_CRAWL + "crawl-data/a.warc.gz", server.url("cc/near.warc.gz"), server.url("cc/abs.warc.gz"),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a.jsonl\nmissing.jsonl\n", r"line 2: is read as a list of inputs, and there is no such file: missing.jsonl"),
        (
            b"a.jsonl\n\n# c\nftp://x/y\n",
            r"line 4: ftp://x/y: inputs are local files, or s3://, https://, http:// URLs",
        ),
        (b"Some prose that somebody wrote.", "line 1: is read as a list of inputs, and there is no such file"),
        (b"a.jsonl\x1b[31m\n", "line 1: is read as a list of inputs, and this line is no path or URL"),
        (b"x" * 10_000, "line 1: is read as a list of inputs, and this line is no path"),
        (b"deep\n", "line 1: is read as a list of inputs, and there is no such file: deep"),
        (b"# nothing\n", "the list names no inputs"),
        (b"caf\xe9.jsonl", "not UTF-8"),
        (b"https:///x\n", "line 1: https:///x: not a URL"),
    ],
)
def test_a_list_that_is_wrong_is_refused_with_its_line(data: Path, content: bytes, said: str) -> None:
    (data / "my.list").write_bytes(content)
    with pytest.raises(InputError, match=said) as raised:
        expand("my.list", str(data))
    assert "my.list" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_list_that_is_cut_or_a_bomb_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"a.jsonl\n" * 100_000)
    (data / "x.paths.gz").write_bytes(packed[:-20])
    with pytest.raises(InputError, match="ends inside its gzip data"):
        expand("x.paths.gz", str(data))
    monkeypatch.setattr("curate.sources.lists.MAX_LIST_BYTES", 100_000)
    (data / "x.paths.gz").write_bytes(packed)
    with pytest.raises(InputError, match="a list may have"):
        expand("x.paths.gz", str(data))


def test_what_holds_docs_is_no_list_whatever_it_is_called(data: Path) -> None:
    (data / "docs.txt").write_bytes(LINE)
    assert expand("docs.txt", str(data)) == [str(data / "docs.txt")]
    (data / "table.txt").write_bytes(b"id,text\n1,x\n")
    assert expand("table.txt", str(data)) == [str(data / "table.txt")]


def test_a_list_inside_a_folder_is_no_input_of_that_folder(data: Path) -> None:
    """A crawl's folder holds its list beside its files; reading both would read each file twice."""
    (data / "files.list").write_text("a.jsonl\n")
    with pytest.raises(InputError, match=r"files.list: not a .*; to leave it out, name the inputs by a glob"):
        make_plan([SourceSpec("web", (str(data),))], 1 << 30)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://example.org/x", "inputs are local files, or"),
        ("file:///etc/passwd", "inputs are local files, or"),
        ("https://", "not a URL"),
        ("https://example.org", "web servers list no folders"),
        ("https://example.org/folder/", "web servers list no folders"),
        ("https://example.org/*.gz", "globs work on local paths and s3:// only"),
        ("https://example.org:99999/x", "not a URL"),
        ("https://example.org/a b", "not a URL"),
        ("https://[::1/x", "not a URL"),
        ("s3://", "not an address of the form"),
        ("s3:///key", "not an address of the form"),
    ],
)
def test_urls_that_name_no_file_are_refused(url: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        expand(url, ".")


def test_names_are_relative_to_the_common_root_wherever_files_lie() -> None:
    assert names_of(["/a/b/c.gz", "/a/d.gz"]) == ["b/c.gz", "d.gz"]
    assert names_of(["https://h/a/b/c.gz", "https://h/a/d.gz"]) == ["b/c.gz", "d.gz"]
    assert names_of(["https://h/a/b/c.gz"]) == ["c.gz"]
    assert names_of(["s3://one/a/x.gz", "s3://two/a/x.gz"]) == ["one/a/x.gz", "two/a/x.gz"]
    assert names_of(["s3://one/ab/x.gz", "s3://one/ac/x.gz"]) == ["ab/x.gz", "ac/x.gz"]
    assert names_of(["s3://h/a/x", "https://h/a/y"]) == ["x", "y"]
    with pytest.raises(InputError, match="no common root"):
        names_of(["/a/b.gz", "s3://one/b.gz"])


def test_one_name_for_two_inputs_is_refused() -> None:
    with serving(**{"x/a.jsonl": LINE}) as server:
        url = server.url("x/a.jsonl")
        with pytest.raises(InputError, match="given twice"):
            make_plan([SourceSpec("web", (url + "?sig=1", url + "?sig=2"))], 1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WAIT_S": "0.001", "MAX_WAIT_S": "0.002", "TRIES": "4"}.items():
        monkeypatch.setenv(f"CURATE_REMOTE_{name}", value)


def _plan(*paths: str, shard_bytes: int = 3000, **given: object) -> Plan:
    return make_plan([SourceSpec("web", tuple(paths), **given)], shard_bytes)  # type: ignore[arg-type]


def test_a_remote_plan_has_sizes_and_etags_from_one_small_request_a_file(tmp_path: Path, quick: None) -> None:
    folder = crawl(tmp_path / "in", n_files=9, n_pages=3)
    (folder / "lines.jsonl").write_bytes(LINE * 500)
    with serving() as server:
        for file in sorted(folder.iterdir()):
            server.files[f"c/{file.name}"] = file.read_bytes()
        server.faults.extend([faults.status(503), faults.reset] * 3)
        urls = [server.url(f"c/{file.name}") for file in folder.iterdir()]
        remote = _plan(*urls)
        local = _plan(str(folder))
        n_files = len(urls)
        assert len(server.requests) <= n_files + 6 + 1  # and one to see that the lines are not compressed
        assert all(headers["range"] == "bytes=0-4095" for _, headers in server.requests)
        assert remote.inputs == local.inputs
        assert remote.etags == {name.removeprefix("c/"): faults.etag_of(d) for name, d in server.files.items()}
        assert [[s.name for s in shard.slices] for shard in remote.shards] == [
            [s.name for s in shard.slices] for shard in local.shards
        ]
        assert _plan(*reversed(urls)) == remote
        assert Plan.from_json(json.loads(json.dumps(remote.to_json()))) == remote
        server.files["c/lines.jsonl"] = LINE.replace(b"x", b"y") * 500
        assert _plan(*urls).key != remote.key


def test_a_remote_input_that_is_not_there_ends_the_plan_at_once(quick: None) -> None:
    with serving() as server:
        server.files.update({f"{n}.jsonl": LINE for n in range(300)})
        urls = [server.url(f"{n}.jsonl") for n in range(301)]
        del server.files["0.jsonl"]
        with pytest.raises(InputError, match=r"/0.jsonl: no such file"):
            _plan(*urls)
        assert len(server.requests) < 100


def test_how_a_source_is_read_goes_into_slices_and_key(data: Path) -> None:
    path = str(data / "a.jsonl")
    plain = _plan(path)
    for given in ({"check_digests": True}, {"text_column": "body"}, {"url_column": "link"}):
        plan = _plan(path, **given)
        assert plan.key != plain.key
        for name, value in given.items():
            assert getattr(plan.shards[0].slices[0], name) == value


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), -float("inf")])
def test_a_weight_is_a_number_above_zero(weight: float) -> None:
    with pytest.raises(InputError, match="`weight` is a number above 0"):
        SourceSpec("web", ("x",), weight)


def test_many_small_files_are_packed_into_few_shards(tmp_path: Path) -> None:
    for n in range(300):
        (tmp_path / f"{n:03}.html").write_text(f"<html><p>page {n}</p></html>")
    plan = _plan(str(tmp_path), shard_bytes=2000)
    assert len(plan.shards) <= 6
    assert sum(len(shard.slices) for shard in plan.shards) == 300
    assert {s.kind for shard in plan.shards for s in shard.slices} == {"html"}


def test_options_of_a_run_say_how_all_its_sources_are_read(tmp_path: Path) -> None:
    block = http_response(PAGE.format("words that are not those of the digest"))
    wrong = record(block, extra=["WARC-Block-Digest: sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
    (tmp_path / "a.warc").write_bytes(page(1) + wrong)
    recipe = tmp_path / "r.yaml"
    recipe.write_text("sources:\n  - {name: crawl, paths: [a.warc], weight: 2}\nsteps: [extract]\n")
    for given, n_docs in (((), 2), (("--check-digests",), 1)):
        result = curate("run", recipe, *given, "-o", tmp_path / f"out{n_docs}", "--json")
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout)["phases"][0]["docs"]["in"] == n_docs
    again = curate("run", recipe, "-o", tmp_path / "out1")
    assert again.returncode == 2
    assert "planned for other inputs (they were read by other options)" in said_in_one_line(again)
    _, plan, _ = api.plan(str(recipe), check_digests=True)
    assert plan.shards[0].slices[0].check_digests
    assert plan.shards[0].slices[0].source == "crawl"
