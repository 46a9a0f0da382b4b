"""What the hardware can do."""

from __future__ import annotations

import time

import torch

# dense bfloat16 or float16 operations a second with tensor cores, from NVIDIA's data sheets
_PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40": 181e12, "A10": 125e12, "L4": 121e12, "T4": 65e12}


def peak_flops(device: torch.device) -> tuple[str, float]:
    """A device's name and the floating-point operations that it can do in a second.

    Args:
        device: a GPU's figure is that of its data sheet, for 16 bits; a CPU's, and an unknown GPU's, is measured: what
            the product of two large float32 matrices reaches.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "this CPU"
    for key, value in _PEAKS.items():
        if key in name:
            return name, value
    size, best = 1024, float("inf")
    a, b = torch.randn(2, size, size, device=device)
    for _ in range(8):
        began = time.perf_counter()
        (a @ b).sum().item()
        best = min(best, time.perf_counter() - began)
    return name, 2 * size**3 / best
