"""Gopher's rules on quality and on repetition, as datatrove, DCLM, dolma and RedPajama-V2 read them.

The paper leaves open what a word, a line, a symbol and a repetition are; each tool decides that for itself, and so the
same limits drop other docs.
"""

from __future__ import annotations

from curate.rules.rule import CHARS, Rule, RuleSet, above, below

A11 = "Rae et al. 2021 (Gopher, arXiv:2112.11446), appendix A.1.1"
TABLE_A1 = "Rae et al. 2021 (Gopher, arXiv:2112.11446), table A1"
TOP = ((2, 0.2), (3, 0.18), (4, 0.16))
DUP = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1))


def gopher_datatrove() -> RuleSet:
    """Return Gopher's rules on quality as datatrove reads them: words of spaCy, `#` and ellipses apart."""
    words, plain = "n_words__spacy_en", "n_plain_words__spacy_en"
    return RuleSet(
        (
            below("too_few_words", plain, None, "min_words", 50),
            above("too_many_words", plain, None, "max_words", 100_000),
            below("words_too_short", "plain_word_chars__spacy_en", plain, "min_mean_word_chars", 3),
            above("words_too_long", "plain_word_chars__spacy_en", plain, "max_mean_word_chars", 10),
            above("too_many_hash_signs", "n_hash_signs", words, "max_hash_signs_per_word", 0.1),
            above("too_many_ellipses", "n_ellipses", words, "max_ellipses_per_word", 0.1),
            above("too_many_bullet_lines", "n_bullet_lines", "n_lines", "max_bullet_line_frac", 0.9),
            above("too_many_ellipsis_lines", "n_ellipsis_lines", "n_lines", "max_ellipsis_line_frac", 0.3),
            below("too_few_alpha_words", "n_alpha_words__spacy_en", words, "min_alpha_word_frac", 0.8),
            below("too_few_stop_words", "n_stop_words__spacy_en", None, "min_stop_words", 2),
        ),
        f"{A11}; datatrove 0.10, GopherQualityFilter",
        words,
    )


def gopher_dclm() -> RuleSet:
    """Return them as DCLM reads them: words between white space, all symbols in one rule, stop words in any case."""
    words, counted, lines = "n_words__whitespace", "n_alnum_words__whitespace", "n_lines_dclm"
    return RuleSet(
        (
            below("too_few_words", counted, None, "min_words", 50),
            above("too_many_words", counted, None, "max_words", 100_000),
            below("words_too_short", "word_chars__whitespace", words, "min_mean_word_chars", 3),
            above("words_too_long", "word_chars__whitespace", words, "max_mean_word_chars", 10),
            above("too_many_symbols", "n_symbols_dclm", words, "max_symbols_per_word", 0.1),
            above("too_many_bullet_lines", "n_bullet_lines_dclm", lines, "max_bullet_line_frac", 0.9),
            above("too_many_ellipsis_lines", "n_ellipsis_lines_dclm", lines, "max_ellipsis_line_frac", 0.3),
            above("too_few_alpha_words", "n_non_alpha_words__whitespace", words, "max_non_alpha_word_frac", 0.2),
            below("too_few_stop_words", "n_stop_word_uses_any_case__whitespace", None, "min_stop_words", 2),
        ),
        f"{A11}; DCLM, baselines_configs/dclm_baseline_refinedweb.yaml and content_filters.py",
        words,
    )


def gopher_dolma() -> RuleSet:
    """Return them as dolma reads them: median word length, and the share of words that hold a symbol."""
    words, lines, median = "n_words__whitespace", "n_lines_dolma", "twice_median_word_chars__whitespace"
    return RuleSet(
        (
            below("too_few_words", words, None, "min_words", 50),
            above("too_many_words", words, None, "max_words", 100_000),
            below("words_too_short", median, None, "min_median_word_chars", 3, 2),
            above("words_too_long", median, None, "max_median_word_chars", 10, 2),
            above("too_many_symbol_words", "n_symbol_words__whitespace", words, "max_symbol_word_frac", 0.1),
            below("too_few_alpha_words", "n_alpha_words__whitespace", words, "min_alpha_word_frac", 0.8),
            below("too_few_stop_words", "n_stop_word_uses__whitespace", None, "min_stop_words", 2),
            above("too_many_bullet_lines", "n_bullet_lines_dolma", lines, "max_bullet_line_frac", 0.9),
            above("too_many_ellipsis_lines", "n_ellipsis_lines_dolma", lines, "max_ellipsis_line_frac", 0.3),
        ),
        f"{A11}; dolma, taggers/gopher.py and configs/dolma-v1_5/mixing/cc-head.yaml",
        words,
    )


def _ngrams(top: str, dup: str, chars: str, dup_chars: str = "") -> tuple[Rule, ...]:
    """Return the rules of table A1 on n-grams: the names of signals with {n} for the order."""
    return (
        *(above(f"frequent_{n}gram", top.format(n=n), chars, f"max_top{n}_char_frac", limit) for n, limit in TOP),
        *(
            above(
                f"repeated_{n}grams", dup.format(n=n), (dup_chars or chars).format(n=n), f"max_dup{n}_char_frac", limit
            )
            for n, limit in DUP
        ),
    )


def repetition_datatrove() -> RuleSet:
    """Return Gopher's rules on repetition as datatrove reads them: the first copy is free, n-grams do not overlap."""
    return RuleSet(
        (
            above("repeated_paragraphs", "n_dup_paragraphs", "n_paragraphs", "max_dup_paragraph_frac", 0.3),
            above("repeated_paragraph_chars", "dup_paragraph_chars", CHARS, "max_dup_paragraph_char_frac", 0.2),
            above("repeated_lines", "n_dup_lines", "n_newline_lines", "max_dup_line_frac", 0.3),
            above("repeated_line_chars", "dup_line_chars", CHARS, "max_dup_line_char_frac", 0.2),
            *_ngrams("top{n}_chars__spacy_en", "dup{n}_chars__spacy_en_greedy", CHARS),
        ),
        f"{TABLE_A1}; datatrove 0.10, GopherRepetitionFilter",
        "n_words__spacy_en",
    )


def repetition_dclm() -> RuleSet:
    """Return them as DCLM reads them: all copies count, and characters of words only."""
    pieces, chars = "n_paragraphs_dclm", "paragraph_chars_dclm"
    return RuleSet(
        (
            above("repeated_lines", "n_dup_lines_dclm", "n_lines_dclm", "max_dup_line_frac", 0.3),
            above("repeated_paragraphs", "n_dup_paragraphs_dclm", pieces, "max_dup_paragraph_frac", 0.3),
            above("repeated_line_chars", "dup_line_chars_dclm", "line_chars_dclm", "max_dup_line_char_frac", 0.2),
            above("repeated_paragraph_chars", "dup_paragraph_chars_dclm", chars, "max_dup_paragraph_char_frac", 0.2),
            *_ngrams("top{n}_chars__unicode_longest", "dup{n}_chars__unicode_all", "word_chars__unicode"),
        ),
        f"{TABLE_A1}; DCLM, content_filters.py, massive_web_repetition_filters",
        "n_lines_dclm",
    )


def repetition_dolma() -> RuleSet:
    """Return them as dolma reads them: all copies count, those of overlapping n-grams again."""
    chars = "word_chars__whitespace"
    dup, of = "dup{n}_chars__whitespace_overlapping", "ngram{n}_chars__whitespace"
    return RuleSet(
        (
            above("repeated_lines", "n_dup_lines_dolma", "n_lines_dolma", "max_dup_line_frac", 0.3),
            # 0.3, where the paper has 0.2.
            above("repeated_line_chars", "dup_line_chars_dolma", chars, "max_dup_line_char_frac", 0.3),
            # dolma's configuration asks for names its tagger never wrote, so there these three rules never fired.
            *_ngrams("top{n}_chars__whitespace_first", dup, chars, of),
        ),
        f"{TABLE_A1}; dolma, taggers/gopher.py and configs/dolma-v1_5/mixing/cc-head.yaml",
        "n_words__whitespace",
    )


RPS = "Weber et al. 2024 (RedPajama-V2, arXiv:2411.12372); the rules of its dataset card"


def gopher_redpajama2() -> RuleSet:
    """Return Gopher's rules on quality over the signals of RedPajama-V2, which have no stop words of Gopher's."""
    words, raw, lines = "rps_doc_word_count", "rps_doc_raw_words", "rps_lines"
    return RuleSet(
        (
            below("too_few_words", words, None, "min_words", 50),
            above("too_many_words", words, None, "max_words", 10_000),  # the paper of Gopher: 100,000
            below("words_too_short", "rps_doc_word_chars", words, "min_mean_word_chars", 3),
            above("words_too_long", "rps_doc_word_chars", words, "max_mean_word_chars", 10),
            above("too_many_symbols", "rps_doc_symbols", raw, "max_symbols_per_word", 0.1),
            above("too_many_bullet_lines", "rps_lines_start_with_bulletpoint", lines, "max_bullet_line_frac", 0.9),
            above("too_many_ellipsis_lines", "rps_lines_ending_with_ellipsis", lines, "max_ellipsis_line_frac", 0.3),
            above("too_few_alpha_words", "rps_doc_no_alph_words", raw, "max_non_alpha_word_frac", 0.2),
        ),
        f"{A11}; {RPS}",  # two of Gopher's stop words are no signal of RedPajama-V2
        words,
    )


def repetition_redpajama2() -> RuleSet:
    """Return Gopher's rules on repeated n-grams over the signals of RedPajama-V2, which have no repeated lines."""
    rules = _ngrams("rps_doc_chars_top_{n}gram", "rps_doc_chars_dupe_{n}grams", "rps_doc_word_chars")
    return RuleSet(rules, f"{TABLE_A1}; {RPS}", "rps_doc_word_count")  # it has no signal of repeated lines


def redpajama2() -> RuleSet:
    """Return both sets over the signals of RedPajama-V2."""
    return RuleSet(
        (*gopher_redpajama2().rules, *repetition_redpajama2().rules),
        f"{A11} and {TABLE_A1}; {RPS}",
        "rps_doc_word_count",
    )
