"""Numbers that Python and C++ (tests/parity/counter.h) compute alike, so that no file has to hold them.

Number i of a stream named s, 24 bits of it:

    z = fnv1a64(s) + (i + 1) * 0x9E3779B97F4A7C15                     splitmix64 (Steele et al. 2014)
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;  z = (z ^ z >> 27) * 0x94D049BB133111EB;  z ^= z >> 31
    u = (z >> 40) * 2^-24                                             in [0, 1), exact in float32
"""
import numpy as np

U64 = np.uint64


def fnv1a(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def bits(stream, n, seed=0):
    with np.errstate(over="ignore"):
        z = U64(fnv1a(stream) ^ seed) + (np.arange(n, dtype=U64) + U64(1)) * U64(0x9E3779B97F4A7C15)
        z = (z ^ z >> U64(30)) * U64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> U64(27)) * U64(0x94D049BB133111EB)
        return z ^ z >> U64(31)


def uniform(stream, shape):
    """float32 in [0, 1)."""
    n = int(np.prod(shape, dtype=np.int64))
    return ((bits(stream, n) >> U64(40)).astype(np.float32) * np.float32(2**-24)).reshape(shape)


def weight(name, shape):
    """A starting value for the tensor of that name, in PyTorch's layout. Every product is by a power of two, so that
    there is one rounding, the same everywhere."""
    u = uniform(name, shape)
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return u + np.float32(0.5)  # variances and the scales of norms
    s = u * np.float32(2) - np.float32(1)
    if len(shape) == 1:
        return s * np.float32(0.125)
    if len(shape) == 3 or "embedding" in name and len(shape) == 2:
        return s * np.float32(0.5)  # class token, positions
    fan_in = int(np.prod(shape[1:], dtype=np.int64))
    k = 0
    while 6 * 4**k < fan_in:  # a variance of 4^-k / 3, between 1 / (2 fan_in) and 2 / fan_in
        k += 1
    return s * np.float32(2.0**-k)


def images(step, n, size, seed=0):
    """NCHW, but numbered as NHWC."""
    u = uniform(f"images.{seed}.{step}", (n, size, size, 3))
    return np.ascontiguousarray(((u * np.float32(2) - np.float32(1)) * np.float32(2)).transpose(0, 3, 1, 2))


def labels(step, n, classes):
    return (bits(f"labels.{step}", n) >> U64(33)).astype(np.int64) % classes


PROJECTIONS = 4


def projections(name, values):
    """Sums of the elements (float64, PyTorch's order) with signs from the counter: of two tensors that differ by d each
    differs by about the norm of d."""
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    z = bits("project." + name, values.size)
    return [float(np.sum(np.where((z >> U64(63 - k) & U64(1)) == 1, -values, values))) for k in range(PROJECTIONS)]
