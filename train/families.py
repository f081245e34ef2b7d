"""How Llama, Qwen3 and GPT-2 of `transformers` write down this network: their config.json and the names of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from train.config import GPT2, ModelConfig
from train.errors import CheckpointError, ConfigError
from train.model import Decoder

FAMILIES = {"qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM", "gpt2": "GPT2LMHeadModel"}
MAX_POSITIONS = 1 << 20  # of a config.json that is read; what it says is an input like any other

# Settings of config.json that change what a network computes, and that ours does not have.
_USUAL = {
    "use_sliding_window": False, "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False, "partial_rotary_factor": 1.0,
}  # fmt: skip

# Our name of a layer's part → GPT-2's; its matrices are stored transposed, and q, k and v as one.
_GPT2_LAYER = {
    "input_layernorm": "ln_1",
    "self_attn.o_proj": "attn.c_proj",
    "post_attention_layernorm": "ln_2",
    "mlp.up_proj": "mlp.c_fc",
    "mlp.down_proj": "mlp.c_proj",
}
_GPT2_TOP = {"embed_tokens.weight": "wte.weight", "embed_positions.weight": "wpe.weight", "norm": "ln_f"}
_QKV = ("q_proj", "k_proj", "v_proj")


def family_of(config: ModelConfig) -> str:
    """Return the family of `transformers` with this network. Raises ConfigError where there is none."""
    if config.positions == "rope" and (config.norm, config.mlp) == ("rmsnorm", "swiglu"):
        if not config.qk_norm:
            return "llama"
        if not config.bias:
            return "qwen3"
    like_gpt2 = all(getattr(config, name) == value for name, value in GPT2.items()) and config.tie_embeddings
    if like_gpt2 and config.n_kv_heads == config.n_heads and config.n_heads * config.head_dim == config.d_model:
        return "gpt2"
    raise ConfigError(
        "no family of transformers has this network: Qwen3 is rope, rmsnorm, swiglu and qk_norm without bias, Llama "
        "that without qk_norm, GPT-2 is learned, layernorm, gelu, bias, tied and without grouped heads"
    )


def describe(config: ModelConfig, seq_len: int) -> dict[str, Any]:
    """Return the config.json of a network."""
    family = family_of(config)
    common = {
        "architectures": [FAMILIES[family]],
        "model_type": family,
        "vocab_size": config.vocab_size,
        "bos_token_id": config.eos_id,  # an EOS opens a document, as in training
        "eos_token_id": config.eos_id,
        "tie_word_embeddings": config.tie_embeddings,
        "initializer_range": config.init_std,
        "dtype": "float32",
        "torch_dtype": "float32",  # the same, for transformers before 5
        "use_cache": True,
    }
    if family == "gpt2":
        return common | {
            "n_layer": config.n_layers, "n_embd": config.d_model, "n_head": config.n_heads, "n_inner": config.d_ff,
            "n_positions": config.max_positions, "layer_norm_epsilon": config.norm_eps,
            "activation_function": "gelu_new", "attn_pdrop": config.dropout, "embd_pdrop": config.dropout,
            "resid_pdrop": config.dropout,
        }  # fmt: skip
    return common | {
        "num_hidden_layers": config.n_layers, "hidden_size": config.d_model, "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads, "head_dim": config.head_dim, "intermediate_size": config.d_ff,
        "max_position_embeddings": seq_len, "rms_norm_eps": config.norm_eps, "hidden_act": "silu",
        "attention_bias": config.bias, "mlp_bias": config.bias, "attention_dropout": config.dropout,
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},  # its name since transformers 5
    }  # fmt: skip


def config_from(described: Mapping[str, Any], where: str) -> ModelConfig:
    """Return the configuration that a config.json describes.

    Raises CheckpointError for another family, and for settings that this network does not have.
    """
    family = described.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise CheckpointError(f"{where} is of the family {family!r}; there are: {', '.join(FAMILIES)}")
    try:
        _refuse_scaled_positions(described, where)
        read = _gpt2_config if family == "gpt2" else _llama_config
        config = read(described, qk_norm=family == "qwen3")
        same = describe(config, int(described.get("max_position_embeddings", 0)))
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(f"{where} is damaged: {error!r}") from error
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}") from error
    for name, usual in _USUAL.items():
        if described.get(name, usual) not in (usual, None):
            raise CheckpointError(f"{where}: {name} is {described[name]!r}, which cannot be read")
    for name in ("activation_function", "hidden_act", "attention_bias", "mlp_bias", "tie_word_embeddings"):
        if described.get(name) is not None and described[name] != same.get(name, described[name]):
            raise CheckpointError(f"{where}: {name} is {described[name]!r}, which cannot be read")
    if config.max_positions > MAX_POSITIONS:
        raise CheckpointError(f"{where}: {config.max_positions:,} positions are more than {MAX_POSITIONS:,}")
    return config


def _refuse_scaled_positions(described: Mapping[str, Any], where: str) -> None:
    rope = described.get("rope_parameters") or {}
    if rope.get("rope_type", "default") != "default" or described.get("rope_scaling"):
        raise CheckpointError(f"{where}: scaled rotary positions cannot be read")


def _llama_config(described: Mapping[str, Any], *, qk_norm: bool) -> ModelConfig:
    rope = described.get("rope_parameters") or {"rope_theta": described.get("rope_theta", 10_000.0)}
    n_heads = int(described["num_attention_heads"])
    return ModelConfig(
        n_layers=int(described["num_hidden_layers"]), d_model=int(described["hidden_size"]), n_heads=n_heads,
        n_kv_heads=int(described.get("num_key_value_heads") or n_heads),
        head_dim=int(described.get("head_dim") or int(described["hidden_size"]) // n_heads),
        d_ff=int(described["intermediate_size"]), vocab_size=int(described["vocab_size"]),
        eos_id=_eos_of(described), bias=bool(described.get("attention_bias", False)), qk_norm=qk_norm,
        tie_embeddings=bool(described.get("tie_word_embeddings", False)), rope_theta=float(rope["rope_theta"]),
        norm_eps=float(described["rms_norm_eps"]), dropout=float(described.get("attention_dropout", 0.0)),
        init_std=float(described.get("initializer_range", 0.02)),
    )  # fmt: skip


def _gpt2_config(described: Mapping[str, Any], *, qk_norm: bool) -> ModelConfig:
    width, n_heads = int(described["n_embd"]), int(described["n_head"])
    return ModelConfig(
        n_layers=int(described["n_layer"]), d_model=width, n_heads=n_heads, n_kv_heads=n_heads,
        head_dim=width // n_heads, d_ff=int(described.get("n_inner") or 4 * width),
        vocab_size=int(described["vocab_size"]), eos_id=_eos_of(described), tie_embeddings=True,
        max_positions=int(described["n_positions"]), norm_eps=float(described["layer_norm_epsilon"]),
        dropout=float(described.get("resid_pdrop", 0.1)), init_std=float(described.get("initializer_range", 0.02)),
        positions="learned", norm="layernorm", mlp="gelu", bias=True, qk_norm=qk_norm,
    )  # fmt: skip


def _eos_of(described: Mapping[str, Any]) -> int:
    eos = described.get("eos_token_id")
    return int(eos[0] if isinstance(eos, list) else eos if eos is not None else -1)


def to_transformers(config: ModelConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights by the family's names, without padding rows."""
    cut = {name: _without_padding(name, tensor, config) for name, tensor in tensors.items()}
    if family_of(config) != "gpt2":
        return {name if name.startswith("lm_head") else f"model.{name}": tensor for name, tensor in cut.items()}
    found = {theirs: cut[ours] for ours, theirs in _gpt2_names(config)}
    for layer in range(config.n_layers):
        for kind in ("weight", "bias"):
            parts = [cut[f"layers.{layer}.self_attn.{name}.{kind}"] for name in _QKV]
            found[f"h.{layer}.attn.c_attn.{kind}"] = torch.cat(parts)
    return {f"transformer.{name}": _turned(name, tensor) for name, tensor in found.items()}


def from_transformers(config: ModelConfig, tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Return the weights by our names, with padding rows of zeros.

    Raises CheckpointError where one is missing, or is not of the shape that the configuration describes.
    """
    bare = {
        name.removeprefix("model.").removeprefix("transformer."): tensor.float()
        for name, tensor in tensors.items()
        if not name.endswith("rotary_emb.inv_freq")  # older folders of Llamas store it; it follows from rope_theta
    }
    try:
        if family_of(config) == "gpt2":
            found = {ours: _turned(theirs, bare[theirs]) for ours, theirs in _gpt2_names(config)}
            for layer in range(config.n_layers):
                for kind in ("weight", "bias"):
                    name = f"h.{layer}.attn.c_attn.{kind}"
                    parts = _turned(name, bare[name]).chunk(3)
                    found |= {f"layers.{layer}.self_attn.{q}.{kind}": p for q, p in zip(_QKV, parts, strict=True)}
        else:
            tied = config.tie_embeddings
            found = {name: tensor for name, tensor in bare.items() if not (tied and name.startswith("lm_head"))}
    except KeyError as error:
        raise CheckpointError(f"{where} lacks the weights {error}") from error
    except (RuntimeError, IndexError, ValueError) as error:  # a matrix where config.json wants another
        raise CheckpointError(f"{where} does not fit its config.json: {str(error).splitlines()[0]}") from error
    _refuse_other_shapes(config, found, where)
    return {name: _with_padding(name, tensor, config).contiguous() for name, tensor in found.items()}


def _refuse_other_shapes(config: ModelConfig, tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise CheckpointError unless the weights are those of the network, before any memory is taken for it."""
    n_layers = len({name.split(".")[1] for name in tensors if name.startswith("layers.")})
    if n_layers != config.n_layers:
        raise CheckpointError(f"{where} has {n_layers} layers, and its config.json {config.n_layers}")
    with torch.device("meta"):
        weights = Decoder(config).state_dict()
    wanted = {name: list(_without_padding(name, tensor, config).shape) for name, tensor in weights.items()}
    for name in (*wanted, *tensors):
        if name not in tensors:
            raise CheckpointError(f"{where} lacks the weights {name!r}")
        if name not in wanted:
            raise CheckpointError(f"{where} has weights {name!r}, which its config.json does not describe")
        if (found := list(tensors[name].shape)) != wanted[name]:
            raise CheckpointError(f"{where} does not fit its config.json: {name} is {found}, wanted {wanted[name]}")


def _gpt2_names(config: ModelConfig) -> Iterator[tuple[str, str]]:
    """Yield (our name, GPT-2's) of all weights but q, k and v."""
    for ours, theirs in _GPT2_TOP.items():
        kinds = ("",) if ours.endswith("weight") else (".weight", ".bias")
        yield from ((ours + kind, theirs + kind) for kind in kinds)
    for layer in range(config.n_layers):
        for ours, theirs in _GPT2_LAYER.items():
            yield from ((f"layers.{layer}.{ours}.{kind}", f"h.{layer}.{theirs}.{kind}") for kind in ("weight", "bias"))


def _turned(name: str, tensor: Tensor) -> Tensor:
    """Return a matrix as the other side stores it: GPT-2's are transposed, its embeddings are not."""
    return tensor.t().contiguous() if ".c_" in name and tensor.ndim == 2 else tensor.contiguous()


def _without_padding(name: str, tensor: Tensor, config: ModelConfig) -> Tensor:
    return tensor[: config.vocab_size] if name.startswith(("embed_tokens", "lm_head")) else tensor


def _with_padding(name: str, tensor: Tensor, config: ModelConfig) -> Tensor:
    if not name.startswith(("embed_tokens", "lm_head")):
        return tensor
    whole = torch.zeros(config.padded_vocab_size, tensor.shape[1])
    whole[: len(tensor)] = tensor
    return whole
