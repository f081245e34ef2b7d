"""Whole runs over HTTP and S3: the same documents as from local files, and failures that stay with their shard."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from curate import api
from curate.errors import InputError, ShardsFailed
from tests.runs import contents, crawl, curate, recipe_file, said_in_one_line
from tests.sources.remote import server as faults
from tests.sources.remote.conftest import QUICK
from tests.sources.remote.server import Server, serving

STEPS = ({"extract": {"save": True}}, {"dedup": {"method": "exact"}})


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = crawl(tmp_path / "in", n_files=3)
    (folder / "deep").mkdir()
    (folder / "deep" / "lines.jsonl").write_text('{"text": "some words on a line"}\n' * 400)
    (folder / "page.html").write_text("<html><body><p>A page that somebody saved.</p></body></html>")
    (folder / "table.csv").write_text('text,id\n"one\ntwo",1\n')
    return folder


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)


def _serve(server: Server, folder: Path, prefix: str = "crawl") -> list[str]:
    names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    for name in names:
        server.files[f"{prefix}/{name}"] = (folder / name).read_bytes()
    return [server.url(f"{prefix}/{name}") for name in names]


def _moody(seed: int) -> faults.Fault:
    """A server that fails every other time, differently each time."""
    draw = random.Random(seed)
    kinds = [
        faults.reset, faults.status(503, retry_after="0"), faults.status(429), faults.breaks_off(500),
        faults.breaks_off(3000, reset=True), faults.shorter(700), faults.shifted(3),
    ]  # fmt: skip

    def fault(handler: faults.Handler, data: bytes) -> bool:
        return draw.random() < 0.35 and draw.choice(kinds)(handler, data)

    return fault


@pytest.mark.slow
def test_a_run_over_http_gives_the_bytes_of_the_local_run_however_the_server_behaves(
    tmp_path: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_file(tmp_path / "recipe", *STEPS, shard_bytes=5000)
    api.run(recipe, [inputs], tmp_path / "local")
    monkeypatch.setenv("CURATE_REMOTE_TRIES", "30")
    with serving() as server:
        urls = _serve(server, inputs)
        server.always = _moody(1)
        api.run(recipe, urls, tmp_path / "remote")
        assert len(server.requests) > 2 * len(urls)
    assert contents(tmp_path / "remote") == contents(tmp_path / "local")
    verdict = api.verify(tmp_path / "remote", deep=True)
    assert verdict.ok
    assert verdict.n_docs_kept > 10


def test_a_list_on_a_server_with_signed_addresses_runs_and_no_secret_is_stored(tmp_path: Path, inputs: Path) -> None:
    recipe = recipe_file(tmp_path / "recipe", "extract")
    out = tmp_path / "out"
    with serving() as server:
        urls = _serve(server, inputs)
        signed = [url.replace("http://", "http://me:s3cret@") + "?X-Amz-Signature=abc123" for url in urls]
        server.files["lists/all.paths"] = "\n".join(signed).encode()
        listing = server.url("lists/all.paths?token=t0ken")
        result = curate("run", recipe, listing, "-o", out, **QUICK)
        assert result.returncode == 0, result.stderr
        assert all("abc123" in path for path, _ in server.requests if path.startswith("/crawl"))
        again = curate("run", recipe, listing, "-o", out, **QUICK)
        assert "nothing to do" in again.stdout, again.stderr
        del server.files["crawl/page.html"]
        failed = curate("run", recipe, listing, "-o", tmp_path / "other", **QUICK)
        assert (failed.returncode, (tmp_path / "other").exists()) == (2, False)
        assert "crawl/page.html: no such file" in said_in_one_line(failed)
    stored = b"".join(file.read_bytes() for file in out.rglob("*") if file.is_file())
    said = (result.stdout + result.stderr + again.stderr + failed.stderr).encode()
    assert not [word for word in (b"abc123", b"s3cret", b"t0ken", b"Signature") if word in stored + said]


def test_an_object_that_changes_after_the_plan_fails_its_shard_alone(tmp_path: Path, inputs: Path) -> None:
    recipe = recipe_file(tmp_path / "recipe", "extract", shard_bytes=1)
    out = tmp_path / "out"
    with serving() as server:
        urls = _serve(server, inputs)[:3]
        n_seen = 0

        def changing(handler: faults.Handler, data: bytes) -> bool:
            nonlocal n_seen
            n_seen += "crawl-1" in handler.path
            if "crawl-1" in handler.path and n_seen > 1:  # the first was the plan's
                server.files["crawl/crawl-1.warc.gz"] = data[:-1] + b"?"
                handler.serve(data[:-1] + b"?")
                return True
            return False

        server.always = changing
        with pytest.raises(ShardsFailed, match=r"crawl/crawl-1.warc.gz changed while the run was going on"):
            api.run(recipe, urls, out)
        status = api.status(out)
        assert status.phases[0]["shards_done"] == len(urls) - 1
        with pytest.raises(InputError, match=r"crawl-1.warc.gz changed, its ETag is another one"):
            api.run(recipe, urls, out)


@pytest.mark.slow
def test_a_server_that_is_down_fails_shards_and_the_same_command_goes_on_later(tmp_path: Path, inputs: Path) -> None:
    recipe = recipe_file(tmp_path / "recipe", "extract", shard_bytes=1)
    out = tmp_path / "out"
    with serving() as server:
        urls = _serve(server, inputs)[:3]
        server.faults.extend([None] * 3)  # the plan
        server.always = faults.status(503)
        result = curate("run", recipe, *urls, "-o", out, **QUICK)
        assert result.returncode == 3, result.stderr
        assert "crawl-0.warc.gz: the server answered 503" in result.stderr
        server.always = None
        assert curate("run", recipe, *urls, "-o", out, **QUICK).returncode == 0
    api.run(recipe, [inputs / f"crawl-{n}.warc.gz" for n in range(3)], tmp_path / "local")
    assert contents(out) == contents(tmp_path / "local")


@pytest.mark.slow
def test_a_run_from_s3_gives_the_bytes_of_the_local_run(
    tmp_path: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto_server = pytest.importorskip("moto.server")
    import boto3

    from tests.sources.remote.test_s3 import aws

    server = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        aws(monkeypatch, f"http://{host}:{port}")
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="crawls")
        for file in sorted(inputs.rglob("*")):
            if file.is_file():
                client.put_object(Bucket="crawls", Key=f"2024/{file.relative_to(inputs)}", Body=file.read_bytes())
        recipe = recipe_file(tmp_path / "recipe", *STEPS, shard_bytes=5000)
        api.run(recipe, ["s3://crawls/2024/"], tmp_path / "remote")
        api.run(recipe, [inputs], tmp_path / "local")
    finally:
        server.stop()
    assert contents(tmp_path / "remote") == contents(tmp_path / "local")
    assert api.verify(tmp_path / "remote", deep=True).ok
