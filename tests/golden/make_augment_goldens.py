#!/usr/bin/env python3
"""Writes augment.json beside it: checksums of what torchvision (on PIL images) and Pillow make of given pixels.

tests/augment_test.cpp must find the same. Made with torchvision 0.29.2 and Pillow 13.0.0, from PyPI in a venv.
"""
import json
import pathlib
import zlib

import numpy as np
import PIL
import torchvision
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import RandAugment, _apply_op


def picture(height, width, channels):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    values = (x * 7 + y * 13 + c * 50 + x * y % 31 * 3) % (256 - 40 * c) + 5 * c
    return Image.fromarray(values.astype(np.uint8)[..., 0] if channels == 1 else values.astype(np.uint8))


SIZES = [(37, 53, 3), (37, 53, 1), (64, 64, 3), (224, 224, 3), (2, 2, 3), (1, 9, 3)]
cases = []


def add(op, size, image, **strength):
    cases.append({"op": op, "size": size, **strength, "crc": zlib.crc32(np.asarray(image).tobytes())})


for size in SIZES:
    image = picture(*size)
    for name, (magnitudes, signed) in RandAugment()._augmentation_space(31, size[:2]).items():
        for m in (0, 3, 9, 17, 30) if magnitudes.ndim else (0,):
            for sign in (1, -1) if signed else (1,):
                strength = float(magnitudes[m].item() if magnitudes.ndim else 0) * sign
                out = _apply_op(image, name, strength, InterpolationMode.NEAREST, None)
                add(name, size, out, magnitude=m, sign=sign, strength=strength)
    for factor in (0.0, 0.3, 0.6, 1.0, 1.4, 2.5):
        add("brightness", size, F.adjust_brightness(image, factor), strength=factor)
        add("contrast", size, F.adjust_contrast(image, factor), strength=factor)
        add("saturation", size, F.adjust_saturation(image, factor), strength=factor)
        add("sharpness", size, F.adjust_sharpness(image, factor), strength=factor)
    for turn in (-0.5, -0.31, -0.1, 0.0, 0.003, 0.1, 0.25, 0.5):
        add("hue", size, F.adjust_hue(image, turn), strength=turn)
    for degrees in (0, 90, 180, 270, 30, -17.3, 361):
        add("rotate_nearest", size, F.rotate(image, degrees, InterpolationMode.NEAREST), strength=degrees)
        add("rotate_bilinear", size, F.rotate(image, degrees, InterpolationMode.BILINEAR, fill=7), strength=degrees)
for size in SIZES[:4]:
    image = picture(*size)
    for box in ((0, 0, 37, 53), (5, 3, 20, 31), (1, 2, 1, 1), (30, 50, 7, 3)):  # top, left, height, width
        for to in ((16, 16), (40, 60), (7, 31)):
            top, left, height, width = box
            add("resized_crop", size, F.resized_crop(image, *box, list(to), antialias=True), box=box, to=to)

here = pathlib.Path(__file__).parent
head = {"torchvision": torchvision.__version__.split("+")[0], "pillow": PIL.__version__}
lines = ",\n".join(json.dumps(c) for c in cases)
(here / "augment.json").write_text(json.dumps(head)[:-1] + ',\n"cases": [\n' + lines + "\n]}\n")
print(len(cases), "cases")
