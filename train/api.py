"""The trainer's commands as plain functions: train, resume, generate, trace; torch is loaded only when one runs."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Annotated, Any

from train.config import TrainConfig
from train.copies import refuse_missing
from train.errors import ConfigError
from train.overrides import build_config, parse_settings, read_overrides
from train.plan import Plan
from train.runfolder import RunCard, RunFolder, read_card
from train.summary import Summary
from train.trace import Seen, TracedDocument, kept_from_training, trace_document, trace_step

__all__ = ["Plan", "Summary", "eval", "export", "generate", "resume", "trace", "train"]

log = logging.getLogger("train")
_FREE_OF_WEIGHTS = ("dropout", "rope_theta", "norm_eps", "init_std")  # of a model; weights serve with any other value

PLAN_MFU = 0.4  # llm-foundry's table for H100s: 0.35 to 0.46 for models of 760M to 7B parameters


def train(
    tokens: Annotated[Path, "Folder of token shards (or of a run that has one)"],
    out: Annotated[Path | None, "Folder of the training run; an interrupted one goes on"] = None,
    *,
    preset: Annotated[str | None, "Model size: tiny (if not given), 5m, 30m, 124m, gpt2, 350m, 760m, 1.5b"] = None,
    steps: Annotated[int | None, "Updates to do in all"] = None,
    batch_size: Annotated[int | None, "Windows per update"] = None,
    seq_len: Annotated[int | None, "Tokens per window"] = None,
    learning_rate: Annotated[float | None, "Peak learning rate"] = None,
    seed: Annotated[int | None, "Decides the first weights and the order of the data"] = None,
    device: Annotated[str | None, "auto, cpu, cuda or cuda:N"] = None,
    init: Annotated[Path | None, "Weights to start from: a checkpoint, a training run, or an exported folder"] = None,
    config: Annotated[Path | None, "YAML file with the sections model, data, optim, loop"] = None,
    settings: Annotated[tuple[str, ...], "One option, as section.option=value; may be repeated"] = (),
    allow_data_change: Annotated[bool, "Go on with other token shards, and note it in run.json"] = False,
    plan: Annotated[bool, "Only tell what the run will take: memory, disk, hours; write nothing"] = False,
    ranks: Annotated[int | None, "For --plan: processes; WORLD_SIZE or 1 if not given"] = None,
    plan_device: Annotated[str | None, "For --plan: cpu, or a GPU such as H100; the one here if not given"] = None,
    plan_mfu: Annotated[float, "For --plan: share of the device's peak that training reaches"] = PLAN_MFU,
) -> Summary | Plan:
    """Train a language model on token shards.

    Options win over `settings`, those over `config`, that over the preset. Run again, a finished run is left as it is
    and an interrupted one goes on; a folder of another configuration is refused.
    """
    _let_threads_sleep()
    chosen = configure(
        preset=preset, steps=steps, batch_size=batch_size, seq_len=seq_len, learning_rate=learning_rate,
        seed=seed, device=device, init=init, config=config, settings=settings,
    )  # fmt: skip
    if plan:
        from train.planning import plan_run

        where = None if out is None else Path(out)
        return plan_run(Path(tokens), chosen, ranks=ranks, device=plan_device, mfu=plan_mfu, out=where)
    if out is None:
        raise ConfigError("give -o FOLDER for the run, or --plan")
    if (ranks, plan_device, plan_mfu) != (None, None, PLAN_MFU):
        raise ConfigError("--ranks, --plan-device and --plan-mfu are for --plan; torchrun starts several processes")
    from train.launch import launch

    return launch(Path(tokens), RunFolder(Path(out)), chosen, allow_data_change)


def configure(
    *,
    preset: str | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    seq_len: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    init: Path | None = None,
    config: Path | None = None,
    settings: tuple[str, ...] = (),
) -> TrainConfig:
    """Return the checked configuration that `train` would use; nothing is loaded or written.

    Raises ConfigError for an unknown option, a value out of range, or a package that is asked for and not installed.
    """
    overrides = read_overrides(Path(config)) if config is not None else {}
    named: dict[str, dict[str, Any]] = {
        "data": {"batch_size": batch_size, "seq_len": seq_len},
        "optim": {"learning_rate": learning_rate},
        "loop": {"steps": steps, "seed": seed, "device": device},
    }
    set_by_hand = parse_settings(settings)
    network: dict[str, Any] = {}
    if init is not None:
        from train.export import read_weights

        network = dataclasses.asdict(read_weights(Path(init))[0])  # whatever the preset says
        named["loop"]["init_from"] = os.path.abspath(init)
    given = {section: {k: v for k, v in values.items() if v is not None} for section, values in named.items()}
    chosen = build_config(
        preset or str(overrides.get("preset", "tiny")), {"model": network}, overrides, set_by_hand, given
    )
    for name, value in network.items():
        if name not in _FREE_OF_WEIGHTS and getattr(chosen.model, name) != value:
            raise ConfigError(f"model.{name} is {getattr(chosen.model, name)}, but the weights at {init} have {value}")
    refuse_missing(chosen.loop)
    return chosen


def resume(
    run: Annotated[Path, "Folder of the training run"],
    *,
    steps: Annotated[int | None, "A new total of updates; the schedule is stretched to it"] = None,
    device: Annotated[str | None, "auto, cpu, cuda or cuda:N; as the run was started if not given"] = None,
    allow_data_change: Annotated[bool, "Go on with other token shards, and note it in run.json"] = False,
) -> Summary:
    """Go on with an interrupted run, or give a finished one more steps."""
    _let_threads_sleep()
    from train.device import choose_device
    from train.launch import launch, with_steps

    folder, card = _run_at(Path(run))
    choose_device(device or "auto")  # a wrong one is refused before the number of steps is written
    config = card.config if steps is None else with_steps(card.config, steps)
    if device is not None:
        config = dataclasses.replace(config, loop=dataclasses.replace(config.loop, device=device))
    return launch(card.tokens, folder, config, allow_data_change, extends=steps is not None)


def generate(
    checkpoint: Annotated[Path, "Checkpoint folder, or the folder of a training run for its latest one"],
    prompt: Annotated[str, "Text to go on from; may be empty"],
    *,
    max_new_tokens: Annotated[int, "Tokens to write at most"] = 100,
    temperature: Annotated[float, "0 takes the likeliest token each time; higher is wilder"] = 0.8,
    top_k: Annotated[int, "Draw among the k likeliest tokens; 0 means all"] = 50,
    top_p: Annotated[float, "Draw among the likeliest tokens that together have this probability"] = 1.0,
    seed: Annotated[int, "The same seed writes the same text"] = 0,
    device: Annotated[str, "auto, cpu, cuda or cuda:N"] = "auto",
) -> str:
    """Write text with a trained model."""
    _let_threads_sleep()
    from train.checkpoint import find_checkpoint
    from train.generate import Drawing, generate_text

    drawing = Drawing(temperature, top_k, top_p)
    return generate_text(find_checkpoint(Path(checkpoint)), prompt, max_new_tokens, drawing, seed, device)


def eval(
    checkpoint: Annotated[Path, "Checkpoint folder, or the folder of a training run for its latest one"],
    *,
    tokens: Annotated[Path | None, "Folder of token shards to score; those of the run if not given"] = None,
    split: Annotated[str, "Documents to score: val or train"] = "val",
    max_tokens: Annotated[int, "Held-out tokens per source at most"] = 1 << 20,
    task: Annotated[tuple[Path, ...], "JSONL of minimal pairs or multiple choice instead; may be repeated"] = (),
    per_document: Annotated[Path | None, "Write the loss of each document of the split to this Parquet file"] = None,
    device: Annotated[str, "auto, cpu, cuda or cuda:N"] = "auto",
) -> list[Any]:
    """Score a model: held-out loss per source and domain, loss per document, or tasks.

    Tasks are files of minimal pairs (sentence_good, sentence_bad: as BLiMP) and of multiple choice (ctx, endings,
    label: as HellaSwag). The rows of `--per-document` join with documents and ledger by doc_id.
    """
    _let_threads_sleep()
    from train.scores import score_split, score_tasks

    if task and (tokens is not None or per_document is not None):
        raise ConfigError("--task asks questions instead of scoring documents; leave out --tokens and --per-document")
    if task:
        return score_tasks(Path(checkpoint), tuple(map(Path, task)), device)
    return score_split(Path(checkpoint), tokens, split, max_tokens, per_document, device)


def export(
    checkpoint: Annotated[Path, "Checkpoint folder, or the folder of a training run for its latest one"],
    out: Annotated[Path, "Folder to make"],
) -> Path:
    """Write a model as a folder that `transformers` opens, with its tokenizer: Llama, Qwen3 or GPT-2."""
    _let_threads_sleep()
    from train.checkpoint import find_checkpoint
    from train.export import export_checkpoint

    return export_checkpoint(find_checkpoint(Path(checkpoint)), Path(out))


def trace(
    run: Annotated[Path, "Folder of the training run"],
    *,
    step: Annotated[int | None, "List the documents of this step's batch; 1 is the first"] = None,
    row: Annotated[int | None, "Row of the step's batch; all rows if not given"] = None,
    doc: Annotated[str | None, "List when this document (a doc_id) was read"] = None,
) -> list[TracedDocument] | list[Seen]:
    """List the documents that a training step read, with URL and place in the crawl; or the steps that read one."""
    from train.data import Corpus
    from train.launch import refuse_other_shards

    if (step is None) == (doc is None) or (doc is not None and row is not None):
        raise ConfigError("give --step N, with --row R if you like, or --doc DOC_ID")
    folder, card = _run_at(Path(run))
    corpus = Corpus.open(card.tokens, card.config.data)
    refuse_other_shards(card, corpus)
    replaced_at = max((change.step for change in card.data_changes), default=0)
    n_done = _steps_done(folder)
    if step is None:
        found = trace_document(card.config, corpus, str(doc), n_done)
        seen = [one for one in found if one.step > replaced_at]
        if not seen:
            why = kept_from_training(corpus, str(doc)) or f"the steps up to {n_done:,} did not come to it"
            log.info("%s was not read: %s", doc, why)
        return seen
    if 1 <= step <= replaced_at:
        raise ConfigError(f"step {step} was trained on other token shards, which were replaced after it")
    traced = list(trace_step(card.config, corpus, step, row))
    if step > n_done:
        log.info("step %s is not done yet, only %s are: this is what it will read", f"{step:,}", f"{n_done:,}")
    return traced


def _let_threads_sleep() -> None:
    """Have OpenMP's threads sleep while they wait, unless told otherwise; must come before torch is loaded.

    By default they spin, which costs dearly where other work shares the cores: measured on two busy cores, 156 and 211
    tokens/s spinning, 895 and 916 sleeping.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _run_at(path: Path) -> tuple[RunFolder, RunCard]:
    """Return the training run at `path`, or in its folder `train`, where a recipe has it."""
    for folder in (RunFolder(path), RunFolder(path / "train")):
        if (card := read_card(folder)) is not None:
            return folder, card
    raise ConfigError(f"{path} is not a training run; start one with `train`")


def _steps_done(folder: RunFolder) -> int:
    """Return how far a run has come, by its log and, as that may be lost, by its checkpoints."""
    from train.metrics import read_metrics

    logged = [int(row["step"]) for row in read_metrics(folder.metrics) if "loss" in row]
    saved = [path.name.removeprefix("step-") for path in folder.checkpoints.glob("step-*")]
    return max([0, *logged, *(int(step) for step in saved if step.isdecimal())])
