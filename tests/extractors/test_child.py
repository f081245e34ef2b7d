"""Mirrors curate/extractors/child.py: whatever happens in the child costs one page, in time and in memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import CurateError
from curate.extractors import extractor_of
from curate.extractors.child import Child
from tests.helpers import ROOT
from tests.runs import children, environment

MEMORY = 512 << 20


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made = Child("tests.extractors.hostile:hostile", {}, max_memory_bytes=MEMORY)
    yield made
    made.close()


def _ask(child: Child, page: str, timeout_s: float = 20) -> tuple[str, str | None]:
    found = child.extract(page.encode(), timeout_s=timeout_s)
    return found.text, found.failed


@pytest.mark.parametrize("page", ["", "a", "Ångström 東京", "x" * 3_000_000])
def test_pages_come_back_whole(child: Child, page: str) -> None:
    assert _ask(child, page) == (page, None)


def test_one_process_serves_page_after_page(child: Child) -> None:
    pids = {_ask(child, "pid")[0] for _ in range(20)}
    assert len(pids) == 1
    assert pids != {str(os.getpid())}


@pytest.mark.parametrize("fault", ["segfault", "abort", "exit", "sys.exit", "kill", "memory", "recurse", "close"])
def test_a_page_that_ends_the_child_is_named_and_the_next_is_served(child: Child, fault: str) -> None:
    assert _ask(child, "before") == ("before", None)
    assert _ask(child, fault) == ("", "extractor_crash")
    assert _ask(child, fault) == ("", "extractor_crash")
    assert _ask(child, "after") == ("after", None)


@pytest.mark.parametrize("fault", ["hang", "stop"])
def test_a_page_that_holds_the_child_is_killed_at_its_deadline(child: Child, fault: str) -> None:
    pid = int(_ask(child, "pid")[0])
    started = time.monotonic()
    assert _ask(child, fault, timeout_s=0.5) == ("", "extractor_timeout")
    assert 0.5 <= time.monotonic() - started < 30  # the children would hang for good
    assert not Path(f"/proc/{pid}").exists()  # not even as a zombie
    assert _ask(child, "after") == ("after", None)


def test_the_deadline_holds_while_a_large_page_is_sent(child: Child) -> None:
    pid = int(_ask(child, "pid")[0])
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    assert _ask(child, "x" * 5_000_000, timeout_s=0.5) == ("", "extractor_timeout")
    assert time.monotonic() - started < 30


def test_the_start_of_a_child_is_not_on_the_clock_of_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    child = Child("tests.extractors.hostile:slow_start", {}, max_memory_bytes=MEMORY)
    assert _ask(child, "a page", timeout_s=0.5) == ("A PAGE", None)
    child.close()


def test_memory_that_earlier_pages_took_is_not_blamed_on_this_one(child: Child) -> None:
    """Four pages of 200 MB each fit alone, not together: none is lost, whatever their order."""
    for _ in range(4):
        assert _ask(child, "hoard 200000000")[1] is None
    assert _ask(child, "hoard 600000000") == ("", "extractor_crash")


def test_a_text_without_bound_is_not_taken(child: Child) -> None:
    assert len(_ask(child, "grow 60000")[0]) == 60_000
    assert _ask(child, "grow 100000000") == ("", "extractor_crash")
    assert _ask(child, "after") == ("after", None)


def test_what_the_child_prints_does_no_harm(child: Child) -> None:
    assert _ask(child, f"noise {1 << 30}") == (f"noise {1 << 30}", None)
    assert _ask(child, "after") == ("after", None)


def test_an_exception_of_the_extractor_is_raised_here_with_its_words(child: Child) -> None:
    with pytest.raises(RuntimeError, match="hostile raised ValueError: no such thing"):
        _ask(child, "raise no such thing")
    with pytest.raises(RuntimeError, match="ValueError"):
        _ask(child, "raise " + "long" * 1_000_000)
    assert _ask(child, "after") == ("after", None)
    assert _ask(child, "surrogate") == ("?", None)


def test_an_interrupted_page_is_not_answered_to_the_next(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ask(child, "before") == ("before", None)

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("curate.extractors.child.Child._receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            _ask(child, "first")
    assert _ask(child, "second") == ("second", None)


@pytest.mark.parametrize(
    ("target", "options", "memory", "said"),
    [
        ("tests.extractors.hostile:hostile", {"broken": True}, MEMORY, "ValueError: a part is missing"),
        ("tests.extractors.nothing:here", {}, MEMORY, "No module named"),
        ("curate.extractors.native:trafilatura", {"keep": "x", "markdown": 1, "comments": 1}, 30 << 20, "max_memory"),
    ],
)
def test_an_extractor_that_cannot_start_is_an_error_of_the_run(
    target: str, options: dict[str, object], memory: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    child, before = Child(target, options, max_memory_bytes=memory), children(os.getpid())
    with pytest.raises(CurateError, match=said):
        _ask(child, "a page")
    assert children(os.getpid()) == before


def test_neither_processes_nor_files_pile_up(child: Child) -> None:
    before = len(children(os.getpid()))
    _ask(child, "a")
    open_files = len(os.listdir("/proc/self/fd"))
    for fault in ("exit", "segfault", "exit", "hang"):
        _ask(child, fault, timeout_s=0.2)
    assert len(children(os.getpid())) == before
    _ask(child, "a")
    assert len(os.listdir("/proc/self/fd")) == open_files
    assert len(children(os.getpid())) == before + 1
    child.close()
    assert len(os.listdir("/proc/self/fd")) == open_files - 2
    assert len(children(os.getpid())) == before


def test_threads_take_turns(child: Child) -> None:
    wrong: list[str] = []

    def work(name: str) -> None:
        wrong.extend(page for i in range(50) if _ask(child, page := f"{name}{i}")[0] != page)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("at_work", [False, True])
def test_the_child_dies_with_its_parent(at_work: bool, tmp_path: Path) -> None:
    code = f"""
import sys
from curate.extractors.child import Child
child = Child("tests.extractors.hostile:hostile", {{}}, max_memory_bytes={MEMORY})
print(child.extract(b"pid", timeout_s=9).text, flush=True)
child.extract(b"hang", timeout_s=100) if {at_work} else sys.stdin.read()
"""
    env = environment(PYTHONPATH=str(ROOT))
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 5
    while _is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    """Say whether a process is there and not only waits to be buried by whoever took it over."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["one", "two words", "exit", "segfault", "raise x", "grow 60000"]), max_size=6))
def test_any_order_of_faults_gives_each_page_its_own_outcome(pages: list[str]) -> None:
    outcomes = {"exit": ("", "extractor_crash"), "segfault": ("", "extractor_crash"), "raise x": ("raised", None)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))  # where a child finds the extractor of the test
        for page in pages:
            try:
                found = _ask(_shared_child(), page)
            except RuntimeError:
                found = ("raised", None)
            assert found == outcomes.get(page, ("x" * 60000 if "grow" in page else page, None))


_kept: list[Child] = []


def _shared_child() -> Child:
    if not _kept:
        _kept.append(Child("tests.extractors.hostile:hostile", {}, max_memory_bytes=MEMORY))
    return _kept[0]


def test_the_extractors_that_ship_are_served(tmp_path: Path) -> None:
    page = "<nav>Home</nav><article><p>" + "A sentence of the article that is long enough. " * 8 + "</p></article>"
    for name in ("resiliparse", "trafilatura"):
        found = extractor_of(name)(page.encode())
        assert found.failed is None
        assert found.text.strip() == ("A sentence of the article that is long enough. " * 8).strip()
