"""Small made-up cases: a ball of tumour in a ball of brain."""

import numpy as np

from zweitblick_training.case import Case
from zweitblick_training.cases import preparation_digest


def ball_case(name: str, *, size: int = 72, seed: int = 0, source: str = "brats") -> Case:
    rng = np.random.default_rng(seed)
    middle = size / 2 + rng.uniform(-4, 4, 3)
    distance = np.linalg.norm(np.moveaxis(np.indices((size, size, size)), 0, -1) - middle, axis=-1)
    brain = np.linalg.norm(np.moveaxis(np.indices((size, size, size)), 0, -1) - size / 2, axis=-1) < size * 0.45
    labels = np.select([distance < 3, distance < 5, distance < 9], [1, 3, 2], 0).astype(np.uint8)
    images = rng.normal(0, 0.2, (4, size, size, size)) + (labels > 0) * 2.0 + (labels == 3) * 1.0
    return Case(
        name=name,
        source=source,
        images=(images * brain).astype(np.float16),
        brain=brain,
        labels=labels,
        present=np.ones(4, np.bool_),
        labelled=np.ones(3, np.bool_),
        preparation=preparation_digest(),
    )
