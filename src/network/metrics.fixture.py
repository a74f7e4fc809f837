"""Writes metrics.fixture.json: labels, outputs and what scikit-learn says of them. python3 src/network/metrics.fixture.py"""
import json
import os
import numpy as np
import sklearn
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    hamming_loss,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    precision_score,
    r2_score,
    recall_score,
)

random = np.random.RandomState(7)


def case(name, classes, labels, logits):
    labels = np.array(labels)
    logits = np.array(logits, dtype=np.float32)
    said = logits.argmax(axis=1)
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    known = sorted(set(labels) | set(said))
    return {
        "name": name,
        "classes": classes,
        "labels": labels.tolist(),
        "logits": [float(value) for value in logits.ravel()],
        "loss": log_loss(labels, probabilities, labels=range(classes)),
        "accuracy": accuracy_score(labels, said),
        "balanced_accuracy": balanced_accuracy_score(labels, said),
        "macro_f1": f1_score(labels, said, labels=known, average="macro", zero_division=0),
        "micro_f1": f1_score(labels, said, average="micro"),
        "confusion": confusion_matrix(labels, said, labels=range(classes)).tolist(),
    }


def noisy(labels, classes, noise):
    return np.eye(classes)[labels] * 2 + noise * random.randn(len(labels), classes)


rare = (random.rand(60) < 0.1).astype(int)
many = random.randint(0, 5, 60)
absent = random.choice([0, 2, 3], 40)
cases = [
    case("two classes", 2, random.randint(0, 2, 30).tolist(), noisy(random.randint(0, 2, 30), 2, 1.0)),
    case("a rare class", 2, rare.tolist(), noisy(rare, 2, 1.5)),
    case("always the same", 2, rare.tolist(), np.tile([3.0, -1.0], (60, 1))),
    case("five classes", 5, many.tolist(), noisy(many, 5, 2.0)),
    case("a class that does not occur", 4, absent.tolist(), noisy(absent, 4, 2.0)),
]


def errors(true, said):
    return {
        "rmse": mean_squared_error(true, said, squared=False),
        "mae": mean_absolute_error(true, said),
        "r2": r2_score(true, said),
    }


def regression(name, targets, noise):
    """Outputs and labels as a network has them: in units of each target's deviation."""
    mean, deviation = targets.mean(axis=0), targets.std(axis=0)
    labels = ((targets - mean) / deviation).astype(np.float32)
    outputs = (labels + noise * random.randn(*labels.shape)).astype(np.float32)
    true, said = labels * deviation + mean, outputs.astype(np.float64) * deviation + mean
    count = targets.shape[1]
    return {
        "name": name,
        "targets": [
            {"name": f"t{i}", "mean": float(mean[i]), "deviation": float(deviation[i])} for i in range(count)
        ],
        "labels": [float(value) for value in labels.ravel()],
        "outputs": [float(value) for value in outputs.ravel()],
        "loss": mean_squared_error(labels.astype(np.float64), outputs.astype(np.float64)),
        "metrics": errors(true, said),
        "each": [errors(true[:, i], said[:, i]) for i in range(count)],
    }


def multilabel(name, labels, noise):
    labels = np.array(labels)
    outputs = ((labels - 0.5) * 2 + noise * random.randn(*labels.shape)).astype(np.float32)
    outputs = np.round(outputs, 1).astype(np.float32) + np.float32(0.05)
    said = (outputs > 0).astype(int)
    probabilities = 1 / (1 + np.exp(-outputs.astype(np.float64)))
    cells = -np.where(labels == 1, np.log(probabilities), np.log(1 - probabilities))
    count = labels.shape[1]
    precisions = [
        average_precision_score(labels[:, i], outputs[:, i]) if labels[:, i].any() else None
        for i in range(count)
    ]
    known = [value for value in precisions if value is not None]
    return {
        "name": name,
        "classes": count,
        "labels": labels.ravel().tolist(),
        "outputs": [float(value) for value in outputs.ravel()],
        "loss": float(cells.mean()),
        "average_precision": float(np.mean(known)),
        "macro_f1": f1_score(labels, said, average="macro", zero_division=0),
        "micro_f1": f1_score(labels, said, average="micro", zero_division=0),
        "hamming_loss": hamming_loss(labels, said),
        "each": [
            {
                "average_precision": precisions[i],
                "precision": precision_score(labels[:, i], said[:, i], zero_division=0),
                "recall": recall_score(labels[:, i], said[:, i], zero_division=0),
                "f1": f1_score(labels[:, i], said[:, i], zero_division=0),
            }
            for i in range(count)
        ],
    }


prices = 250_000 + 80_000 * random.randn(50, 1)
several = np.column_stack([random.rand(40) * 1e-3, 1e9 + 10 * random.randn(40), random.randn(40)])
regressions = [
    regression("one target", prices, 0.5),
    regression("three targets of other sizes", several, 0.2),
    regression("worse than the mean", prices, 2.0),
]
often = (random.rand(60, 3) < [0.5, 0.2, 0.8]).astype(int)
never = np.column_stack([often[:, :2], np.zeros(60, int)])
multilabels = [
    multilabel("three labels", often, 1.0),
    multilabel("a label that never holds", never, 0.5),
    multilabel("much noise, many equal outputs", often, 4.0),
]
path = os.path.join(os.path.dirname(__file__), "metrics.fixture.json")
with open(path, "w") as file:
    json.dump(
        {
            "sklearn": sklearn.__version__,
            "cases": cases,
            "regressions": regressions,
            "multilabels": multilabels,
        },
        file,
    )
