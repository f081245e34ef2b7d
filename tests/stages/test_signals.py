"""Mirrors curate/stages/signals.py."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from curate import api
from curate.errors import InputError
from curate.recipe import load_recipe
from curate.rules import RULE_SETS
from curate.signals import SETS, SIGNALS
from curate.stages.signals import Signals
from tests.helpers import batch_of


def test_signals_become_columns_of_their_names_in_the_order_of_the_table() -> None:
    stage = Signals(measure=("n_lines", "n_text_chars"), suffix="__after_c4")
    verdict = stage(batch_of(text=["a\nb", "", None]))
    assert list(stage.writes) == ["n_text_chars__after_c4", "n_lines__after_c4"]
    assert {name: column.to_pylist() for name, column in verdict.columns.items()} == {
        "n_text_chars__after_c4": [3, 0, None],
        "n_lines__after_c4": [2, 0, None],
    }
    assert verdict.drop_reason is None


@pytest.mark.parametrize("name", sorted({*SETS, *RULE_SETS}))
def test_every_set_can_be_measured_by_name(name: str) -> None:
    stage = Signals(measure=(name,))
    assert stage.names
    assert set(stage.names) <= set(SIGNALS)
    assert dict(stage.writes) == dict.fromkeys(stage.names, pa.int64())
    wanted = {column for rule in RULE_SETS[name].rules for column in rule.columns} if name in RULE_SETS else set()
    assert wanted <= set(stage.names)
    assets = Path(__file__).resolve().parents[2] / "curate" / "assets"
    assert all((assets / asset).exists() for asset in stage.assets)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "`measure` is empty"),
        (("n_wrods__spacy_en",), "did you mean 'n_words__spacy_en'"),
        (("gofer",), "'gopher'"),
    ],
)
def test_unknown_names_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Signals(measure=names)


def test_tables_are_named_where_they_are_looked_at() -> None:
    assert Signals(measure=("gopher",)).assets == ("text_tables.npz",)
    assert "redpajama_tables.npz" in Signals(measure=("refinedweb",)).assets
    assert "stop_words" in Signals(measure=("bigscience",)).assets


def test_it_is_a_command_and_a_step_of_recipes(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "One line.\\nAnother line."}\n')
    api.signals([tmp_path / "in.jsonl"], tmp_path / "out", measure=["gopher", "n_upper_chars"])
    import pyarrow.parquet as pq

    docs = pq.read_table(tmp_path / "out" / "documents")
    assert docs["n_upper_chars"].to_pylist() == [2]
    assert docs["n_plain_words__spacy_en"].to_pylist() == [4]
    assert [step.id for step in load_recipe("redpajama2").steps if step.name == "signals"] == ["signals_2", "signals"]


def test_importing_the_stage_imports_no_compiler() -> None:
    code = "import sys, curate.stages.signals; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
