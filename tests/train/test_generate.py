"""Mirrors train/generate.py: the cache changes nothing, the seed decides, the window slides, documents end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.corpus import NOUNS, PLACES, VERBS
from tests.train.micro import SETTINGS, lively_model
from train import api
from train.checkpoint import find_checkpoint
from train.errors import CheckpointError, ConfigError
from train.generate import Drawing, load_model, sample
from train.model import Decoder


@pytest.fixture(scope="module")
def run(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learnt the fables."""
    out = tmp_path_factory.mktemp("run") / "train"
    options: dict[str, Any] = {"seq_len": 48, "batch_size": 8, "steps": 120, "learning_rate": 0.02, "device": "cpu"}
    api.train(tokens, out, settings=SETTINGS, **options)
    return out


def greedy_without_cache(model: Decoder, ids: list[int], n: int, window: int) -> list[int]:
    """Read everything again for each token, as far as the model can see."""
    seen, start = list(ids), max(0, len(ids) - window)
    for _ in range(n):
        if len(seen) - start > window:
            start = len(seen) - window // 2
        with torch.no_grad():
            logits = model(torch.tensor([seen[start:]]))[0, -1]
        seen.append(int(logits.argmax()))
    return seen[len(ids) :]


@pytest.mark.parametrize("n_prompt", [1, 5, 16, 40])
def test_the_cache_changes_no_token_even_past_the_window(n_prompt: int) -> None:
    model = lively_model(eos_id=299, tie_embeddings=False)  # a tied one repeats its last token before training
    with torch.no_grad():
        model.lm_head.weight[299] = 0  # no end
    prompt = torch.randint(0, 298, (n_prompt,), generator=torch.Generator().manual_seed(n_prompt)).tolist()
    with_cache = sample(model, prompt, 16, 40, Drawing(0.0), torch.Generator())
    assert len(with_cache) == 40
    assert len(set(with_cache)) > 3
    assert with_cache == greedy_without_cache(model, prompt, 40, 16)


def test_a_trained_model_writes_its_language(run: Path) -> None:
    text = api.generate(run, "The queen", max_new_tokens=60, temperature=0.5, seed=1)
    assert text.startswith("The queen")
    words = text.split()[:-1]  # the last one may be cut
    known = {"The", "the", *" ".join((*NOUNS, *VERBS, *(f"{place}." for place in PLACES))).split()}
    assert sum(word in known for word in words) / len(words) > 0.8


def test_the_seed_decides_the_text(run: Path) -> None:
    texts = [api.generate(run, "", temperature=1.0, seed=seed, max_new_tokens=40) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_texts_end_with_their_document(run: Path) -> None:
    text = api.generate(run, "", max_new_tokens=2000, temperature=1.0, seed=4)
    assert "<|endoftext|>" not in text
    assert len(text.encode()) < 2000  # fables have at most 29 sentences; without an end there would be some 4,000 bytes


def test_any_prompt_comes_back_unchanged(run: Path) -> None:
    prompt = "naïve 日本 🦊\n<|endoftext|> \x1b[31m"  # what ends a document is text here, as in the documents
    assert api.generate(run, prompt, max_new_tokens=1).startswith(prompt)


def test_top_k_and_temperature_keep_their_promise() -> None:
    logits = torch.tensor([0.0, 3.0, 2.0, -1.0])
    drawn = {Drawing(1.0, 2).pick(logits, torch.Generator().manual_seed(seed)) for seed in range(50)}
    assert drawn == {1, 2}
    assert Drawing(0.0, 0).pick(logits, torch.Generator()) == 1
    draws = [Drawing(1.0, 0).pick(logits, torch.Generator().manual_seed(seed)) for seed in range(3000)]
    shares = torch.bincount(torch.tensor(draws), minlength=4) / 3000
    torch.testing.assert_close(shares, torch.softmax(logits, 0), rtol=0, atol=0.04)


def test_a_checkpoint_is_found_from_any_folder_above(run: Path) -> None:
    checkpoint = run / "checkpoints" / "step-0000120"
    for path in (checkpoint, run / "checkpoints", run, run.parent):
        assert find_checkpoint(path) == checkpoint
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        find_checkpoint(run.parent.parent / "nowhere")


def test_the_loaded_model_is_the_trained_one(run: Path) -> None:
    model = load_model(find_checkpoint(run), torch.device("cpu"))
    assert not model.training
    assert model.config.vocab_size == 300


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"seed": -1},
        {"seed": 1 << 80},
    ],
)
def test_wrong_options_are_refused(run: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        api.generate(run, "x", **wrong)


@pytest.mark.parametrize("top_p", [0.3, 0.6, 0.95])
def test_top_p_draws_among_the_likeliest_that_together_have_it(top_p: float) -> None:
    probabilities = torch.tensor([0.05, 0.5, 0.15, 0.3])
    drawing = Drawing(1.0, 0, top_p)
    drawn = {drawing.pick(probabilities.log(), torch.Generator().manual_seed(seed)) for seed in range(300)}
    assert drawn == {0.3: {1}, 0.6: {1, 3}, 0.95: {1, 2, 3}}[top_p]


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_a_drawing_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Drawing(**wrong)
