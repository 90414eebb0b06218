#!/usr/bin/env python3
"""Writes tests/golden/parity.json: what PyTorch computes in float64 of weights and images that both sides make from a
counter (counter.py), and how far PyTorch's own float32 is from that. tests/torch_parity_test.cpp holds holt to it.

    build/parity/venv/bin/python tests/parity/make_goldens.py        (tests/parity/run makes the venv)
"""
import json
import pathlib

import numpy as np
import PIL.Image
import torch
import torchvision

import counter
import models

STEPS = {
    "sgd": dict(optimizer="sgd", steps=10, lr=0.02, momentum=0.9, nesterov=False, weight_decay=1e-3, eps=0),
    "nesterov": dict(optimizer="sgd", steps=10, lr=0.02, momentum=0.9, nesterov=True, weight_decay=1e-3, eps=0),
    # eps far above the rounding of gradients: Adam divides by √v, and turns noise around a zero gradient into whole steps.
    "adamw": dict(optimizer="adamw", steps=10, lr=1e-3, momentum=0, nesterov=False, weight_decay=0.05, eps=1e-4),
    # Running means and variances: the weights stay nearly where they are, so that ReLUs on the edge do not matter.
    "statistics": dict(optimizer="sgd", steps=10, lr=1e-6, momentum=0.9, nesterov=False, weight_decay=1e-3, eps=0),
}
CASES = [
    ("resnet18", "torchvision", 4, ["logits", "gradients", "statistics"]),
    ("resnet50", "torchvision", 2, ["logits"]),
    ("vit_ti_16", "timm", 4, ["logits", "gradients", "sgd", "nesterov", "adamw"]),
]
CLASSES, SIZE = 10, 64


def relative(a, b):
    """‖a − b‖ / ‖b‖"""
    return float((a.double() - b.double()).norm() / b.double().norm())


def summary(name, true, single):
    """The norm, its projections, and how far PyTorch's float32 is from it."""
    return [float(true.double().norm()), *counter.projections(name, true.double().numpy()), relative(single, true)]


def margin(model, n, seed):
    """The smallest input of a ReLU, measured by the root mean square of its layer's."""
    least = []
    hooks = [m.register_forward_pre_hook(lambda m, x: least.append(float(x[0].abs().min() / x[0].pow(2).mean().sqrt())))
             for m in model.modules() if isinstance(m, torch.nn.ReLU)]
    with torch.no_grad():
        model.double().train()(models.batch(0, n, SIZE, CLASSES, torch.float64, seed)[0])
    for h in hooks:
        h.remove()
    return min(least)


def safe_seed(fresh, n):
    """Images at which the gradient of a network of ReLUs is smooth: where an input is within rounding of zero, the two sides
    may open different gates, and their gradients then differ by far more than rounding."""
    return max(range(40), key=lambda seed: margin(fresh(), n, seed))


def run(name, library, batch, parts):
    fresh = lambda: models.fill(models.make(name, library, CLASSES, SIZE))
    both = (torch.float64, torch.float32)
    out = {"model": name, "classes": CLASSES, "size": SIZE, "batch": batch}
    for what in parts:
        if what == "logits":
            true, single = [models.logits(fresh(), batch, SIZE, CLASSES, t) for t in both]
            out[what] = {"values": true.reshape(-1).tolist(),
                         "torch_error": float((single - true).abs().max() / true.abs().max())}
        elif what == "gradients":
            seed = safe_seed(fresh, batch) if name.startswith("resnet") else 0
            if name.startswith("resnet"):
                print(name, "seed", seed, "margin", margin(fresh(), batch, seed))
            ([loss], true), (_, single) = [models.gradients(fresh(), batch, SIZE, CLASSES, t, seed) for t in both]
            out[what] = {"seed": seed, "loss": loss, "tensors": {k: summary(k, v, single[k]) for k, v in true.items()}}
        else:
            start = {k: v.clone().double() for k, v in fresh().state_dict().items()}
            (losses, true), (losses32, single) = [
                models.trained(fresh(), STEPS[what], batch, SIZE, CLASSES, t) for t in both]
            moved = {k: (v - start[k], single[k].double() - start[k]) for k, v in true.items()
                     if what != "statistics" or "running_" in k}
            out[what] = {**STEPS[what], "losses": losses, "tensors": {k: summary(k, *v) for k, v in moved.items()},
                         "torch_loss_error": max(abs(a - b) / abs(b) for a, b in zip(losses32, losses))}
        errors = [t[-1] for t in out[what].get("tensors", {}).values()] or [out[what]["torch_error"]]
        print(name, what, "median", float(np.median(errors)), "worst", max(errors), flush=True)
    return out


def images():
    """Pillow's and torchvision's way from pixels to what a network is fed."""
    out = []
    for h, w, side in [(300, 400, 224), (117, 203, 224), (500, 333, 64), (64, 64, 64), (41, 300, 96)]:
        pixels = (counter.bits(f"pixels.{h}.{w}", h * w * 3) >> np.uint64(56)).astype(np.uint8).reshape(h, w, 3)
        ramp = (np.arange(w, dtype=np.int64) * 255 // w).astype(np.uint8)[None, :, None]
        pixels = (pixels // 2 + ramp // 2).astype(np.uint8)  # noise over a ramp
        image = torchvision.transforms.Resize((side * 256 + 112) // 224)(PIL.Image.fromarray(pixels))
        image = torchvision.transforms.CenterCrop(side)(image)
        x = torchvision.transforms.functional.to_tensor(image)
        x = torchvision.transforms.functional.normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        x = x.permute(1, 2, 0).reshape(-1)
        h64 = 0xCBF29CE484222325
        for byte in np.asarray(image).reshape(-1).tolist():
            h64 = (h64 ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
        at = [k * (x.numel() - 1) // 15 for k in range(16)]
        out.append({"height": h, "width": w, "side": side, "hash": f"{h64:016x}", "at": at, "normalized": x[at].tolist()})
    return out


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    golden = {"torch": torch.__version__, "torchvision": torchvision.__version__, "images": images(),
              "cases": [run(*case) for case in CASES]}
    path = pathlib.Path(__file__).parent.parent / "golden" / "parity.json"
    path.write_text(json.dumps(json.loads(json.dumps(golden), parse_float=lambda s: float(f"{float(s):.12g}")),
                               separators=(",", ":")).replace("},{", "},\n{") + "\n")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
