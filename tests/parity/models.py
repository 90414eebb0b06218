"""The models as PyTorch's libraries have them, by holt's names."""
import numpy as np
import timm
import torch
import torchvision

import counter

VIT = {"ti": ("tiny", 192, 12, 3), "s": ("small", 384, 12, 6), "b": ("base", 768, 12, 12), "l": ("large", 1024, 24, 16)}


def make(name, library, classes, size):
    """A model in float32. `library` is torchvision, timm, hf or open_clip."""
    if name.startswith("clip"):
        return clip(name, library, classes)
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


def clip(name, library, classes):
    patch = int(name.split("_")[-1])
    if library == "open_clip":
        import open_clip

        return ZeroShot(open_clip.create_model(f"ViT-B-{patch}-quickgelu"), lambda m, x: m.encode_image(x), classes)
    if library == "timm":
        tower = timm.create_model(f"vit_base_patch{patch}_clip_quickgelu_224", num_classes=512)
        return ZeroShot(tower, lambda m, x: m(x), classes, zeros=["head.bias"])
    import transformers

    vision = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, patch_size=patch)
    if library == "hf_image":
        config = transformers.CLIPVisionConfig(**vision, projection_dim=512, attn_implementation="eager")
        return ZeroShot(transformers.CLIPVisionModelWithProjection(config), lambda m, x: m(pixel_values=x).image_embeds,
                        classes)
    config = transformers.CLIPConfig(vision_config=vision, projection_dim=512, attn_implementation="eager")
    return BothTowers(transformers.CLIPModel(config), classes)


class Logits(torch.nn.Module):
    """A model of transformers that returns its logits."""

    def __init__(self, hf):
        super().__init__()
        self.hf = hf

    def forward(self, x):
        return self.hf(pixel_values=x).logits


class ZeroShot(torch.nn.Module):
    """CLIP's image tower and the embeddings of classes, which the counter makes: s·cos(image, class). `zeros` are what is zero
    in all files of such towers."""

    def __init__(self, tower, embed, classes, zeros=()):
        super().__init__()
        self.hf, self.embed, self.zeros = tower, embed, zeros
        self.scale = 50.0
        self.register_buffer("classes", torch.from_numpy(counter.weight("class_embeddings", (classes, 512))))

    def forward(self, x):
        unit = torch.nn.functional.normalize
        return self.scale * unit(self.embed(self.hf, x)) @ unit(self.classes).T

    def head(self):
        """What holt reads as the head."""
        return {"class_embeddings": self.classes.float(), "logit_scale": torch.tensor(self.scale)}


class BothTowers(torch.nn.Module):
    """All of CLIP: the classes are texts (numbers of tokens from the counter), which its text tower embeds."""

    def __init__(self, hf, classes):
        super().__init__()
        self.hf = hf
        tokens = torch.from_numpy((counter.bits("tokens", classes * 8) >> counter.U64(40)).astype("int64") % 49000 + 100)
        self.register_buffer("tokens", torch.nn.functional.pad(tokens.reshape(classes, 8), (0, 1), value=49407))

    def forward(self, x):
        return self.hf(input_ids=self.tokens, pixel_values=x).logits_per_image

    def head(self):
        with torch.no_grad():
            texts = self.hf.get_text_features(input_ids=self.tokens)
            texts = getattr(texts, "pooler_output", texts)
            return {"class_embeddings": texts.float(), "logit_scale": self.hf.logit_scale.exp().float()}


def inner(model):
    return getattr(model, "hf", model)


def fill(model):
    """Weights from the counter, by the library's own names."""
    with torch.no_grad():
        for name, t in inner(model).state_dict().items():
            if name in getattr(model, "zeros", ()):
                t.zero_()
            elif t.is_floating_point():
                t.copy_(torch.from_numpy(np.asarray(counter.weight(name, tuple(t.shape)))))
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
    return [loss.item()], {k: p.grad.detach().clone() for k, p in inner(model).named_parameters()}


class Gates:
    """While it lives ReLU notes which of its inputs are positive, or with `held` lets through what those masks say, one
    after the other; `differ` counts the inputs that say otherwise."""

    def __init__(self, held=None):
        self.masks, self.held, self.differ = [], None if held is None else iter(held), 0

    def __enter__(self):
        self.original = torch.nn.ReLU.forward

        def forward(_, x):
            if self.held is None:
                self.masks.append(x > 0)
                return x * self.masks[-1]
            mask = next(self.held)
            self.differ += int((mask != (x > 0)).sum())
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


def trained(model, s, n, size, classes, dtype, seed=0):
    """The loss before each step, and the state after the last."""
    model = model.to(dtype).train()
    opt = optimizer(model, s)
    losses = []
    for step in range(s["steps"]):
        x, y = batch(step, n, size, classes, dtype, seed)
        loss = torch.nn.functional.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    state = {k: v.detach().clone() for k, v in inner(model).state_dict().items()
             if not k.endswith("num_batches_tracked")}
    return losses, state
