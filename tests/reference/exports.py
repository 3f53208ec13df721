"""Beside pydicom, nibabel, tifffile, NumPy and Pillow: the values that `epsiloscope image export` writes.

    pip install nibabel numpy pillow pydicom pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pyjpegls tifffile imagecodecs
    python tests/reference/exports.py target/release/epsiloscope ../shared/data

Every file is exported to .npy and compared value by value with what the other program reads; what could be read is also
written as NIfTI, TIFF and DICOM and read back by nibabel, tifffile and pydicom. Prints two tables and what differs.

Equal means: the same shape and the same 32-bit floats. Files of lossy JPEG may differ by a few grey levels, since decoders do;
samples of fewer than 8 bits are spread over 0-255 here, alpha is dropped, and the straight line of ImageJ is applied. Spacing,
orientation and place of what is written are compared with what `image inspect` says. Where neither side reads a file, both refuse.
"""

import collections
import gzip
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")
SKIPPED = {".txt", ".md", ".csv", ".toml", ".json", ".onnx", ".safetensors", ".pth", ".pt", ".py", ".yaml", ".yml", ".data", ".pb", ".mpk", ".sh"}


def planes(values, colour):
    """[..., rows, columns, samples] -> [..., samples, rows, columns]; without alpha, grey if all samples are equal."""
    if not colour:
        return values
    values = np.moveaxis(values, -1, -3)
    if values.shape[-3] in (2, 4):
        values = values[..., :-1, :, :]
    first = values[..., :1, :, :]
    return values[..., 0, :, :] if (first == values).all() else values


def of_dicom(path):
    import pydicom
    from pydicom.pixels import apply_color_lut, apply_rescale

    data = pydicom.dcmread(path, force=True)
    values = data.pixel_array
    if data.PhotometricInterpretation == "PALETTE COLOR":
        return planes(apply_color_lut(values, data), True), "exact"
    lossy = str(data.file_meta.get("TransferSyntaxUID", "")).endswith((".4.50", ".4.51"))
    groups = data.get("SharedFunctionalGroupsSequence"), data.get("PerFrameFunctionalGroupsSequence")
    if data.SamplesPerPixel == 1 and "RescaleSlope" not in data and any(groups):
        scale = [item.PixelValueTransformationSequence[0] for group in groups if group for item in group
                 if "PixelValueTransformationSequence" in item]
        if scale:
            values = values * float(scale[0].RescaleSlope) + float(scale[0].RescaleIntercept)
    values = apply_rescale(values, data) if data.SamplesPerPixel == 1 else planes(values, True)
    order = order_of(data, len(values) if values.ndim > 2 else 1)
    values = values[order] if order else values
    return values, "lossy" if lossy else "exact"


def order_of(data, frames):
    """Frames whose groups say where they lie are sorted here, volume after volume, unless they already run up or down."""
    groups = data.get("PerFrameFunctionalGroupsSequence")
    if not groups or len(groups) != frames or frames < 2 or not all("PlanePositionSequence" in g for g in groups):
        return None
    shared = data.get("SharedFunctionalGroupsSequence") or [{}]
    directions = []
    for group in groups:
        own = group if "PlaneOrientationSequence" in group else shared[0]
        if "PlaneOrientationSequence" not in own:
            return None
        directions.append([float(v) for v in own.PlaneOrientationSequence[0].ImageOrientationPatient])
    if np.ptp(directions, axis=0).max() >= 0.01:
        return None
    normal = np.cross(directions[0][:3], directions[0][3:])
    places = np.array([np.dot(normal, [float(v) for v in g.PlanePositionSequence[0].ImagePositionPatient]) for g in groups])
    ranked = np.argsort(places, kind="stable")
    steps = np.diff(places[ranked]) > 1e-3 + 0.02 * np.ptp(places) / (frames - 1)
    levels = np.empty(frames, int)
    levels[ranked] = np.concatenate([[0], np.cumsum(steps)])
    counts = np.bincount(levels)
    if len(counts) < 2 or (counts != counts[0]).any():
        return None
    volumes = np.array([np.sum(levels[:i] == levels[i]) for i in range(frames)])
    orders = [sorted(range(frames), key=lambda i: (volumes[i], sign * levels[i])) for sign in (1, -1)]
    return None if list(range(frames)) in orders else orders[0]


def of_nifti(path):
    import nibabel

    image = nibabel.load(path)
    if not isinstance(image, (nibabel.Nifti1Image, nibabel.Nifti2Image)):
        raise ValueError("not NIfTI")
    data = np.asanyarray(image.dataobj)
    if data.dtype.names:
        data = np.stack([data[channel] for channel in "RGB"], axis=-1)
        return planes(data.transpose(2, 1, 0, 3), True), "exact"
    data = np.where(np.isfinite(data), data, 0)
    return data.T.reshape(-1, data.shape[1], data.shape[0] if data.ndim > 1 else 1), "exact"


def of_tiff(path):
    import tifffile

    with tifffile.TiffFile(path) as file:
        pages = [page for page in file.pages if not page.is_reduced]
        values = np.stack([page.asarray() for page in pages])
        page = pages[0]
        colour = page.samplesperpixel > 1
        if colour and page.planarconfig == 2:
            values = np.moveaxis(values, -3, -1)
        calibration = file.imagej_metadata or {}
        if calibration.get("cf") == 0 and page.photometric == 1 and page.samplesperpixel == 1:
            # ImageJ's straight line, which tifffile does not apply.
            values = values * float(calibration.get("c1", 1)) + float(calibration.get("c0", 0))
        if page.photometric == 3:
            # Colour maps have 16 bits; a picture of 8 takes the upper ones, as libtiff does.
            table = np.array(page.colormap) >> 8
            return planes(np.moveaxis(table[:, values], 0, -1), True), "exact"
        lossy = page.compression in (6, 7) or page.photometric == 6
        few = page.bitspersample < 8 or page.bitspersample in (10, 12, 14)
        return planes(values, colour), "lossy" if lossy else "scaled" if few else "exact"


def of_raster(path):
    from PIL import Image

    image = Image.open(path)
    if image.format == "PNG" and path.read_bytes()[24] == 16:
        # Pillow rounds colours and alpha of 16 bits to 8.
        import imagecodecs

        values = imagecodecs.png_decode(path.read_bytes())
        return planes(values, values.ndim == 3), "exact"
    if getattr(image, "n_frames", 1) > 1:
        image.seek(0)
    kind = "lossy" if image.format in ("JPEG", "WEBP") else "exact"
    if image.mode in ("P", "PA", "LA", "RGBA", "CMYK", "YCbCr", "1"):
        alpha = image.mode in ("LA",)
        return planes(np.asarray(image.convert("LA" if alpha else "RGB"), dtype=np.float32), True), kind
    values = np.asarray(image)
    colour = values.ndim == 3
    if image.format == "PNG":
        if path.read_bytes()[24] < 8:
            kind = "scaled"
    return planes(values, colour), kind


def of_numpy(path):
    values = np.load(path)
    if values.dtype.kind not in "biuf":
        raise ValueError("not numbers")
    return planes(values, values.ndim >= 3 and values.shape[-1] in (3, 4)), "exact"


def of_idx(path):
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if raw[3] != 3:
        raise ValueError("labels")
    return np.frombuffer(raw, np.uint8, offset=16).reshape(np.frombuffer(raw, ">u4", 3, 4)), "exact"


def of_cifar(path):
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32), "exact"


def kind_of(path):
    """The format by content, and who else reads it."""
    head = path.open("rb").read(352)
    name = path.name.lower()
    if head[128:132] == b"DICM" or name.endswith(".dcm"):
        return "DICOM", of_dicom
    if name.endswith((".nii", ".nii.gz")) or head[344:348] == b"ni1\0" and name.endswith(".hdr"):
        return "NIfTI", of_nifti
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF", of_tiff
    if head.startswith(b"\x93NUMPY"):
        return "NumPy", of_numpy
    if "idx3-ubyte" in name:
        return "idx", of_idx
    if path.parent.name == "cifar10" and name.endswith(".bin"):
        return "CIFAR-10", of_cifar
    for magic, format in [(b"\x89PNG", "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"BM", "BMP"), (b"RIFF", "WebP")]:
        if head.startswith(magic):
            return format, of_raster
    return None, None


def compare(ours, theirs, kind):
    """Whether they are equal; else in what they differ."""
    ours, theirs = np.squeeze(ours), np.squeeze(theirs)
    if ours.shape != theirs.shape:
        return f"shape {ours.shape} here, {theirs.shape} there"
    theirs = theirs.astype(np.float32)
    if kind == "scaled" and theirs.max() > 0:
        # Fewer bits than the type: up to the factor that spreads them.
        factor = ours.max() / theirs.max()
        return None if np.allclose(ours, theirs * factor, atol=0.51) else "values"
    gaps = np.abs(ours.astype(np.float64) - theirs)
    gap = gaps.max()
    if kind == "lossy":
        # Decoders spread colours of half resolution over edges in ways of their own.
        return None if np.percentile(gaps, 99) <= 16 and gaps.mean() < 1 else f"up to {gap:.6g} apart (lossy)"
    close = gap <= 1e-6 * max(1.0, float(np.abs(theirs).max()))
    return None if close else f"up to {gap:.6g} apart"


class Exporter:
    def __init__(self, program, folder):
        self.program, self.folder = program, Path(folder)

    def __call__(self, path, ending, *more):
        """The file written, or why none was."""
        out = self.folder / f"out{ending}"
        out.unlink(missing_ok=True)
        run = subprocess.run([self.program, "image", "export", str(path), "--out", str(out), *more],
                             capture_output=True, text=True)
        if run.returncode == 0:
            return out, None
        if len(run.stderr.strip().splitlines()) != 1 or not run.stderr.startswith("error: "):
            return None, f"NOT ONE ERROR LINE: {run.stderr.strip()[:200]}"
        return None, run.stderr.strip().removeprefix("error: ").removeprefix(str(path)).lstrip(": ")

    def facts(self, path):
        """What `image inspect` says."""
        run = subprocess.run([self.program, "image", "inspect", str(path), "--json"], capture_output=True, text=True)
        return json.loads(run.stdout)


def geometry_of_tiff(file, facts):
    """What is wrong with the spacing of a TIFF that was written: as ImageJ and Fiji read it, or in cm."""
    spacing = facts["spacing"]
    page = file.pages[0]
    if spacing is None or not all(1e-3 < step < 2e3 for step in spacing[1:]):
        return None
    across, down = (page.tags[tag].value for tag in ("XResolution", "YResolution"))
    text = file.imagej_metadata or {}
    if file.is_imagej:
        if text.get("unit") != "mm" or page.tags["ResolutionUnit"].value != 1:
            return "another unit"
        unit = 1
    else:
        unit = {2: 25.4, 3: 10}[page.tags["ResolutionUnit"].value]
    there = [unit * down[1] / down[0], unit * across[1] / across[0]]
    if not np.allclose(there, spacing[1:], rtol=1e-5):
        return f"spacing {there}, not {spacing[1:]}"
    if file.is_imagej and len(file.pages) > 1 and not np.isclose(text.get("spacing", 1), spacing[0], rtol=1e-5):
        return f"distance of slices {text.get('spacing')}, not {spacing[0]}"
    return None


def geometry_of_dicom(data, facts):
    """What is wrong with the spacing and the place of slice 0 that was written."""
    if facts["spacing"] is None:
        return None
    if not np.allclose([float(v) for v in data.PixelSpacing], facts["spacing"][1:], rtol=1e-5):
        return f"spacing {data.PixelSpacing}, not {facts['spacing'][1:]}"
    affine = facts.get("affine")
    if affine is None:
        return None
    affine = np.diag([-1, -1, 1]) @ np.array(affine)
    columns = affine[:, :2] / np.linalg.norm(affine[:, :2], axis=0)
    if not np.allclose([float(v) for v in data.ImageOrientationPatient], columns.T.ravel(), atol=1e-4):
        return "another orientation"
    close = np.allclose([float(v) for v in data.ImagePositionPatient], affine[:, 3], rtol=1e-5, atol=1e-3)
    return None if close else "another position"


def check_written(export, path, ours, format):
    """What is wrong with the NIfTI, TIFF and DICOM files that are written of `path`, by ending."""
    import nibabel
    import pydicom
    import tifffile
    from pydicom.pixels import apply_rescale

    found = {}
    facts = export.facts(path)
    out, why = export(path, ".nii.gz")
    if out:
        image = nibabel.load(out)
        data = np.asanyarray(image.dataobj)
        if data.dtype.names:
            data = planes(np.stack([data[c] for c in "RGB"], -1).transpose(2, 1, 0, 3), True)
        else:
            data = data.T.reshape((-1,) + data.T.shape[-2:])
        found[".nii.gz"] = compare(ours, data, "exact")
        if format == "NIfTI" and not found[".nii.gz"]:
            there = nibabel.load(path)
            known = there.header["sform_code"] > 0 or there.header["qform_code"] > 0
            if known and not np.allclose(there.affine, image.affine, atol=1e-3):
                found[".nii.gz"] = "another affine"
    else:
        found[".nii.gz"] = f"refused: {why}"
    out, why = export(path, ".tif")
    if out:
        with tifffile.TiffFile(out) as file:
            values = np.stack([page.asarray() for page in file.pages])
            found[".tif"] = compare(ours, planes(values, file.pages[0].samplesperpixel > 1), "exact")
            found[".tif"] = found[".tif"] or geometry_of_tiff(file, facts)
    else:
        found[".tif"] = f"refused: {why}"
    out, why = export(path, ".dcm", "--slice", "0")
    if out:
        data = pydicom.dcmread(out)
        values = data.pixel_array
        values = planes(values, True) if data.SamplesPerPixel == 3 else apply_rescale(values, data)
        one, _ = export(path, ".npy", "--slice", "0")
        one = np.load(one)
        # Floats that are no whole numbers are rounded to 16 bits.
        step = abs(float(data.get("RescaleSlope", 1)))
        gap = np.abs(np.squeeze(values) - np.squeeze(one)).max()
        found[".dcm"] = None if gap <= step * 0.51 + 1e-6 * np.abs(one).max() else f"up to {gap:.6g} apart, step {step:.6g}"
        found[".dcm"] = found[".dcm"] or geometry_of_dicom(data, facts)
        marks = list(data.ImageType)[:2] == ["DERIVED", "SECONDARY"] and data.PatientIdentityRemoved == "YES"
        if not marks or str(data.PatientName) != "ANONYMOUS":
            found[".dcm"] = "not marked"
    else:
        found[".dcm"] = f"refused: {why}"
    return found


def main():
    program, root = sys.argv[1], Path(sys.argv[2])
    table = collections.defaultdict(lambda: collections.Counter())
    reasons = collections.Counter()
    written = collections.defaultdict(collections.Counter)
    different, inverted = [], 0
    with tempfile.TemporaryDirectory() as folder:
        export = Exporter(program, folder)
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            if path.suffix.lower() in SKIPPED or path.stat().st_size > 400 << 20:
                continue
            format, read = kind_of(path)
            if format is None:
                continue
            name = path.relative_to(root)
            try:
                theirs, kind = read(path)
                why_not = None
            except Exception as error:
                theirs, kind, why_not = None, None, str(error).splitlines()[0] if str(error) else type(error).__name__
            row = table[format]
            row["files"] += 1
            out, why = export(path, ".npy")
            if why and why.startswith("NOT ONE"):
                different.append(f"{name}: {why}")
            if out is None:
                row["both refuse" if theirs is None else "refused"] += 1
                if theirs is not None:
                    reasons[f"{format}: {why.split(': ')[-1][:150]}"] += 1
                continue
            if theirs is None:
                row["read here only"] += 1
                continue
            ours = np.load(out)
            gap = compare(ours, theirs, kind)
            row["equal" if gap is None else "different"] += 1
            if gap is not None:
                different.append(f"{name}: {gap}")
            if row["files"] % 20 == 1 or format in ("NIfTI", "DICOM", "TIFF"):
                for ending, problem in check_written(export, path, ours, format).items():
                    # What is white as the least value is written the way it is displayed, and .npy as it is stored.
                    turned = problem and "apart" in problem and "turned round" in str(export.facts(path).get("notes"))
                    state = "equal" if problem is None or turned else "refused" if problem.startswith("refused") else "different"
                    written[ending][state] += 1
                    if state == "different":
                        different.append(f"{name} written as {ending}: {problem}")
                    if state == "refused":
                        reasons[f"written as {ending}: {problem.split(': ')[-1][:120]}"] += 1
    columns = ["files", "equal", "both refuse", "read here only", "refused", "different"]
    print("| format |", " | ".join(columns), "|\n|---|" + "---|" * len(columns))
    for format, row in table.items():
        print(f"| {format} |", " | ".join(str(row[column]) for column in columns), "|")
    print("\n| written as | equal | refused | different |\n|---|---|---|---|")
    for ending, row in written.items():
        print(f"| {ending} | {row['equal']} | {row['refused']} | {row['different']} |")
    print("\nRefused here, read elsewhere:")
    for reason, count in reasons.most_common():
        print(f"{count:4} {reason}")
    print("\nDifferent:")
    for line in different:
        print(" ", line)
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
