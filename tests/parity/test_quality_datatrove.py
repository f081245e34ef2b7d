"""`quality` against datatrove's filters: the same docs go, for the same first reason, and C4 leaves the same text.

Known differences, none of which these pages show:
- a blank text is `empty` here; datatrove's repetition filter keeps white space, its quality filter calls it short.
- a page with both page-level faults of C4 is `lorem_ipsum` here, in datatrove whichever line stands first.
- a doc of more than 1,048,576 words is always `too_many_words` here.
- C4's phrases are found with ASCII case folded, in datatrove with Unicode's (a Kelvin sign is a `k`).
- words are cut chunk by chunk here; spaCy may treat an emoticon differently because of its neighbours, and a run of
  more than 65,536 bytes without white space is one word here. datatrove deletes IS_ALPHA where spaCy fails on it.
"""

from collections.abc import Callable
from typing import Any

import pytest

from curate.recipe import make_step
from tests.helpers import batch_of, measured_for
from tests.kernels.text_samples import example_texts, shared_texts

pytest.importorskip("datatrove")
pytest.importorskip("spacy")

SAME_REASON = {
    "gopher": {
        "gopher_short_doc": "too_few_words",
        "gopher_long_doc": "too_many_words",
        "gopher_below_avg_threshold": "words_too_short",
        "gopher_above_avg_threshold": "words_too_long",
        "gopher_too_many_hashes": "too_many_hash_signs",
        "gopher_too_many_ellipsis": "too_many_ellipses",
        "gopher_too_many_bullets": "too_many_bullet_lines",
        "gopher_too_many_end_ellipsis": "too_many_ellipsis_lines",
        "gopher_below_alpha_threshold": "too_few_alpha_words",
        "gopher_enough_stop_words": "too_few_stop_words",
    },
    "gopher_repetition": {
        "dup_para_frac": "repeated_paragraphs",
        "dup_para_char_frac": "repeated_paragraph_chars",
        "dup_line_frac": "repeated_lines",
        "dup_line_char_frac": "repeated_line_chars",
        **{f"top_{n}_gram": f"frequent_{n}gram" for n in range(2, 5)},
        **{f"duplicated_{n}_n_grams": f"repeated_{n}grams" for n in range(5, 11)},
    },
    "c4": {name: name for name in ("lorem_ipsum", "curly_bracket", "too_few_sentences")},
    "fineweb": {
        "empty": "empty",
        "line_punct_ratio": "too_few_terminal_lines",
        "short_line_ratio": "too_many_short_lines",
        "char_dup_ratio": "repeated_line_chars",
        "list_ratio": "too_many_newlines",
    },
}


def peer(rules: str, **options: Any) -> Any:
    from datatrove.pipeline import filters

    names = {
        "gopher": filters.GopherQualityFilter, "gopher_repetition": filters.GopherRepetitionFilter,
        "c4": filters.C4QualityFilter, "fineweb": filters.FineWebQualityFilter,
    }  # fmt: skip
    return names[rules](**options)


@pytest.mark.slow
@pytest.mark.parametrize("texts", [example_texts, lambda: shared_texts(150)], ids=["examples", "shared"])
@pytest.mark.parametrize(
    ("rules", "ours", "theirs"),
    [
        ("gopher", {}, {}),
        ("gopher_repetition", {}, {}),
        ("c4", {}, {}),
        ("c4", {"terminal_punctuation": False}, {"filter_no_terminal_punct": False}),
        (
            "c4",
            {"thresholds": {"min_words_per_line": 6, "max_word_chars": 12, "min_sentences": 2}},
            {"min_words_per_line": 6, "max_word_length": 12, "min_num_sentences": 2},
        ),
        ("fineweb", {}, {}),
        ("fineweb", {"thresholds": {"max_dup_line_char_frac": 0.1}}, {"char_duplicates_ratio": 0.1}),
    ],
    ids=["gopher", "gopher_repetition", "c4", "c4_any_line", "c4_own_limits", "fineweb", "fineweb_own_limits"],
)
def test_decisions_reasons_and_text_are_datatroves(
    rules: str, ours: dict[str, Any], theirs: dict[str, Any], texts: Callable[[], list[str]]
) -> None:
    from datatrove.data import Document

    pages = texts()
    step = make_step("quality", {"rules": rules, **ours})
    verdict = step.spec(measured_for(step, batch_of(text=pages)))
    judge = peer(rules, **theirs)
    documents = [Document(text=page, id="") for page in pages]
    outcomes = [judge.filter(document) for document in documents]
    expected = [None if outcome is True else SAME_REASON[rules][outcome[1]] for outcome in outcomes]
    assert verdict.drop_reason.to_pylist() == expected
    assert None in expected
    assert len(set(expected)) > 1, "pages that nothing drops prove nothing"
    if rules == "c4":
        assert verdict.columns["text"].to_pylist() == [document.text for document in documents]
