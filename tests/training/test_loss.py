"""The loss: partial labels teach only what was drawn."""

import torch

from zweitblick_training.loss import region_loss


def test_an_unlabelled_region_teaches_nothing() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 8, 8, 8, requires_grad=True)
    target = (torch.rand(2, 3, 8, 8, 8) > 0.5).float()
    labelled = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    region_loss(logits, target, labelled).backward()
    assert logits.grad is not None
    assert (logits.grad[1, :2] == 0).all()
    assert (logits.grad[1, 2] != 0).any()
    assert (logits.grad[0] != 0).any()


def test_it_is_what_the_formulas_say() -> None:
    torch.manual_seed(1)
    logits = torch.randn(2, 3, 4, 4, 4, dtype=torch.float64)
    target = (torch.rand(2, 3, 4, 4, 4) > 0.7).double()
    labelled = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    dices, entropies = [], []
    for region in range(3):
        drawn = labelled[:, region] > 0
        p, t = logits[drawn, region].sigmoid(), target[drawn, region]
        dices.append(1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1))
        entropies += [-(t[n] * p[n].log() + (1 - t[n]) * (1 - p[n]).log()).mean() for n in range(len(p))]
    expected = torch.stack(dices).mean() + torch.stack(entropies).mean()
    assert torch.isclose(region_loss(logits, target, labelled), expected)


def test_a_region_that_nobody_drew_costs_nothing() -> None:
    labelled = torch.tensor([[0.0, 0.0, 1.0]])
    target = torch.ones(1, 3, 4, 4, 4)
    assert region_loss(torch.full((1, 3, 4, 4, 4), 30.0), target, labelled) < 1e-3
