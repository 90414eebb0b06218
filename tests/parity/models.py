"""The models as PyTorch's libraries have them, by holt's names."""
import timm
import torch
import torchvision

import counter

VIT = {"ti": ("tiny", 192, 12, 3), "s": ("small", 384, 12, 6), "b": ("base", 768, 12, 12), "l": ("large", 1024, 24, 16)}


def make(name, library, classes, size):
    """A model in float32. `library` is torchvision, timm or hf."""
    if name.startswith("resnet"):
        if library == "torchvision":
            return getattr(torchvision.models, name)(num_classes=classes)
        if library == "timm":
            return timm.create_model(name, num_classes=classes)
        return hf_resnet(name, classes)
    letter, patch = name.split("_")[1:]
    long, width, depth, heads = VIT[letter]
    patch = int(patch)
    if library == "torchvision":
        return torchvision.models.VisionTransformer(size, patch, depth, heads, width, 4 * width, num_classes=classes)
    if library == "timm":
        return timm.create_model(f"vit_{long}_patch{patch}_224", num_classes=classes, img_size=size)
    return hf_vit(width, depth, heads, patch, classes, size)


def hf_resnet(name, classes):
    import transformers

    depths = {"resnet18": [2, 2, 2, 2], "resnet34": [3, 4, 6, 3], "resnet50": [3, 4, 6, 3], "resnet101": [3, 4, 23, 3]}
    basic = name in ("resnet18", "resnet34")
    config = transformers.ResNetConfig(
        embedding_size=64, hidden_sizes=[64, 128, 256, 512] if basic else [256, 512, 1024, 2048], depths=depths[name],
        layer_type="basic" if basic else "bottleneck", num_labels=classes)
    return Logits(transformers.ResNetForImageClassification(config))


def hf_vit(width, depth, heads, patch, classes, size):
    import transformers

    config = transformers.ViTConfig(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, intermediate_size=4 * width,
        image_size=size, patch_size=patch, num_labels=classes, layer_norm_eps=1e-6, attn_implementation="eager")
    return Logits(transformers.ViTForImageClassification(config))


class Logits(torch.nn.Module):
    """A model of transformers that returns its logits."""

    def __init__(self, hf):
        super().__init__()
        self.hf = hf

    def forward(self, x):
        return self.hf(pixel_values=x).logits


def inner(model):
    return model.hf if isinstance(model, Logits) else model


def fill(model):
    """Weights from the counter, by the library's own names."""
    with torch.no_grad():
        for name, t in inner(model).state_dict().items():
            if not name.endswith("num_batches_tracked"):
                t.copy_(torch.from_numpy(counter.weight(name, tuple(t.shape))))
    return model


def batch(step, n, size, classes, dtype, seed=0):
    x = torch.from_numpy(counter.images(step, n, size, seed)).to(dtype)
    return x, torch.from_numpy(counter.labels(step, n, classes))


def logits(model, n, size, classes, dtype):
    model = model.to(dtype).eval()
    with torch.no_grad():
        return model(batch(0, n, size, classes, dtype)[0])


def gradients(model, n, size, classes, dtype, seed=0):
    model = model.to(dtype).train()
    model.zero_grad()
    x, y = batch(0, n, size, classes, dtype, seed)
    loss = torch.nn.functional.cross_entropy(model(x), y)
    loss.backward()
    return loss.item(), {k: p.grad.detach().clone() for k, p in inner(model).named_parameters()}


class Gates:
    """While it lives ReLU records which of its inputs are positive, or with `held` lets through what those masks say."""

    def __init__(self, held=None):
        self.masks, self.held = [], iter(held) if held else None

    def __enter__(self):
        self.original = torch.nn.ReLU.forward

        def forward(_, x):
            mask = next(self.held) if self.held else x > 0
            self.masks.append(mask)
            return x * mask

        torch.nn.ReLU.forward = forward
        return self

    def __exit__(self, *_):
        torch.nn.ReLU.forward = self.original


def optimizer(model, s):
    if s["optimizer"] == "sgd":
        return torch.optim.SGD(model.parameters(), lr=s["lr"], momentum=s["momentum"], nesterov=s["nesterov"],
                               weight_decay=s["weight_decay"])
    return torch.optim.AdamW(model.parameters(), lr=s["lr"], eps=s["eps"], weight_decay=s["weight_decay"])


def trained(model, s, n, size, classes, dtype):
    """Losses, and the state after the steps."""
    model = model.to(dtype).train()
    opt = optimizer(model, s)
    losses = []
    for step in range(s["steps"]):
        x, y = batch(step, n, size, classes, dtype)
        loss = torch.nn.functional.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    state = {k: v.detach().clone() for k, v in inner(model).state_dict().items()
             if not k.endswith("num_batches_tracked")}
    return losses, state
