"""How long a volume takes to open, and the memory for it, beside nibabel, tifffile and pydicom in the same run.

    cargo build --release
    pip install nibabel numpy pydicom tifffile
    python benches/peers/volumes.py [--epsiloscope target/release/epsiloscope] [--slices 300] [--rounds 3]

A volume of 512 × 512 × 300 signed 16-bit values (157 MB), written into a temporary folder as NIfTI, NIfTI in gzip, TIFF,
TIFF with LZW and as a DICOM series. Ours is `epsiloscope image inspect`: a process that starts, reads all values, and finds
their range and percentiles. Theirs is a process that imports its library, which is not counted, reads all values, and finds
their range and percentiles with NumPy; beside it, reading alone. Memory is the largest resident size of the process
above that of one that opens a tiny image (ours) or has imported the library (theirs), over the bytes of the volume.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

READERS = {
    "nibabel": "import nibabel\ndef read(p): return np.asanyarray(nibabel.load(p).dataobj)",
    "tifffile": "import tifffile\ndef read(p): return tifffile.imread(p)",
    "pydicom": """import pydicom, os
def read(p):
    files = [pydicom.dcmread(os.path.join(p, n)) for n in os.listdir(p)]
    files.sort(key=lambda f: float(f.ImagePositionPatient[2]))
    return np.stack([f.pixel_array.astype(np.float32) * f.RescaleSlope + f.RescaleIntercept for f in files])""",
}

CHILD = """
import json, resource, sys, time
import numpy as np
{reader}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
values = read(sys.argv[1])
read_seconds = time.perf_counter() - start
values.min(), values.max(), np.percentile(values, [0.5, 99.5])
whole = time.perf_counter() - start
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([read_seconds, whole, (after - before) * 1024]))
"""


def generate(folder, slices):
    import nibabel
    import numpy as np
    import pydicom
    import tifffile
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    random = np.random.default_rng(0)
    plane = (np.add.outer(np.arange(512), np.arange(512)) * 2 - 1000).astype(np.int16)
    volume = np.stack([plane + random.integers(-40, 40, plane.shape, dtype=np.int16) + z for z in range(slices)])
    image = nibabel.Nifti1Image(volume.T, np.diag([0.7, 0.7, 1.5, 1]))
    nibabel.save(image, folder / "volume.nii")
    nibabel.save(image, folder / "volume.nii.gz")
    tifffile.imwrite(folder / "volume.tif", volume, photometric="minisblack")
    tifffile.imwrite(folder / "volume-lzw.tif", volume, photometric="minisblack", compression="lzw", predictor=True)
    tifffile.imwrite(folder / "tiny.tif", volume[0, :8, :8])
    series = folder / "series"
    series.mkdir()
    uid = generate_uid()
    for z, pixels in enumerate(volume):
        data = pydicom.Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.SeriesInstanceUID = uid
        data.Modality = "CT"
        data.Rows, data.Columns, data.SamplesPerPixel = 512, 512, 1
        data.PhotometricInterpretation = "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.RescaleSlope, data.RescaleIntercept = 1, 0
        data.PixelSpacing, data.ImagePositionPatient = [0.7, 0.7], [0, 0, 1.5 * z]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.PixelData = pixels.tobytes()
        data.save_as(series / f"{slices - z:04}.dcm", enforce_file_format=True)


def ours(program, path):
    """Seconds, and the largest resident size in bytes."""
    start = time.perf_counter()
    pid = os.posix_spawn(program, [program, "image", "inspect", str(path)], os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    ])
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"{program} image inspect {path} failed")
    return seconds, usage.ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsiloscope", default="target/release/epsiloscope")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = 512 * 512 * 2 * arguments.slices
        # In a process of its own: those that are started later would inherit its largest size.
        writer = multiprocessing.get_context("spawn").Process(target=generate, args=(folder, arguments.slices))
        writer.start()
        writer.join()
        if writer.exitcode:
            sys.exit("the volume cannot be written")
        empty = ours(arguments.epsiloscope, folder / "tiny.tif")[1]
        print(f"{size / 1e6:.0f} MB; load {os.getloadavg()[0]:.1f}; medians of {arguments.rounds} rounds\n")
        print("| | Epsiloscope | peer, with range and percentiles | peer, reading alone | memory ÷ volume | peer's |")
        print("|---|---|---|---|---|---|")
        for file, library in [
            ("volume.nii", "nibabel"),
            ("volume.nii.gz", "nibabel"),
            ("volume.tif", "tifffile"),
            ("volume-lzw.tif", "tifffile"),
            ("series", "pydicom"),
        ]:
            mine, theirs = [], []
            for _ in range(arguments.rounds):
                mine.append(ours(arguments.epsiloscope, folder / file))
                code = CHILD.format(reader=READERS[library])
                output = subprocess.run([sys.executable, "-c", code, str(folder / file)], capture_output=True, check=True)
                theirs.append(json.loads(output.stdout))
            seconds, memory = (statistics.median(values) for values in zip(*mine))
            read, whole, peer_memory = (statistics.median(values) for values in zip(*theirs))
            print(
                f"| {file}, {library} | {seconds:.2f} s | {whole:.2f} s | {read:.2f} s "
                f"| {(memory - empty) / size:.2f} | {peer_memory / size:.2f} |"
            )


if __name__ == "__main__":
    main()
