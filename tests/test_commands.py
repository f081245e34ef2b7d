"""What commands print of pages and models cannot steer the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from curate import commands


@dataclass
class _Row:
    url: str


HOSTILE = "a\x1b]0;owned\x07\x9b2J\u202eb"
SHOWN = r"a\x1b]0;owned\x07\x9b2J\u202eb"


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ([_Row(HOSTILE)], f"url={SHOWN}\n"),
        (_Row(HOSTILE), f"url              {SHOWN}\n"),
        (f"one\n\ttwo {HOSTILE}\n", f"one\n\ttwo {SHOWN}\n\n"),
    ],
)
def test_answers_of_the_trainer_are_shown_escaped(answer: Any, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands._tell_trainer(answer, as_json=False)
    assert capsys.readouterr().out == shown
