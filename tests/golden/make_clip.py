#!/usr/bin/env python3
"""Writes tests/golden/clip.safetensors: a tiny CLIP image tower under OpenAI's names, with random weights, its input,
and what PyTorch makes of it. Written from the paper and independently of holt. PyTorch 1.13 was used.

    python3 tests/golden/make_clip.py tests/golden/clip.safetensors
"""
import json
import struct
import sys

import torch
from torch import nn

WIDTH, HEADS, LAYERS, PATCH, SIZE, OUTPUT, CLASSES, SCALE = 24, 3, 2, 4, 12, 8, 5, 50.0


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.ln_2 = nn.LayerNorm(WIDTH)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(WIDTH, 4 * WIDTH), "c_proj": nn.Linear(4 * WIDTH, WIDTH)})

    def forward(self, x):
        n = self.ln_1(x)
        x = x + self.attn(n, n, n, need_weights=False)[0]
        h = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](h * torch.sigmoid(1.702 * h))


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        tokens = (SIZE // PATCH) ** 2 + 1
        self.conv1 = nn.Conv2d(3, WIDTH, PATCH, PATCH, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(WIDTH))
        self.positional_embedding = nn.Parameter(torch.randn(tokens, WIDTH))
        self.ln_pre = nn.LayerNorm(WIDTH)
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList([Block() for _ in range(LAYERS)])})
        self.ln_post = nn.LayerNorm(WIDTH)
        self.proj = nn.Parameter(torch.randn(WIDTH, OUTPUT) / WIDTH**0.5)

    def forward(self, images):
        x = self.conv1(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, WIDTH), x], 1) + self.positional_embedding
        x = self.ln_pre(x)
        for block in self.transformer["resblocks"]:
            x = block(x)
        f = self.ln_post(x[:, 0]) @ self.proj
        return f / f.norm(dim=1, keepdim=True)


def write(path, tensors, metadata):
    header, parts, offset = {"__metadata__": metadata}, [], 0
    for name, t in sorted(tensors.items()):
        data = t.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [offset, offset + len(data)]}
        parts.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


torch.manual_seed(0)
tower = Tower()
with torch.no_grad():
    for name, p in tower.named_parameters():  # norms and biases that do something
        if p.dim() == 1:
            p.add_(0.3 * torch.randn_like(p))
images = torch.randn(2, 3, SIZE, SIZE)
embeddings = 3 * torch.randn(CLASSES, OUTPUT)
features = tower(images)
logits = SCALE * features @ (embeddings / embeddings.norm(dim=1, keepdim=True)).T
logits.square().sum().backward()
tensors = {"visual." + k: v for k, v in tower.state_dict().items()}
tensors.update(images=images, embeddings=embeddings, features=features, logits=logits,
               conv1_gradient=tower.conv1.weight.grad, fc_gradient=tower.transformer["resblocks"][0].mlp["c_fc"].weight.grad)
write(sys.argv[1], tensors, {"logit_scale": str(SCALE)})
