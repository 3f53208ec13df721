"""Time and memory of the bundled model as images and batches grow, beside PyTorch, as a figure and a table.

    python3 benches/peers/grow.py [--threads 2] [--seconds 3] [--figure assets/growth.svg] [--python PYTHON]

Same weights, same shapes, same number of threads. Each point is a process of its own, ours and PyTorch's in turn: the shortest time of
those that fit into --seconds (two at least), and what the process had resident at its peak less what it had before the work. Images of
side 128 to 2048 one by one, and batches of 1 to 32 images of 256²; and 2048² once more in tiles, with a quarter of the memory. `setup.sh`
makes PyTorch's environment, unless --python names one. Needs nothing but the Python standard library itself.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent.parent
SIDES = (128, 256, 512, 1024, 2048)
BATCHES = (1, 2, 4, 8, 16, 32)
BATCH_SIDE = 256
TILED = (2048, 1, 1.25)
ITEMS = ("gradient", "forward")
PEER = """
import json, resource, sys, time, torch
sys.path.insert(0, sys.argv[1])
from unet import load
from torch.nn import functional as F
item, side, batch, seconds, threads = sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]), int(sys.argv[7])
torch.set_num_threads(threads)
network = load(sys.argv[2]).folded()
x, target = torch.rand(batch, 1, side, side), (torch.rand(1, 1, side, side) < 0.25).float().expand(batch, 1, side, side)

def work():
    if item == "forward":
        with torch.inference_mode():
            return network(x)
    images = x.clone().requires_grad_(True)
    return torch.autograd.grad(F.binary_cross_entropy_with_logits(network(images), target) * batch, images)[0]

def resident(name):
    line = next(line for line in open("/proc/self/status") if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024

before, start, times = resident("VmRSS"), time.perf_counter(), []
while len(times) < 2 or time.perf_counter() - start < seconds:
    begun = time.perf_counter()
    work()
    times.append(time.perf_counter() - begun)
times.sort()
print(json.dumps({"shortest": times[0], "median": times[len(times) // 2], "before": before, "peak": resident("VmHWM")}))
"""


def build(environment):
    """Builds the bench and returns the program."""
    command = ["cargo", "bench", "--bench", "grow", "--no-run", "--message-format", "json"]
    output = subprocess.run(command, cwd=root, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    return [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "grow"][-1]


def run(command, environment):
    """What a process says of its point; None where it did not end well (no memory left)."""
    done = subprocess.run(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


# The figure: four panels, logarithmic axes.
WIDE, HIGH, LEFT, TOP, PANEL, TALL, GAP = 920, 660, 70, 60, 350, 220, 90
COLOURS = {"gradient": "#b5179e", "forward": "#3a6ea5"}


def power(value, low, high, length):
    return (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low)) * length


def panel(origin, title, axis, ticks, lines, unit):
    """`lines`: (colour, dashes, [(x, y)]); `unit` writes a value of y."""
    left, top = origin
    values = [y for _, _, line in lines for _, y in line]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    x_of = lambda x: left + 10 + power(x, ticks[0], ticks[-1], PANEL - 20)
    y_of = lambda y: top + TALL - power(y, low, high, TALL)
    out = [f'<text x="{left}" y="{top - 12}" font-weight="600">{title}</text>']
    decade = low
    while decade <= high * 1.01:
        y = y_of(decade)
        out.append(f'<path d="M{left} {y:.1f}h{PANEL}" stroke="#ddd"/>')
        out.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{unit(decade)}</text>')
        decade *= 10
    for tick in ticks:
        out.append(f'<text x="{x_of(tick):.1f}" y="{top + TALL + 18}" text-anchor="middle">{tick}</text>')
    out.append(f'<text x="{left + PANEL / 2}" y="{top + TALL + 38}" text-anchor="middle" fill="#666">{axis}</text>')
    for colour, dashes, line in lines:
        points = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line)
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>')
        for x, y in line:
            full = "#fff" if dashes else colour
            out.append(f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3.2" fill="{full}" stroke="{colour}" stroke-width="1.5"/>')
    return "\n".join(out)


def seconds_text(value):
    return f"{value:g} s" if value >= 1 else f"{value * 1e3:g} ms"


def bytes_text(value):
    return f"{value / 1e9:g} GB" if value >= 1e9 else f"{value / 1e6:g} MB"


def figure(points):
    """`points[item, side, batch]`: (ours, theirs)."""
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDE}" height="{HIGH}" fill="#fff"/>',
    ]
    keys = [(item, who, colour, dashes) for item, colour in COLOURS.items() for who, dashes in (("Epsiloscope", ""), ("PyTorch", "5 4"))]
    for place, (item, who, colour, dashes) in enumerate(keys):
        x = LEFT + place * 190
        out.append(f'<path d="M{x} 20h28" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>')
        out.append(f'<text x="{x + 36}" y="24">{item}, {who}</text>')
    columns = [("side of one image, pixels", SIDES, lambda n: (n, 1)), (f"images of {BATCH_SIDE}² in a batch", BATCHES, lambda n: (BATCH_SIDE, n))]
    rows = [("Time", lambda p: p["shortest"], seconds_text), ("Memory beyond that of the idle program", lambda p: p["peak"] - p["before"], bytes_text)]
    for column, (axis, ticks, at) in enumerate(columns):
        for row, (title, value, unit) in enumerate(rows):
            lines = []
            for item, colour in COLOURS.items():
                for who, dashes in ((0, ""), (1, "5 4")):
                    found = [(n, points.get((item, *at(n)))) for n in ticks]
                    line = [(n, max(value(p[who]), 1e-9)) for n, p in found if p and p[who]]
                    if line:
                        lines.append((colour, dashes, line))
            origin = (LEFT + column * (PANEL + GAP), TOP + row * (TALL + GAP))
            out.append(panel(origin, title, axis, ticks, lines, unit))
    return "\n".join(out) + "\n</svg>\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--figure", type=Path, default=root / "assets" / "growth.svg")
    parser.add_argument("--python", help="a Python with torch and safetensors, in place of the environment of setup.sh")
    parser.add_argument("--program", help="the bench, if it is built already")
    arguments = parser.parse_args()
    threads = str(arguments.threads)
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    setup = [root / "benches" / "peers" / "setup.sh"]
    python = arguments.python or subprocess.run(setup, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    program = arguments.program or build(environment)
    weights = root / "assets" / "membranes-unet.safetensors"
    load = os.getloadavg()[0]
    points = {}
    for side, batch in dict.fromkeys([(side, 1) for side in SIDES] + [(BATCH_SIDE, batch) for batch in BATCHES]):
        for item in ITEMS:
            print(f"{item}, {batch} × {side}²", file=sys.stderr)
            words = [item, str(side), str(batch), str(arguments.seconds)]
            ours = run([program, *words], environment)
            theirs = run([python, "-c", PEER, str(root / "benches" / "peers"), str(weights), *words, threads], environment)
            points[item, side, batch] = (ours, theirs)
    side, batch, gib = TILED
    tiled = {item: run([program, item, str(side), str(batch), str(arguments.seconds), str(gib)], environment) for item in ITEMS}
    arguments.figure.write_text(figure(points))

    used = lambda p: f"{(p['peak'] - p['before']) / 1e6:.0f} MB" if p else "–"
    time = lambda p: f"{p['shortest'] * 1e3:.3g} ms" if p and p["shortest"] < 1 else f"{p['shortest']:.2f} s" if p else "–"
    print(f"{arguments.threads} threads; load {load:.1f} before.\n")
    print("| | gradient | PyTorch | forward | PyTorch | memory of the gradient | PyTorch | of the forward pass | PyTorch |")
    print("|---|---|---|---|---|---|---|---|---|")
    for side, batch in dict.fromkeys((side, batch) for _, side, batch in points):
        gradient, forward = (points[item, side, batch] for item in ITEMS)
        cells = [time(p) for p in (*gradient, *forward)] + [used(p) for p in (*gradient, *forward)]
        print(f"| {batch} × {side}² | " + " | ".join(cells) + " |")
    gradient, forward = (tiled[item] for item in ITEMS)
    print(
        f"| {TILED[0]}² in {gradient['tiles']} tiles, {gib} GiB | {time(gradient)} | | {time(forward)} | | "
        f"{used(gradient)} | | {used(forward)} | |"
    )


if __name__ == "__main__":
    main()
