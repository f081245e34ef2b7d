"""Mirrors train/export.py: trained, exported, opened by `transformers`, read back, and trained on, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.micro import SETTINGS
from train import api
from train.checkpoint import find_checkpoint
from train.config import GPT2, ModelConfig
from train.errors import CheckpointError, ConfigError
from train.export import read_exported
from train.families import config_from, describe
from train.generate import Drawing, load_model, sample
from train.model import Decoder
from train.tensor_files import load_tensors

GPT2_SETTINGS = tuple(f"model.{name}={value}" for name, value in {**GPT2, "n_kv_heads": 4}.items())
SHAPES = {
    "qwen3": (),
    "llama": ("model.qk_norm=false", "model.tie_embeddings=false"),
    "gpt2": GPT2_SETTINGS,
}
OPTIONS: dict[str, Any] = {"seq_len": 32, "batch_size": 4, "device": "cpu", "learning_rate": 0.01}


@pytest.fixture(scope="module", params=list(SHAPES))
def trained(tokens: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[str, Path]:
    """Return a family and a run of 20 steps."""
    out = tmp_path_factory.mktemp(request.param) / "run"
    api.train(tokens, out, steps=20, settings=(*SETTINGS, *SHAPES[request.param]), **OPTIONS)
    return request.param, out


def test_transformers_gives_the_same_logits_and_the_same_greedy_text(trained: tuple[str, Path], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    family, run = trained
    api.export(run, tmp_path / "hf")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    assert theirs.config.model_type == family
    ours = load_model(find_checkpoint(run), torch.device("cpu"))
    tokens = torch.randint(1, 290, (3, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = ours(tokens)
        assert (logits - theirs(tokens).logits).abs().max() < 1e-4
    assert logits.std() > 0.1
    prompt = tokens[0, :8].tolist()
    mine = sample(ours, prompt, 32, 16, Drawing(0.0), torch.Generator())
    made = theirs.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=16, use_cache=True)[0, 8:].tolist()
    assert len(mine) > 4
    assert made[: len(mine)] == mine
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert tokenizer.decode(tokenizer("The old man")["input_ids"]) == "The old man"
    assert tokenizer.eos_token == "<|endoftext|>"


def test_what_is_read_back_is_what_was_written(trained: tuple[str, Path], tmp_path: Path) -> None:
    _, run = trained
    api.export(run, tmp_path / "hf")
    config, tensors = read_exported(tmp_path / "hf")
    before = load_tensors(find_checkpoint(run), "model")
    assert tensors.keys() == before.keys()
    assert all(torch.equal(tensors[name], before[name]) for name in before)
    Decoder(config).load_state_dict(tensors)


def test_training_goes_on_from_an_export_as_from_the_checkpoint(
    trained: tuple[str, Path], tokens: Path, tmp_path: Path
) -> None:
    _, run = trained
    api.export(run, tmp_path / "hf")
    for name, start in (("a", run), ("b", tmp_path / "hf")):
        api.train(tokens, tmp_path / name, steps=5, init=start, **OPTIONS)
    one, other = (load_tensors(find_checkpoint(tmp_path / name), "model") for name in ("a", "b"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    start = load_tensors(find_checkpoint(run), "model")
    assert not torch.equal(one["embed_tokens.weight"], start["embed_tokens.weight"])


@pytest.mark.parametrize(
    "changes", [{"positions": "sinusoidal"}, {"norm": "layernorm"}, {"mlp": "gelu"}, {"bias": True}]
)
def test_a_network_that_transformers_does_not_have_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no family of transformers"):
        describe(ModelConfig(vocab_size=300, eos_id=0, **changes), 64)


def test_a_folder_in_use_and_a_damaged_checkpoint_are_refused(trained: tuple[str, Path], tmp_path: Path) -> None:
    _, run = trained
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(ConfigError, match="not empty"):
        api.export(run, tmp_path / "full")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        api.export(tmp_path, tmp_path / "hf")
    (tmp_path / "file").touch()
    for out, said in (("file", "is a file"), ("file/hf", "cannot make the folder")):
        with pytest.raises(ConfigError, match=said):
            api.export(run, tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "mamba"}, "family 'mamba'"),
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"hidden_size": None}, "damaged"),
        ({"num_hidden_layers": "many"}, "damaged"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1.0}}, "scaled rotary positions"),
        ({"rope_parameters": [1]}, "damaged"),
        ({"num_attention_heads": float("inf")}, "damaged"),
        ({"num_attention_heads": 5, "num_key_value_heads": 2}, r"config.json: n_heads \(5\) must be a multiple"),
        ({"tie_word_embeddings": "false"}, "tie_word_embeddings is 'false'"),
        (
            {**describe(ModelConfig(vocab_size=300, eos_id=0, n_kv_heads=3, max_positions=64, **GPT2), 64)}
            | {"tie_word_embeddings": False},
            "tie_word_embeddings is False",
        ),
    ],
)
def test_a_config_that_cannot_be_read_is_refused(change: dict[str, Any], said: str) -> None:
    described = describe(ModelConfig(vocab_size=300, eos_id=0), 64) | change
    with pytest.raises(CheckpointError, match=said):
        config_from(described, "config.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_hidden_layers": 10**9}, "has 2 layers, and its config.json 1000000000"),
        ({"hidden_size": 10**9}, r"does not fit its config.json: embed_tokens.weight is \[\d+, 32\]"),
        ({"intermediate_size": 10**9}, r"mlp\.\w+_proj\.weight is"),
        ({"vocab_size": 10**12}, "embed_tokens.weight is"),
        ({"vocab_size": 4}, "embed_tokens.weight is|damaged|eos"),
        ({"model_type": "llama"}, r"has weights 'layers.0.self_attn.[qk]_norm.weight'"),
    ],
)
def test_weights_that_are_not_those_of_the_config_take_no_memory(
    tokens: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    api.train(tokens, tmp_path / "run", steps=1, settings=SETTINGS, **OPTIONS)
    folder = api.export(tmp_path / "run", tmp_path / "hf")
    described = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(described))
    with pytest.raises(CheckpointError, match=said):
        read_exported(folder)


def test_weights_that_are_missing_are_named(trained: tuple[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    _, run = trained
    api.export(run, tmp_path / "hf")
    tensors = load_file(tmp_path / "hf" / "model.safetensors")
    gone = next(name for name in tensors if "0" in name)
    del tensors[gone]
    save_file(tensors, tmp_path / "hf" / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"lacks the weights|does not fit the model"):
        api.train(_tokens_of(run), tmp_path / "out", steps=1, init=tmp_path / "hf", **OPTIONS)


def _tokens_of(run: Path) -> Path:
    return (run / json.loads((run / "run.json").read_text())["tokens"]).resolve()
