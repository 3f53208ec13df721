"""Times this program and PyTorch at the same work, turn by turn in one run, and prints a table with their ratios.

    python3 benches/peers/compare.py [--rounds 3] [--threads 2]
    python3 benches/peers/compare.py --device gpu [--base 64] [--size 512]     # a tick on a GPU, PyTorch on the same card

Same weights, same images, same number of threads; each item is timed for the program and then for PyTorch before the
next item, so that a busy machine hurts both alike. Times are medians over the rounds; a ratio is the median of the rounds'
own ratios, with the least and the greatest of them beside it. `setup.sh` makes PyTorch's environment. Needs nothing but
the Python standard library itself; `--check` runs its own tests.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent.parent
ITEMS = [
    ("gradient", "gradient"),
    ("forward", "forward"),
    ("tick", "ε tick: perturb, forward, judge"),
    ("texture", "tick to texture"),
    ("curve", "curve of 10 points with its gradient"),
    ("gradient-32", "base 32: gradient"),
    ("tick-32", "base 32: ε tick"),
    ("pgd-unet", "PGD of 40 steps, beside Foolbox"),
    ("train", "training step, batch 4"),
]
# Whose memory is measured, each in a process of its own.
PEAKS = [("gradient", "gradient"), ("gradient-32", "base 32: gradient")]
SIZES = (256, 512)
# The libraries that are timed at PGD, each on its own.
PGD = "pgd/100"
LIBRARIES = ("foolbox", "torchattacks")
# Of a GPU: what PyTorch does too, and what only a program with a display does.
ON_GPU = [*(pair for pair in ITEMS if pair[0] in ("gradient", "forward", "tick")), ("texture", "tick to texture")]
ALONE = [("display", "the display's share"), ("first", "the first tick, with tuning")]


def build(environment):
    """Builds the bench and returns the program."""
    command = ["cargo", "bench", "--bench", "ticks", "--no-run", "--message-format", "json"]
    output = subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    programs = [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "ticks"]
    return programs[-1]


def ours(program, item, environment, folder):
    """The median seconds of one item by criterion, or None if this machine cannot do it."""
    environment = {**environment, "CRITERION_HOME": str(folder / "criterion")}
    # Criterion names the folder with an underscore for each slash. What an earlier run left is no answer.
    estimates = folder / "criterion" / item.replace("/", "_") / "new" / "estimates.json"
    estimates.unlink(missing_ok=True)
    command = [program, "--bench", "--noplot", "--measurement-time", "3", "--warm-up-time", "0.5", f"^{item}$"]
    subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads(estimates.read_text())["median"]["point_estimate"] * 1e-9 if estimates.exists() else None


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def milliseconds(seconds):
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"


def megabytes(size):
    return f"{size:.0f} MB"


def cells(pairs, shown=milliseconds):
    """`mine | theirs | ratio | least … greatest` of the rounds' pairs of ours and theirs."""
    mine, other = (statistics.median(side) for side in zip(*pairs))
    ratios = sorted(a / b for a, b in pairs)
    # One round knows no spread.
    spread = f"{ratios[0]:.2f} … {ratios[-1]:.2f}" if len(ratios) > 1 else "–"
    return f"{shown(mine)} | {shown(other)} | {statistics.median(ratios):.2f} | {spread}"


def check():
    # The ratio is that of the rounds, not that of the medians, 20 over 20.
    assert cells([(0.01, 0.02), (0.02, 0.01), (0.03, 0.05)]) == "20 ms | 20 ms | 0.60 | 0.50 … 2.00"
    assert cells([(2.0, 1.0)]) == "2.00 s | 1.00 s | 2.00 | –"
    assert cells([(30, 60), (45, 60)], megabytes) == "38 MB | 60 MB | 0.62 | 0.50 … 0.75"


def compare_on_gpu(program, arguments, environment, theirs):
    """Prints the table of a GPU; without PyTorch's side where that has no card."""
    base, size, found = arguments.base, arguments.size, {}
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        command = [program, "--device", "gpu", str(base), str(size)]
        answer = subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
        if not answer:
            sys.exit("there is no adapter; its message is above")
        mine = json.loads(answer)
        for item, _ in ON_GPU + ALONE:
            name = f"{item}-{base}/{size}"
            other = theirs(name)["seconds"] if theirs and (item, _) in ON_GPU else None
            found.setdefault(item, []).append((mine[item], other))
    print(f"{mine['device']}; base {base}, {size}²; medians of {arguments.rounds} rounds.\n")
    print("| U-Net, depth 4 | Epsiloscope | PyTorch | ratio | least … greatest |\n|---|---|---|---|---|")
    for item, title in ON_GPU + ALONE:
        pairs = found[item]
        alone = milliseconds(statistics.median(mine for mine, _ in pairs))
        print(f"| {title} | {cells(pairs) if pairs[0][1] else f'{alone} | | |'} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", help="one item: gradient, forward, tick, … or pgd, peak")
    parser.add_argument("--program", help="the bench `ticks`, built already")
    parser.add_argument("--python", help="a Python with torch and safetensors, in place of the environment of setup.sh")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--base", type=int, default=64, help="of the U-Net on a GPU")
    parser.add_argument("--size", type=int, default=512, help="of the image on a GPU")
    parser.add_argument("--check", action="store_true", help="tests what computes the table's cells, and ends")
    arguments = parser.parse_args()
    if arguments.check:
        return check()
    folder = Path(os.environ.get("EPSILOSCOPE_PEERS", root / "target" / "peers")).absolute()
    environment = {
        **os.environ,
        "EPSILOSCOPE_PEERS": str(folder),
        "RAYON_NUM_THREADS": str(arguments.threads),
        "OMP_NUM_THREADS": str(arguments.threads),
        "MKL_NUM_THREADS": str(arguments.threads),
    }
    folder.mkdir(parents=True, exist_ok=True)
    python = arguments.python or subprocess.run(
        [root / "benches" / "peers" / "setup.sh"], env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()
    program = arguments.program or build(environment)
    subprocess.run([program, "--test", "^prepare$"], cwd=root, env=environment, check=True, stdout=subprocess.DEVNULL)
    has_card = [python, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]
    on_card = arguments.device == "gpu" and subprocess.run(has_card).returncode == 0
    device = "cuda" if on_card else "cpu"
    peer = subprocess.Popen(
        [python, root / "benches" / "peers" / "run.py", str(folder), str(arguments.threads), device],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )

    def peaks(item):
        """MB that a gradient takes at most above the loaded model, here and there."""
        command = [program, "--peak", item]
        mine = subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        command = [python, root / "benches" / "peers" / "run.py", str(folder), str(arguments.threads)]
        other = subprocess.run(
            command, env=environment, check=True, stdout=subprocess.PIPE, text=True, input=f"peak/{item}\n"
        )
        return float(mine.stdout), json.loads(other.stdout)["megabytes"]

    def theirs(item):
        peer.stdin.write(item + "\n")
        peer.stdin.flush()
        answer = peer.stdout.readline()
        if not answer:
            sys.exit("PyTorch's side ended; its message is above")
        return json.loads(answer)

    version = theirs("version/0")
    if arguments.device == "gpu":
        print(f"PyTorch {version['torch']} on {version['card']}" if on_card else "PyTorch has no card here")
        return compare_on_gpu(program, arguments, environment, theirs if on_card else None)
    load_before = os.getloadavg()[0]
    found = {}
    for round_number in range(arguments.rounds):
        for size in SIZES:
            for item, _ in ITEMS:
                # A training step and a long attack are timed at one size.
                if arguments.only not in (None, item) or item in ("train", "pgd-unet") and size != 256:
                    continue
                name = f"{item}/{size}"
                print(f"round {round_number + 1} of {arguments.rounds}: {name}", file=sys.stderr)
                mine = ours(program, name, environment, folder)
                if mine is None:
                    continue
                found.setdefault(name, []).append((mine, theirs(name)["seconds"]))
        if arguments.only not in (None, "pgd"):
            continue
        print(f"round {round_number + 1} of {arguments.rounds}: {PGD}", file=sys.stderr)
        mine = ours(program, PGD, environment, folder)
        found.setdefault(PGD, []).append((mine, *(theirs(f"{library}/100")["seconds"] for library in LIBRARIES)))
    peer.stdin.close()
    peer.wait()
    held = {}
    if arguments.only in (None, "peak"):
        for number in range(arguments.rounds):
            for name in (f"{item}/{size}" for item, _ in PEAKS for size in SIZES):
                print(f"round {number + 1} of {arguments.rounds}: memory of {name}", file=sys.stderr)
                held.setdefault(name, []).append(peaks(name))

    rustc = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True, cwd=root).stdout.split()[1]
    print(
        f"{processor()}, {arguments.threads} threads; rustc {rustc}, PyTorch {version['torch']}; "
        f"load {load_before:.1f} before; medians of {arguments.rounds} rounds.\n"
    )
    spread = "least … greatest |\n|---|---|---|---|---|---|"
    print(f"| U-Net, base 16, depth 4 | size | Epsiloscope | PyTorch | ratio | {spread}")
    for item, title in ITEMS:
        for size in SIZES:
            if pairs := found.get(f"{item}/{size}"):
                print(f"| {title} | {size}² | {cells(pairs)} |")
    if held:
        print(f"\n| memory of a gradient | size | Epsiloscope | PyTorch | ratio | {spread}")
        for item, title in PEAKS:
            for size in SIZES:
                print(f"| {title} | {size}² | {cells(held[f'{item}/{size}'], megabytes)} |")
    if PGD not in found:
        return
    print("\n| PGD, 40 steps, 100 images 28², CNN | Epsiloscope | peer | ratio | least … greatest |\n|---|---|---|---|---|")
    for place, library in enumerate(LIBRARIES, start=1):
        print(f"| {library} | {cells([(times[0], times[place]) for times in found[PGD]])} |")


if __name__ == "__main__":
    main()
