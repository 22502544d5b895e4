"""Training patches are known by their number: whoever makes them, in whatever order, they are the same."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from ball_cases import ball_case
from zweitblick_training.processes import ALONE, Place
from zweitblick_training.recipe import Recipe, RecipeError
from zweitblick_training.samples import Batch, batches, source_shares

RECIPE = Recipe(features=(4, 6, 8, 10), patch=48, steps=2, batch=4, shares=(("brats", 1.0),))
CPU = torch.device("cpu")


def drawn(recipe: Recipe, *, done: int = 0, place: Place = ALONE, workers: int = 0) -> list[Batch]:
    return list(batches([ball_case("ball")], recipe, done=done, place=place, workers=workers))


def test_workers_change_nothing() -> None:
    for one, two in zip(drawn(RECIPE), drawn(RECIPE, workers=1), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_later_start_draws_what_the_whole_run_would() -> None:
    whole, rest = drawn(RECIPE), drawn(RECIPE, done=1)
    assert len(rest) == 1
    for one, two in zip(whole[1:], rest, strict=True):
        assert torch.equal(one.image, two.image)


def test_processes_share_each_step_out() -> None:
    whole = drawn(RECIPE)
    parts = [drawn(RECIPE, place=Place(rank, 2, CPU)) for rank in range(2)]
    for step, batch in enumerate(whole):
        assert torch.equal(batch.image[0::2], parts[0][step].image)
        assert torch.equal(batch.image[1::2], parts[1][step].image)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"4 patches.*3 processes"):
        drawn(RECIPE, place=Place(0, 3, CPU))


def test_every_data_set_that_would_never_be_drawn_from_is_named() -> None:
    cases = [ball_case(source, source=source) for source in ("brats", "brats2021", "bids", "upenn-gbm")]
    recipe = replace(RECIPE, shares=(("brats", 0.7), ("lgg", 0.3), ("upenn-gbm", 0.0)))
    with pytest.raises(RecipeError, match=r"none for bids \(1 cases\), brats2021 \(1 cases\), upenn-gbm \(1 cases\)"):
        source_shares(cases, recipe)
    with pytest.raises(RecipeError, match="shares"):
        batches(cases, recipe, done=0, workers=0)


def test_without_shares_every_case_is_drawn_as_often() -> None:
    cases = [ball_case("one"), *(ball_case(f"other{number}", source="bids") for number in range(3))]
    shares = source_shares(cases, replace(RECIPE, shares=()))
    assert shares["bids"] == 3 * shares["brats"]
    assert list(source_shares(cases[::-1], replace(RECIPE, shares=()))) == list(shares)
    stated = replace(RECIPE, shares=(("brats", 0.6), ("bids", 0.2), ("absent", 0.2)))
    assert source_shares(cases, stated) == {"brats": 0.6, "bids": 0.2}


def test_data_sets_are_drawn_from_by_their_shares() -> None:
    recipe = replace(
        RECIPE, patch=48, batch=8, steps=8, shares=(("brats", 0.6), ("lgg", 0.2), ("absent", 0.2)), sequence_dropout=0
    )
    cases = [ball_case("one"), replace(ball_case("two", source="lgg"), labelled=np.array([False, False, True]))]
    drawn_rows = [row for batch in batches(cases, recipe, done=0, workers=0) for row in batch.labelled]
    seen = Counter(bool(row[0]) for row in drawn_rows)
    assert 0.6 < seen[True] / 64 < 0.9
