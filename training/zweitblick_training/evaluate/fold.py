"""A fold: its bundle, and what that bundle scored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from zweitblick.model.bundle import Bundle, load_bundle
from zweitblick.model.manifest import UNSIGNED_TOO
from zweitblick_training.evaluate.case import network_key
from zweitblick_training.evaluate.record import Record
from zweitblick_training.evaluate.run import EvaluationError, stored
from zweitblick_training.evaluate.subsets import subset_name
from zweitblick_training.sides import Sides


@dataclass(frozen=True)
class Fold:
    """A bundle that was judged.

    Parameters
    ----------
    bundle
        Its folder.
    network
        Key of its network, see `network_key`.
    taught
        Names of the cases that it has learnt from.
    records
        What it scored as it is now.
    """

    bundle: Path
    network: str
    taught: tuple[str, ...]
    records: tuple[Record, ...]

    @classmethod
    def read(cls, bundle: Path, scores: Path, brain_mask: Bundle) -> Self:
        """Take a bundle's own scores from a folder; those that an earlier one left there are passed over.

        Parameters
        ----------
        bundle
            Folder of the bundle.
        scores
            Folder that `evaluate` wrote to.
        brain_mask
            The network beside it.

        Raises
        ------
        EvaluationError
            If the bundle has scored nothing as it is now, or not all that an earlier one has.
        LeakError, BundleMissingError, BundleDamagedError
            If the bundle does not say what it learnt from, or cannot be read.
        """
        network = network_key(load_bundle(bundle, UNSIGNED_TOO), brain_mask)
        every = stored(scores)
        own = tuple(one for one in every if one.asked.network == network)
        if not own:
            raise EvaluationError(
                f"{scores} holds no scores by the network in {bundle} and the code and runtime of today; run evaluate"
            )
        answered = {(one.asked.name, one.asked.subset) for one in own}
        for asked in (one.asked for one in every):
            if (asked.name, asked.subset) not in answered:
                raise EvaluationError(
                    f"{scores}: case {asked.name} from {subset_name(asked.subset)} was scored by another network than "
                    f"that in {bundle}, or by other code; run evaluate again, or remove the older scores"
                )
        return cls(bundle, network, Sides.read(bundle / "splits.json").train, own)
