"""The baseline: nine small 2.5D networks that came second in BraTS 2017, run again on four patients."""

from zweitblick.prediction import Region

BASELINE: dict[str, dict[Region, float | None]] = {
    "BraTS2021_01476": {Region.ET: 0.883, Region.TC: 0.949, Region.WT: 0.956},
    "BraTS2021_01531": {Region.ET: 0.790, Region.TC: 0.896, Region.WT: 0.932},
    "BraTS2021_00014": {Region.ET: 0.752, Region.TC: 0.409, Region.WT: 0.601},
    "BraTS2021_01480": {Region.ET: None, Region.TC: 0.725, Region.WT: 0.832},
}
"""Dice of the cascade (Wang 2017), by case. It took about 100 s a patient, learnt from 285 patients and may have learnt
from these four. The last one has no enhancing tumour; it found some."""
