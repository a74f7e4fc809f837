"""Writes metrics.fixture.json: labels, outputs and what scikit-learn says of them. python3 src/network/metrics.fixture.py"""
import json
import os
import numpy as np
import sklearn
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
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
path = os.path.join(os.path.dirname(__file__), "metrics.fixture.json")
with open(path, "w") as file:
    json.dump({"sklearn": sklearn.__version__, "cases": cases}, file)
