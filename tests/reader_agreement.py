"""How far series read by zweitblick lie from reference NIfTI images: measured here, written in docs/coordinates.md.

No interpolation: the reference's index order is brought to ours exactly (axes permuted and reversed), then voxels are
compared one by one and affines at the eight corner voxels. `python -m reader_agreement RAW OUT` (with
tests/ on the path) prints the table.
"""

import gzip
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import UID

from zweitblick.dicom.read import read_study
from zweitblick.dicom.source import opened
from zweitblick.dicom.stack import parts, stack
from zweitblick.errors import SeriesError
from zweitblick.study import Series
from zweitblick.volume import RAS_FROM_LPS, Volume


@dataclass(frozen=True)
class Case:
    """One series of the real data: what it is, where it lies, its reference images in the order of the parts."""

    kind: str
    source: str
    references: tuple[str, ...] = ()


CASES = (
    Case("GE, sagittal 3D", "dicom2nifti/ge/anatomical/001", ("dicom2nifti/ge/anatomical/001_ground_truth.nii.gz",)),
    Case("GE, single slice", "dicom2nifti/ge/anatomical/001_single_slice"),
    Case(
        "GE, oblique 3D, signed 16 bit",
        "dcm_qa_ge/In/05_3D_Ax_T1_MP_RAGE_R22",
        ("dcm_qa_ge/dcm2niix_ref/3D_Ax_T1_MP-RAGE_R22_5.nii.gz",),
    ),
    Case(
        "Siemens, sagittal 3D, 12 bit",
        "dicom2nifti/siemens/anatomical/001",
        ("dicom2nifti/siemens/anatomical/001_ground_truth.nii.gz",),
    ),
    Case(
        "unknown maker, sagittal 3D",
        "dicom2nifti/generic/anatomical/001",
        ("dicom2nifti/generic/anatomical/001_ground_truth.nii.gz",),
    ),
    Case(
        "rescale that differs by slice, 4.0 × 6.4 mm pixels",
        "dicom2nifti/generic/anatomical/002_non_isotropic",
        ("dicom2nifti/generic/anatomical/002_non_isotropic_ground_truth.nii.gz",),
    ),
    Case(
        "compressed",
        "dicom2nifti/generic/compressed_rle/001",
        ("dicom2nifti/generic/compressed_rle/001_ground_truth.nii.gz",),
    ),
    Case(
        "compressed",
        "dicom2nifti/generic/compressed_jpeg/001",
        ("dicom2nifti/generic/compressed_jpeg/001_ground_truth.nii.gz",),
    ),
    Case(
        "compressed",
        "dicom2nifti/generic/compressed_jpegls/001",
        ("dicom2nifti/generic/compressed_jpegls/001_ground_truth.nii.gz",),
    ),
    Case(
        "compressed",
        "dicom2nifti/generic/compressed_j2k/001",
        ("dicom2nifti/generic/compressed_j2k/001_ground_truth.nii.gz",),
    ),
    Case(
        "compressed, several fragments a frame",
        "dcm_qa_frag/In/5001_anat-T1w_acq-tfl",
        ("dcm_qa_frag/Ref/anat-T1w_acq-tfl_5001.nii.gz",),
    ),
    Case(
        "oblique, signed 12 bit",
        "dicom2nifti/hitachi/anatomical/001",
        ("dicom2nifti/hitachi/anatomical/001_ground_truth.nii.gz",),
    ),
    Case("Philips, no reference", "dicom2nifti/philips/anatomical/001"),
    Case(
        "enhanced, low field",
        "dicom2nifti/hyperfine/anatomical/001",
        ("dicom2nifti/hyperfine/anatomical/001_ground_truth.nii.gz",),
    ),
    Case(
        "enhanced, Siemens",
        "dicom2nifti/siemens_multiframe/anatomical/001",
        ("dicom2nifti/siemens_multiframe/anatomical/001_ground_truth.nii.gz",),
    ),
    Case("enhanced, Siemens XA30", "dcm_qa_xa30/In/5_anat-T1w_acq-tfl", ("dcm_qa_xa30/Ref/5_anat-T1w_acq-tfl.nii.gz",)),
    Case("enhanced, Siemens XA30, two echoes, no reference", "dcm_qa_xa30/In/8_gre_field_mapping"),
    Case(
        "enhanced, Siemens XA10, four times",
        "dcm_qa_enh/In/Siemens/XA10",
        ("dcm_qa_enh/Ref/Siemens_REST1_w_SMS_PF7-8_6.nii.gz",),
    ),
    Case(
        "enhanced, Philips",
        "dicom2nifti/philips_enhanced/anatomical/001",
        ("dicom2nifti/philips_enhanced/anatomical/001_ground_truth.nii.gz",),
    ),
    Case(
        "enhanced, Philips, magnitude and field map",
        "dcm_qa_enh/In/Philips",
        (
            "dcm_qa_enh/Ref/Philips_WIP_B0_NS_801_e1.nii.gz",
            "dcm_qa_enh/Ref/Philips_WIP_B0_NS_801_e2_fieldmaphz.nii.gz",
        ),
    ),
    Case(
        "enhanced, Philips, raw data beside the image",
        "philips_enh/1901",
        ("dcm_qa_philips_enh/Ref/1901_WIP_3DpCASL_enh_real.nii.gz",),
    ),
    Case(
        "enhanced, Philips, two echoes, magnitude and phase",
        "philips_enh/2001",
        tuple(
            f"dcm_qa_philips_enh/Ref/2001_WIP_fcMRI_Field_Mapping_enh_{part}.nii.gz"
            for part in ("e1", "e2", "e1_ph", "e2_ph")
        ),
    ),
    Case("colour, secondary capture", "dicom2nifti/generic/rgb/001"),
    Case("mosaic, seven transfer syntaxes", "dcm_qa_ts/In"),
    Case("mosaic, signed and unsigned, unused bits set", "dcm_qa_12bit/In"),
    Case("failing: missing slice", "dicom2nifti/failing/sliceincrement/002"),
    Case("failing: two orientations", "dicom2nifti/failing/sliceorientation/001"),
    Case("failing: two slices", "dicom2nifti/failing/slicecount/001"),
    Case("failing: not a volume", "dicom2nifti/failing/notavolume/001"),
    Case("failing: gantry tilt", "dicom2nifti/failing/gantrytilting/001"),
)


@dataclass(frozen=True)
class Agreement:
    """Differences of one volume from its reference.

    Parameters
    ----------
    voxels
        Largest absolute difference of values, relative to the largest value of the image.
    stored
        Largest difference of the integers behind the values, after undoing each side's own scaling.
    affine_mm
        Largest difference between elements of the two affines, both from the reference's index.
    corner_mm
        Largest distance along an axis between the two places of a corner voxel: `affine_mm` carried across the image.
    header_mm
        Largest distance between our affine's slice origins and the header's own positions.
    reference_header_mm
        The same for the reference's affine.
    """

    voxels: float
    stored: float
    affine_mm: float
    corner_mm: float
    header_mm: float
    reference_header_mm: float


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    case: Case
    maker: str
    syntaxes: str
    result: str
    volumes: int
    agreements: tuple[Agreement, ...]

    def __str__(self) -> str:
        voxels = affine = corner = header = "–"
        if self.agreements:
            worst = max(one.voxels for one in self.agreements)
            stored = max(one.stored for one in self.agreements)
            voxels = "0" if worst == 0 else f"{worst:.0e}" if worst < 1e-6 else f"{stored:.0f} (stored)"
            affine = f"{max(one.affine_mm for one in self.agreements):.4f}"
            corner = f"{max(one.corner_mm for one in self.agreements):.4f}"
            header = f"{max(one.header_mm for one in self.agreements):.4f}"
        place = (self.case.kind, f"`{self.case.source}`", self.maker, self.syntaxes, self.result)
        cells = (*place, voxels, affine, corner, header)
        return f"| {' | '.join(cells)} |"


HEADING = (
    "| series | source | maker | transfer syntax | read | voxels | affine, mm | corners, mm | header, mm |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def unpack(raw: Path, out: Path) -> Path:
    """Unpack the readers' data; enhanced Philips instances, gzipped there, are put into a folder per series."""
    with tarfile.open(raw / "readers.tar.xz") as archive:
        archive.extractall(out, filter="data")
    readers = out / "readers"
    for packed in sorted((readers / "dcm_qa_philips_enh" / "In" / "enh").glob("*.gz")):
        folder = readers / "philips_enh" / packed.name[:4]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return readers


def row(case: Case, readers: Path) -> Row:
    """Read one case and measure it."""
    headers = list(_headers(readers / case.source))
    syntaxes = sorted({UID(header.file_meta.TransferSyntaxUID).name for header in headers})
    with opened(readers / case.source) as paths:
        study = read_study(paths)
        found, errors = _parts(study.series)
        volumes = [stack(part) for part in found]
    images = [image for path in case.references for image in references(readers / path)]
    return Row(
        case=case,
        maker=headers[0].get("Manufacturer", "–").split()[0],
        syntaxes=_short(syntaxes),
        result="`" + "`, `".join(sorted(errors)) + "`"
        if errors
        else f"{len(volumes)} volume{'s' * (len(volumes) > 1)}",
        volumes=len(volumes),
        agreements=tuple(
            agreement(part, volume, reference)
            for part, volume, reference in zip(found, volumes, images, strict=bool(images))
        ),
    )


def _headers(folder: Path) -> Iterator[pydicom.Dataset]:
    for path in sorted(folder.iterdir()):
        yield pydicom.dcmread(path, stop_before_pixels=True)


def _parts(series: Sequence[Series]) -> tuple[list[Series], set[str]]:
    found: list[Series] = []
    errors: set[str] = set()
    for one in series:
        try:
            found += parts(one)
        except SeriesError as error:
            errors.add(error.code)
    return found, errors


_SHORT: Mapping[str, str] = {
    "Explicit VR Little Endian": "explicit LE",
    "Implicit VR Little Endian": "implicit LE",
    "Explicit VR Big Endian": "explicit BE",
    "RLE Lossless": "RLE",
    "JPEG-LS Lossless Image Compression": "JPEG-LS",
    "JPEG 2000 Image Compression (Lossless Only)": "JPEG 2000",
    "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])": "JPEG lossless",
}


def _short(names: Sequence[str]) -> str:
    return ", ".join(sorted(_SHORT[name] for name in names))


@dataclass(frozen=True)
class Reference:
    """One volume of a NIfTI file: values, the integers behind them, and the affine."""

    values: NDArray[np.float64]
    stored: NDArray[np.float64]
    ras_from_ijk: NDArray[np.float64]


def references(path: Path) -> list[Reference]:
    """Every volume of a NIfTI file."""
    image = nib.load(path)
    stored = np.asarray(image.dataobj.get_unscaled(), np.float64)
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    volumes = stored[..., None] if stored.ndim == 3 else stored
    return [Reference(one * slope + intercept, one, image.affine) for one in np.moveaxis(volumes, -1, 0)]


def agreement(part: Series, volume: Volume, reference: Reference) -> Agreement:
    """Differences of a part's volume from a reference."""
    ras_from_kji = RAS_FROM_LPS @ volume.lps_from_index
    kji_from_ijk = np.rint(np.linalg.inv(ras_from_kji) @ reference.ras_from_ijk)
    order = np.abs(kji_from_ijk[:3, :3]).argmax(axis=0)
    ours = volume.voxels.transpose(order)
    ours = np.flip(ours, [axis for axis in range(3) if kji_from_ijk[:3, axis].sum() < 0])
    if ours.shape != reference.values.shape:
        raise AssertionError(f"{ours.shape} against {reference.values.shape}")
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(ours.shape) - 1)
    difference = ras_from_kji @ kji_from_ijk - reference.ras_from_ijk
    slope, intercept = part.frames[0].rescale
    same_scale = len({frame.rescale for frame in part.frames}) == 1
    return Agreement(
        voxels=float(np.abs(ours - reference.values).max() / max(1.0, np.abs(ours).max())),
        stored=float(np.abs(np.rint((ours - intercept) / slope) - reference.stored).max()) if same_scale else np.nan,
        affine_mm=float(np.abs(difference).max()),
        corner_mm=float(np.abs(corners @ difference[:3, :3].T + difference[:3, 3]).max()),
        header_mm=header_distance_mm(part, volume.lps_from_index),
        reference_header_mm=header_distance_mm(
            part, RAS_FROM_LPS @ reference.ras_from_ijk @ np.linalg.inv(kji_from_ijk)
        ),
    )


def header_distance_mm(part: Series, lps_from_index: NDArray[np.float64]) -> float:
    """Largest distance of a slice's origin, as the affine has it, from the position that its header gives."""
    positions = np.array([frame.position_lps for frame in part.frames])
    normal = np.cross(lps_from_index[:3, 2], lps_from_index[:3, 1])
    positions = positions[np.argsort(positions @ normal)]
    origins = lps_from_index[:3, 3] + np.arange(len(positions))[:, None] * lps_from_index[:3, 0]
    return float(np.linalg.norm(origins - positions, axis=-1).max())


def table(rows: Iterable[Row]) -> str:
    """All rows as Markdown."""
    return "\n".join([HEADING, *map(str, rows)])


if __name__ == "__main__":
    unpacked = unpack(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.write(table(row(case, unpacked) for case in CASES) + "\n")
