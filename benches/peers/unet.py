"""The U-Net of src/model/unet.rs in PyTorch, with the same parameter names, so that one safetensors file serves both.

Our names differ from PyTorch's habit in one place only: batch normalisation has `gamma` and `beta`.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F


@dataclass
class Config:
    """The `[network]` table of a model card."""

    channels: int = 1
    outputs: int = 1
    depth: int = 4
    base: int = 16
    batch_norm: bool = True
    downsampling: str = "max-pool"
    padding: str = "same"
    dropout: float = 0.0


class BatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` that calls its weight gamma and its bias beta, and does not count batches."""

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "gamma"] = destination.pop(prefix + "weight")
        destination[prefix + "beta"] = destination.pop(prefix + "bias")
        del destination[prefix + "num_batches_tracked"]

    def _load_from_state_dict(self, state, prefix, *args):
        state[prefix + "weight"] = state.pop(prefix + "gamma")
        state[prefix + "bias"] = state.pop(prefix + "beta")
        state[prefix + "num_batches_tracked"] = torch.tensor(0)
        super()._load_from_state_dict(state, prefix, *args)


class ConvUnit(nn.Module):
    def __init__(self, inputs, outputs, stride, config):
        super().__init__()
        padding = 1 if config.padding == "same" else 0
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, padding, bias=not config.batch_norm)
        self.norm = BatchNorm(outputs) if config.batch_norm else None

    def forward(self, x):
        x = self.conv(x)
        return F.relu(x if self.norm is None else self.norm(x))


class DoubleConv(nn.Module):
    def __init__(self, inputs, outputs, stride, config):
        super().__init__()
        self.first = ConvUnit(inputs, outputs, stride, config)
        self.second = ConvUnit(outputs, outputs, 1, config)

    def forward(self, x):
        return self.second(self.first(x))


class UpBlock(nn.Module):
    def __init__(self, inputs, outputs, config):
        super().__init__()
        self.transpose = nn.ConvTranspose2d(inputs, outputs, 2, 2)
        self.block = DoubleConv(2 * outputs, outputs, 1, config)

    def forward(self, x, skip):
        x = self.transpose(x)
        top, left = (skip.shape[2] - x.shape[2]) // 2, (skip.shape[3] - x.shape[3]) // 2
        skip = skip[:, :, top : top + x.shape[2], left : left + x.shape[3]]
        return self.block(torch.cat([skip, x], 1))


class UNet(nn.Module):
    """Logits `[batch, outputs, h, w]`."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        strided = config.downsampling == "strided"
        width = [config.base << level for level in range(config.depth + 1)]
        inputs = [config.channels, *width]
        stride = [2 if strided and level > 0 else 1 for level in range(config.depth + 1)]
        blocks = [DoubleConv(inputs[l], width[l], stride[l], config) for l in range(config.depth + 1)]
        self.bottleneck = blocks.pop()
        self.down = nn.ModuleList(blocks)
        self.dropout = nn.Dropout(config.dropout)
        self.up = nn.ModuleList(UpBlock(width[l + 1], width[l], config) for l in reversed(range(config.depth)))
        self.head = nn.Conv2d(config.base, config.outputs, 1)

    def forward(self, x):
        skips = []
        for level in self.down:
            x = level(x)
            skips.append(x)
            if self.config.downsampling == "max-pool":
                x = F.max_pool2d(x, 2)
        x = self.dropout(self.bottleneck(x))
        for level, skip in zip(self.up, reversed(skips)):
            x = level(x, skip)
        return self.head(x)

    def folded(self):
        """The same function with batch normalisation folded into the convolutions, as our frozen models run."""
        if not self.config.batch_norm:
            return self
        network = UNet(Config(**{**vars(self.config), "batch_norm": False})).eval().requires_grad_(False)
        ours, theirs = dict(self.named_modules()), dict(network.named_modules())
        with torch.no_grad():
            for name, module in theirs.items():
                if isinstance(module, ConvUnit):
                    conv, norm = ours[name].conv, ours[name].norm
                    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                    module.conv.weight.copy_(conv.weight * scale[:, None, None, None])
                    module.conv.bias.copy_(norm.bias - norm.running_mean * scale)
                elif isinstance(module, nn.ConvTranspose2d) or name == "head":
                    module.load_state_dict(ours[name].state_dict())
        return network


def load(weights):
    """The network of a `.safetensors` file with its card beside it, frozen, in evaluation mode."""
    weights = Path(weights)
    card = tomllib.loads(weights.with_suffix(".toml").read_text())
    network = UNet(Config(**card["network"]))
    network.load_state_dict(load_file(weights))
    return network.eval().requires_grad_(False)


def save(network, weights):
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, weights)
