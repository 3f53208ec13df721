"""Times ONNX models here and elsewhere, turn by turn in one run, and prints tables with the ratios and their spread.

    python benches/peers/graphs.py [--rounds 5] [--runs 3] [--threads 2] [--models FOLDER]

Forward passes beside onnxruntime, gradients of the summed output by the image beside PyTorch (the exported network itself, or
onnx2torch's reading of the file; weights without gradients); seconds and memory of loading, medians of five processes.
ResNet-50 of torchvision with random weights is exported first; FOLDER holds published models (see MODELS; absent ones are
left out). Each item is timed here and then there before the next; a ratio is that of the medians of one round, and the table
gives the median ratio of all rounds with the least and the greatest. Times are the medians over all runs.

    pip install torch torchvision onnx onnxruntime onnx2torch
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = [
    ("ResNet-50, 224²", None, (1, 3, 224, 224)),
    ("U-Net of nuclei, 512²", "bioimageio_unet2d_nuclei/weights.onnx", (1, 1, 512, 512)),
    ("W-Net of vessels, 512²", "lwnet/wnet_drive.onnx", (1, 3, 512, 512)),
    ("ResNet-20 of CIFAR-10, 100 × 32²", "resnet_cifar10/resnet20.onnx", (100, 3, 32, 32)),
    ("provably robust CNN of MNIST, 100 × 28²", "convex_adversarial/models_mnist.onnx", (100, 1, 28, 28)),
    ("max-pooling CNN of MNIST, 28²", "vnncomp/Convnet_maxpool.onnx", (1, 1, 28, 28)),
]

# A model is loaded so often, each time by a process of its own.
LOADS = 5


def program(environment):
    command = ["cargo", "bench", "--bench", "onnx", "--no-run", "--message-format", "json"]
    output = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    return [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "onnx"][-1]


def export(path):
    import torch
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.resnet50(weights=None).eval()
    torch.onnx.export(network, (torch.rand(1, 3, 224, 224),), str(path), dynamo=False, opset_version=17)
    return network


class Peers:
    """onnxruntime and PyTorch on one model."""

    def __init__(self, path, shape, threads, network):
        import numpy
        import onnx
        import onnx.version_converter
        import onnxruntime
        import torch

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.x = numpy.random.default_rng(0).random(shape).astype(numpy.float32)
        if network is None:
            import onnx2torch

            model = onnx.load(str(path))
            if model.opset_import[0].version > 16:
                model = onnx.version_converter.convert_version(model, 16)
            network = onnx2torch.convert(model).eval()
        for p in network.parameters():
            p.requires_grad_(False)
        self.network, self.tensor = network, torch.from_numpy(self.x.copy()).requires_grad_(True)

    def forward(self):
        self.session.run(None, {self.session.get_inputs()[0].name: self.x})

    def gradient(self):
        import torch

        y = self.network(self.tensor)
        torch.autograd.grad((y[0] if isinstance(y, (tuple, list)) else y).sum(), self.tensor)

    def times(self, what, runs):
        run = getattr(self, what)
        run()
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return times


def milliseconds(seconds):
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared/data/models")
    parser.add_argument("--program", help="the bench `onnx`, built already")
    parser.add_argument("--where", action="store_true", help="print which operators take the time here, and nothing else")
    arguments = parser.parse_args()
    threads = str(arguments.threads)
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    os.environ.update(environment)
    import onnxruntime
    import torch

    torch.set_num_threads(arguments.threads)
    ours = arguments.program or program(environment)

    def start():
        return subprocess.Popen([ours], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(process, *words):
        process.stdin.write("\t".join(map(str, words)) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            sys.exit("the program ended; its message is above")
        return json.loads(answer)

    rows, costs = [], []
    with tempfile.TemporaryDirectory() as folder:
        load_before = os.getloadavg()[0]
        for title, name, shape in MODELS:
            network = None
            path = Path(folder) / "resnet50.onnx" if name is None else arguments.models / name
            if name is None:
                network = export(path)
            elif not path.exists():
                print(f"{path} is absent", file=sys.stderr)
                continue
            dims = ",".join(map(str, shape))
            if arguments.where:
                process = start()
                print(title, process.communicate(f"where\t{path}\t{dims}\n")[0], sep="\n")
                continue
            peers, process = Peers(path, shape, arguments.threads, network), start()
            for what in ("forward", "gradient"):
                rounds = []
                for number in range(arguments.rounds):
                    print(f"{title}: {what}, round {number + 1} of {arguments.rounds}", file=sys.stderr)
                    rounds.append((ask(process, what, path, dims, arguments.runs), peers.times(what, arguments.runs)))
                rows.append((title, what, rounds))
            process.stdin.close()
            process.wait()
            # The first process may meet a file whose pages are still being written, and ten times the time: the medians count.
            each = []
            for _ in range(LOADS):
                process = start()
                each.append(ask(process, "cost", path, dims))
                process.stdin.close()
                process.wait()
            costs.append((title, path.stat().st_size / 1e6, [statistics.median(values) for values in zip(*each)]))
    if arguments.where:
        return
    rustc = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout.split()[1]
    print(
        f"{processor()}, {threads} threads; rustc {rustc}, onnxruntime {onnxruntime.__version__}, PyTorch "
        f"{torch.__version__}; load {load_before:.1f} before; {arguments.rounds} rounds of {arguments.runs} runs.\n"
    )
    print("| model | | Epsiloscope | peer | ratio | least … greatest |\n|---|---|---|---|---|---|")
    for title, what, rounds in rows:
        mine, other = ([t for one in side for t in one] for side in zip(*rounds))
        ratios = sorted(statistics.median(a) / statistics.median(b) for a, b in rounds)
        print(
            f"| {title} | {what}, {'onnxruntime' if what == 'forward' else 'PyTorch'} "
            f"| {milliseconds(statistics.median(mine))} | {milliseconds(statistics.median(other))} "
            f"| {statistics.median(ratios):.2f} | {ratios[0]:.2f} … {ratios[-1]:.2f} |"
        )
    print("\n| model | file | loaded in | peak of loading | after it | peak of a forward pass | of a gradient |")
    print("|---|---|---|---|---|---|---|")
    for title, size, (seconds, *memory) in costs:
        if size < 1:
            continue
        cells = " | ".join(f"{m:.0f} MB" for m in memory)
        print(f"| {title} | {size:.1f} MB | {milliseconds(seconds)} | {cells} |")


if __name__ == "__main__":
    main()
