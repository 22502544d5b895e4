"""What a picture is taken for: invariances of the input, the warning's logic, and the released network on heads."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enhanced_head import ENHANCED, NATIVE
from zweitblick.dicom.read import read_study
from zweitblick.dicom.stack import examined, stack
from zweitblick.model.bundle import default_models, load_bundle
from zweitblick.model.runtime import Network
from zweitblick.model.sequence_network import (
    NO_OPINION,
    SHAPE,
    Kind,
    Opinion,
    kind_input,
    likelier_names,
    opinion_of,
    with_ranks,
)
from zweitblick.sample import SampleTruth
from zweitblick.study import Sequence
from zweitblick.volume import Grid, Volume

T1, T1C, T2, FLAIR = Sequence.T1, Sequence.T1C, Sequence.T2, Sequence.FLAIR


def sure(kind: Kind | Sequence, probability: float = 0.96) -> Opinion:
    rest = (1 - probability) / (len(Kind) - 1)
    return Opinion({one: probability if one == Kind(kind) else rest for one in Kind})


@pytest.fixture(scope="module")
def network() -> Network:
    return load_bundle(default_models() / "sequence").network


@pytest.fixture(scope="module")
def phantom(sample: SampleTruth) -> dict[Sequence, Volume]:
    """The product's own sample study."""
    found = {}
    for name, series in sample.series.items():
        (read,) = read_study(sorted(series.folder.glob("*"))).series
        (part,) = examined(read).sound
        found[Sequence(name)] = stack(part)
    return found


def test_input_has_the_shape_that_the_card_states() -> None:
    x = kind_input(NATIVE)
    assert x.shape == (2, *SHAPE)
    assert x.dtype == np.float32
    assert x[1].min() == -1
    assert x[1].max() == 1


@settings(max_examples=10)
@given(gain=st.floats(0.01, 1000), offset=st.floats(-500, 500))
def test_input_does_not_depend_on_the_scale_of_intensities(gain: float, offset: float) -> None:
    changed = Volume((ENHANCED.voxels * gain + offset).astype(np.float32), ENHANCED.grid)
    np.testing.assert_allclose(kind_input(changed)[0], kind_input(ENHANCED)[0], atol=0.02)


def test_input_does_not_depend_on_how_voxels_lie_in_memory() -> None:
    flipped = np.diag([-1.0, 1.0, -1.0, 1.0])
    flipped[:3, 3] = NATIVE.shape[0] - 1, 0, NATIVE.shape[2] - 1
    stored = Volume(NATIVE.voxels[::-1, :, ::-1].copy(), Grid(NATIVE.shape, NATIVE.lps_from_index @ flipped))
    np.testing.assert_allclose(kind_input(stored), kind_input(NATIVE), atol=0.02)


def test_ranks_are_the_share_of_darker_tissue() -> None:
    picture = np.random.default_rng(0).uniform(0.5, 1.5, SHAPE).astype(np.float32)
    darker = np.searchsorted(np.sort(picture.ravel()), picture) / picture.size
    np.testing.assert_allclose(with_ranks(picture)[1], 2 * darker - 1, atol=0.03)


def test_of_a_constant_image_there_is_no_opinion(network: Network) -> None:
    opinion = opinion_of(Volume(np.full(NATIVE.shape, 7, np.float32), NATIVE.grid), network)
    assert opinion == NO_OPINION
    assert not opinion.is_sure


def test_images_given_under_each_others_names_are_named() -> None:
    assert likelier_names({T1C: sure(FLAIR), FLAIR: sure(T1C)}) == {T1C: FLAIR, FLAIR: T1C}
    around = {T1: sure(T1C), T1C: sure(T2), T2: sure(FLAIR), FLAIR: sure(T1)}
    assert likelier_names(around) == {T1: T1C, T1C: T2, T2: FLAIR, FLAIR: T1}
    assert likelier_names({T1C: sure(T1), FLAIR: sure(FLAIR)}) == {T1C: T1}


@pytest.mark.parametrize(
    "opinions",
    [
        {T1C: sure(T1C), FLAIR: sure(FLAIR)},
        {T1C: NO_OPINION, FLAIR: NO_OPINION},
        {T1C: sure(Kind.OTHER), FLAIR: sure(Kind.OTHER)},
        {T1C: sure(T1, 0.6), FLAIR: sure(FLAIR)},
        {T1: sure(T1C), T1C: sure(T1C)},
    ],
)
def test_no_warning_without_clear_evidence(opinions: dict[Sequence, Opinion]) -> None:
    assert likelier_names(opinions) == {}


@given(st.dictionaries(st.sampled_from(list(Sequence)), st.floats(0.5, 1), min_size=1))
def test_images_that_look_like_their_names_are_never_warned_of(probabilities: dict[Sequence, float]) -> None:
    assert likelier_names({name: sure(name, value) for name, value in probabilities.items()}) == {}


def test_the_sample_is_never_warned_of(phantom: dict[Sequence, Volume], network: Network) -> None:
    opinions = {sequence: opinion_of(volume, network) for sequence, volume in phantom.items()}
    for count in range(1, 5):
        for names in permutations(Sequence, count):
            assert likelier_names({name: opinions[name] for name in names}) == {}


@pytest.fixture(scope="module")
def clinical(shared_data: Path, network: Network) -> dict[Sequence, Opinion]:
    """Opinions of a patient's whole head as scanned; no training saw it."""
    files = {T1: "t1", T1C: "t1c", T2: "t2", FLAIR: "flair"}
    folder = shared_data / "raw" / "TCGA-FG-6692"
    return {one: opinion_of(Volume.from_nifti(folder / f"{file}.nii.gz"), network) for one, file in files.items()}


@pytest.mark.real
def test_a_clinical_head_is_recognised(clinical: dict[Sequence, Opinion]) -> None:
    assert {sequence: opinion.kind for sequence, opinion in clinical.items()} == {one: Kind(one) for one in Sequence}


@pytest.mark.real
@pytest.mark.parametrize("names", list(permutations(Sequence)))
def test_a_clinical_head_in_the_wrong_order_is_named(
    clinical: dict[Sequence, Opinion], names: tuple[Sequence, ...]
) -> None:
    given_as = dict(zip(names, clinical.values(), strict=True))
    wrong = {name: is_really for name, is_really in zip(names, clinical, strict=True) if name is not is_really}
    assert likelier_names(given_as) == wrong
