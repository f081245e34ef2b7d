"""The rules of C4, FineWeb, RefinedWeb, BigScience and CCNet."""

from __future__ import annotations

from collections.abc import Mapping

from curate.rules.rule import CHARS, Rule, RuleSet, above, below
from curate.signals import SIGNALS


def c4(variant: str, source: str, min_words: int, min_sentences: int, *more: Rule) -> RuleSet:
    """Return C4's rules on pages; those on lines are `lines`, by the signals of `variant`."""
    return RuleSet(
        (
            *more,
            above("lorem_ipsum", f"{variant}_lorem_ipsum_lines", None, "max_lorem_ipsum_lines", 0),
            above("curly_bracket", f"{variant}_curly_bracket_lines", None, "max_curly_bracket_lines", 0),
            below("too_few_sentences", f"{variant}_sentences__spacy_en", None, "min_sentences", min_sentences),
        ),
        f"Raffel et al. 2020 (T5, arXiv:1910.10683), section 2.2; {source}",
        "n_words__spacy_en",
        measuring={"min_words_per_line": min_words, "max_word_chars": 1000},
        lines=variant,
    )


def c4_tfds() -> RuleSet:
    """Return C4 as it was made: 5 words a line, 3 sentences a page; an early text of the paper has 3 and 5."""
    too_long = above("too_many_chars", CHARS, None, "max_chars", 190_000)
    return c4("c4_tfds", "tensorflow_datasets, text/c4_utils.py, without its bad words", 5, 3, too_long)


def fineweb() -> RuleSet:
    """Return the rules that FineWeb adds to Gopher's and C4's."""
    lines, words = "n_filled_lines", "n_words__spacy_en"
    return RuleSet(
        (
            below("too_few_terminal_lines", "n_terminal_lines", lines, "min_terminal_line_frac", 0.12),
            above("too_many_short_lines", "n_short_lines", lines, "max_short_line_frac", 0.67),
            # The paper's text says 0.1; the code that made FineWeb, and FineWeb-2's notes, say 0.01.
            above(
                "repeated_line_chars",
                "dup_filled_line_chars",
                "n_chars_without_newlines",
                "max_dup_line_char_frac",
                0.01,
            ),
            above("too_many_newlines", "n_newlines", words, "max_newlines_per_word", 0.3),  # not in the paper
        ),
        "Penedo et al. 2024 (FineWeb, arXiv:2406.17557), section 3.6; datatrove 0.10, FineWebQualityFilter",
        lines,
    )


def refinedweb() -> RuleSet:
    """Return RefinedWeb's rule on pages that lost too much to its line edits."""
    words = "refinedweb_words"
    return RuleSet(
        (above("too_many_words_removed", "refinedweb_removed_words", words, "max_removed_word_frac", 0.05),),
        "Penedo et al. 2023 (RefinedWeb, arXiv:2306.01116), appendix G.2; DCLM, baselines_configs/refinedweb.yaml",
        words,
        lines="refinedweb",
    )


# language → words at least, frequent 10-grams of characters, repeated 5-grams of words, special characters, stop words
# at least, flagged words; `parameters_filtering.py`, of the languages whose lists of stop words are measured.
BIGSCIENCE: Mapping[str, tuple[int, float, float, float, float, float]] = {
    "ar": (20, 0.2, 0.34, 0.3, 0.07, 0.03),
    "bn": (33, 0.13, 0.21, 0.45, 0.002, 0.001),
    "ca": (15, 0.2, 0.4, 0.25, 0.25, 0.1),
    "en": (20, 0.106, 0.19, 0.4, 0.3, 0.01),
    "es": (16, 0.14, 0.25, 0.34, 0.4, 0.01),
    "eu": (8, 0.2, 0.4, 0.31, 0.05, 0.1),
    "fr": (13, 0.14, 0.13, 0.34, 0.27, 0.008),
    "hi": (38, 0.18, 0.47, 0.45, 0.01, 0.005),
    "id": (15, 0.15, 0.2, 0.34, 0.15, 0.01),
    "pt": (19, 0.25, 0.98, 0.35, 0.2, 0.007),
}


def bigscience(language: str) -> RuleSet:
    """Return the rules for OSCAR; the rule on flagged words only where there is a list, as in its code."""
    words, flagged_words = "bigscience_words", f"bigscience_flagged_words__{language}"
    n_words, characters, repeated, special, stop_words, flagged = BIGSCIENCE[language]
    return RuleSet(
        (
            below("too_few_words", words, None, "min_words", n_words),
            above("too_many_words", words, None, "max_words", 100_000),
            above(
                "frequent_char_10grams", "bigscience_frequent_char_10grams", "bigscience_char_10grams",
                "max_frequent_char_10gram_frac", characters,
            ),
            above(
                "repeated_5grams", "bigscience_repeated_5grams", "bigscience_5grams",
                "max_repeated_5gram_frac", repeated,
            ),
            above("too_many_special_chars", "bigscience_special_chars", CHARS, "max_special_char_frac", special),
            below(
                "too_few_stop_words", f"bigscience_stop_words__{language}", words, "min_stop_word_frac", stop_words
            ),
            *(
                [above("too_many_flagged_words", flagged_words, words, "max_flagged_word_frac", flagged)]
                if flagged_words in SIGNALS
                else []
            ),
        ),
        "Laurençon et al. 2022 (ROOTS, arXiv:2303.03915), section 3; bigscience-workshop/data-preparation, "
        "01b_oscar_cleaning_and_filtering/parameters_filtering.py",
        words,
    )  # fmt: skip


def ccnet() -> RuleSet:
    """Return CCNet's only rule on the text itself."""
    return RuleSet(
        (below("too_few_chars", CHARS, None, "min_chars", 300),),
        "Wenzek et al. 2020 (CCNet, arXiv:1911.00359); cc_net, minify and mine.py: min_len",
        None,
    )
