"""docs/parity.md from what tests/parity/sweep.py measured."""
import importlib.metadata
import pathlib
import platform

import numpy as np

PACKAGES = ["torch", "torchvision", "timm", "transformers", "open_clip_torch"]
LIBRARIES = {"hf_image": "hf, image's tower", "hf_both": "hf, both towers", "open_clip": "open_clip, both towers"}


def e(x):
    return f"{x:.1e}"


def names(result, kind):
    """Of its tensors: parameters, running statistics or both."""
    return [k for k in result["rows"] if kind == "both" or ("running_" in k) == (kind == "running statistics")]


def median(result, who, kind="both"):
    return e(np.median([result["rows"][k][who] for k in names(result, kind)]))


def worst(result, who, kind="both"):
    return e(max(result["rows"][k][who] for k in names(result, kind)))


def worst_name(result, who):
    return max(result["rows"], key=lambda k: result["rows"][k][who])


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(": ")[1].strip()
    return platform.processor()


class Page:
    def __init__(self):
        self.lines = []

    def text(self, *paragraphs):
        for p in paragraphs:
            self.lines += [p, ""]

    def table(self, head, rows, left=1):
        """`left` columns of words, the others of numbers."""
        line = lambda cells: "| " + " | ".join(map(str, cells)) + " |"
        align = "|" + "|".join(":--" if i < left else "--:" for i in range(len(head))) + "|"
        self.lines += [line(head), align, *map(line, rows), ""]


def gates_of(result, who):
    return f"{result['gates'][who]} of {result['gates']['all'] / 1e6:.0f} M"


def write(path, results, planned):
    """`results`: pairs of a job of the sweep's, (what, model or kind, …), and what came of it."""
    of = lambda what: [(job, r) for job, r in results if job[0] == what]
    logits, images = [r for _, r in of("logits")], [r for _, r in of("image")]
    gradients = [(job[1], r) for job, r in of("gradients") if job[4] == 224]
    seeds = [(job[5], r) for job, r in of("gradients") if job[4] == 64]
    steps = [(job[1], job[5], r) for job, r in of("steps") if len(job) == 6]
    adamw = [(job[6] if len(job) == 7 else 0, r) for job, r in of("steps") if job[1] == "resnet50" and job[5] == "AdamW"]
    page = Page()
    versions = ", ".join(f"{p.replace('_torch', '')} {importlib.metadata.version(p)}" for p in PACKAGES)
    page.text(
        "# Parity with PyTorch",
        f"Written by `tests/parity/run` ({versions}; {processor()}). "
        "Weights are drawn by a counter that both sides can compute (tests/parity/counter.py), given to the library's own model, written by the "
        "library and read by holt. Truth is PyTorch in float64; beside holt's distance from it stands that of PyTorch's float32: neither can be "
        "exact, and the two compute sums in different orders.",
        *([f"**This sweep was cut short: {len(results)} of {planned} comparisons.** `tests/parity/run` makes the rest."]
          if len(results) < planned else []),
        "## Logits",
        "1000 classes, two images of 224×224, evaluation mode. Largest error of a logit ÷ largest logit; the target is 1e-4. "
        "*returned*: `holt weights convert` wrote the file back under its names, and every bit was as before (of CLIP's files with both towers, the "
        "image's). CLIP is asked zero-shot for 20 classes, whose embeddings Python writes into the file that holt's head is read from; with Hugging "
        "Face's both towers they are what its text tower makes of 20 texts, and the logits its `logits_per_image`.")
    page.table(
        ["model", "library", "file", "holt − torch f32", "holt f32 − f64", "torch f32 − f64", "returned"],
        [[r["model"], LIBRARIES.get(r["library"], r["library"]), r["form"], e(r["torch32"]), e(r["holt"]), e(r["torch"]),
          "yes" if r["returned"] else "**no**"] for r in logits], left=3)

    page.text(
        "## In double: the formulas",
        "What rounding is not: the same gradients and steps computed by holt in float64, which every op has on the cpu, against PyTorch's float64. "
        "ResNet-50: four images, ViT-B/16: two. (holt's optimisers keep float32 parameters; here nn/optim.h's formulas stand in double in tests/parity/reference_run.h.) "
        "Of each tensor's gradient ‖g − true‖ / ‖true‖; of its move in ten steps ‖Δ − Δtrue‖ / ‖Δtrue‖.")
    rows = [[name, "gradients, 224×224", r] for name, r in gradients]
    rows += [[name, f"ten steps of {title}, 64×64", r] for name, title, r in steps]
    page.table(["model", "what", "tensors", "median", "worst", "loss"],
               [[name, what, len(r["rows"]), median(r, "holt64"), worst(r, "holt64"), e(r["loss"]["holt64"])]
                for name, what, r in rows], left=2)

    page.text(
        "## Gradients of every parameter",
        "Mean cross-entropy of 1000 classes, training mode, images of 224×224: four for ResNet-50, two for ViT-B/16. ‖g − true‖ / ‖true‖ of each "
        "tensor. ResNet-50's last norm of each branch is scaled to 1/16 here and below, as branches begin small in training: with branches as large "
        "as the sums rounding grows from block to block, and gradients differ by 2 % between float32 and float64 on both sides alike.")
    page.table(["model", "tensors", "holt, median", "holt, worst", "torch f32, median", "torch f32, worst", "holt's worst tensor"],
               [[name, len(r["rows"]), median(r, "holt"), worst(r, "holt"), median(r, "torch"), worst(r, "torch"),
                 f"`{worst_name(r, 'holt')}`"] for name, r in gradients])
    page.text(
        "**ResNet-50's gates.** The gradient of a network of ReLUs is not continuous: where an input is within rounding of zero, one side opens a "
        "gate that the other closes, and everything before that gate changes at once. *Gates*: how many float32 sets otherwise than float64. *Held*: "
        "the same float32 computation with every gate as float64 has it; only rounding is left then. The first row is that of the table above; the "
        "others are of five other sets of images, of 64×64.")
    large = next(r for name, r in gradients if "gates" in r)
    head = ["images", "holt, median", "holt, worst", "torch f32, median", "torch f32, worst", "holt's gates", "torch's gates",
            "holt held, worst", "torch held, worst"]
    page.table(head, [[what, median(r, "holt"), worst(r, "holt"), median(r, "torch"), worst(r, "torch"), gates_of(r, "holt"),
                       gates_of(r, "torch"), worst(r, "holt, held"), worst(r, "torch, held")]
                      for what, r in [("224×224", large)] + [(f"64×64, seed {i}", r) for i, r in seeds]])

    page.text(
        "## Ten steps",
        "Four images of 64×64 a step (ViT: two), another batch each step, 10 classes. SGD: lr 1e-3, momentum 0.9, weight decay 1e-3. AdamW: lr 1e-4, "
        "weight decay 0.05. How far each tensor moved in ten steps: ‖Δ − Δtrue‖ / ‖Δtrue‖. *loss*: largest relative error of the ten losses.")
    rows = []
    for name, title, r in steps:
        for kind in ["parameters", "running statistics"]:
            if names(r, kind):
                rows.append([name, title, kind, *(f(r, who, kind) for who in ("holt", "torch") for f in (median, worst)),
                             *(e(r["loss"][who]) for who in ("holt", "torch"))])
    page.table(["model", "optimiser", "tensors", "holt, median", "holt, worst", "torch f32, median", "torch f32, worst",
                "holt, loss", "torch f32, loss"], rows, left=3)
    page.text(
        "**AdamW on ResNet-50 is a matter of luck.** Adam divides by √v: a gradient that one gate changed changes whole steps, these open other "
        "gates, and so on. Ten steps on several sets of images; the first is that of the table above. *Held*: the gates of all ten steps as float64 has "
        "them in its own ten.")
    head = ["images", "holt, median", "torch f32, median", "holt, loss", "torch f32, loss", "holt's gates", "torch's gates",
            "holt held, median", "torch held, median", "holt held, loss", "torch held, loss"]
    middle = lambda r, who: median(r, who, "parameters")
    page.table(head, [[f"seed {i}", middle(r, "holt"), middle(r, "torch"), e(r["loss"]["holt"]), e(r["loss"]["torch"]),
                       gates_of(r, "holt"), gates_of(r, "torch"), middle(r, "holt, held"), middle(r, "torch, held"),
                       e(r["loss"]["holt, held"]), e(r["loss"]["torch, held"])] for i, r in adamw])

    page.text(
        "## Images",
        "The shorter side to 256, the middle 224×224, normalised: `load_framed()` and the loader against Pillow's `Resize` and torchvision's "
        "`CenterCrop`, `ToTensor`, `Normalize`. Differences in steps of one pixel value of 255.")
    page.table(["file", "largest", "mean"],
               [[f"{i['kind']}, {i['width']}×{i['height']}", f"{i['most']:.2g}", f"{i['mean']:.2g}"] for i in images])
    page.text((pathlib.Path(__file__).parent / "notes.md").read_text().rstrip())
    path.write_text("\n".join(page.lines).rstrip() + "\n")
