#!/usr/bin/env python3
"""holt beside PyTorch on the CPU, in turn: a training step and inference of ResNet-50 and ViT-B/16, f32 and bf16.

    bench/compare_torch.py [--holt build/release/holt] [--rounds 5] [--steps 3] [--write docs/cpu-speed.md]

PyTorch is the newest of PyPI that installs here, in build/torch_venv, which the script makes (the wheels are large:
5 GB). Of eager NCHW, eager channels-last and torch.compile the fastest is taken (for inference torch.compile with
frozen weights too): each first runs alone, then the winner and holt take turns, so that a slow minute hits both. The
ratio is the median of the rounds' ratios. Same number of threads, same batch, cross-entropy; SGD with momentum for
ResNet, AdamW for ViT. Peak memory is the process's (VmHWM) in the timed steps; what importing torch alone takes is
shown too.
"""
import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "build" / "torch_venv"
BEGIN, END = "<!-- compare_torch: begin -->", "<!-- compare_torch: end -->"


# ---- The worker: PyTorch in a process of its own ----

def resnet50(torch):
    """torchvision's resnet50 (v1.5)."""
    nn = torch.nn

    class Bottleneck(nn.Module):
        def __init__(self, cin, width, stride):
            super().__init__()
            cout = 4 * width
            self.conv1, self.bn1 = nn.Conv2d(cin, width, 1, bias=False), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
            self.conv3, self.bn3 = nn.Conv2d(width, cout, 1, bias=False), nn.BatchNorm2d(cout)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride != 1 or cin != cout:
                self.downsample = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

        def forward(self, x):
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.relu(self.bn2(self.conv2(y)))
            y = self.bn3(self.conv3(y))
            return self.relu(y + (x if self.downsample is None else self.downsample(x)))

    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    cin = 64
    for stage, blocks in enumerate([3, 4, 6, 3]):
        for i in range(blocks):
            layers.append(Bottleneck(cin, 64 << stage, 2 if stage and not i else 1))
            cin = 256 << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def vit_b_16(torch):
    """timm's vit_base_patch16_224."""
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, d, heads):
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = nn.LayerNorm(d, 1e-6), nn.LayerNorm(d, 1e-6)
            self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.fc1, self.fc2 = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

        def forward(self, x):
            b, t, d = x.shape
            q, k, v = self.qkv(self.norm1(x)).reshape(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
            a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, d)
            x = x + self.proj(a)
            return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))

    class ViT(nn.Module):
        def __init__(self, d=768, depth=12, heads=12):
            super().__init__()
            self.patches = nn.Conv2d(3, d, 16, 16)
            self.cls = nn.Parameter(torch.zeros(1, 1, d))
            self.pos = nn.Parameter(torch.randn(1, 197, d) * 0.02)
            self.blocks = nn.Sequential(*[Block(d, heads) for _ in range(depth)])
            self.norm, self.head = nn.LayerNorm(d, 1e-6), nn.Linear(d, 1000)

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.pos
            return self.head(self.norm(self.blocks(x))[:, 0])

    return ViT()


def peak_rss(reset=False):
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(l.split()[1]) for l in lines if l.startswith("VmHWM"))


def worker(o):
    import time

    import torch
    imported = peak_rss()
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    model = {"resnet50": resnet50, "vit_b_16": vit_b_16}[o.model](torch)
    images = torch.randn(o.batch, 3, 224, 224)
    labels = torch.arange(o.batch) * 7 % 1000
    if o.variant != "eager" and not (o.variant.startswith("compile") and o.model.startswith("vit")):
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    if o.variant == "compile-frozen":
        import torch._inductor.config
        torch._inductor.config.freezing = True
    inference = o.mode == "inference"
    model.train(not inference)
    run = torch.compile(model) if o.variant.startswith("compile") else model
    cast = lambda: torch.autocast("cpu", torch.bfloat16, enabled=o.precision == "bf16")
    if o.model.startswith("vit"):
        optimizer = torch.optim.AdamW(model.parameters(), 1e-4, weight_decay=0.05, fused=True)
    else:
        optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9, weight_decay=1e-4, fused=True)

    clock = time.process_time if o.processor_time else time.perf_counter

    def step():
        begin = clock()
        if inference:
            with torch.no_grad(), cast():
                run(images)
        else:
            with cast():
                loss = torch.nn.functional.cross_entropy(run(images), labels)
            loss.item()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return clock() - begin

    for _ in range(2):
        step()
    peak_rss(reset=True)
    print(json.dumps({"version": torch.__version__, "imported": imported}), flush=True)
    for line in sys.stdin:
        seconds = [step() for _ in range(int(line))]
        print(json.dumps({"seconds": seconds, "rss": peak_rss()}), flush=True)


# ---- The comparison ----

class Torch:
    def __init__(self, o, python, model, precision, mode, variant):
        command = [python, __file__, "--worker", "--model", model, "--precision", precision, "--mode", mode,
                   "--variant", variant, "--batch", str(o.batch), "--threads", str(o.threads)]
        command += ["--processor-time"] if o.processor_time else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "OMP_NUM_THREADS": str(o.threads)})
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("PyTorch's process ended")
        return json.loads(line)

    def run(self, steps):
        print(steps, file=self.process.stdin, flush=True)
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def run_holt(o, model, precision, mode):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run([o.holt, "bench", "model", "--model", model, "--batch", str(o.batch), "--precision", precision,
                        "--threads", str(o.threads), "--steps", str(o.steps), "--warmup", "1", "--json", out.name,
                        "--" + mode] + (["--processor-time"] if o.processor_time else []), check=True, stdout=subprocess.DEVNULL)
        return json.loads(Path(out.name).read_text())


def torch_python(o):
    """A Python that imports torch: the one given, or build/torch_venv's, made at first use."""
    python = o.python or str(VENV / "bin" / "python")
    if not o.python and not VENV.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode:
        if o.python:
            sys.exit(f"compare_torch: {python} cannot import torch")
        print("installing PyTorch in", VENV, flush=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "torch", "numpy", "setuptools"], check=True)
    return python


def compare(o, python, model, precision, mode):
    """One line of the table."""
    variants = ["eager", "channels-last", "compile"] + (["compile-frozen"] if mode == "inference" else [])
    times, failed = {}, []
    for variant in variants:
        try:
            t = Torch(o, python, model, precision, mode, variant)
            times[variant] = min(t.run(o.steps)["seconds"])
            t.close()
        except RuntimeError:
            failed.append(variant)
    best = min(times, key=times.get)
    t = Torch(o, python, model, precision, mode, best)
    ratios, ours, theirs = [], [], []
    for _ in range(o.rounds):
        theirs.append(t.run(o.steps))
        ours.append(run_holt(o, model, precision, mode))
        ratios.append(statistics.median(theirs[-1]["seconds"]) / statistics.median(ours[-1]["seconds"]))
    t.close()
    median = lambda f, xs: statistics.median(map(f, xs))
    row = {
        "model": model, "precision": precision, "mode": mode, "variant": best, "variants": times, "failed": failed,
        "version": t.about["version"], "imported": t.about["imported"],
        "torch": o.batch / median(lambda x: statistics.median(x["seconds"]), theirs),
        "holt": o.batch / median(lambda x: statistics.median(x["seconds"]), ours),
        "ratio": statistics.median(ratios), "ratios": sorted(ratios),
        "percent_of_peak": median(lambda x: x["percent_of_peak"], ours),
        "torch_rss": max(x["rss"] for x in theirs), "holt_rss": max(x["peak_rss_bytes"] for x in ours),
        "cpu": ours[-1]["cpu"], "commit": ours[-1]["commit"],
    }
    print(json.dumps(row), flush=True)
    return row


def table(o, rows):
    r = rows[0]
    lines = [
        f"{date.today()}, {r['cpu']}, {o.threads} thread{'s' * (o.threads > 1)}, batch {o.batch}, 224×224"
        f"{', processor time on a busy machine' * o.processor_time}; holt {r['commit']}, PyTorch "
        f"{r['version']} (its import alone: {r['imported'] / 1e6:.0f} MB); {o.rounds} rounds of {o.steps} steps in turn.",
        "",
        "| model | | precision | holt, images/s | % of peak | PyTorch, images/s | its fastest way | **ratio** (all rounds) "
        "| peak memory, holt : PyTorch |",
        "|---|---|---|---:|---:|---:|---|---|---|",
    ]
    for r in rows:
        spread = f"{r['ratios'][0]:.2f} … {r['ratios'][-1]:.2f}"
        lines.append(f"| {r['model']} | {r['mode']} | {r['precision']} | {r['holt']:.2f} | {r['percent_of_peak']:.0f} | "
                     f"{r['torch']:.2f} | {r['variant']} | **{r['ratio']:.2f}** ({spread}) | "
                     f"{r['holt_rss'] / 1e6:.0f} : {r['torch_rss'] / 1e6:.0f} MB |")
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--holt", default=str(ROOT / "build/release/holt"))
    p.add_argument("--python", help="one that has torch, instead of build/torch_venv")
    p.add_argument("--models", default="resnet50,vit_b_16")
    p.add_argument("--precisions", default="f32,bf16")
    p.add_argument("--modes", default="train,inference")
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--steps", type=int, default=3)
    p.add_argument("--processor-time", action="store_true",
                   help="count processor time, with --threads 1: for a busy machine")
    p.add_argument("--write", metavar="FILE", help="put the table there, between its two markers")
    for name in ["model", "precision", "mode", "variant"]:
        p.add_argument("--" + name, help=argparse.SUPPRESS)
    p.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    o = p.parse_args()
    if o.worker:
        return worker(o)
    python = torch_python(o)
    rows = []
    for model, mode, precision in itertools.product(*(x.split(",") for x in (o.models, o.modes, o.precisions))):
        rows.append(compare(o, python, model, precision, mode))
        if o.write:  # after each row: the whole takes half an hour, and what was measured shall not be lost
            page = Path(o.write).read_text()
            head, tail = page.split(BEGIN)[0], page.split(END)[1]
            Path(o.write).write_text(f"{head}{BEGIN}\n{table(o, rows)}\n{END}{tail}")
    print(table(o, rows))


if __name__ == "__main__":
    main()
