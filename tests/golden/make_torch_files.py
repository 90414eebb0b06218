#!/usr/bin/env python3
"""Writes the .pth files beside it, which tests/torch_file_test.cpp reads. Made with Debian 12's PyTorch 1.13."""
import collections
import os

import torch

here = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(1)


def count(*shape, dtype=torch.float32):
    n = 1
    for s in shape:
        n *= s
    return torch.arange(n).reshape(shape).to(dtype)


# A module's state dict, as torch.save(model.state_dict(), path) writes it: an OrderedDict with _metadata.
model = torch.nn.Sequential(collections.OrderedDict(conv=torch.nn.Conv2d(2, 3, 3), bn=torch.nn.BatchNorm2d(3)))
with torch.no_grad():
    model.conv.weight.copy_(count(3, 2, 3, 3))
    model.conv.bias.copy_(count(3))
torch.save(model.state_dict(), os.path.join(here, "state_dict.pth"))

# A training checkpoint: dicts in dicts, numbers and texts beside the tensors, parameters, every dtype, odd layouts.
base = count(4, 6)
torch.save(
    {
        "epoch": 3,
        "arch": "toy",
        "best": 0.5,
        "done": False,
        "none": None,
        "model": {
            "transposed": base.t(),
            "column": base[:, 2],
            "expanded": torch.tensor([7.0]).expand(3),
            "tied_a": base,
            "tied_b": base,
            "rows": base[1:3],
            "scalar": torch.tensor(2.5),
            "empty": torch.zeros(0, 4),
            "parameter": torch.nn.Parameter(count(2)),
            "f16": count(3, dtype=torch.float16),
            "bf16": count(3, dtype=torch.bfloat16),
            "f64": count(3, dtype=torch.float64),
            "i64": count(3, dtype=torch.int64) - 1,
            "i32": count(3, dtype=torch.int32),
            "u8": count(3, dtype=torch.uint8),
            "bool": torch.tensor([True, False]),
        },
        "optimizer": {"state": {0: {"step": 10, "exp_avg": count(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    },
    os.path.join(here, "checkpoint.pth"),
)

# Whole objects: refused.
torch.save(model, os.path.join(here, "module.pth"))
torch.save({"w": count(2)}, os.path.join(here, "legacy.pth"), _use_new_zipfile_serialization=False)
torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), os.path.join(here, "script.pth"))
