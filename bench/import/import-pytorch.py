"""
Models of test/fixtures/onnx/make.py at sizes of use, exported to the folder named second and trained by SGD in eager PyTorch with
as many threads as the first argument says. Says what it is in a first line; then, for each name of a model that it is given in a
line, takes a turn at its steps and prints the milliseconds of the median one.
"""

import os
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "test", "fixtures", "onnx"))
import make  # noqa: E402

TURN_S = 0.25
CLASSES = 4


class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells, self.head = nn.GRU(32, 64, batch_first=True), nn.Linear(64, CLASSES)

    def forward(self, x):
        return self.head(self.cells(x)[0][:, -1])


def mlp():
    return nn.Sequential(
        nn.Linear(784, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 256), nn.BatchNorm1d(256), nn.ReLU(),
        nn.Linear(256, CLASSES))


def vit():
    model = make.ViT(128)
    model.blocks = nn.ModuleList([make.Block(128, 4) for _ in range(6)])
    return model


def bert():
    model = make.Bert(128, 1000, 64)
    model.blocks = nn.ModuleList([make.Block(128, 4) for _ in range(4)])
    return model


def image(batch):
    return (torch.rand(batch, 3, 32, 32),)


# name: model, inputs of a batch, their names, rows of a batch
MODELS = {
    "mlp-bn": (mlp, lambda b: (torch.rand(b, 784),), ["x"], 64),
    "gru": (Gru, lambda b: (torch.rand(b, 20, 32),), ["x"], 32),
    "resnet18": (lambda: make.ResNet18(16), image, ["image"], 32),
    "mobilenetv3": (make.MobileNetV3, image, ["image"], 32),
    "vit": (vit, image, ["image"], 32),
    "bert": (
        bert,
        lambda b: (torch.randint(CLASSES, (b, 64)), torch.ones(b, 64, dtype=torch.int64)),
        ["input_ids", "attention_mask"],
        16,
    ),
}


def step_of(name, folder):
    make_model, inputs_of, names, batch = MODELS[name]
    # Statistics of a normalization stay as they are, as in an imported model.
    model = make_model().eval()
    inputs = inputs_of(batch)
    torch.onnx.export(
        model, inputs, os.path.join(folder, f"{name}.onnx"), input_names=names, output_names=["logits"],
        opset_version=14, training=torch.onnx.TrainingMode.PRESERVE,
        dynamic_axes={key: {0: "batch"} for key in [*names, "logits"]})
    labels = torch.randint(CLASSES, (batch,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(*inputs), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def turn_ms(step):
    times = []
    end = time.perf_counter() + TURN_S
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


torch.manual_seed(0)
torch.set_num_threads(int(sys.argv[1]))
steps = {name: step_of(name, sys.argv[2]) for name in MODELS}
print(f"PyTorch {torch.__version__}", flush=True)
for line in sys.stdin:
    print(turn_ms(steps[line.strip()]), flush=True)
