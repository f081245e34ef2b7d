"""The signals of RedPajama-v2, BigScience and RefinedWeb: what each column counts, in words.

RedPajama-v2 publishes fractions and lists with a number a line; here a fraction is the numerator, whose denominator is
named in brackets, and a list is its sum, or the lines beyond a limit. Its published names are kept as far as they go.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

REDPAJAMA_SOURCE = "Weber et al. 2024 (RedPajama, arXiv:2411.12372); togethercomputer/RedPajama-Data, quality_signals"

_LANGUAGES = ("en", "de", "fr", "es", "it")

# Measured for a text of any length.
REDPAJAMA: Mapping[str, str] = MappingProxyType(
    {
        "rps_doc_word_count": "normalised words: ASCII punctuation deleted, lower case, NFD, cut at white space",
        "rps_doc_word_chars": "characters of all normalised words [rps_doc_word_count: mean_word_length]",
        "rps_doc_raw_words": r"raw words: matches of \w+|[^\w\s]+",
        "rps_doc_symbols": "`#`, `...` and `…` [rps_doc_raw_words: symbol_to_word_ratio]",
        "rps_doc_no_alph_words": "raw words without a-z or A-Z [rps_doc_raw_words]",
        "rps_doc_all_caps_words": "raw words that str.isupper holds for [rps_doc_raw_words]",
        "rps_doc_num_sentences": r"sentences: matches of \b[^.!?]+[.!?]*",
        "rps_doc_curly_brackets": "`{` and `}` [n_text_chars: curly_bracket]",
        "rps_doc_lorem_ipsum": "`lorem ipsum` in the normalised text [rps_doc_normalized_chars]",
        **{
            f"rps_doc_stop_words__{language}": f"raw words in the list of stop words of `{language}`, as they are "
            "written [rps_doc_raw_words: stop_word_fraction]"
            for language in _LANGUAGES
        },
        "rps_lines": "lines between single newlines, none behind the last newline",
        "rps_lines_ending_with_ellipsis": "of these, stripped, those that end in `...` or `…` [rps_lines]",
        "rps_lines_ending_with_terminal_punctution_mark": "… that end in one of . ! ? ” [rps_lines]",
        "rps_lines_start_with_bulletpoint": "… that start with one of • ‣ ▶ ◀ ◦ ■ □ ▪ ▫ – [rps_lines]",
        "rps_lines_javascript_counts": "normalised words that are `javascript`",
        "rps_lines_below_3_words": "lines of fewer than 3 normalised words [rps_lines: num_words]",
        "rps_lines_uppercase_letters": "characters that str.isupper holds for [n_text_chars]",
        "rps_lines_uppercase_over_half": "lines with more than half such characters, the newline counted [rps_lines]",
        "rps_lines_numerical_chars": "characters of the normalised lines that str.isnumeric holds for "
        "[rps_lines_normalized_chars]",
        "rps_lines_normalized_chars": "characters of the lines, each normalised by itself",
        "rps_lines_numerical_over_half": "normalised lines with more than half numerical characters [rps_lines]",
        "rps_doc_normalized_chars": "characters of the normalised text, its words joined with blanks",
    }
)

# Need the words of the text side by side: not measured above MAX_WORDS.
REDPAJAMA_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "rps_doc_unique_words": "different normalised words [rps_doc_word_count: frac_unique_words]",
        "rps_doc_unigram_entropy_micronats": "entropy of the normalised words, natural logarithm, in millionths",
        **{
            f"rps_doc_chars_top_{n}gram": f"characters times count of the most frequent {n}-gram of normalised words, "
            "of several the first to appear; 0 if none repeats [rps_doc_word_chars]"
            for n in (2, 3, 4)
        },
        **{
            f"rps_doc_chars_dupe_{n}grams": f"characters of the normalised words that stand in any {n}-gram that "
            "stands more than once, each word once [rps_doc_word_chars]"
            for n in range(5, 11)
        },
        **{
            f"rps_doc_ldnoobw_words__{language}": f"normalised words and n-grams in the list LDNOOBW of `{language}`"
            for language in _LANGUAGES
        },
    }
)

REFINEDWEB_SOURCE = "Penedo et al. 2023 (RefinedWeb, arXiv:2306.01116), appendix G.2; DCLM, mappers/modifiers.py"

REFINEDWEB: Mapping[str, str] = MappingProxyType(
    {
        "refinedweb_words": "what stands between white space",
        "refinedweb_removed_words": "of these, what the line-wise corrections take away",
        "refinedweb_lines": "lines between single newlines, not empty",
        "refinedweb_uppercase_lines": "of these, those with more than half of the characters in upper case",
        "refinedweb_digit_lines": "… else those that are all digits",
        "refinedweb_counter_lines": "… else those that are a counter such as `3 likes` or `1.2K views`",
        "refinedweb_short_lines": "… else those of fewer than 2 words",
        "refinedweb_edited_lines": "other lines, of at most 10 words, that lose `items in cart` anywhere, "
        "`Read more...` at the end or `Sign-in` at the start, in any case",
    }
)

BIGSCIENCE_SOURCE = (
    "Laurençon et al. 2022 (ROOTS, arXiv:2303.03915), section 3; "
    "bigscience-workshop/data-preparation, 01b_oscar_cleaning_and_filtering"
)
_STOP_WORD_LANGUAGES = (*_LANGUAGES, "ar", "bn", "ca", "eu", "hi", "id", "nl", "pl", "pt", "ru", "ur")
_FLAGGED_WORD_LANGUAGES = (*_LANGUAGES, "ar", "hi", "nl", "pl", "pt", "ru")

# Measured for a text of any length.
BIGSCIENCE: Mapping[str, str] = MappingProxyType(
    {
        "bigscience_words": "what stands between white space, without special characters at both ends, if anything is "
        "left; lower case",
        "bigscience_special_chars": "punctuation, symbols and separators of Unicode, white space, 0-9 [n_text_chars]",
        **{
            f"bigscience_stop_words__{language}": f"words in the list of stop words of `{language}` [bigscience_words]"
            for language in _STOP_WORD_LANGUAGES
        },
        **{
            f"bigscience_flagged_words__{language}": f"words in the list LDNOOBW of `{language}` [bigscience_words]"
            for language in _FLAGGED_WORD_LANGUAGES
        },
    }
)
# Not measured above MAX_WORDS words.
BIGSCIENCE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "bigscience_5grams": "5-grams of these words",
        "bigscience_repeated_5grams": "of these, all copies of those that stand more than once [bigscience_5grams]",
    }
)
# Not measured above MAX_WORDS characters.
BIGSCIENCE_CHARS: Mapping[str, str] = MappingProxyType(
    {
        "bigscience_char_10grams": "10-grams of characters",
        "bigscience_frequent_char_10grams": "of these, all copies of the most frequent: as many 10-grams as stand more "
        "than once, but at most the square root of how many different ones there are [bigscience_char_10grams]",
    }
)
