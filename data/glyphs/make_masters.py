#!/usr/bin/python3
"""Renders the masters of the benchmark `glyphs`: one PNG sheet a font, and masters/index.json.

    apt-get install python3-freetype python3-pil
    data/glyphs/make_masters.py [--debs FOLDER]      # FOLDER: packages that are already there; else apt-get download

The fonts come straight from Debian's packages, which are unpacked and not installed. A sheet is 8-bit gray, 16 × 4 cells
of 56 × 56 pixels, of which 62 are used, in the order 0-9 A-Z a-z. Each font is scaled so that the median height of its
A-Z is 34 pixels; the baseline, on which the median of A-Z stands, is the upper edge of row 42 and the ink is centred
horizontally. (Not the font's own zero: the capitals of four hands hang 3 to 5 pixels below it. In a text font the two
are the same.) Outlines are rendered without hinting, at fractions of a pixel, in 256 grays. A glyph that would leave its cell (a swash) is moved up or down
as little as it takes to fit, and made smaller only if it is larger than the cell. A font that lacks a glyph is refused.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import freetype
from PIL import Image

CLASSES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CELL, COLUMNS, CAP_HEIGHT, BASELINE = 56, 16, 34.0, 42.0
LARGE = 1024  # pixels per em of the outlines that the transform makes small: whole, so that FreeType rounds nothing

# package: (licence of its fonts, as its copyright file gives it; fonts by file name). All of a family's styles in turn, upright and
# italic, thin to black: a source model that has seen upright regulars only recognises hardly any handwriting (README.md has numbers).
SOURCE = {
    "fonts-cabin": ("OFL-1.1", ["Cabin-Regular.otf", "Cabin-BoldItalic.otf"]),
    "fonts-cantarell": ("OFL-1.1", ["Cantarell-Thin.otf", "Cantarell-ExtraBold.otf"]),
    "fonts-crosextra-caladea": ("Apache-2.0", ["Caladea-Regular.ttf", "Caladea-BoldItalic.ttf"]),
    "fonts-crosextra-carlito": ("OFL-1.1", ["Carlito-Regular.ttf", "Carlito-Italic.ttf"]),
    "fonts-dejavu-core": ("Bitstream-Vera", ["DejaVuSans.ttf", "DejaVuSansMono.ttf", "DejaVuSerif.ttf"]),
    "fonts-dejavu-extra": ("Bitstream-Vera", ["DejaVuSans-ExtraLight.ttf", "DejaVuSansCondensed-BoldOblique.ttf",
                                              "DejaVuSerif-Italic.ttf"]),
    "fonts-dosis": ("OFL-1.1", ["Dosis-ExtraLight.otf", "Dosis-ExtraBold.otf"]),
    "fonts-ebgaramond": ("OFL-1.1", ["EBGaramond12-Regular.otf", "EBGaramond12-Italic.otf"]),
    "fonts-freefont-ttf": ("GPL-3+ with font exception", ["FreeMonoOblique.ttf", "FreeSansBoldOblique.ttf",
                                                          "FreeSerifItalic.ttf", "FreeSerifBoldItalic.ttf"]),
    "fonts-gfs-artemisia": ("OFL-1.1", ["GFSArtemisiaIt.otf", "GFSArtemisiaBoldIt.otf"]),
    "fonts-gfs-didot": ("OFL-1.1", ["GFSDidot.otf", "GFSDidotItalic.otf"]),
    "fonts-hack": ("Expat and Bitstream-Vera", ["Hack-BoldItalic.ttf"]),  # what fonts-hack-ttf installs
    "fonts-inconsolata": ("OFL-1.0", ["Inconsolata.otf"]),
    "fonts-jetbrains-mono": ("OFL-1.1", ["JetBrainsMono-ThinItalic.ttf"]),
    "fonts-lato": ("OFL-1.1", ["Lato-Regular.ttf", "Lato-Thin.ttf", "Lato-ThinItalic.ttf", "Lato-BlackItalic.ttf"]),
    "fonts-liberation": ("GPL-2 with font exception", ["LiberationMono-Regular.ttf", "LiberationSans-Italic.ttf",
                                                       "LiberationSansNarrow-BoldItalic.ttf",
                                                       "LiberationSerif-BoldItalic.ttf"]),
    "fonts-linuxlibertine": ("GPL-2+ with font exception, or OFL-1.1", ["LinBiolinum_RI.otf", "LinLibertine_R.otf",
                                                                        "LinLibertine_RI.otf"]),
    "fonts-open-sans": ("Apache-2.0", ["OpenSans-LightItalic.ttf", "OpenSans-CondLight.ttf"]),
    "fonts-quicksand": ("OFL-1.1", ["Quicksand-Light.ttf", "Quicksand-Bold.ttf"]),
    "fonts-roboto-unhinted": ("Apache-2.0", ["Roboto-ThinItalic.ttf", "Roboto-BlackItalic.ttf",
                                             "RobotoCondensed-LightItalic.ttf"]),
    "fonts-urw-base35": ("AGPL-3 with font exception", ["C059-BdIta.otf", "NimbusMonoPS-Italic.otf", "P052-Italic.otf",
                                                        "URWBookman-LightItalic.otf", "URWGothic-BookOblique.otf",
                                                        "Z003-MediumItalic.otf"]),
    "fonts-vollkorn": ("OFL-1.1", ["Vollkorn-Regular.ttf", "Vollkorn-BlackItalic.ttf"]),
}
# package: (licence, font file, the domain's name)
TARGET = {
    "fonts-bajaderka": ("OFL-1.1", "Bajaderka-Regular.otf", "Bajaderka"),
    "fonts-breip": ("OFL-1.0", "Breip.ttf", "Breip"),
    "fonts-dancingscript": ("OFL-1.1", "DancingScript-Regular.otf", "Dancing Script"),
    "fonts-sjfonts": ("GPL-2 with font exception", "Delphine.ttf", "Delphine"),
    "fonts-dkg-handwriting": ("OFL-1.1, or GPL-3+", "dkg.ttf", "dkg"),
    "fonts-dustin": ("GPL-2", "Domestic_Manners.ttf", "Domestic Manners"),
    "fonts-havana": ("OFL-1.1", "Havana-Regular.otf", "Havana"),
    "fonts-kaushanscript": ("OFL-1.1", "KaushanScript-Regular.otf", "Kaushan Script"),
    "fonts-kristi": ("OFL-1.1", "Kristi.ttf", "Kristi"),
    "fonts-rufscript": ("GPL-3 with font exception", "Rufscript010.ttf", "Rufscript"),
}


def outline_box(face, glyph, scale, dx=0.0, dy=0.0):
    """Loads the glyph at `scale` pixels per em, moved by (dx, dy) pixels up and right; its exact ink box in pixels."""
    ratio = round(scale / LARGE * 0x10000)
    face.set_transform(freetype.Matrix(ratio, 0, 0, ratio), freetype.Vector(round(dx * 64), round(dy * 64)))
    face.load_glyph(glyph, freetype.FT_LOAD_NO_HINTING | freetype.FT_LOAD_NO_BITMAP)
    box = face.glyph.outline.get_bbox()
    return box.xMin / 64, box.yMin / 64, box.xMax / 64, box.yMax / 64


def median(values):
    values = sorted(values)
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def render(path):
    """The sheet of one font, and what had to be mended."""
    face = freetype.Face(str(path))
    face.set_pixel_sizes(0, LARGE)
    glyphs = [face.get_char_index(c) for c in CLASSES]
    boxes = [outline_box(face, g, LARGE) for g in glyphs]
    lacking = [c for c, g, b in zip(CLASSES, glyphs, boxes) if g == 0 or b[2] <= b[0] or b[3] <= b[1]]
    if lacking:
        sys.exit(f"{path.name} lacks {' '.join(lacking)}")
    capitals = [b for c, b in zip(CLASSES, boxes) if c.isupper()]
    scale = LARGE * CAP_HEIGHT / median([b[3] - b[1] for b in capitals])
    rise = -median([b[1] for b in capitals]) * scale / LARGE  # from the font's zero to the baseline

    sheet = Image.new("L", (COLUMNS * CELL, -(-len(CLASSES) // COLUMNS) * CELL), 0)
    mended = []
    for k, (c, g) in enumerate(zip(CLASSES, glyphs)):
        left, bottom, right, top = outline_box(face, g, scale)
        fit = min(1.0, CELL / (right - left), CELL / (top - bottom))
        if fit < 1:
            left, bottom, right, top = outline_box(face, g, scale * fit)
        # Up is positive; the cell spans BASELINE − CELL … BASELINE.
        bottom, top = bottom + rise, top + rise
        up = max(0.0, BASELINE - CELL - bottom) - max(0.0, top - BASELINE)
        if fit < 1 or up:
            mended.append(f"{c} ×{fit:.2f} {up:+.1f}")
        # Pixel (0, 0) of the cell is the outline's (0, BASELINE).
        outline_box(face, g, scale * fit, CELL / 2 - (left + right) / 2, rise + up)
        face.glyph.render(freetype.FT_RENDER_MODE_NORMAL)
        bitmap = face.glyph.bitmap
        ink = Image.frombytes("L", (bitmap.width, bitmap.rows), bytes(bitmap.buffer), "raw", "L", bitmap.pitch)
        cell = Image.new("L", (CELL, CELL), 0)
        cell.paste(ink, (face.glyph.bitmap_left, round(BASELINE) - face.glyph.bitmap_top))
        sheet.paste(cell, (k % COLUMNS * CELL, k // COLUMNS * CELL))
    return sheet, mended


def main():
    parser = argparse.ArgumentParser(description="Renders the masters of the benchmark glyphs.")
    parser.add_argument("--debs", type=pathlib.Path, help="folder of .deb files; what is not there is downloaded into it")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "masters")
    options = parser.parse_args()
    fonts = [(p, l, file, pathlib.Path(file).stem, "source") for p, (l, files) in SOURCE.items() for file in files]
    fonts += [(p, l, file, name, "target") for p, (l, file, name) in TARGET.items()]
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("*.png"):
        old.unlink()

    index = []
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        debs = (options.debs or work / "debs").resolve()
        debs.mkdir(parents=True, exist_ok=True)
        versions = {}
        for package in [*SOURCE, *TARGET]:
            if not list(debs.glob(package + "_*.deb")):
                subprocess.run(["apt-get", "download", "-qq", package], cwd=debs, check=True)
            deb = sorted(debs.glob(package + "_*.deb"))[-1]
            subprocess.run(["dpkg-deb", "-x", deb, work / package], check=True)
            versions[package] = subprocess.run(["dpkg-deb", "-f", deb, "Version"], check=True, capture_output=True, text=True).stdout.strip()
        for package, licence, file, name, role in fonts:
            found = sorted((work / package).rglob(file))
            if not found:
                sys.exit(f"{package} {versions[package]} has no {file}")
            sheet, mended = render(found[0])
            png = name.replace(" ", "") + ".png"
            sheet.save(options.out / png, optimize=True)
            index.append({"font": name, "role": role, "master": png, "file": file, "package": package, "version": versions[package],
                          "licence": licence})
            print(f"{name:28} {(options.out / png).stat().st_size:6}  {', '.join(mended)}")
    lines = ",\n".join("    " + json.dumps(entry) for entry in index)
    (options.out / "index.json").write_text(
        f'{{\n  "classes": "{CLASSES}",\n  "cell": {CELL},\n  "columns": {COLUMNS},\n  "fonts": [\n{lines}\n  ]\n}}\n')
    total = sum(p.stat().st_size for p in options.out.iterdir())
    print(f"{len(index)} fonts ({sum(e['role'] == 'source' for e in index)} source), {total} bytes")


if __name__ == "__main__":
    main()
