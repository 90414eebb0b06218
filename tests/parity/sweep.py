#!/usr/bin/env python3
"""Runs PyTorch and holt on the same weights and images and writes docs/parity.md. Started by tests/parity/run."""
import argparse
import json
import pathlib
import shutil
import subprocess
import time

import numpy as np
import PIL.Image
import torch
import torchvision
from safetensors.torch import load_file, save_file

import counter
import models
import report

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WORK = ROOT / "build" / "parity" / "work"
RESULTS = WORK / "results.json"

# model, library, file. Between them every scheme and both formats.
LOGITS = [
    ("resnet18", "torchvision", "pth"),
    ("resnet34", "timm", "safetensors"),
    ("resnet50", "torchvision", "pth"),
    ("resnet50", "hf", "safetensors"),
    ("resnet101", "torchvision", "safetensors"),
    ("vit_ti_16", "timm", "safetensors"),
    ("vit_s_16", "hf", "safetensors"),
    ("vit_b_16", "torchvision", "pth"),
    ("vit_b_16", "timm", "safetensors"),
    ("vit_b_16", "hf", "pth"),
    ("vit_b_32", "torchvision", "pth"),
    ("vit_l_16", "torchvision", "pth"),
    ("clip_vit_b_16", "hf_image", "safetensors"),
    ("clip_vit_b_16", "open_clip", "pth"),
    ("clip_vit_b_16", "timm", "safetensors"),
    ("clip_vit_b_32", "hf_both", "safetensors"),
    ("clip_vit_b_32", "open_clip", "safetensors"),
    ("clip_vit_b_32", "timm", "pth"),
]
LARGE = {"vit_l_16", "vit_b_32", "resnet101"}
CLIP_CLASSES = 20
SGD = dict(optimizer="sgd", steps=10, lr=1e-3, momentum=0.9, nesterov=False, weight_decay=1e-3, eps=0)
ADAMW = dict(optimizer="adamw", steps=10, lr=1e-4, momentum=0, nesterov=False, weight_decay=0.05, eps=1e-8)
STEPS = {"SGD": SGD, "AdamW": ADAMW}
SEEDS = range(5)  # of the images, where ReLUs make a distance a matter of luck


class Sweep:
    def __init__(self, build):
        self.build = build
        self.results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}

    def once(self, what, *args):
        """The method's result, from an earlier sweep that was cut short if it stands in its file."""
        key = json.dumps([what, *args])
        if key not in self.results:
            begin = time.time()
            self.results[key] = getattr(self, what)(*args)
            RESULTS.write_text(json.dumps(self.results))
            print(f"{time.time() - begin:6.0f} s  {key}", flush=True)
        return self.results[key]

    def holt(self, **case):
        (WORK / "case.json").write_text(json.dumps(case))
        out = WORK / "out.safetensors"
        out.unlink(missing_ok=True)
        subprocess.run([self.build / "tests" / "holt_parity", WORK / "case.json", out], check=True)
        return load_file(out)

    def write(self, model, library, form):
        """The model's weights as its library writes them."""
        path = WORK / f"weights.{form}"
        if library.startswith("hf") and form == "safetensors":
            models.inner(model).save_pretrained(WORK / "hf")
            shutil.move(WORK / "hf" / "model.safetensors", path)
        elif form == "safetensors":
            save_file({k: v.contiguous() for k, v in models.inner(model).state_dict().items()}, path)
        else:
            torch.save(models.inner(model).state_dict(), path)
        return path

    def returns(self, path, model, library):
        """Whether holt writes the weights back so that the library's model loads them, every bit as it was. Of CLIP's files
        the image's tower."""
        names = {"hf_image": "hf", "hf_both": "hf", "open_clip": "openai"}.get(library, library)
        back = WORK / "back.pth"
        subprocess.run([self.build / "holt", "weights", "convert", path, "--to", names, "--out", back, "--overwrite"],
                       check=True, stdout=subprocess.DEVNULL)
        state = torch.load(back, weights_only=True)
        if library.startswith("hf"):  # transformers 5 reads the names that it writes by from_pretrained alone
            stored = load_file(path) if str(path).endswith("safetensors") else self.stored_names(model)
        else:
            stored = models.inner(model).state_dict()
            result = models.inner(model).load_state_dict(state, strict=library != "open_clip")
            if result.unexpected_keys:
                return False
        back.unlink()
        if library in ("hf_both", "open_clip"):
            stored = {k: v for k, v in stored.items() if k.startswith("vis")}
        keys = {k for k in stored if not k.endswith("num_batches_tracked")}
        return keys == {k for k in state if not k.endswith("num_batches_tracked")} and all(
            torch.equal(stored[k], state[k]) for k in keys)

    def stored_names(self, model):
        models.inner(model).save_pretrained(WORK / "hf")
        return load_file(WORK / "hf" / "model.safetensors")

    def logits(self, name, library, form):
        n, size, classes = 2, 224, CLIP_CLASSES if name.startswith("clip") else 1000
        model = models.fill(models.make(name, library, classes, size))
        path, head = self.write(model, library, form), {}
        if name.startswith("clip"):
            head["head"] = str(WORK / "head.safetensors")
            save_file(model.head(), head["head"])
        single = models.logits(model, n, size, classes, torch.float32)
        mine = self.holt(what="logits", model=name, classes=classes, size=size, batch=n, weights=str(path), **head)["logits"]
        returned = self.returns(path, model, library)
        path.unlink()
        true = models.logits(model, n, size, classes, torch.float64)
        most = true.abs().max()
        error = lambda a, b: float((a.double() - b.double()).abs().max() / most)
        return dict(model=name, library=library, form=form, torch32=error(mine, single), holt=error(mine, true),
                    torch=error(single, true), returned=returned)

    @staticmethod
    def trainable(name, library, classes, size):
        """Weights with which a step can be compared: the residual branches of a ResNet are small at first, as those that are
        trained begin (Goyal et al. 2017 let them begin at zero). With branches as large as the sums rounding grows from block
        to block, and after ten steps neither side's float32 has a digit in common with float64."""
        model = models.fill(models.make(name, library, classes, size))
        with torch.no_grad():
            for k, p in model.named_parameters():
                if k.endswith("bn3.weight"):
                    p.mul_(1 / 16)
        return model

    def gradients(self, name, library, n, size, seed=0):
        classes = 1000
        return self.compare(name, library, classes, size, lambda model, dtype: models.gradients(model, n, size, classes, dtype, seed),
                            dict(what="gradients", batch=n, seed=seed))

    def steps(self, name, library, n, size, title, seed=0):
        classes, settings = 10, STEPS[title]
        return self.compare(name, library, classes, size,
                            lambda model, dtype: models.trained(model, settings, n, size, classes, dtype, seed),
                            dict(what="steps", batch=n, seed=seed, **settings))

    def compare(self, name, library, classes, size, compute, case):
        """How far PyTorch's float32, holt's and (of the first images) holt's float64 are from PyTorch's float64; a ResNet's float32 also with its
        gates held as float64 has them. For each of them and each tensor ‖x − true‖ / ‖true‖, of gradients or of how far the
        tensor moved, and the largest relative error of a loss."""
        fresh = lambda: self.trainable(name, library, classes, size)
        path = self.write(fresh(), library, "pth")
        case |= dict(model=name, classes=classes, size=size, weights=str(path))
        with models.Gates() as noted:
            losses, true = compute(fresh(), torch.float64)
        found = {"torch": compute(fresh(), torch.float32)}
        mine = {"holt": self.holt(**case)}
        if case["seed"] == 0:
            mine["holt64"] = self.holt(**case, exact=True)
        result = {}
        if name.startswith("resnet"):
            with models.Gates(noted.masks) as held:
                found["torch, held"] = compute(fresh(), torch.float32)
            mine["holt, held"] = self.holt(**case, held=True)
            all, differ = mine["holt, held"]["gates"].tolist()
            result["gates"] = dict(all=all, torch=held.differ, holt=differ)
        path.unlink()
        for k, v in mine.items():
            found[k] = v["losses"].tolist(), v
        if case["what"] == "steps":
            start = {k: v.double() for k, v in fresh().state_dict().items()}
        else:
            start = {k: torch.zeros_like(v) for k, v in true.items()}
        rows = {}
        for k, t in true.items():
            t = t.double() - start[k]
            rows[k] = {who: float((x[k].double() - start[k] - t).norm() / t.norm()) for who, (_, x) in found.items()}
        loss = {who: max(abs(a - b) / abs(b) for a, b in zip(x, losses)) for who, (x, _) in found.items()}
        return result | dict(rows=rows, loss=loss)

    def image(self, kind, height, width, size):
        pixels = (counter.bits(f"photo.{height}", height * width * 3) >> np.uint64(56)).astype(np.uint8)
        small = PIL.Image.fromarray(pixels.reshape(height, width, 3)).resize((width // 8, height // 8))
        photo = small.resize((width, height), PIL.Image.BICUBIC)  # smooth, as photographs are
        path = WORK / f"photo.{kind}"
        photo.save(path, **({"quality": 90} if kind == "jpg" else {}))
        photo = PIL.Image.open(path).convert("RGB")
        t = torchvision.transforms
        want = t.Compose([t.Resize((size * 256 + 112) // 224), t.CenterCrop(size), t.ToTensor(),
                          t.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])(photo).permute(1, 2, 0)
        got = self.holt(what="image", file=str(path), size=size)["image"]
        d = (got - want).abs()
        step = 1 / 255 / 0.229  # of one pixel value, after normalisation
        return dict(kind=kind, height=height, width=width, size=size, most=float(d.max()) / step,
                    mean=float(d.mean()) / step)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--partial", action="store_true", help="write what a sweep that was cut short has")
    args = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    sweep = Sweep((ROOT / args.build).resolve())

    jobs = [("logits", *row) for row in LOGITS if not (args.quick and row[0] in LARGE)]
    resnet, vit = ("resnet50", "torchvision", 4), ("vit_b_16", "timm", 2)
    jobs += [("gradients", *resnet, 224), ("gradients", *vit, 224)]
    jobs += [("gradients", *resnet, 64, seed) for seed in SEEDS]
    jobs += [("steps", *model, 64, title) for model in (resnet, vit) for title in STEPS]
    jobs += [("steps", *resnet, 64, "AdamW", seed) for seed in SEEDS if seed]
    jobs += [("image", *a) for a in [("png", 480, 640, 224), ("png", 200, 150, 224), ("jpg", 480, 640, 224), ("jpg", 1200, 1600, 224)]]
    if args.partial:
        have = [job for job in jobs if json.dumps([*job]) in sweep.results]
        report.write(ROOT / "docs" / "parity.md", [(job, sweep.once(*job)) for job in have], len(jobs))
        return
    report.write(ROOT / "docs" / "parity.md", [(job, sweep.once(*job)) for job in jobs], len(jobs))
    shutil.rmtree(WORK)


if __name__ == "__main__":
    main()
