"""Nothing that identifies a patient shows when a noun is printed."""

from datetime import UTC, date, datetime

import pytest

from zweitblick.study import Instance, Patient, Physics, Series, Study

SECRETS = ("Doe^Jane", "ID-4711", "1961-02-03", "1961, 2, 3", "9.9.9", "private text", "ACC-1", "report.dcm")


def secret_study() -> Study:
    instance = Instance("1.2.840.10008.5.1.4.1.1.4", "9.9.9.1", "1.2.840.10008.1.2.1", 7, b"report.dcm")
    series = Series(
        uid="9.9.9.2",
        number=3,
        modality="MR",
        instances=(instance,),
        description="private text",
        protocol="private text",
        frame_of_reference_uid="9.9.9.3",
        physics=Physics(repetition_time_ms=500.0),
    )
    return Study(
        uid="9.9.9.4",
        patient=Patient("Doe^Jane", "ID-4711", date(1961, 2, 3), "F", 65.0),
        series=(series,),
        description="private text",
        accession_number="ACC-1",
        started_at=datetime(2026, 11, 24, tzinfo=UTC),
        unreadable={"report.dcm": "not DICOM"},
    )


@pytest.mark.parametrize("secret", SECRETS)
def test_repr_holds_no_patient_data(secret: str) -> None:
    assert secret not in repr(secret_study())
    assert secret not in repr(secret_study().series[0].instances[0])


def test_a_series_is_named_by_its_number() -> None:
    study = secret_study()
    assert study.series[0].name == "series 3"
    assert study.series_by_uid("9.9.9.2") is study.series[0]
    with pytest.raises(KeyError) as error:
        study.series_by_uid("9.9.9.5")
    assert "9.9.9" not in str(error.value)
