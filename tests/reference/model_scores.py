"""Scores published models with the program and with onnxruntime, beside what their authors or converters report.

    pip install numpy onnxruntime
    python tests/reference/model_scores.py [--program target/release/epsiloscope] [--data ../shared/data] [--count 1000]

Prints a table: what was reported, what this program and what onnxruntime give on the data that are there, and how far the
outputs of both differ. Exits with 1 if the program and onnxruntime disagree on a class, or their outputs by more than 10⁻⁴ of
their range. Data sets and models that are absent are left out and said.
"""

import argparse
import gzip
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parents[2]
MEAN, STD = (np.float32(v).reshape(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


def mnist(data, count):
    read = lambda name, skip: np.frombuffer(gzip.open(data / "mnist" / name).read(), np.uint8)[skip:]
    x = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)[:count]
    return x.astype(np.float32) / 255, read("t10k-labels-idx1-ubyte.gz", 8)[:count].astype(np.int64)


def cifar(data, count):
    rows = np.fromfile(data / "cifar10" / "test_first1000.bin", np.uint8).reshape(-1, 3073)[:count]
    x = rows[:, 1:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    return (x - MEAN) / STD, rows[:, 0].astype(np.int64)


class Scores:
    def __init__(self, arguments):
        self.arguments, self.fine = arguments, True
        self.folder = Path(tempfile.mkdtemp())
        print("| model | what | reported | here | onnxruntime | outputs differ by |\n|---|---|---|---|---|---|")

    def run(self, *words):
        command = [str(self.arguments.program), *map(str, words)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return done.stdout

    def ours(self, model, x):
        given, got = self.folder / "x.npy", self.folder / "z.npy"
        np.save(given, x)
        self.run("predict", given, "--raw", "--model", model, "--device", "cpu", "--out", got)
        return np.load(got)

    def theirs(self, model, x):
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        port = session.get_inputs()[0]
        size = port.shape[0] if isinstance(port.shape[0], int) else 100
        parts = [x[i:i + size] for i in range(0, len(x), size)]
        return np.concatenate([session.run(None, {port.name: part})[0] for part in parts])

    def row(self, name, what, reported, ours, theirs, outputs):
        a, b = (np.asarray(o, np.float64).ravel() for o in outputs)
        off = np.abs(a - b).max() / max(np.ptp(b), 1e-12)
        self.fine &= off <= 1e-4
        print(f"| {name} | {what} | {reported} | {ours} | {theirs} | {off:.1e} of the range |", flush=True)

    def accuracy(self, name, model, x, y, what, reported):
        ours, theirs = self.ours(model, x), self.theirs(model, x)
        ours, theirs = ours.reshape(len(x), -1), theirs.reshape(len(x), -1)
        same = (ours.argmax(1) == theirs.argmax(1)).all()
        self.fine &= bool(same)
        share = [f"{(z.argmax(1) == y).mean():.4f}" for z in (ours, theirs)]
        self.row(name, f"{what}, {len(x)} images", reported, *share, (ours, theirs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/epsiloscope")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--count", type=int, default=1000)
    arguments = parser.parse_args()
    models, scores = arguments.data / "models", Scores(arguments)

    def there(name):
        if (models / name).exists():
            return models / name
        print(f"{name} is absent", file=sys.stderr)
        return None

    if model := there("resnet_cifar10/resnet20.onnx"):
        x, y = cifar(arguments.data, arguments.count)
        scores.accuracy("ResNet-20, CIFAR-10", model, x, y, "accuracy", ".9165 of the first 2000")
    if model := there("convex_adversarial/models_mnist.onnx"):
        x, y = mnist(arguments.data, arguments.count)
        scores.accuracy("provably robust CNN, MNIST", model, x, y, "accuracy", ".9745")
        clean, labels, found = (scores.folder / f"{n}.npy" for n in ("clean", "labels", "found"))
        np.save(clean, x)
        np.save(labels, y)
        scores.run("attack", clean, "--raw", "--bounds", "0,1", "--model", model, "--device", "cpu", "--attack", "pgd",
                   "--epsilon", "0.1", "--label", labels, "--out", found)
        adversarial = np.load(found)
        assert np.abs(adversarial - x).max() <= 0.1 + 1e-6
        scores.accuracy("provably robust CNN, MNIST", model, adversarial, y, "accuracy under PGD, ε 0.1", ".963")
    if model := there("vnncomp/Convnet_maxpool.onnx"):
        x, y = mnist(arguments.data, arguments.count)
        # The benchmark's images are centred; the file does not say how. Both scalings are shown.
        scores.accuracy("max-pooling CNN, MNIST", model, x, y, "accuracy, [0, 1]", "none")
        scores.accuracy("max-pooling CNN, MNIST", model, (x - 0.1307) / 0.3081, y, "accuracy, standardised", "none")
    if model := there("bioimageio_unet2d_nuclei/weights.onnx"):
        x = np.load(model.parent / "test_input.npy").astype(np.float64)
        x = ((x - x.mean((-2, -1), keepdims=True)) / (x.std((-2, -1), keepdims=True) + 1e-6)).astype(np.float32)
        wanted = np.load(model.parent / "test_output.npy")
        both = scores.ours(model, x), scores.theirs(model, x)
        off = [f"{np.abs(1 / (1 + np.exp(-z.astype(np.float64))) - wanted).max():.1e}" for z in both]
        scores.row("U-Net of nuclei", "sigmoid less published output, at most", "1.3e-6", *off, both)
    if model := there("lwnet/wnet_drive.onnx"):
        x = np.random.default_rng(0).random((1, 3, 512, 512), np.float32)
        both = scores.ours(model, x), scores.theirs(model, x)
        means = [f"{z.mean():.4f}" for z in both]
        scores.row("W-Net of vessels", "mean probability of noise (DRIVE is not there)", "Dice .826 on DRIVE", *means, both)
    sys.exit(0 if scores.fine else 1)


if __name__ == "__main__":
    main()
