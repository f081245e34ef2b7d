"""Every step of the registry with parameters worth sweeping, and docs that are hard on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.models import asset
from curate.recipe import Step, make_step
from curate.schema import HTML_SCHEMA, TEXT
from curate.source import doc_id
from tests.runs import sentences

# A fastText model of the labels hq and cc: 4 numbers a word, 256 buckets, learnt from 120 made-up lines.
CLASSIFIER = str(Path(__file__).with_name("classifier.ftz"))
# A trigram model learnt from texts of the maker of some of those below.
NGRAMS = str(Path(__file__).with_name("models") / "en.arpa")

# step → the parameters it is swept with; a step that is missing here fails a test
PARAMETERS: dict[str, tuple[dict[str, Any], ...]] = {
    "url_filter": ({}, {"min_soft_words": 1}, {"exclude_curated": True}),
    "extract": (
        {},
        {"max_html_bytes": 300, "extractor": "resiliparse", "comments": "keep"},
        {"extractor": "trafilatura", "format": "markdown"},
    ),
    "consent": (
        {},
        {"robots": ["noindex", "noai"], "agents": ["*"], "licenses": ["open", "cc-by-nc"]},
        {"tdm": "keep", "licenses": ["cc-by-sa-4.0"], "unlicensed": "keep"},
    ),
    "normalize": ({},),
    "language": (
        {},
        {"keep": ["en"], "min_score": 0.9, "min_letters": 20},
        {"spans": True, "agree_with": str(asset("lid.176.ftz")), "min_scores": {"en": 0.5}, "und_below": 0.3},
    ),
    "signals": ({"measure": ["gopher/datatrove", "fineweb"]}, {"measure": ["n_text_chars"]}),
    "quality": (
        {"rules": "gopher"},
        {"rules": "gopher/dolma"},
        {"rules": "gopher_repetition"},
        {"rules": "gopher_repetition/dclm"},
        {"rules": "fineweb"},
        {"rules": "refinedweb"},
        {"rules": "redpajama2"},
        {"rules": "bigscience/fr"},
        {"rules": "c4"},
        {"rules": "c4/tfds", "thresholds": {"min_sentences": 1}, "terminal_punctuation": False},
        {"rules": "c4", "thresholds": {"min_words_per_line": 2, "min_sentences": 1}},
        {"rules": [{"signal": "n_lines", "per": "n_text_chars", "min": 0.001, "max": 0.1, "reason": "lines"}]},
        {"rules": [{"signal": "offset_bytes", "max": 30, "reason": "late"}]},
    ),
    "toxicity": (
        {},
        {"min_toxic_words": 1, "max_toxic_word_frac": 0.0, "lexicon": ["en", "de", "fr"]},
        {"method": "c4"},
        {"method": "classifier", "spans": True, "min_toxic_sentences": 1},
        {"method": "model", "model": CLASSIFIER, "labels": ["cc"], "min_sentence_score": 0.2},
    ),
    "model_quality": ({"model": CLASSIFIER}, {"model": CLASSIFIER, "min_score": 0.5, "label": "cc", "column": "cc"}),
    "perplexity": (
        {"model": NGRAMS},
        {"model": NGRAMS, "max_perplexity": 300.0, "min_perplexity": 20.0, "column": "surprise"},
        {"models": str(Path(NGRAMS).parent), "max_perplexity": 300.0},
    ),
    "redact": ({}, {"policy": "surrogate"}),
    "quantile": (
        {"by": "offset_bytes"},
        {"by": "language_score", "best": "lowest", "keep_frac": 0.4, "per": "language"},
        {"by": "language_score", "bands": {"head": 0.3, "middle": 0.6, "tail": 1.0}, "per": "source"},
    ),
    "dedup": (
        {"method": "exact"},
        {"method": "exact", "keep": "first"},
        {},
        {"verify": True, "min_jaccard": 0.5},
    ),
    "boilerplate": ({}, {"min_docs": 2, "min_frac": 0.0, "max_cut_frac": 1.0, "by": "host"}),
    "train_tokenizer": ({"vocab_size": 300}, {"vocab_size": 280, "max_bytes": 2000}),
    "tokenize": ({"val_frac": 0.3}, {"max_shard_tokens": 50}),
    "report": ({}, {"top": 1, "min_docs": 1}),
}


def made(name: str, given: dict[str, Any]) -> Step:
    """Return a step as a recipe makes it."""
    return make_step(name, given)


def title(name: str, given: dict[str, Any]) -> str:
    """Return a step with its parameters; of a file's path its name, so that every checkout has one title for it."""
    return " ".join([name, *(f"{key}={_shown(value)}" for key, value in given.items())])


def _shown(value: Any) -> Any:
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def sweep(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (name, parameters) of every stage, or of every fold."""
    from curate.registry import STEPS

    return [(name, given) for name, entry in STEPS.items() if entry.kind == kind for given in PARAMETERS[name]]


TEXTS: tuple[str | None, ...] = (
    None,
    "",
    " \n\t ",
    "a",
    sentences(1),
    sentences(2, 400),
    sentences(1),
    sentences(1) + " And one word more.",
    "Der Zug fährt um acht Uhr nach Köln, und wir steigen in Düsseldorf um. " * 8,
    "東京は日本の首都であり、世界でも有数の大都市です。人口は約一千四百万人です。" * 5,
    "שלום עולם 👨‍👩‍👧‍👦 e\u0301 \u202eabc \x00 \x1b[31mred\x1b[0m",
    "Ã¤Ã¶Ã¼ â€œquotedâ€\u009d schÃ¶n",
    "word " * 3000,
    "line\n" * 200,
    "- bullet one\n- bullet two\n- bullet three …\n• four...\n" * 4,
    "Lorem ipsum dolor sit amet. function() { return 1; } Please enable javascript. Terms of use. Cookie policy.",
    "Mail jane.doe@gmail.com or call +1 415 555 2671, card 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00, "
    "host 93.184.216.34, SSN 536-90-4399.",
    "fuck shit porn xxx " * 5 + sentences(3),
    "# # # #### hashes ... … ... and 1 2 3 4 5 6 7 8 9 numbers 10 11 12",
    "A" * 5000,
    "<|endoftext|> <|pad|> special tokens as text",
    "\ufeffBOM, nul-free \u00a0 spaces \u2028 lines\r\nand\rreturns \ud7ff\ue000\U0010ffff",
)
PAGES: tuple[bytes | None, ...] = (
    None,
    b"",
    b"plain words without a tag",
    b"<html><body>" + b"<div>" * 2500 + b"deep" + b"</div>" * 2500 + b"</body></html>",
    b"<html><body><p " + b" ".join(b"a%d=1" % i for i in range(2500)) + b">text</p></body></html>",
    b"\xff\xfe\x00broken \xc3( bytes <p>ok</p>",
    "<html><head><meta charset=windows-1252></head><body><p>caf\xe9 au lait</p></body></html>".encode("cp1252"),
    *(
        f"<html><body><nav><a href=/>Home</a></nav><article><p>{text}</p></article></body></html>".encode(
            "utf-8", "surrogatepass"
        )
        for text in TEXTS
        if text
    ),
)
URLS = (
    None,
    "",
    "https://example.org/",
    "http://sub.example.co.uk/a?b=c#d",
    "https://xxx-porn-tube.example.com/sex/video",
    "https://münchen.example/straße",
    "not a url",
    "https://[::1]:8080/",
    "http://user:pass@example.org:99999/%zz",
    "javascript:alert(1)//" + "a" * 3000,
)
LANGUAGES = ("en", "de", None)
SCORES = (0.9, None, 0.1, 0.5, float("inf"), 0.5, 0.0)
# What `extract` writes of a page's owner, and `consent` reads.
ROBOTS = (None, "", "noai", "index,follow", "ccbot:noindex,nofollow", "noai,noindex,max-snippet:-1", ",,:", "noaix")
RESERVED = (None, False, True)
LICENSES = (None, "cc-by-4.0", "cc-by-nc-sa-3.0-de", "cc0-1.0", "other", "cc-by-sa-4.0", "", "gfdl")


def docs(rows: Sequence[int], offset: int = 0) -> pa.RecordBatch:
    """Return docs with all columns a step may read; the content of a doc is decided by its number alone."""
    n = len(rows)
    columns: dict[str, list[Any]] = {
        "doc_id": [doc_id("law.warc", row + offset) for row in rows],
        "url": [URLS[row % len(URLS)] for row in rows],
        "source": ["web" if row % 3 else "news" for row in rows],
        "warc_file": ["law.warc"] * n,
        "offset_bytes": [row + offset for row in rows],
        "fetched_at": [None if row % 5 == 0 else row * 1000 for row in rows],
        "html": [PAGES[row % len(PAGES)] for row in rows],
        "truncated": ["length" if row % 7 == 0 else None for row in rows],
        "http_headers": [{"x-robots-tag": "noai", "tdm-reservation": "1"} if row % 4 == 0 else None for row in rows],
        "http_charset": ["utf-8" if row % 2 else None for row in rows],
    }
    arrays = [pa.array(columns[field.name], field.type) for field in HTML_SCHEMA]
    text = pa.array([TEXTS[row % len(TEXTS)] for row in rows], TEXT.type)
    written = {
        "language": pa.array([LANGUAGES[row % len(LANGUAGES)] for row in rows], pa.string()),
        "language_score": pa.array([SCORES[row % len(SCORES)] for row in rows], pa.float32()),
        "robots": pa.array([ROBOTS[row % len(ROBOTS)] for row in rows], pa.string()),
        "tdm_reservation": pa.array([RESERVED[row % len(RESERVED)] for row in rows], pa.bool_()),
        "license": pa.array([LICENSES[row % len(LICENSES)] for row in rows], pa.string()),
    }
    schema = pa.schema([*HTML_SCHEMA, TEXT, *(pa.field(name, column.type) for name, column in written.items())])
    return pa.RecordBatch.from_arrays([*arrays, text, *written.values()], schema=schema)


def read_by(step: Step, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the columns a fold is shown."""
    names = [n for n in batch.schema.names if n in (*step.spec.reads, *step.spec.may_read)]
    return batch.select(names)


def byte_tokenizer(folder: Path) -> Path:
    """Write a tokenizer of the 256 bytes and an end token; no training, so it is the same everywhere."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = models.BPE({"<|endoftext|>": 0, **{c: i + 1 for i, c in enumerate(alphabet)}}, [])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path
