"""
The architectures of engine-nets.ts and engine-sizes.ts in PyTorch: eager, float32. Says what it is in a first line; then, for each
name of a net that it is given in a line, takes a turn at its steps and prints the milliseconds of the median one.
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


def mlp(width):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )


def optimizer_of(name, parameters):
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=0.001, momentum=0.9)
    return torch.optim.Adam(parameters, lr=0.001)


def step_of(net, x, y, optimizer_name="adam"):
    optimizer = optimizer_of(optimizer_name, net.parameters())

    def step():
        optimizer.zero_grad()
        logits = net(x)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def images(batch):
    return torch.rand(batch, 1, 28, 28), torch.randint(10, (batch,))


def text(batch, length):
    return torch.randint(65, (batch, length)), torch.randint(65, (batch, length))


@functools.lru_cache(maxsize=1)
def step_named(name):
    """`resmlp`, `resconv`, `charlm`: the hosts as they come; `<kind>:<sizes>:<optimizer>`: of engine-sizes.ts."""
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
    elif sizes:
        d, layers = sizes
        step = step_of(CharLm(128, 65, d, layers, 4), *text(8, 128), optimizer)
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
torch.set_num_threads(int(sys.argv[1]))
step_named("resmlp")
print(libraries(), flush=True)
for line in sys.stdin:
    print(turn_ms(step_named(line.strip())), flush=True)
