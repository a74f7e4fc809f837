"""
The architectures of engine-nets.ts, engine-sizes.ts and engine-gpu.ts in PyTorch, in float32. Says what it is in a first line; then,
for each name of a net that it is given in a line, takes a turn at its steps and prints the milliseconds of the median one.

Arguments: the threads; the device, `cpu` or `cuda`; `eager` or `compiled`.
"""

import functools
import re
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

TURN_S = 0.25
THREADS, DEVICE, MODE = sys.argv[1:]


class ResMlp(nn.Module):
    def __init__(self, inputs, width, depth, classes):
        super().__init__()
        self.stem = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        h = F.relu(self.stem(x.flatten(1)))
        for block in self.blocks:
            h = h + block(h)
        return self.head(self.norm(h))


class ResConv(nn.Module):
    def __init__(self, channels, depth, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2)) for _ in range(depth)
        )
        self.head = nn.Linear(channels, classes)

    def forward(self, x):
        h = F.relu(F.max_pool2d(self.conv1(x), 2))
        h = F.relu(F.max_pool2d(self.conv2(h), 2))
        for first, second in self.blocks:
            h = h + second(F.relu(first(F.relu(h))))
        return self.head(F.relu(h).mean((2, 3)))


class CharLm(nn.Module):
    def __init__(self, length, classes, d, layers, heads):
        super().__init__()
        self.heads = heads
        self.tokens = nn.Embedding(classes, d)
        self.positions = nn.Parameter(torch.zeros(length, d))
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm1": nn.LayerNorm(d),
                    "qkv": nn.Linear(d, 3 * d, bias=False),
                    "out": nn.Linear(d, d, bias=False),
                    "norm2": nn.LayerNorm(d),
                    "up": nn.Linear(d, 4 * d),
                    "down": nn.Linear(4 * d, d),
                }
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, classes)
        self.register_buffer("mask", torch.triu(torch.full((length, length), -1e9), 1))

    def attend(self, block, h):
        batch, length, d = h.shape
        parts = block["qkv"](h).reshape(batch, length, 3, self.heads, d // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        weights = F.softmax(q @ k.transpose(-1, -2) / (d // self.heads) ** 0.5 + self.mask, -1)
        return block["out"]((weights @ v).transpose(1, 2).reshape(batch, length, d))

    def forward(self, x):
        h = self.tokens(x) + self.positions
        for block in self.blocks:
            h = h + self.attend(block, block["norm1"](h))
            raised = block["up"](block["norm2"](h))
            h = h + block["down"](raised * torch.sigmoid(1.702 * raised))
        return self.head(self.norm(h))


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 beside a 1×1; of a half of the side where it is halved. Without batch statistics."""

    def __init__(self, inputs, outputs, is_halved):
        super().__init__()
        width = outputs // 4
        self.is_halved = is_halved
        self.first = nn.Conv2d(inputs, width, 1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.third = nn.Conv2d(width, outputs, 1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, h):
        x = F.max_pool2d(h, 2) if self.is_halved else h
        inner = F.relu(self.second(F.relu(self.first(x))))
        return F.relu(self.shortcut(x) + self.third(inner))


class ResNet50(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, padding=1)
        blocks, inputs = [], 64
        for stage, count in enumerate((3, 4, 6, 3)):
            outputs = 256 * 2**stage
            for i in range(count):
                blocks.append(Bottleneck(inputs, outputs, i == 0 and stage > 0))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, classes)

    def forward(self, x):
        h = F.relu(F.max_pool2d(self.stem(x), 2))
        return self.head(self.blocks(h).mean((2, 3)))


def mlp(width):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )


def optimizer_of(name, parameters):
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=0.001, momentum=0.9)
    return torch.optim.Adam(parameters, lr=0.001)


def step_of(net, x, y, optimizer_name="adam"):
    net, x, y = net.to(DEVICE), x.to(DEVICE), y.to(DEVICE)
    optimizer = optimizer_of(optimizer_name, net.parameters())
    forward = torch.compile(net) if MODE == "compiled" else net

    def step():
        optimizer.zero_grad()
        logits = forward(x)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def images(batch, shape=(1, 28, 28), classes=10):
    return torch.rand(batch, *shape), torch.randint(classes, (batch,))


def text(batch, length):
    return torch.randint(65, (batch, length)), torch.randint(65, (batch, length))


@functools.lru_cache(maxsize=1)
def step_named(name):
    """`resmlp`, `resconv`, `charlm`: the hosts as they come; `<kind>:<sizes>:<optimizer>`: of engine-sizes.ts and engine-gpu.ts."""
    kind, *sizes = name.split(":")
    optimizer = sizes.pop() if sizes else "adam"
    sizes = [int(size) for size in sizes]
    if kind == "resmlp":
        step = step_of(ResMlp(784, 16, 2, 10), *images(64))
    elif kind == "mlp":
        step = step_of(mlp(*sizes), *images(64), optimizer)
    elif kind == "resconv":
        channels, depth = sizes or (8, 2)
        step = step_of(ResConv(channels, depth, 10), *images(64), optimizer)
    elif kind == "resnet50":
        step = step_of(ResNet50(1000), *images(32, (3, 64, 64), 1000), optimizer)
    elif sizes:
        d, layers, length = (*sizes, 128)[:3]
        step = step_of(CharLm(length, 65, d, layers, 4), *text(8, length), optimizer)
    else:
        step = step_of(CharLm(64, 65, 64, 2, 4), *text(16, 64))
    step()
    return step


def turn_ms(step):
    times = []
    end = time.perf_counter() + TURN_S
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def libraries():
    """What multiplies matrices: a PyTorch on the reference BLAS is several times slower than one on OpenBLAS or MKL."""
    try:
        with open("/proc/self/maps") as maps:
            names = {line.rsplit("/", 1)[-1].strip() for line in maps if "/" in line}
    except OSError:
        return f"PyTorch {torch.__version__}"
    found = sorted(name for name in names if re.search("blas|mkl|dnnl", name))
    return f"PyTorch {torch.__version__} with {', '.join(found) or 'no BLAS of its own'}"


torch.manual_seed(0)
torch.set_num_threads(int(THREADS))
step_named("resmlp")
card = f" on {torch.cuda.get_device_name()}" if DEVICE == "cuda" else ""
print(f"{libraries()}{card}, {MODE}", flush=True)
for line in sys.stdin:
    print(turn_ms(step_named(line.strip())), flush=True)
