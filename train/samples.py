"""A few texts that the model writes when its training is done, for a person to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch

from train.generate import Drawing, read_tokenizer, sample
from train.model import Decoder
from train.parallel import whole

N_NEW_TOKENS = 48


def in_one_piece(model: Decoder, leads: bool) -> Decoder | None:
    """Return the model with all its weights, for the process that leads; all processes take part where it is cut."""
    if not any(hasattr(parameter, "full_tensor") for parameter in model.parameters()):
        return model if leads else None
    weights = {name: whole(tensor).cpu() if leads else whole(tensor) for name, tensor in model.state_dict().items()}
    if not leads:
        return None
    copy = Decoder(model.config)
    copy.load_state_dict(weights)
    return copy


def write_samples(
    model: Decoder, tokenizer: Path, prompts: Sequence[str], max_positions: int, seed: int
) -> Iterator[tuple[str, str]]:
    """Yield (prompt, the prompt and what follows), drawn as `generate` does by default; the model is left as it was."""
    reader = read_tokenizer(tokenizer)
    was_training = model.training
    model.eval()
    on_cuda = model.embed_tokens.weight.device.type == "cuda"
    # compiled blocks would be compiled again for every length
    with torch.compiler.set_stance("force_eager") if on_cuda else nullcontext():
        for prompt in prompts:
            ids = reader.encode(prompt, add_special_tokens=False).ids
            generator = torch.Generator().manual_seed(seed)
            new_ids = sample(model, [model.config.eos_id, *ids], max_positions, N_NEW_TOKENS, Drawing(), generator)
            yield prompt, str(reader.decode([*ids, *new_ids]))
    model.train(was_training)
