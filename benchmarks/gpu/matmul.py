"""What a device reaches in the matrix products of a preset, forward and backward: TFLOP/s, beside its data sheet.

python benchmarks/gpu/matmul.py --presets 124m 350m 760m 1.5b
python benchmarks/gpu/matmul.py --device cpu --presets 5m --rows 2
"""

from __future__ import annotations

import argparse

import torch

from train.device import choose_device
from train.overrides import build_config
from train.peaks import matmul_flops, peak_flops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--presets", nargs="+", default=["124m", "350m", "760m", "1.5b"])
    parser.add_argument("--rows", type=int, default=16, help="windows a micro-batch")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    device = choose_device(given.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    peak = peak_flops(name)
    for preset in given.presets:
        config = build_config(preset, {"model": {"vocab_size": 50_304}})
        for dtype in (torch.bfloat16, torch.float32):
            found = matmul_flops(config.model, given.rows * config.data.seq_len, device, dtype)
            share = f", {found / peak:.1%} of the data sheet's bf16" if peak else ""
            print(f"{preset} {str(dtype).removeprefix('torch.')}: {found / 1e12:.2f} TFLOP/s on {name}{share}")


if __name__ == "__main__":
    main()
