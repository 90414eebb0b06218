#!/usr/bin/python3
"""Writes tests/golden/fuzz/<reader>/*: small valid files of every kind, and hostile ones made by hand.

They are the seeds of tests/fuzz/run, and ./test feeds them to the readers. Needs Pillow (Debian: python3-pil).
What the fuzzer found is added there as found-* and is not made here.
"""
import gzip
import io
import json
import pathlib
import pickle
import struct
import zlib

from PIL import Image

ROOT = pathlib.Path(__file__).parent / "fuzz"


def put(reader, name, data):
    (ROOT / reader).mkdir(parents=True, exist_ok=True)
    (ROOT / reader / name).write_bytes(data)


def picture(mode, size=(18, 14)):
    w, h = size
    rgb = Image.new("RGB", size)
    rgb.putdata([(x * 13 % 256, y * 17 % 256, (x * y) % 256) for y in range(h) for x in range(w)])
    if mode in ("LA", "RGBA"):
        image = rgb.convert(mode)
        image.putalpha(Image.linear_gradient("L").resize(size))
        return image
    return rgb.convert(mode)


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


# ---- JPEG
exif = Image.Exif()
exif[0x0112] = 6  # orientation: rotate by 90 degrees
jpegs = {
    "rgb": saved(picture("RGB"), "JPEG", quality=90),
    "gray": saved(picture("L"), "JPEG", quality=50),
    "cmyk": saved(picture("CMYK"), "JPEG"),
    "progressive": saved(picture("RGB"), "JPEG", progressive=True),
    "subsampled": saved(picture("RGB", (33, 31)), "JPEG", subsampling=2),
    "orientation": saved(picture("RGB"), "JPEG", exif=exif.tobytes()),
}
for name, data in jpegs.items():
    put("jpeg", name + ".jpg", data)
rgb = jpegs["rgb"]
sof = rgb.index(b"\xff\xc0")


def resized(height, width):
    return rgb[: sof + 5] + struct.pack(">HH", height, width) + rgb[sof + 9 :]


put("jpeg", "bomb.jpg", resized(65500, 65500))  # 4 gigapixels in 700 bytes
put("jpeg", "promises.jpg", resized(15000, 15000))
put("jpeg", "no-height.jpg", resized(0, 18))
put("jpeg", "no-width.jpg", resized(14, 0))
put("jpeg", "two-components.jpg", rgb[: sof + 9] + b"\2" + rgb[sof + 10 :])
put("jpeg", "twelve-bits.jpg", rgb[: sof + 4] + b"\x0c" + rgb[sof + 5 :])
put("jpeg", "cut.jpg", rgb[: len(rgb) // 2])
put("jpeg", "header-only.jpg", rgb[: rgb.index(b"\xff\xda")])
put("jpeg", "end-first.jpg", b"\xff\xd8\xff\xd9")
put("jpeg", "no-tables.jpg", rgb[:2] + rgb[sof:])
put("jpeg", "two-headers.jpg", rgb[:sof] + rgb[sof : sof + 19] + rgb[sof:])
progressive = jpegs["progressive"]
scan = progressive.index(b"\xff\xda")
end = progressive.index(b"\xff", scan + 2)  # the first scan, repeated: work without end
put("jpeg", "scans.jpg", progressive[:scan] + progressive[scan:end] * 40 + progressive[scan:])


# ---- PNG
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(width, height, depth, colour, data, before=(), after=(), interlace=0):
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"".join([SIGNATURE, chunk(b"IHDR", head), *before, chunk(b"IDAT", data), *after, chunk(b"IEND", b"")])


def rows(height, row_bytes):
    return zlib.compress(b"".join(b"\0" + bytes((y * 31 + i * 7) % 256 for i in range(row_bytes)) for y in range(height)))


for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
    put("png", f"pil-{mode}.png", saved(picture(mode), "PNG"))
put("png", "rgb16.png", png(5, 4, 16, 2, rows(4, 30)))
put("png", "gray16.png", png(5, 4, 16, 0, rows(4, 10)))
put("png", "gray-alpha16.png", png(5, 4, 16, 4, rows(4, 20)))
put("png", "interlaced.png", png(1, 1, 8, 0, rows(1, 1), interlace=1))
put("png", "transparent-gray.png", png(5, 4, 8, 0, rows(4, 5), [chunk(b"tRNS", b"\0\7")]))
frames = [picture("RGB", (6, 6)), picture("RGB", (6, 6)).rotate(90)]
put("png", "animated.png", saved(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=50))
put("png", "bomb.png", png(0x7FFFFFFF, 0x7FFFFFFF, 8, 2, zlib.compress(b"\0" * 100)))
put("png", "promises.png", png(16000, 16000, 8, 2, zlib.compress(b"\0" * 100000)))
put("png", "zero-width.png", png(0, 4, 8, 2, rows(4, 3)))
put("png", "zero-height.png", png(4, 0, 8, 2, rows(1, 12)))
put("png", "no-palette.png", png(5, 4, 8, 3, rows(4, 5)))
put("png", "short-palette.png", png(5, 4, 8, 3, rows(4, 5), [chunk(b"PLTE", b"\1\2\3")]))
put("png", "bad-depth.png", png(5, 4, 3, 2, rows(4, 15)))
put("png", "bad-filter.png", png(5, 4, 8, 0, zlib.compress(b"\x09abcde" * 4)))
put("png", "few-rows.png", png(5, 40, 8, 0, rows(4, 5)))
put("png", "many-rows.png", png(5, 4, 8, 0, rows(400, 5)))
put("png", "no-data.png", SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 4, 8, 0, 0, 0, 0)) + chunk(b"IEND", b""))
put("png", "text-bomb.png", png(1, 1, 8, 0, rows(1, 1), [chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 10**7, 9))]))
put("png", "profile-bomb.png", png(1, 1, 8, 0, rows(1, 1), [chunk(b"iCCP", b"k\0\0" + zlib.compress(b"a" * 10**7, 9))]))
put("png", "chunk-length.png", SIGNATURE + b"\x7f\xff\xff\xffIHDR" + b"\0" * 20)
put("png", "wrong-crc.png", png(5, 4, 8, 0, rows(4, 5))[:-1] + b"?")

# ---- Other formats, by their beginnings and under an image's name
put("image", "rgb.jpg", rgb)
put("image", "rgba.png", saved(picture("RGBA"), "PNG"))
put("image", "animated.gif", saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
put("image", "tiny.bmp", saved(picture("RGB", (2, 2)), "BMP"))
put("image", "tiny.tif", saved(picture("RGB", (2, 2)), "TIFF"))
put("image", "tiny.ppm", saved(picture("RGB", (2, 2)), "PPM"))
put("image", "riff", b"RIFF\4\0\0\0WEBP")
put("image", "empty", b"")
put("image", "page.jpg", b"<!DOCTYPE html><html>404</html>")


# ---- safetensors
def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


put("safetensors", "two", safetensors({"a": entry(), "b": entry("U8", (3,), (8, 11)), "__metadata__": {"k": "v"}}, b"x" * 11))
put("safetensors", "scalar", safetensors({"a": entry("F64", (), (0, 8))}, b"x" * 8))
put("safetensors", "none", safetensors({}))
put("safetensors", "length-2^64-1", safetensors({}, length=2**64 - 1))
put("safetensors", "length-100MB", safetensors({}, length=10**8))
put("safetensors", "overflow", safetensors({"a": entry("F32", (2**62, 4, 2**62, 2), (0, 8))}, b"x" * 8))
put("safetensors", "overflow-to-zero", safetensors({"a": entry("F32", (2**32, 2**32), (0, 0))}))
put("safetensors", "huge-offset", safetensors({"a": entry("F32", (2,), (2**63 - 8, 2**63))}, b"x" * 8))
put("safetensors", "offset-2^64", safetensors({"a": entry("F32", (2,), (0, 2**64 + 8))}, b"x" * 8))
put("safetensors", "backwards", safetensors({"a": entry("F32", (2,), (8, 0))}, b"x" * 8))
put("safetensors", "overlap", safetensors({"a": entry(), "b": entry()}, b"x" * 8))
put("safetensors", "hole", safetensors({"a": entry(), "b": entry("F32", (2,), (16, 24))}, b"x" * 24))
put("safetensors", "rest", safetensors({"a": entry()}, b"x" * 80))
put("safetensors", "twice", safetensors(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"))
put("safetensors", "deep", safetensors(b'{"a":' + b"[" * 5000))
put("safetensors", "axes", safetensors({"a": entry("U8", (1,) * 300, (0, 1))}, b"x"))
put("safetensors", "negative", safetensors({"a": entry("U8", (-1, -8), (0, 8))}, b"x" * 8))
put("safetensors", "real", safetensors(b'{"a":{"dtype":"U8","shape":[1e300],"data_offsets":[0,1]}}', b"x"))
put("safetensors", "zero-times-huge", safetensors({"a": entry("F32", (0, 2**63 - 1, 2**63 - 1), (0, 0))}))
put("safetensors", "not-utf8", safetensors(b'{"\xff\xfe":{}}'))


# ---- pickle: a state dict as torch.save writes it, and programs that are none
class Global:  # pickles as the name itself
    def __init__(self, module, name):
        self.text = f"c{module}\n{name}\n".encode()


def op_text(s):
    data = s.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def op_int(i):
    return b"J" + struct.pack("<i", i) if -(2**31) <= i < 2**31 else b"\x8a\x08" + struct.pack("<q", i)


def op_tuple(items):
    return b"(" + b"".join(items) + b"t"


def storage(key="0", size=16, kind="FloatStorage"):
    return op_tuple([op_text("storage"), f"ctorch\n{kind}\n".encode(), op_text(key), op_text("cpu"), op_int(size)]) + b"Q"


def tensor(sizes, strides, offset=0, **of):
    arguments = [storage(**of), op_int(offset), op_tuple(map(op_int, sizes)), op_tuple(map(op_int, strides)), b"\x89", b"ccollections\nOrderedDict\n)R"]
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + op_tuple(arguments) + b"R"


def state(**tensors):
    return b"\x80\x02}" + b"(" + b"".join(op_text(k) + v for k, v in tensors.items()) + b"u."


programs = {
    "state": state(a=tensor([4, 4], [4, 1]), b=tensor([4, 4], [1, 4], key="1")),
    "sliced": state(a=tensor([2, 3], [4, 1], 5), b=tensor([7], [0]), c=tensor([], [], 3), d=tensor([0, 5], [5, 1])),
    "bytes": state(a=tensor([64], [1], size=64, kind="ByteStorage"), b=tensor([8], [1], size=8, kind="LongStorage", key="1")),
    "outside": state(a=tensor([16], [1], 1)),
    "far-outside": state(a=tensor([2], [2**62], 2)),
    "stride-overflow": state(a=tensor([2**62, 2**62], [2**62, 2**62])),
    "size-overflow": state(a=tensor([2**33, 2**33], [0, 0])),
    "expanded": state(a=tensor([2**31, 2**10], [0, 0])),
    "negative-size": state(a=tensor([-4, -4], [4, 1])),
    "negative-stride": state(a=tensor([4], [-1], 8)),
    "negative-offset": state(a=tensor([4], [1], -1)),
    "no-storage": state(a=tensor([4], [1], key="9")),
    "key-upwards": state(a=tensor([4], [1], key="../data.pkl")),
    "size-lies": state(a=tensor([400], [1], size=400)),
    "two-kinds": state(a=tensor([4], [1]), b=tensor([4], [1], kind="LongStorage", size=4)),
    "axes": state(a=tensor([1] * 200, [1] * 200)),
    "zero-times-huge": state(a=tensor([0, 2**62, 2**62], [1, 1, 1])),
    "system": b"cos\nsystem\n(X\4\0\0\0true\x74R.",
    "eval": b"cbuiltins\neval\n(X\4\0\0\0True\x74R.",
    "stack-global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
    "itself": b"\x80\x02]q\0h\0a.",
    "itself-twice": b"\x80\x02]q\0(h\0h\0e.",
    "dict-of-itself": b"\x80\x02}q\0(X\1\0\0\0ah\0X\1\0\0\0bh\0u.",
    "laughs": b"\x80\x02]q\0" + b"".join(b"](" + b"h" + bytes([i]) * 1 + (b"h" + bytes([i])) * 9 + b"eq" + bytes([i + 1]) for i in range(20)) + b".",
    "deep": b"\x80\x02" + b"]" * 3000 + b"a" * 2999 + b".",
    "tuples": b"\x80\x02N" + b"\x85" * 5000 + b".",
    "marks": b"(" * 5000,
    "no-stop": b"\x80\x02}",
    "empty-stack": b".",
    "text-2^32-1": b"X\xff\xff\xff\xffa",
    "memo-2^32-1": b"Nr\xff\xff\xff\xffj\xff\xff\xff\xff.",
    "long": b"\x8a\xff" + b"\1" * 255 + b".",
    "minus-one": b"\x8a\x01\xff.",
    "odd-dict": b"}(NNNu.",
    "append-to-tuple": b")Na.",
    "reduce-nothing": b"NNR.",
    "build-on-none": b"N}b.",
    "protocols": b"".join([pickle.dumps({"a": [1, 2.5, "x", None, True], "b": (1,)}, protocol=4)]),
}
for name, program in programs.items():
    put("pickle", name, program)  # and torch_archive's
# torch_file's are tests/golden/*.pth, and these:
put("torch_file", "empty.zip", b"PK\5\6" + b"\0" * 18)
put("torch_file", "begin", b"PK\3\4")
put("torch_file", "nothing", b"")

# ---- IDX, CSV, LEAF
idx = struct.pack(">BBBBIII", 0, 0, 8, 3, 2, 3, 4) + bytes(range(24))
put("idx", "plain", idx)
put("idx", "gzip", gzip.compress(idx, mtime=0))
put("idx", "two-members", gzip.compress(idx[:9], mtime=0) + gzip.compress(idx[9:], mtime=0))
put("idx", "huge", struct.pack(">BBBBIIII", 0, 0, 8, 4, *[2**32 - 1] * 4))
put("idx", "gzip-bomb", gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 10**6) + b"\0" * 10**6, mtime=0))
put("idx", "gzip-promises", gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 2**31), mtime=0))
put("idx", "zero", struct.pack(">BBBBII", 0, 0, 8, 2, 0, 2**32 - 1))
put("idx", "rank-255", struct.pack(">BBBB", 0, 0, 8, 255))
put("csv", "rows", b"filename,x,y\na.jpg,1,2\n\"b,\"\"c\"\".jpg\",3,4\r\n\n\"two\nlines\",5,6")
put("csv", "mark", b"\xef\xbb\xbfy,filename\n1,2\n")
put("csv", "open-quote", b"filename,y\n\"")
put("csv", "few-fields", b"filename,y\na\n")
put("csv", "nothing", b"")
user = {"x": [[0.5] * 784], "y": [3]}
put("leaf", "one", json.dumps({"users": ["u"], "user_data": {"u": user}}).replace(" ", "").encode())
put("leaf", "short", json.dumps({"user_data": {"u": {"x": [[0.5]], "y": [3]}}}).encode())
put("leaf", "twice", b'{"user_data":{"u":{"x":[],"y":[]},"u":{"x":[],"y":[]}}}')
put("leaf", "two-parts", b'{"user_data":{"u":{"x":[],"y":[]}},"user_data":{"v":{"x":[],"y":[]}}}')
put("leaf", "deep", b"[" * 5000)
put("leaf", "deep-beside", b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}")
put("leaf", "number", b'{"user_data":{"u":{"y":[1e999],"x":[]}}}')
