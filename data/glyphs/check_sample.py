#!/usr/bin/python3
"""One sample of glyphs by the formula in data/glyphs.h alone, in NumPy: where the golden numbers of tests/glyphs_test.cpp come from.

    apt-get install python3-numpy python3-pil
    data/glyphs/check_sample.py 7 Breip test R 3        # seed, font, part, class, index
"""
import json
import pathlib
import sys

import numpy as np
from PIL import Image

MASTERS = pathlib.Path(__file__).parent / "masters"


def philox(seed, stream, index):
    """Philox4x32-10 (Salmon et al. 2011)."""
    low = 0xFFFFFFFF
    key, c = [seed & low, seed >> 32], [index & low, index >> 32, stream & low, stream >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ key[0], q & low, (p >> 32) ^ c[3] ^ key[1], p & low]
        key = [(key[0] + 0x9E3779B9) & low, (key[1] + 0xBB67AE85) & low]
    return [(word >> 8) / 2**24 for word in c]


def main():
    seed, font, part, name, i = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
    index = json.loads((MASTERS / "index.json").read_text())
    label = index["classes"].index(name)
    entry = next(e for e in index["fonts"] if e["font"] == font)
    cell, columns = index["cell"], index["columns"]
    sheet = np.asarray(Image.open(MASTERS / entry["master"]), dtype=np.float64) / 255
    top, left = label // columns * cell, label % columns * cell
    master = sheet[top:top + cell, left:left + cell]

    stream = 0xCBF29CE484222325
    for byte in f"glyphs/{font}/{part}".encode():
        stream = (stream ^ byte) * 0x100000001B3 % 2**64
    at = 2 * (i * 62 + label)
    r = [2 * u - 1 for u in philox(seed, stream, at) + philox(seed, stream, at + 1)]
    theta, s, a, k = np.radians(8) * r[0], 1 + 0.10 * r[1], 1 + 0.08 * r[2], 0.12 * r[3]
    t, c = 3 * np.array(r[4:6]), np.full(2, cell / 2)
    rotate = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    A = rotate @ np.array([[1, k], [0, 1]]) @ np.diag([s * np.sqrt(a), s / np.sqrt(a)])

    def m(x, y):
        return master[y, x] if 0 <= x < cell and 0 <= y < cell else 0.0

    warped = np.zeros((cell, cell))
    for y in range(cell):
        for x in range(cell):
            u, v = np.linalg.solve(A, np.array([x + 0.5, y + 0.5]) - c - t) + c - 0.5
            x0, y0 = int(np.floor(u)), int(np.floor(v))
            fx, fy = u - x0, v - y0
            warped[y, x] = ((1 - fy) * ((1 - fx) * m(x0, y0) + fx * m(x0 + 1, y0)) +
                            fy * ((1 - fx) * m(x0, y0 + 1) + fx * m(x0 + 1, y0 + 1)))
    sample = warped.reshape(cell // 2, 2, cell // 2, 2).mean(axis=(1, 3))
    print(f"warp: angle {theta:.9f} scale {s:.9f} aspect {a:.9f} shear {k:.9f} shift {t[0]:.9f} {t[1]:.9f}")
    print(f"sum of the pixels: {sample.sum():.6f}")
    for row in (8, 12, 16, 20):
        print(f"row {row}: " + ", ".join(f"{p:.7f}" for p in sample[row, 6:22]))


if __name__ == "__main__":
    main()
