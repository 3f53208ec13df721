"""What tifffile reads from the TIFF files beside the checkout: the lines of tests/it/formats.tsv that begin with a TIFF's name.

    pip install tifffile imagecodecs numpy
    python tests/reference/formats.py ../shared/data/formats

A line: file; slices, channels, rows, columns; type; FNV-1a hash of the values in this order, little-endian. As the program
reads: the least value is black (white-is-zero is turned round, but not floats or more than 24 bits), samples of fewer than 8 bits are spread over 0 to 255,
palettes become 8-bit RGB, alpha is dropped, RGB with equal channels is grey, signed 16-bit integers without a negative one
are unsigned, and other integers of more than 16 bits, halves and doubles are 32-bit floats. Pages that are marked as
thumbnails or that are smaller than the first one are left out.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import tifffile

warnings.simplefilter("ignore")


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def page(page):
    """Channels, rows, columns."""
    values = page.asarray()
    axes = page.axes.replace("Y", "").replace("X", "")
    if "S" not in axes:
        values = values[None]
    elif page.axes.index("S") > page.axes.index("Y"):
        values = values.transpose(2, 0, 1)
    bits = page.bitspersample
    kind = page.sampleformat
    if page.photometric == 3:
        colours = page.colormap[:, values[0].astype(int)]
        return (colours >> 8 if page.colormap.max() > 255 else colours).astype(np.uint8)
    if page.photometric in (5, 6, 8, 32844, 32845) and page.compression != 7:
        raise ValueError("colours")
    samples = values.shape[0]
    if page.photometric == 2 and samples >= 3:
        values = values[:3]
    elif samples == 2 and page.extrasamples and page.extrasamples[0] in (1, 2):
        values = values[:1]
    elif samples not in (1, 3):
        raise ValueError("channels")
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if page.photometric == 0 and kind != 3 and bits <= 24:
        values = (2**bits - 1 - values.astype(np.int64)).astype(values.dtype)
    if bits < 8 and kind == 1:
        most = 2**bits - 1
        values = ((values.astype(int) * 255 + most // 2) // most).astype(np.uint8)
    return values


def main():
    root = Path(sys.argv[1])
    for path in sorted([*root.rglob("*.tif"), *root.rglob("*.tiff")]):
        name = path.relative_to(root).as_posix()
        try:
            with tifffile.TiffFile(path) as file:
                pages = [p for p in file.pages if not p.subfiletype & 5]
                first = pages[0]
                pages = [p for p in pages if p.shape == first.shape]
                values = np.stack([page(p) for p in pages])
        except Exception as error:
            print(f"{name}\trefused\t# {str(error).splitlines()[0][:80] if str(error) else type(error)}")
            continue
        if values.shape[1] == 3 and (values[:, :1] == values).all():
            values = values[:, :1]
        if values.dtype == np.int8:
            values = values.astype(np.int16)
        if values.dtype == np.int16 and values.min() >= 0:
            values = values.astype(np.uint16)
        if values.dtype not in (np.uint8, np.uint16, np.int16):
            values = values.astype(np.float32)
        kind = values.dtype.name
        values = values.astype(values.dtype.newbyteorder("<"))
        print(name, *values.shape, kind, f"{fnv(values.tobytes()):016x}", sep="\t")


if __name__ == "__main__":
    main()
