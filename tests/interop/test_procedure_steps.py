"""A modality's word that it has sent everything, and the quiet time is not waited for."""

from pathlib import Path

from dimse.modality import begun, ended, modality
from dimse.wire import RawPeer
from interop.service import serving
from kept_study import sent
from reading_house import RESULTS


def test_a_study_is_read_as_soon_as_all_images_are_there_that_the_modality_lists(
    tmp_path: Path, quick_files: list[Path]
) -> None:
    """Its list comes between the images, and after a start of the service."""
    images = [sent(path) for path in quick_files]
    uid = images[0].study_instance_uid
    with serving(tmp_path, ZWEITBLICK_QUIET_TIME_S="3600") as service, modality(int(service.port)) as scanner:
        assert scanner.create(begun(uid)) == 0x0000
    with serving(tmp_path, ZWEITBLICK_QUIET_TIME_S="3600") as service, RawPeer(int(service.port)) as peer:
        peer.associate((images[0].sop_class_uid, [images[0].transfer_syntax_uid]))
        for image in images[1:]:
            assert peer.store(image.data, image.sop_instance_uid) == 0x0000
        with modality(int(service.port)) as scanner:
            assert scanner.set(ended("COMPLETED", [image.sop_instance_uid for image in images])) == 0x0000
        assert service.read(uid)["state"] == "receiving"
        assert peer.store(images[0].data, images[0].sop_instance_uid) == 0x0000
        peer.release()
        read = service.reached(uid, "awaiting review")
        assert {result["name"] for result in read["results"]} == RESULTS | {"receipt"}
        assert read["round"] == 1
