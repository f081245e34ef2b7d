"""The whole configuration of a run as four frozen dataclasses, and the presets by model size."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from train.errors import ConfigError

VOCAB_MULTIPLE = 128  # matrix units like round sizes; nanoGPT and nanochat pad to 64 or 128 for the same reason


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Shape of the network. The defaults make it parameter for parameter a Qwen3; `qk_norm: false` makes it a Llama.

    GPT-2 is the preset `gpt2`: learned positions, LayerNorm, GELU, biases. RMSNorm eps 1e-5 and theta 10,000: Llama
    (arXiv 2302.13971). `init_std` 0.02: GPT-2. `positions: sinusoidal` are those of arXiv 1706.03762. `max_positions`
    bounds learned positions; 0 means the window's length, as a `vocab_size` of 0 and an `eos_id` below 0 mean those of
    the token shards. `dropout` is of embeddings, attention weights and what each block adds (GPT-2: 0.1; 0 is usual
    where no window is read twice).
    """

    n_layers: int = 4
    d_model: int = 192
    n_heads: int = 3
    n_kv_heads: int = 1
    head_dim: int = 64
    d_ff: int = 512
    vocab_size: int = 0
    eos_id: int = -1
    positions: Literal["rope", "learned", "sinusoidal"] = "rope"
    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    mlp: Literal["swiglu", "gelu"] = "swiglu"
    bias: bool = False
    qk_norm: bool = True
    tie_embeddings: bool = True
    max_positions: int = 0
    dropout: float = 0.0
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    init_std: float = 0.02

    def __post_init__(self) -> None:
        for name in ("n_layers", "d_model", "n_heads", "n_kv_heads", "head_dim", "d_ff"):
            _at_least(name, getattr(self, name), 1)
        for name in ("vocab_size", "max_positions"):
            _at_least(name, getattr(self, name), 0)
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be in [0, 1), got {self.dropout}")
        if self.n_heads % self.n_kv_heads:
            raise ConfigError(f"n_heads ({self.n_heads}) must be a multiple of n_kv_heads ({self.n_kv_heads})")
        if self.head_dim % 2 and self.positions == "rope":
            raise ConfigError(f"head_dim must be even for rotary positions, got {self.head_dim}")
        if self.d_model % 2 and self.positions == "sinusoidal":
            raise ConfigError(f"d_model must be even for sinusoidal positions, got {self.d_model}")
        for name in ("rope_theta", "norm_eps", "init_std"):
            _above_zero(name, getattr(self, name))

    @property
    def padded_vocab_size(self) -> int:
        """Rows of the embedding matrix: the vocabulary rounded up to a multiple of 128."""
        return -(-self.vocab_size // VOCAB_MULTIPLE) * VOCAB_MULTIPLE


@dataclass(frozen=True, slots=True)
class DataConfig:
    """What one step reads: `batch_size` windows of `seq_len` tokens.

    They go through the model `micro_batch_size` at a time (0 = all at once). `mask_documents` keeps the documents of a
    window apart. `packing` concat puts documents end to end and cuts every `seq_len` tokens; best_fit cuts only
    documents that are longer, and fills up what is left of a row (see `train.packing`). `weights` maps a source to its
    share of the windows; empty means every window once per epoch.
    """

    seq_len: int = 256
    batch_size: int = 8
    micro_batch_size: int = 0
    mask_documents: bool = False
    packing: Literal["concat", "best_fit"] = "concat"
    weights: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        _at_least("seq_len", self.seq_len, 2)
        _at_least("batch_size", self.batch_size, 1)
        _at_least("micro_batch_size", self.micro_batch_size, 0)
        if self.micro_batch_size and self.batch_size % self.micro_batch_size:
            raise ConfigError(
                f"batch_size ({self.batch_size}) must be a multiple of micro_batch_size ({self.micro_batch_size})"
            )
        for source, weight in self.weights:
            _above_zero(f"weights.{source}", weight)


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """AdamW or Muon, and the learning rate's course.

    Betas (0.9, 0.95), decay 0.1 and clip 1.0: GPT-3 (arXiv 2005.14165, appendix B). WSD: MiniCPM (arXiv 2404.06395);
    its last 20 % falling to zero: Hägele et al. (arXiv 2405.18392). A negative `warmup_steps` means max(100, 1 % of the
    steps), at most a tenth of them.
    """

    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    muon_momentum: float = 0.95
    weight_decay: float = 0.1
    max_grad_norm: float = 1.0
    schedule: Literal["wsd", "cosine", "linear", "constant"] = "wsd"
    warmup_steps: int = -1
    decay_frac: float = 0.2
    final_lr_frac: float = 0.0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "eps", "max_grad_norm"):
            _above_zero(name, getattr(self, name))
        for name in ("beta1", "beta2", "muon_momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        for name in ("decay_frac", "final_lr_frac"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.weight_decay < 0 or not math.isfinite(self.weight_decay):
            raise ConfigError(f"weight_decay must be 0 or more, got {self.weight_decay}")


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """How long to train, on what, and how often to look and to save.

    `eval_every` and `checkpoint_every` 0 mean: at the end only. `compile` works on CUDA and is ignored elsewhere.
    `precision` auto is bf16 over fp32 weights on CUDA and fp32 elsewhere; fp16 scales its losses. `attention` is how
    documents are kept apart, if they are: auto is flex on CUDA, sdpa elsewhere and with dropout. `parallel` counts
    where torchrun starts several processes. `recompute` saves memory: `full` keeps each block's input only,
    `selective` the results of its matrix products too.
    `eval_tokens` bounds one evaluation, per source. `init_from` names weights to start from, of the same shape: a
    checkpoint, a training run, or a folder made for `transformers`. `sample_prompts` are gone on from when the run is
    done, for `run.html`; the empty one stands for the start of a document. `measure_matmul` times the device's matrix
    products before the first step, for the share of them that training reaches; auto does on CUDA. `tensorboard` and
    `wandb_project` copy the metrics to packages that must be installed.
    """

    steps: int = 60
    seed: int = 0
    init_from: str = ""
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: bool = True
    attention: Literal["auto", "sdpa", "flex", "varlen"] = "auto"
    parallel: Literal["ddp", "fsdp"] = "ddp"
    recompute: Literal["none", "selective", "full"] = "none"
    eval_every: int = 0
    eval_tokens: int = 65_536
    checkpoint_every: int = 0
    keep_checkpoints: int = 2
    sample_prompts: tuple[str, ...] = ("",)
    measure_matmul: Literal["auto", "always", "never"] = "auto"
    tensorboard: bool = False
    wandb_project: str = ""

    def __post_init__(self) -> None:
        _at_least("steps", self.steps, 1)
        _at_least("seed", self.seed, 0)
        if self.seed >= 1 << 63:
            raise ConfigError(f"seed must be below 2^63, got {self.seed}")
        for name in ("eval_every", "eval_tokens", "checkpoint_every"):
            _at_least(name, getattr(self, name), 0)
        _at_least("keep_checkpoints", self.keep_checkpoints, 1)
        if self.precision == "fp16" and self.parallel == "fsdp":
            raise ConfigError("precision fp16 works with parallel ddp only; use bf16, which needs no loss scaling")

    def precision_on(self, device_type: str) -> str:
        """Return fp32, bf16 or fp16."""
        if self.precision != "auto":
            return self.precision
        return "bf16" if device_type == "cuda" else "fp32"

    def attention_on(self, device_type: str, dropout: float = 0.0) -> Literal["sdpa", "flex", "varlen"]:
        """Return the backend that keeps documents apart. Raises ConfigError for one that cannot train so."""
        if self.attention == "auto":
            return "flex" if device_type == "cuda" and not dropout else "sdpa"
        if self.attention != "sdpa" and dropout:
            raise ConfigError(f"attention {self.attention} cannot drop attention weights; use sdpa, or dropout 0")
        if self.attention != "sdpa" and device_type != "cuda":
            raise ConfigError(f"attention {self.attention} trains on CUDA only; use sdpa")
        if self.attention == "varlen" and self.precision_on(device_type) == "fp32":
            raise ConfigError("attention varlen needs precision bf16 or fp16")
        return self.attention


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides what a run computes."""

    preset: str = "tiny"
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        if self.optim.warmup_steps > self.loop.steps:
            raise ConfigError(f"warmup_steps ({self.optim.warmup_steps}) must be at most steps ({self.loop.steps})")


def _shape(layers: int, width: int, heads: int, kv_heads: int, d_ff: int) -> dict[str, Any]:
    return {
        "n_layers": layers,
        "d_model": width,
        "n_heads": heads,
        "n_kv_heads": kv_heads,
        "head_dim": width // heads,
        "d_ff": d_ff,
    }


GPT2 = {"positions": "learned", "norm": "layernorm", "mlp": "gelu", "bias": True, "qk_norm": False}

# Shapes: d_ff = 8/3 d rounded to 128 (Llama); heads of 64 below a width of 768 and of 128 from there. Learning rates:
# GPT-3 (arXiv 2005.14165, table 2.1: 6e-4 at 125M, 3e-4 at 350M, 2.5e-4 at 760M, 2e-4 at 1.3B); tiny: measured. The
# names count embeddings, of 8,192 tokens up to 30m and of 50,304 from 124m.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": {
        "model": _shape(4, 192, 3, 1, 512),
        "data": {"seq_len": 256, "batch_size": 8},
        "optim": {
            "learning_rate": 1e-3
        },  # best held-out loss of 1e-3, 3e-3, 6e-3, 1e-2 after 60 steps on English prose
    },
    "5m": {
        "model": _shape(4, 256, 4, 2, 768),
        "data": {"seq_len": 256, "batch_size": 32},
        "optim": {"learning_rate": 1e-3},
    },
    "30m": {
        "model": _shape(8, 512, 8, 4, 1408),
        "data": {"seq_len": 512, "batch_size": 32},
        "optim": {"learning_rate": 1e-3},
    },
    "124m": {
        "model": _shape(12, 768, 6, 6, 2048),
        "data": {"seq_len": 1024, "batch_size": 512, "micro_batch_size": 32},
        "optim": {"learning_rate": 6e-4},
    },
    "gpt2": {  # GPT-2's smallest, number for number
        "model": _shape(12, 768, 12, 12, 3072) | GPT2,
        "data": {"seq_len": 1024, "batch_size": 512, "micro_batch_size": 32},
        "optim": {"learning_rate": 6e-4},
    },
    "350m": {
        "model": _shape(24, 1024, 8, 8, 2688),
        "data": {"seq_len": 2048, "batch_size": 256, "micro_batch_size": 16},
        "optim": {"learning_rate": 3e-4},
    },
    "760m": {
        "model": _shape(24, 1536, 12, 12, 4096),
        "data": {"seq_len": 2048, "batch_size": 256, "micro_batch_size": 8},
        "optim": {"learning_rate": 2.5e-4},
    },
    "1.5b": {
        "model": _shape(28, 2048, 16, 8, 5504),
        "data": {"seq_len": 2048, "batch_size": 512, "micro_batch_size": 8},
        "optim": {"learning_rate": 2e-4},
    },
}


def _at_least(name: str, value: int, limit: int) -> None:
    if value < limit:
        raise ConfigError(f"{name} must be {limit} or more, got {value}")


def _above_zero(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"{name} must be above 0, got {value}")
