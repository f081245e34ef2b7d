"""Mirrors curate/stages/redact.py and curate/kernels/pii.py."""

import gzip
import ipaddress
import json
import re
import time
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.kernels.pii import spans_of
from curate.models import pii_recognizers
from curate.stages.redact import DEFAULT_ENTITIES, ENTITIES, PHONE_REGIONS, Redact
from tests.helpers import batch_of, shared_data

pytest.importorskip("presidio_analyzer")

PIECES = [
    "anna.b@firma-beispiel.de", "x@example.org", "a@b.com@c.de", "call 780-999-2181", "(602)272-9781",
    "+41 44 668 18 00", "phone:", "5551234567", " 5551234567", "8.8.8.8", "41.173.96.26", "192.168.0.1",
    "v1.12.2.1", "IP 9.9.9.9", "2a00:1450:4001:82a::200e", "2001:db8::1", "GB59 IFUE 4022 6315 4991 37",
    "4111 1111 1111 1111", "card 4454794511390933", "123-45-6789", "ssn", "2016-10-12", "1990-2000",
    "<PHONE>", "+1-555-0142", " ", "\n", ",", "/", "(", ")", "a", "x12",
]  # fmt: skip
mixed = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map("".join)


def redacted(text: str, **parameters: object) -> str:
    result: str = Redact(**parameters)(batch_of(text=[text])).columns["text"][0].as_py()  # type: ignore[arg-type]
    return result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to anna.b@firma-beispiel.de.", "Write to <EMAIL>."),
        ("(a+b@mail.co.uk),c@d.fr", "(<EMAIL>),<EMAIL>"),
        ("at the very end: me@site.org", "at the very end: <EMAIL>"),
        ("<joe@debian.org>", "<<EMAIL>>"),
        ("icon@2x.png and @handle and a@b", "icon@2x.png and @handle and a@b"),
        ("reach me at +41 44 668 18 00 today", "reach me at <PHONE> today"),
        ("The desk is (602)272-9781.", "The desk is <PHONE>."),
        ("Tel.: 03.93.92.16.85", "Tel.: <PHONE>"),
        ("phone 2125551234", "phone <PHONE>"),
        ("电话：0791-86849735", "电话：<PHONE>"),
        ("order 2125551234 has shipped", "order 2125551234 has shipped"),
        ("population 1.234.567 or 12 345 678", "population 1.234.567 or 12 345 678"),
        ("on 2016-10-12 at 10, 1990-2000, 12/10/2016", "on 2016-10-12 at 10, 1990-2000, 12/10/2016"),
        ("Boston, MA 02110-1301, USA", "Boston, MA 02110-1301, USA"),
        ("client 106.31.73.20 refused", "client <IP> refused"),
        ("ping 8.8.8.8 or 2a00:1450:4001:82a::200e", "ping <IP> or <IP>"),
        ("mapped ::ffff:106.31.73.20", "mapped <IP>"),
        ("IBAN GB59 IFUE 4022 6315 4991 37", "IBAN <IBAN>"),
        ("iban gb42nawi04454264788619", "iban <IBAN>"),
        ("IBAN GB58 IFUE 4022 6315 4991 37", "IBAN GB58 IFUE 4022 6315 4991 37"),  # wrong check digits
        ("4111 1111 1111 1111", "<CREDIT_CARD>"),
        ("my card 4454794511390933", "my card <CREDIT_CARD>"),
        ("item 4454794511390933", "item 4454794511390933"),
        ("my card 4454794511390934", "my card 4454794511390934"),  # fails Luhn's check
    ],
)
def test_what_is_masked_and_what_is_not(text: str, expected: str) -> None:
    assert redacted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Forge 1.12.2.1 and 8.6.2.2 of the code",
        "driver v106.31.73.20, version 106.31.73.20, foo-106.31.73.20, lib106.31.73.20.jar",
        "Section 106.31.73.20 and § 206.31.73.20",
        "1.2.3.4.5 and 256.31.73.20 and 01.02.03.04",
        "\n9.2.1.1. Key-based address",
        "192.168.0.1 10.0.0.1 127.0.0.1 192.0.2.7 198.51.100.1 203.0.113.9 255.255.255.0 2001:db8::7 fe80::1 ::1 ::",
        "std::dec dead::beef face::add 12:30:45",
    ],
)
def test_versions_clauses_and_reserved_addresses_are_no_addresses_of_people(text: str) -> None:
    assert redacted(text) == text


def test_counts_types_nulls_and_other_columns() -> None:
    verdict = Redact()(batch_of(text=["a@b.com, c@d.com, call 780-999-2181", None, "", "nothing here"]))
    assert verdict.drop_reason is None
    assert set(verdict.columns) == set(Redact().writes) == {"text", *(f"n_redacted__{e}" for e in DEFAULT_ENTITIES)}
    assert verdict.columns["n_redacted__email"].to_pylist() == [2, 0, 0, 0]
    assert verdict.columns["n_redacted__phone"].to_pylist() == [1, 0, 0, 0]
    assert verdict.columns["text"].to_pylist() == ["<EMAIL>, <EMAIL>, call <PHONE>", None, "", "nothing here"]
    for name, kind in Redact().writes.items():
        assert verdict.columns[name].type == kind


def test_empty_batch() -> None:
    verdict = Redact()(batch_of(text=[]))
    assert {name: column.type for name, column in verdict.columns.items()} == dict(Redact().writes)


def test_only_the_entities_asked_for() -> None:
    text = "a@b.com, my ssn is 125-17-4954, call 780-999-2181"
    assert redacted(text, entities=("us_ssn",)) == "a@b.com, my ssn is <US_SSN>, call 780-999-2181"
    assert redacted("part 125-17-4954", entities=("us_ssn",)) == "part 125-17-4954"


def test_phone_regions_and_score() -> None:
    text = "Kiosk 020 7946 0018"
    assert redacted(text, phone_regions=("GB",)) == "Kiosk <PHONE>"
    assert redacted(text, phone_regions=("US",)) == text
    assert redacted(text, phone_regions=()) == text
    assert redacted(text, min_score=0.5) == text


def test_surrogates_come_from_reserved_ranges_and_depend_on_the_value_alone() -> None:
    text = "a@b.com 106.31.73.20 2a00:1450:4001:82a::200e call 780-999-2181 GB59IFUE40226315499137"
    once = redacted(text, policy="surrogate")
    email, v4, v6, _, phone, iban = once.split()
    assert re.fullmatch(r"user\d{3}@example\.org", email)
    assert ipaddress.ip_address(v4) in ipaddress.ip_network("192.0.2.0/24")
    assert ipaddress.ip_address(v6) in ipaddress.ip_network("2001:db8::/32")
    assert re.fullmatch(r"\+1-555-01\d\d", phone)
    assert iban == "<IBAN>"  # no IBAN is reserved for examples
    assert redacted("see a@b.com", policy="surrogate") == f"see {email}"


@pytest.mark.parametrize("policy", ["mask", "surrogate"])
@given(text=mixed)
@settings(max_examples=300)
def test_applying_twice_changes_nothing_more(policy: str, text: str) -> None:
    once = redacted(text, policy=policy, entities=ENTITIES)
    again = Redact(policy=policy, entities=ENTITIES)(batch_of(text=[once]))  # type: ignore[arg-type]
    assert again.columns["text"].to_pylist() == [once]
    assert all(sum(again.columns[f"n_redacted__{entity}"].to_pylist()) == 0 for entity in ENTITIES)


@given(st.lists(mixed, max_size=5))
@settings(max_examples=50)
def test_same_answer_whatever_the_batch(texts: list[str]) -> None:
    whole = Redact()(batch_of(text=texts)).columns["text"].to_pylist()
    assert whole == [redacted(text) for text in texts]


@pytest.mark.parametrize(
    "unit", ["@", "a@", "a@b.", "1 ", "1-", "1.1.", "12345678 ", "2001:", "AB12", "+1 ", "call 555-1234 "]
)
def test_hostile_repeats_cost_linear_time(unit: str) -> None:
    redacted("warm up a@b.com")
    text = unit * (100_000 // len(unit))
    began = time.perf_counter()
    redacted(text, entities=ENTITIES)
    assert time.perf_counter() - began < 60


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'email'"):
        Redact(entities=("emails",))
    with pytest.raises(InputError, match="min_score"):
        Redact(min_score=40)
    with pytest.raises(InputError, match="policy"):
        Redact(policy="hash")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="GB"):
        redacted("call 780-999-2181", phone_regions=("UK",))


def test_without_presidio_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    pii_recognizers.cache_clear()
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(InputError, match=re.escape("curate[pii]")):
        redacted("a@b.com")


TYPES = {
    "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "IP_ADDRESS": "ip", "IBAN_CODE": "iban",
    "CREDIT_CARD": "credit_card", "US_SSN": "us_ssn",
}  # fmt: skip


def overlap(a: tuple[int, int], b: tuple[int, int]) -> float:
    return (min(a[1], b[1]) - max(a[0], b[0])) / (max(a[1], b[1]) - min(a[0], b[0]))


def test_precision_and_recall_on_presidio_research_texts() -> None:
    """A span counts if it overlaps a span of its type by half (intersection over union)."""
    hits, missed, wrong = Counter[str](), Counter[str](), Counter[str]()
    recognizers = pii_recognizers(PHONE_REGIONS)
    with gzip.open(shared_data("pii", "presidio-dev.jsonl.gz"), "rt", encoding="utf-8") as lines:
        for doc in map(json.loads, lines):
            truth = [(TYPES[s["type"]], (s["start"], s["end"])) for s in doc["spans"] if s["type"] in TYPES]
            found = [(s.entity, (s.start, s.end)) for s in spans_of(doc["text"], ENTITIES, recognizers, 0.4)]
            for entity, span in truth:
                good = any(e == entity and overlap(span, other) >= 0.5 for e, other in found)
                (hits if good else missed)[entity] += 1
            for entity, span in found:
                if not any(e == entity and overlap(span, other) >= 0.5 for e, other in truth):
                    wrong[entity] += 1
    recall = {entity: hits[entity] / (hits[entity] + missed[entity]) for entity in ENTITIES}
    precision = {entity: hits[entity] / (hits[entity] + wrong[entity]) for entity in ENTITIES}
    assert {e: p for e, p in precision.items() if e != "phone"} == dict.fromkeys(set(ENTITIES) - {"phone"}, 1.0)
    assert precision["phone"] >= 0.95
    assert recall["email"] == recall["iban"] == recall["us_ssn"] == 1.0
    assert recall["credit_card"] >= 0.98
    assert recall["ip"] >= 0.92
    assert recall["phone"] >= 0.88


def test_columns_are_arrow_strings_even_when_sliced() -> None:
    batch = batch_of(text=["x", "a@b.com", "y"]).slice(1, 2)
    columns = Redact()(batch).columns
    assert columns["text"].to_pylist() == ["<EMAIL>", "y"]
    assert columns["text"].type == pa.string()
