"""What nibabel, NumPy and pydicom read from the files beside the checkout: tests/it/volumes.tsv.

    pip install nibabel numpy pydicom pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pyjpegls
    python tests/reference/volumes.py ../shared/data > tests/it/volumes.tsv

A line: file; slices, channels, rows, columns; least, largest value and sum; a sum weighted by place, which other orders
do not give; spacing in mm of slices, rows and columns; the sides that columns, rows and slices run towards. A value that is
not known is `-`, one that is not compared `?`; after lossy JPEG, decoders differ. Values of NIfTI that are not finite are 0. MONOCHROME1 is inverted, colours are RGB, CT and others are rescaled.
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


def dicom(path, name):
    import pydicom
    from pydicom.pixels import apply_color_lut, apply_rescale

    data = pydicom.dcmread(path, force=True)
    if "BitsAllocated" not in data or "PixelData" not in data:
        return
    try:
        values = data.pixel_array
    except Exception as error:
        print(f"# pydicom does not read {name}: {str(error).splitlines()[0]}")
        return
    frames = int(data.get("NumberOfFrames", 1) or 1)
    colours = data.SamplesPerPixel
    if data.PhotometricInterpretation == "PALETTE COLOR":
        values, colours = apply_color_lut(values, data), 3
    if data.PhotometricInterpretation == "MONOCHROME1":
        half = 2 ** (data.BitsStored - 1)
        values = -1 - values if data.PixelRepresentation else 2 * half - 1 - values
    if colours == 1:
        values = apply_rescale(values, data)
        values = values.reshape(frames, 1, data.Rows, data.Columns)
    else:
        values = values.reshape(frames, data.Rows, data.Columns, colours).transpose(0, 3, 1, 2)
    syntax = str(data.file_meta.TransferSyntaxUID)
    lossy = syntax.endswith((".4.50", ".4.51"))
    line(name, grey_if_equal(values), "?", "lossy" if lossy else "?")


def series(folder, name):
    import nibabel
    import pydicom
    from pydicom.pixels import apply_rescale

    files = [pydicom.dcmread(path) for path in folder.iterdir()]
    across, down = np.array(files[0].ImageOrientationPatient, float).reshape(2, 3)
    files.sort(key=lambda data: np.array(data.ImagePositionPatient, float) @ np.cross(across, down))
    values = np.stack([apply_rescale(data.pixel_array, data) for data in files])[:, None]
    ends = [np.array(files[i].ImagePositionPatient, float) for i in (0, -1)]
    step = (ends[1] - ends[0]) / (len(files) - 1)
    rows, columns = (float(v) for v in files[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3, :3] = (np.stack([across * columns, down * rows, step]) * [-1, -1, 1]).T
    spacing = ",".join(f"{v:.5g}" for v in (np.linalg.norm(step), rows, columns))
    line(name, values, spacing, "".join(nibabel.aff2axcodes(affine)))


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
    for path in sorted(root.rglob("*.dcm")):
        dicom(path, path.relative_to(root).as_posix())
    for path in sorted(path for path in root.glob("dicom/pydicom_testfiles/dicomdirtests/*/*/*") if path.is_file()):
        dicom(path, path.relative_to(root).as_posix())
    series(root / "dicom/torchio_series", "dicom/torchio_series")


if __name__ == "__main__":
    main()
