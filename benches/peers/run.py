"""Times PyTorch at the work of benches/ticks.rs. Reads lines `ITEM/SIZE` and answers each with a line of JSON.

    python benches/peers/run.py FOLDER THREADS [DEVICE]

DEVICE is `cpu` or `cuda`, where the clock stops when the card has done its work. FOLDER holds what `cargo bench --bench
ticks` left there: one image and label a size, and the weights of other bases than 16, whose weights are the bundled model's.
`peak/ITEM/SIZE` is answered with the MB that gradients take at most, and wants a process of its own.
"""

import functools
import json
import re
import sys
import time
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from unet import Config, UNet, load

WEIGHTS = Path(__file__).resolve().parents[2] / "assets" / "membranes-unet.safetensors"
# The same ten as in benches/ticks.rs.
EPSILONS = [levels / 255 for levels in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)]


class Work:
    def __init__(self, folder, size, base=16, device="cpu"):
        self.network = load(WEIGHTS if base == 16 else folder / f"base-{base}.safetensors").folded().to(device)
        case = {name: value.to(device) for name, value in load_file(folder / f"case-{size}.safetensors").items()}
        self.x, self.target = case["x"], case["target"]

    @functools.cached_property
    def direction(self):
        return self.gradient().sign()

    def gradient(self):
        x = self.x.clone().requires_grad_(True)
        loss = F.binary_cross_entropy_with_logits(self.network(x), self.target)
        (gradient,) = torch.autograd.grad(loss, x)
        return gradient

    def forward(self):
        with torch.inference_mode():
            return self.network(self.x)

    def perturbed(self, epsilon):
        return (self.x + epsilon * self.direction).clamp(0, 1)

    def tick(self, epsilon=4 / 255):
        """The adversarial image and its probability, on the host, with all measures of it."""
        # Once, and not in inference mode, which knows no gradient.
        self.direction
        with torch.inference_mode():
            image = self.perturbed(epsilon)
            probability = torch.sigmoid(self.network(image))[0, 0].cpu().numpy()
        image, reference = image.cpu().numpy(), self.target[0, 0].cpu().numpy()
        predicted, truth = probability >= 0.5, reference >= 0.5
        dice = 2 * (predicted & truth).sum() / max(1, predicted.sum() + truth.sum())
        change = image - self.x.cpu().numpy()
        rmse = numpy.sqrt(((reference - probability) ** 2).mean())
        forget(dice, (predicted != truth).mean(), rmse, abs(change).max(), numpy.linalg.norm(change))
        return image, probability

    def texture(self):
        """A tick, and the changed pictures (adversarial, noise, overlay) as RGBA."""
        image, probability = self.tick()
        image = image[0, 0]
        noise = numpy.clip((image - self.x[0, 0].cpu().numpy()) * 32, -1, 1)
        grey = (image * 255).astype(numpy.uint8)
        alpha = numpy.full_like(grey, 255)
        adversarial = numpy.stack([grey, grey, grey, alpha], -1)
        up, down = numpy.maximum(noise, 0), numpy.maximum(-noise, 0)
        rgb = [255 * (1 - down), 255 * (1 - 0.4 * up - 0.4 * down), 255 * (1 - up)]
        diverging = numpy.stack([c.astype(numpy.uint8) for c in rgb] + [alpha], -1)
        overlay = adversarial.copy()
        overlay[probability >= 0.5] = overlay[probability >= 0.5] // 2 + numpy.array([115, 79, 0, 128], numpy.uint8)
        return adversarial, diverging, overlay

    def foolbox(self):
        """PGD of 40 steps of ε/10 at ε = 8/255 by Foolbox, whose loss is replaced by that of a mask."""
        import eagerpy
        import foolbox

        work = self

        class OnMask(foolbox.attacks.LinfPGD):
            def get_loss_fn(self, model, labels):
                def loss(x):
                    z = model(x).raw
                    return eagerpy.astensor(F.binary_cross_entropy_with_logits(z, work.target, reduction="sum"))

                return loss

        model = foolbox.PyTorchModel(self.network, bounds=(0, 1), device="cpu")
        truth = foolbox.criteria.Misclassification(torch.zeros(1, dtype=torch.long))
        return OnMask(rel_stepsize=0.1, steps=40).run(model, self.x, truth, epsilon=8 / 255)

    def curve(self):
        """Gradient, then the measures at ten ε of the attack and of its control, random signs."""
        for direction in (self.gradient().sign(), torch.where(torch.rand_like(self.x) < 0.5, -1.0, 1.0)):
            self.direction = direction
            for epsilon in EPSILONS:
                self.tick(epsilon)


class Training:
    """A step of Adam on four copies of the image, from random weights: forward, backward, update, in training mode."""

    def __init__(self, folder, size):
        case = load_file(folder / f"case-{size}.safetensors")
        self.x, self.target = (case[name].repeat(4, 1, 1, 1) for name in ("x", "target"))
        self.network = UNet(Config()).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)

    def step(self):
        self.optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(self.network(self.x), self.target)
        loss.backward()
        self.optimizer.step()
        return loss.item()


class Cnn(torch.nn.Module):
    """The MNIST classifier of Wong and Kolter 2018, as in cnn.rs."""

    def __init__(self, tensors):
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(1, 16, 4, 2, 1), torch.nn.Conv2d(16, 32, 4, 2, 1)
        self.third, self.fourth = torch.nn.Linear(1568, 100), torch.nn.Linear(100, 10)
        self.load_state_dict({k: v for k, v in tensors.items() if k not in "xy"})
        self.eval().requires_grad_(False)

    def forward(self, x):
        x = F.relu(self.second(F.relu(self.first(x))))
        return self.fourth(F.relu(self.third(x.flatten(1))))


class Attacks:
    """PGD of 40 steps at ε 0.1 on 100 images at once, by the libraries."""

    def __init__(self, folder):
        import foolbox
        import torchattacks

        tensors = load_file(folder / "cnn.safetensors")
        network = Cnn(tensors)
        self.x, self.y = tensors["x"], tensors["y"].long()
        self.model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
        self.of_foolbox = foolbox.attacks.LinfPGD(abs_stepsize=0.01, steps=40)
        self.misclassified = foolbox.criteria.Misclassification(self.y)
        self.of_torchattacks = torchattacks.PGD(network, eps=0.1, alpha=0.01, steps=40)

    def foolbox(self):
        return self.of_foolbox.run(self.model, self.x, self.misclassified, epsilon=0.1)

    def torchattacks(self):
        return self.of_torchattacks(self.x, self.y)


def forget(*_measures):
    """Takes measures and forgets them."""


def median_seconds(function, least_runs=9, least_secs=3.0):
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    for _ in range(2):
        function()
    wait()
    times = []
    begin = time.perf_counter()
    while len(times) < least_runs or time.perf_counter() - begin < least_secs:
        start = time.perf_counter()
        function()
        wait()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2], len(times)


def megabytes(line):
    """What this process holds now (`VmRSS:`) or held at most (`VmHWM:`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(l.split()[1]) * 1024 / 1e6 for l in lines if l.startswith(line))


def peak(work):
    """The MB that three gradients take at most above the loaded network and image."""
    before = megabytes("VmRSS:")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(3):
        work.gradient()
    return megabytes("VmHWM:") - before


def main():
    folder, threads = Path(sys.argv[1]), int(sys.argv[2])
    device = sys.argv[3] if len(sys.argv) > 3 else "cpu"
    torch.set_num_threads(threads)
    works = {}
    for line in sys.stdin:
        *words, item, size = line.strip().split("/")
        named = re.fullmatch(r"(.+)-(\d+)", item)
        item, base = (named[1], int(named[2])) if named else (item, 16)
        if words == ["peak"]:
            answer = {"megabytes": peak(Work(folder, int(size), base))}
        elif item == "version":
            answer = {"torch": torch.__version__, "python": sys.version.split()[0], "threads": torch.get_num_threads()}
            if device == "cuda":
                answer["card"] = torch.cuda.get_device_name()
        elif item == "train":
            seconds, runs = median_seconds(Training(folder, int(size)).step)
            answer = {"seconds": seconds, "runs": runs}
        elif item == "pgd-unet":
            seconds, runs = median_seconds(Work(folder, int(size)).foolbox, least_runs=3)
            answer = {"seconds": seconds, "runs": runs}
        elif item in ("foolbox", "torchattacks"):
            if item not in works:
                works[item] = Attacks(folder)
            seconds, runs = median_seconds(getattr(works[item], item))
            answer = {"seconds": seconds, "runs": runs}
        else:
            if (base, size) not in works:
                works[base, size] = Work(folder, int(size), base, device)
            seconds, runs = median_seconds(getattr(works[base, size], item))
            answer = {"seconds": seconds, "runs": runs}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
