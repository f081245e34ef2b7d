"""Mirrors curate/folds/train_tokenizer.py: same sample, same tokenizer; exact round trips; libraries open it."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError
from curate.fold import Position
from curate.folds.train_tokenizer import MAX_DOC_BYTES, TrainTokenizer
from tests.folds.drive import run_fold
from tests.helpers import ROOT, batch_of, shared_data

tokenizers = pytest.importorskip("tokenizers")

LINES = (
    "The quick brown fox jumps over the lazy dog; it's 1984, isn't it?",
    "Über allen Gipfeln ist Ruh’, in allen Wipfeln spürest du kaum einen Hauch.",
    "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "道可道，非常道。名可名，非常名。",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.",
    "def f(x):\n    return {'a': [1, 2.5e-3], \"b\": x ** 2}  # comment\n\n\tindented\r\n",
)
HOSTILE = (
    "", " ", "\n", "   \n\t  ", "Ġ Ċ Â", "\x00\x01\x7f\x80\xff", "\ufffd\ufeff\u200b\u200d\u202e", "e\u0301\u0327" * 50,
    "👩‍👩‍👧‍👦🏳️‍🌈" * 9,
    "<|endoftext|>", "a<|endoftext|><|pad|>b", "\U0010ffff\ue000", "a" * 5000, " " * 5000 + "x", "\r\n" * 999,
)  # fmt: skip


def corpus(n_docs: int) -> list[str]:
    draw = random.Random(7)
    return [" ".join(draw.choices(LINES, k=draw.randrange(1, 5))) for _ in range(n_docs)]


def shards_of(texts: list[str], n_shards: int = 1, batch_docs: int = 50) -> list[list[pa.RecordBatch]]:
    docs = [(f"{i:032x}", text) for i, text in enumerate(texts)]
    shards = [docs[i::n_shards] for i in range(n_shards)]
    return [
        [batch_of(doc_id=[d for d, _ in cut], text=[t for _, t in cut]) for cut in batched(shard, batch_docs)]
        for shard in shards
    ]


def batched(rows: list[tuple[str, str]], n: int) -> list[list[tuple[str, str]]]:
    return [rows[i : i + n] for i in range(0, len(rows), n)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_fold(TrainTokenizer(vocab_size=700), shards_of(corpus(300)), tmp_path_factory.mktemp("train"))


@pytest.mark.parametrize("text", [*LINES, *HOSTILE], ids=range(len(LINES) + len(HOSTILE)))
def test_any_text_comes_back_exactly(trained: Path, text: str) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(trained / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


@given(text=st.text(max_size=200))
def test_any_unicode_comes_back_exactly(trained: Path, text: str) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(trained / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_transformers_opens_the_folder_and_the_file(trained: Path) -> None:
    transformers = pytest.importorskip("transformers")
    ours = tokenizers.Tokenizer.from_file(str(trained / "tokenizer.json"))
    file = str(trained / "tokenizer.json")
    folder = transformers.AutoTokenizer.from_pretrained(str(trained))
    single = transformers.PreTrainedTokenizerFast(tokenizer_file=file, eos_token="<|endoftext|>")
    assert (folder.eos_token_id, folder.bos_token_id, folder.pad_token_id) == (0, 0, 1)
    assert single.eos_token_id == 0
    assert len(folder) == ours.get_vocab_size() == 700
    for text in LINES:
        ids = ours.encode(text).ids
        assert folder(text)["input_ids"] == single(text)["input_ids"] == ids
        assert folder.decode(ids) == text


def test_the_tokenizer_is_the_same_for_any_cut(trained: Path, tmp_path: Path) -> None:
    texts = corpus(300)
    for number, (n_shards, batch_docs, n_parts) in enumerate([(4, 7, 3), (2, 300, 1), (5, 1, 8)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        out = run_fold(TrainTokenizer(vocab_size=700), shards_of(texts, n_shards, batch_docs), folder, n_parts)
        assert [p.name for p in sorted(out.iterdir())] == [p.name for p in sorted(trained.iterdir())]
        for path in out.iterdir():
            assert path.read_bytes() == (trained / path.name).read_bytes(), path.name


TRAIN = """
import sys
from pathlib import Path
from curate.folds.train_tokenizer import TrainTokenizer
from tests.folds.drive import run_fold
from tests.folds.test_train_tokenizer import corpus, shards_of
run_fold(TrainTokenizer(vocab_size=700), shards_of(corpus(300)), Path(sys.argv[1]))
"""


@pytest.mark.parametrize("threads", ["true", "false"])
def test_the_tokenizer_is_the_same_with_and_without_threads(trained: Path, tmp_path: Path, threads: str) -> None:
    env = os.environ | {"TOKENIZERS_PARALLELISM": threads, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "3"}
    subprocess.run([sys.executable, "-c", TRAIN, str(tmp_path)], env=env, cwd=ROOT, check=True)
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (trained / "tokenizer.json").read_bytes()


def test_the_sample_stops_at_the_budget(tmp_path: Path) -> None:
    texts = [str(i % 10) * 100 for i in range(200)]
    out = run_fold(TrainTokenizer(vocab_size=300, max_bytes=2050), shards_of(texts, 3), tmp_path)
    stats = json.loads((out / "tokenizer_stats.json").read_text())
    assert (stats["n_docs"], stats["sample_bytes"]) == (20, 2000)


def test_another_seed_draws_other_docs(tmp_path: Path) -> None:
    texts = [f"{chr(0x4E00 + i)}字" * 20 for i in range(100)]
    vocab = []
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        fold = TrainTokenizer(vocab_size=300, max_bytes=600, seed=seed)
        vocab.append((run_fold(fold, shards_of(texts), tmp_path / str(seed)) / "tokenizer.json").read_bytes())
    assert vocab[0] != vocab[1]


def test_a_sketch_of_a_large_plan_holds_a_share_of_the_docs() -> None:
    (batch,) = shards_of(["text"] * 4000, batch_docs=4000)[0]
    fold = TrainTokenizer(max_bytes=64 << 20)
    few = fold.sketch(batch, Position(0, 0, 1000))  # 64 MiB wanted, 640 MiB of text expected at the least
    assert 300 < few.num_rows < 500
    assert fold.sketch(batch, Position(0, 0, 100)).num_rows == 4000


def test_a_long_doc_counts_with_its_head(tmp_path: Path) -> None:
    long = "語" * MAX_DOC_BYTES
    (batch,) = shards_of(["short", long, None])[0]  # type: ignore[list-item]
    texts = {row["doc_id"]: row["text"] for row in TrainTokenizer().sketch(batch, Position(0, 0, 1)).to_pylist()}
    assert list(texts.values()) == ["short", "語" * (MAX_DOC_BYTES // 3), ""]


@pytest.mark.parametrize("texts", [[], [""], ["ab"]])
def test_a_corpus_of_nothing_still_encodes_bytes(tmp_path: Path, texts: list[str]) -> None:
    shards = shards_of(texts) if texts else [[batch_of(doc_id=[], text=[])]]
    out = run_fold(TrainTokenizer(vocab_size=1000), shards, tmp_path)
    tokenizer = tokenizers.Tokenizer.from_file(str(out / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 258
    assert tokenizer.decode(tokenizer.encode("naïve 猫").ids) == "naïve 猫"
    stats = json.loads((out / "tokenizer_stats.json").read_text())
    assert (stats["vocab_size"], stats["wanted_vocab_size"]) == (258, 1000)


def test_every_digit_is_a_token_and_marks_stay_with_their_word(trained: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(trained / "tokenizer.json"))
    assert len(tokenizer.encode("1984198419841984").ids) == 16
    words = [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str("स्वतन्त्रता प्राप्त")]
    assert len(words) == 2


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"vocab_size": 257}, "vocab_size 257"),
        ({"special_tokens": ()}, "special_tokens"),
        ({"special_tokens": ("a", "a")}, "twice"),
        ({"max_bytes": 0}, "max_bytes"),
    ],
)
def test_impossible_parameters_are_refused(parameters: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        TrainTokenizer(**parameters)  # type: ignore[arg-type]


def test_extra_special_tokens_are_reserved(tmp_path: Path) -> None:
    names = ("</s>", "<pad>", "<mask>")
    out = run_fold(TrainTokenizer(vocab_size=400, special_tokens=names), shards_of(corpus(20)), tmp_path)
    tokenizer = tokenizers.Tokenizer.from_file(str(out / "tokenizer.json"))
    assert [tokenizer.token_to_id(name) for name in names] == [0, 1, 2]
    assert json.loads((out / "special_tokens_map.json").read_text())["additional_special_tokens"] == ["<mask>"]
    opened = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(str(out))
    assert (opened.eos_token, opened.pad_token) == ("</s>", "<pad>")
    assert "<mask>" in opened.all_special_tokens
    assert opened.decode(opened("a<mask>b")["input_ids"], skip_special_tokens=True) == "ab"


@pytest.mark.slow
def test_real_text_is_compressed(tmp_path: Path) -> None:
    path = shared_data("corpora", "state_union.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    out = run_fold(TrainTokenizer(vocab_size=8192), shards_of(texts, 2), tmp_path)
    stats = json.loads((out / "tokenizer_stats.json").read_text())
    assert stats["vocab_size"] == 8192
    assert stats["bytes_per_token"] > 4.0
