"""What nibabel, NumPy and pydicom read from the files beside the checkout: tests/it/volumes.tsv.

    pip install nibabel numpy pydicom pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pyjpegls
    python tests/reference/volumes.py ../shared/data > tests/it/volumes.tsv

A line: file; slices, channels, rows, columns; least, largest value and sum; a sum weighted by place, which other orders
do not give; spacing in mm of slices, rows and columns; the sides that columns, rows and slices run towards. A value that is
not known is `-`. Values of NIfTI that are not finite are 0. MONOCHROME1 is inverted, colours are RGB, CT and others are rescaled.
"""

import gzip
import sys
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")


def line(name, values, spacing="-", axes="-"):
    """`values`: slices, channels, rows, columns."""
    flat = np.asarray(values).astype(np.float32).astype(np.float64).ravel()
    weights = np.arange(flat.size) % 251 + 1
    numbers = [flat.min(), flat.max(), flat.sum(), (flat * weights).sum()]
    print(name, *values.shape, *(repr(float(n)) for n in numbers), spacing, axes, sep="\t")


def grey_if_equal(values):
    """The program takes RGB with equal channels for grey."""
    if values.shape[1] == 3 and (values[:, :1] == values).all():
        return values[:, :1]
    return values


def nifti(path, name):
    import nibabel

    image = nibabel.load(path)
    if not isinstance(image, (nibabel.Nifti1Image, nibabel.Nifti2Image)):
        return
    header = image.header
    data = np.asanyarray(image.dataobj)
    spacing = "-"
    zooms = header.get_zooms()[:3]
    if not (header["xyzt_units"] & 7 == 0 and zooms == (1, 1, 1)):
        spacing = ",".join(f"{float(z):.5g}" for z in reversed(zooms))
    axes = "-"
    if header["sform_code"] > 0 or header["qform_code"] > 0:
        axes = "".join(nibabel.aff2axcodes(image.affine))
    if data.dtype.names:
        data = np.stack([data[channel] for channel in "RGB"], axis=-1)
        values = data.transpose(2, 3, 1, 0)
    else:
        values = data.T.reshape(-1, 1, data.shape[1], data.shape[0])
        values = np.where(np.isfinite(values), values, 0)
    line(name, grey_if_equal(values), spacing, axes)


def main():
    root = Path(sys.argv[1])
    print("# Made by tests/reference/volumes.py, which says what the columns are.")
    for path in sorted(root.rglob("*.nii*")):
        nifti(path, path.relative_to(root).as_posix())
    for path in sorted(root.rglob("*-images-idx3-ubyte.gz")):
        raw = gzip.decompress(path.read_bytes())
        shape = np.frombuffer(raw, ">u4", 3, 4)
        line(path.relative_to(root).as_posix(), np.frombuffer(raw, np.uint8, offset=16).reshape(shape[0], 1, *shape[1:]))
    for path in sorted(root.glob("cifar10/*.bin")):
        records = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073)
        line(path.relative_to(root).as_posix(), records[:, 1:].reshape(-1, 3, 32, 32))
    for path in sorted(root.rglob("*.npz")):
        arrays = np.load(path)
        for key in arrays.files:
            array = arrays[key]
            if array.ndim == 3:
                line(f"{path.relative_to(root).as_posix()}/{key}", array[:, None])
    for path in sorted(root.rglob("*.npy")):
        array = np.load(path)
        if array.ndim == 3 and array.shape[-1] == 3:
            line(path.relative_to(root).as_posix(), array.transpose(2, 0, 1)[None])


if __name__ == "__main__":
    main()
