"""A synthetic MRI study with a known lesion: the bundled sample and the ground truth of tests."""

from zweitblick.sample.spec import Plane, SampleLesion, SampleSeries, SampleSpec, SampleTruth, follow_up
from zweitblick.sample.study import write_sample

__all__ = ["Plane", "SampleLesion", "SampleSeries", "SampleSpec", "SampleTruth", "follow_up", "write_sample"]
