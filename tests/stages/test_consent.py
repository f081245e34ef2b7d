"""Mirrors curate/stages/consent.py; the stage laws run in tests/laws."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate import api
from curate.errors import InputError
from curate.kernels.html.licences import FAMILIES
from curate.kernels.html.robots import RESTRICTIONS
from curate.ledger import read_ledger
from curate.stages.consent import Consent
from tests.helpers import batch_of
from tests.runs import documents


def reason(
    said: str | None = None, reserved: bool | None = None, license: str | None = None, **parameters: Any
) -> str | None:
    """Return why a page is dropped that says this in its robots meta element and so on; None where it is kept."""
    batch = pa.record_batch(
        {
            "robots": pa.array([said], pa.string()),
            "tdm_reservation": pa.array([reserved], pa.bool_()),
            "license": pa.array([license], pa.string()),
        }
    )
    stage = Consent(**parameters)
    verdict = stage(batch)
    assert verdict.columns == {}
    assert verdict.drop_reason is not None
    found: str | None = verdict.drop_reason.to_pylist()[0]
    assert found is None or found in stage.reasons
    return found


def test_a_page_that_said_nothing_is_kept() -> None:
    assert reason() is None
    assert reason("index,follow", False, "other") is None


@pytest.mark.parametrize(
    ("robots", "parameters", "dropped"),
    [
        ("noai", {}, "noai"),
        ("noai,noindex", {}, "noai"),
        ("noimageai", {}, None),
        ("noindex", {}, None),
        ("noindex", {"robots": ("noindex", "noai")}, "noindex"),
        ("noai,noindex", {"robots": ("noindex", "noai")}, "noindex"),
        ("noai", {"robots": ()}, None),
        ("noaix", {}, None),
        ("ccbot:noai", {}, None),
        ("ccbot:noai", {"agents": ("ccbot",)}, "noai"),
        ("gptbot:noai", {"agents": ("ccbot",)}, None),
        ("gptbot:noai", {"agents": ("*",)}, "noai"),
        ("max-snippet:-1", {"agents": ("*",)}, None),
    ],
)
def test_robots(robots: str, parameters: dict[str, Any], dropped: str | None) -> None:
    assert reason(robots, **parameters) == dropped


def test_tdm_reservations() -> None:
    assert reason(reserved=True) == "tdm_reserved"
    assert reason(reserved=False) is None
    assert reason(reserved=True, tdm="keep") is None
    assert reason("noai", True) == "noai"


@pytest.mark.parametrize(
    ("license", "allowed", "dropped"),
    [
        ("cc-by-4.0", ("cc-by-4.0",), None),
        ("cc-by-4.0", ("cc-by",), None),
        ("cc-by-2.0-uk", ("cc-by-2.0",), None),
        ("cc-by-4.0", ("cc-by-3.0",), "license_not_allowed"),
        ("cc-by-sa-4.0", ("cc-by",), "license_not_allowed"),
        ("cc-by-nc-4.0", ("cc-by",), "license_not_allowed"),
        ("cc-by-4.0", ("cc-by-4",), "license_not_allowed"),
        ("cc-by", ("cc-by-4.0",), "license_not_allowed"),  # a version nobody named
        ("cc-by-sa-3.0-de", ("open",), None),
        ("cc0-1.0", ("open",), None),
        ("cc-by-nd-4.0", ("open",), "license_not_allowed"),
        ("other", ("open",), "license_not_allowed"),
        ("other", ("open", "other"), None),
        (None, ("open",), "no_license"),
    ],
)
def test_licenses(license: str | None, allowed: tuple[str, ...], dropped: str | None) -> None:
    assert reason(license=license, licenses=allowed) == dropped


def test_a_page_without_a_license_may_be_kept() -> None:
    assert reason(licenses=("open",), unlicensed="keep") is None
    assert reason(license="other", licenses=("open",), unlicensed="keep") == "license_not_allowed"


def test_an_open_license_does_not_outweigh_a_no() -> None:
    assert reason("noai", license="cc-by-4.0", licenses=("open",)) == "noai"
    assert reason(reserved=True, license="cc-by-4.0", licenses=("open",)) == "tdm_reserved"


@given(
    st.lists(st.sampled_from([*RESTRICTIONS, "index", "ccbot:noai", "x:y:z", ""]), max_size=5).map(",".join),
    st.none() | st.booleans(),
    st.none() | st.sampled_from([*FAMILIES, "cc-by-4.0", "cc-by-sa-2.0-uk", ""]),
)
def test_what_is_asked_for_more_drops_no_less(robots: str, reserved: bool | None, license: str | None) -> None:
    few = reason(robots, reserved, license)
    more = reason(robots, reserved, license, robots=RESTRICTIONS, agents=("*",), licenses=("open",))
    assert few is None or more is not None
    assert reason(robots, reserved, license, robots=(), tdm="keep") is None


@pytest.mark.parametrize(
    "parameters",
    [
        {"robots": ("noia",)},
        {"robots": ("index",)},
        {"agents": ("CCBot",)},
        {"agents": ("",)},
        {"tdm": "maybe"},
        {"licenses": ("cc-bye",)},
        {"licenses": ("open",), "unlicensed": "maybe"},
        {"unlicensed": "keep"},
    ],
)
def test_wrong_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="consent: "):
        Consent(**parameters)


def test_reasons_are_those_that_the_parameters_can_give() -> None:
    assert Consent().reasons == ("noai", "tdm_reserved")
    assert Consent(robots=(), tdm="keep", licenses=("open",)).reasons == ("no_license", "license_not_allowed")


def test_an_empty_batch() -> None:
    batch = batch_of(robots=[], tdm_reservation=[], license=[])
    verdict = Consent()(batch)
    assert verdict.drop_reason is not None
    assert verdict.drop_reason.type == pa.string()
    assert len(verdict.drop_reason) == 0


def test_it_explains_what_the_page_said() -> None:
    stage = Consent(licenses=("open", "cc-by-nc"))
    assert stage.explain("noai", {"robots": "noai,noindex"}) == "robots = noai,noindex"
    assert "https://p.org/" in stage.explain("tdm_reserved", {"tdm_policy": "https://p.org/"})
    assert stage.explain("license_not_allowed", {"license": "other"}) == "license = other, kept: open, cc-by-nc"
    assert all(stage.explain(given, {}) for given in stage.reasons)


WORDS = "The quick brown fox jumps over the lazy dog, and then it goes home to sleep until the morning comes. " * 5


def test_it_decides_over_an_earlier_run_and_refuses_texts(tmp_path: Path) -> None:
    heads = {
        "no": "<meta name=robots content=noai>",
        "reserved": "<meta name=tdm-reservation content=1>",
        "open": "<link rel=license href=https://creativecommons.org/licenses/by/4.0/>",
        "silent": "<title>Silent</title>",
    }
    pages = tmp_path / "pages"
    pages.mkdir()
    for name, meta in heads.items():
        page = f"<html><head>{meta}<link rel=canonical href=https://example.org/{name}></head>"
        (pages / f"{name}.html").write_text(f"{page}<body><article><p>{WORDS}</p></article></body></html>")
    api.ingest([pages], tmp_path / "run")
    api.consent([tmp_path / "run"], tmp_path / "kept")
    kept = documents(tmp_path / "kept").column("canonical_url").to_pylist()
    assert sorted(kept) == ["https://example.org/open", "https://example.org/silent"]
    left = read_ledger(list((tmp_path / "kept" / "ledger").glob("*.parquet")))
    assert sorted(left["reason"].to_pylist()) == ["noai", "tdm_reserved"]
    doc_id = left.filter(pc.equal(left["reason"], "noai"))["doc_id"][0].as_py()
    assert api.why(tmp_path / "kept", doc_id)[0].because == "robots = noai"

    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"text": WORDS}) + "\n")
    with pytest.raises(InputError, match="step `consent` reads the column `robots`, which nothing above writes"):
        api.consent([texts], tmp_path / "refused")
