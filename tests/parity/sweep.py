#!/usr/bin/env python3
"""Runs PyTorch and holt on the same weights and images and writes docs/parity.md. Started by tests/parity/run."""
import argparse
import json
import os
import pathlib
import platform
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
]
LARGE = {"vit_l_16", "vit_b_32", "resnet101"}
SGD = dict(optimizer="sgd", steps=10, lr=1e-3, momentum=0.9, nesterov=False, weight_decay=1e-3, eps=0)
ADAMW = dict(optimizer="adamw", steps=10, lr=1e-4, momentum=0, nesterov=False, weight_decay=0.05)
STEPS = [("SGD", SGD), ("AdamW", {**ADAMW, "eps": 1e-8})]


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
        if library == "hf" and form == "safetensors":
            models.inner(model).save_pretrained(WORK / "hf")
            shutil.move(WORK / "hf" / "model.safetensors", path)
        elif form == "safetensors":
            save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
        else:
            torch.save(models.inner(model).state_dict(), path)
        return path

    def returns(self, path, model, library):
        """Whether holt writes the weights back so that the library's model loads them, every bit as it was."""
        names = {"torchvision": "torchvision", "timm": "timm", "hf": "hf"}[library]
        back = WORK / "back.pth"
        subprocess.run([self.build / "holt", "weights", "convert", path, "--to", names, "--out", back, "--overwrite"],
                       check=True, stdout=subprocess.DEVNULL)
        state = torch.load(back, weights_only=True)
        if library == "hf":  # transformers 5 reads the names that it writes by from_pretrained alone
            stored = load_file(path) if str(path).endswith("safetensors") else self.stored_names(model)
        else:
            stored = models.inner(model).state_dict()
            models.inner(model).load_state_dict(state, strict=True)
        back.unlink()
        keys = {k for k in stored if not k.endswith("num_batches_tracked")}
        return keys == {k for k in state if not k.endswith("num_batches_tracked")} and all(
            torch.equal(stored[k], state[k]) for k in keys)

    def stored_names(self, model):
        models.inner(model).save_pretrained(WORK / "hf")
        return load_file(WORK / "hf" / "model.safetensors")

    def logits(self, name, library, form):
        n, size, classes = 2, 224, 1000
        model = models.fill(models.make(name, library, classes, size))
        path = self.write(model, library, form)
        single = models.logits(model, n, size, classes, torch.float32)
        mine = self.holt(what="logits", model=name, classes=classes, size=size, batch=n, weights=str(path))["logits"]
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

    def gradients(self, name, library, n, size):
        classes = 1000
        fresh = lambda: self.trainable(name, library, classes, size)
        path = self.write(fresh(), library, "pth")
        mine = self.holt(what="gradients", model=name, classes=classes, size=size, batch=n, weights=str(path))
        _, single = models.gradients(fresh(), n, size, classes, torch.float32)
        _, true = models.gradients(fresh(), n, size, classes, torch.float64)
        path.unlink()
        result = self.table(true, single, mine)
        if name.startswith("resnet"):  # how much of it is ReLUs that rounding opens or closes
            run = lambda dtype: models.gradients(fresh(), n, size, classes, dtype)[1]
            with models.Gates() as gates64:
                run(torch.float64)
            with models.Gates() as gates32:
                run(torch.float32)
            with models.Gates(gates64.masks):
                held = run(torch.float32)
            result["gates"] = dict(
                all=sum(m.numel() for m in gates64.masks),
                differ=sum(int((a != b).sum()) for a, b in zip(gates64.masks, gates32.masks)),
                held=max(float((held[k].double() - t).norm() / t.norm()) for k, t in true.items()))
        return result

    def steps(self, name, library, n, size, settings):
        classes = 10
        fresh = lambda: self.trainable(name, library, classes, size)
        path = self.write(fresh(), library, "pth")
        mine = self.holt(what="steps", model=name, classes=classes, size=size, batch=n, weights=str(path), **settings)
        start = {k: v.double() for k, v in fresh().state_dict().items()}
        losses32, single = models.trained(fresh(), settings, n, size, classes, torch.float32)
        losses, true = models.trained(fresh(), settings, n, size, classes, torch.float64)
        path.unlink()
        moved = [{k: v.double() - start[k] for k, v in s.items() if k in start} for s in (true, single, mine)]
        result = self.table(*moved)
        result["loss"] = [float(max(abs(a - b) / abs(b) for a, b in zip(x, losses)))
                          for x in (losses32, mine["losses"].tolist())]
        return result

    @staticmethod
    def table(true, single, mine):
        """For each tensor ‖x − true‖ / ‖true‖ of PyTorch's float32 and of holt's."""
        rows = {}
        for k, t in true.items():
            t = t.double()
            rows[k] = [float((x[k].double() - t).norm() / t.norm()) for x in (single, mine)]
        return {"rows": rows}

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


def e(x):
    return f"{x:.1e}"


def worst(result, which, keep=lambda k: True):
    k = max((k for k in result["rows"] if keep(k)), key=lambda k: result["rows"][k][which])
    return result["rows"][k][which], k


def median(result, which, keep=lambda k: True):
    return float(np.median([r[which] for k, r in result["rows"].items() if keep(k)]))


def is_buffer(k):
    return "running_" in k


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    sweep = Sweep((ROOT / args.build).resolve())

    rows = []
    for name, library, form in LOGITS:
        if args.quick and name in LARGE:
            continue
        rows.append(sweep.once("logits", name, library, form))
    grads = []
    for name, library in [("resnet50", "torchvision"), ("vit_b_16", "timm")]:
        grads.append((name, sweep.once("gradients", name, library, 4, 224)))
    steps = []
    for name, library, n in [("resnet50", "torchvision", 4), ("vit_b_16", "timm", 2)]:
        for title, settings in STEPS:
            steps.append((name, title, sweep.once("steps", name, library, n, 64, settings)))
    images = [sweep.once("image", *a) for a in [("png", 480, 640, 224), ("png", 200, 150, 224), ("jpg", 480, 640, 224),
                                        ("jpg", 1200, 1600, 224)]]
    write(rows, grads, steps, images)
    shutil.rmtree(WORK)


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(": ")[1].strip()
    return platform.processor()


def write(rows, grads, steps, images):
    import timm
    import transformers

    out = []
    add = out.append
    add("# Parity with PyTorch\n")
    add(f"Written by `tests/parity/run` (PyTorch {torch.__version__}, torchvision {torchvision.__version__}, timm "
        f"{timm.__version__}, transformers {transformers.__version__}; {processor()}). "
        "Weights are drawn by a counter that both sides can compute (tests/parity/counter.py), given to the library's own "
        "model, written by the library and read by holt. Truth is PyTorch in float64; beside holt's distance from it stands "
        "that of PyTorch's float32: neither can be exact, and the two compute sums in different orders.\n")
    add("## Logits\n")
    add("1000 classes, two images of 224×224, evaluation mode. Largest error of a logit ÷ largest logit; the target is 1e-4. "
        "*returned*: `holt weights convert` wrote the file back under its names, and every bit was as before.\n")
    add("| model | library | file | holt − torch f32 | holt f32 − f64 | torch f32 − f64 | returned |")
    add("|:--|:--|:--|--:|--:|--:|:--|")
    for r in rows:
        add(f"| {r['model']} | {r['library']} | {r['form']} | {e(r['torch32'])} | {e(r['holt'])} | {e(r['torch'])} | "
            f"{'yes' if r['returned'] else '**no**'} |")
    add("\n## Gradients of every parameter\n")
    add("Mean cross-entropy of 1000 classes, four images of 224×224, training mode. ‖g − true‖ / ‖true‖ of each tensor. ResNet-50's last norm of each "
        "branch is scaled to 1/16 here and below, as branches begin small in training: with branches as large as the sums rounding grows from block to "
        "block, and gradients differ by 2 % between float32 and float64 on both sides alike.\n")
    add("| model | tensors | holt, median | holt, worst | torch f32, median | torch f32, worst | holt's worst tensor |")
    add("|:--|--:|--:|--:|--:|--:|:--|")
    for name, g in grads:
        w, k = worst(g, 1)
        add(f"| {name} | {len(g['rows'])} | {e(median(g, 1))} | {e(w)} | {e(median(g, 0))} | {e(worst(g, 0)[0])} | `{k}` |")
    for name, g in grads:
        if "gates" in g:
            add(f"\n**{name}.** A gradient is not continuous in a network of ReLUs: where an input is within rounding of zero, one side opens a gate "
                f"that the other closes, and everything before that gate changes at once. PyTorch's float32 and float64 differ in {g['gates']['differ']} "
                f"of {g['gates']['all'] / 1e6:.0f} million gates here. With its gates held as float64 has them, PyTorch's float32 is at most {e(g['gates']['held'])} "
                "from the truth: the rest is gates. The golden test of ResNet-18 (tests/torch_parity_test.cpp) takes images at which no input is "
                "near zero, and holds every gradient of holt's to four times PyTorch's distance.")
    add("\n## Ten steps\n")
    add("Four images of 64×64 a step (ViT: two), another batch each step, 10 classes. SGD: lr 1e-3, momentum 0.9, weight decay 1e-3. AdamW: lr 1e-4, weight decay "
        "0.05. How far each tensor moved in ten steps: ‖Δ − Δtrue‖ / ‖Δtrue‖. *loss*: largest relative error of the ten losses.\n")
    add("| model | optimiser | tensors | holt, median | holt, worst | torch f32, median | torch f32, worst | holt, loss | torch f32, loss |")
    add("|:--|:--|:--|--:|--:|--:|--:|--:|--:|")
    for name, title, s in steps:
        kinds = [("parameters", lambda k: not is_buffer(k))]
        if any(is_buffer(k) for k in s["rows"]):
            kinds.append(("running statistics", is_buffer))
        for kind, keep in kinds:
            add(f"| {name} | {title} | {kind} | {e(median(s, 1, keep))} | {e(worst(s, 1, keep)[0])} | {e(median(s, 0, keep))} | "
                f"{e(worst(s, 0, keep)[0])} | {e(s['loss'][1])} | {e(s['loss'][0])} |")
    add("\n## Images\n")
    add("The shorter side to 256, the middle 224×224, normalised: `load_framed()` and the loader against Pillow's `Resize` and torchvision's "
        "`CenterCrop`, `ToTensor`, `Normalize`. Differences in steps of one pixel value of 255.\n")
    add("| file | largest | mean |")
    add("|:--|--:|--:|")
    for i in images:
        add(f"| {i['kind']}, {i['width']}×{i['height']} | {i['most']:.2g} | {i['mean']:.2g} |")
    notes = pathlib.Path(__file__).parent / "notes.md"
    if notes.exists():
        add("\n" + notes.read_text().rstrip())
    (ROOT / "docs" / "parity.md").write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
