"""The names that others may build on. A change here is a change of the interface: say so in CHANGELOG.md."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import zweitblick

NOUNS = {
    "volume": "Bool Float32 Float64 GEOMETRY_FIELDS Grid KJI_FROM_IJK MAX_NIFTI_VOXELS RAS_FROM_LPS Volume "
    "axis_aligned_grid covering_grid frozen nifti_like transformed",
    "study": "Frame Instance NativePixels Patient Physics Priority Sequence Series Study",
    "prediction": "CORE ENHANCING OEDEMA Prediction REGIONS Region",
    "findings": "DiameterBasis Diameters EnhancingPart Findings Lesion Point Side",
    "change": "Category Change Fate LesionChange Matching NOT_KNOWN NoProposal Proposal Unmatched VolumeChange "
    "largest_diameters named summed",
    "prior": "Prior PriorImage Role Timepoint check_comparable check_same_patient",
    "reading": "Alignment Choice ModelIdentity Notice POPULATION Predecessor RESEARCH_USE Reading Stamp UID_ROOT "
    "is_ours",
    "pipeline": "BASIS_SEEN_ON FAULTS Observer REFERENCE_ORDER REPORTING_LIMIT_ML outlined prepared_head read "
    "reference_of segment silent",
}
"""Modules whose every public name may be used."""

DOORS = {
    "cli.main": "argv",
    "dicom.source.opened": "source, *, limits",
    "dicom.read.read_study": "paths",
    "dicom.stack.parts": "series",
    "dicom.stack.stack": "part",
    "dicom.seg.segmentation": "reading",
    "dicom.sr.structured_report": "reading, segmentation",
    "dicom.pdf.encapsulated_pdf": "reading, pdf",
    "dicom.capture.secondary_capture": "reading",
    "report.findings_json.findings_json": "reading",
    "report.pdf.pdf": "reading",
    "register.rigid.align": "moving, reference, *, same_frame, seed",
    "register.midsagittal.head_from_lps": "volume, brain, *, seed",
    "model.sequences.choose": "parts, volume_of, network",
    "model.brain_mask.brain_mask": "volume, network",
    "model.bundle.load_bundle": "folder, trust",
    "model.bundle.load_bundles": "models, trust",
    "model.manifest.ModelTrust": "keys, allow_unsigned",
    "model.manifest.read_files": "folder, trust",
    "model.manifest.sign_bundle": "folder, signer",
    "model.bundle.default_models": "",
    "measure.measure": "prediction, *, slice_distance_mm, reporting_limit_ml, validated_ml",
    "pipeline.segment": "volumes, bundles, *, seed, observer",
    "pipeline.read": "study, bundles, *, prior, stamp, observer",
    "followup.followed_up": "reading, prior, volumes",
    "earlier.prior_from": "segmentation, findings, study",
    "earlier.timepoint_from": "segmentation, findings, role",
    "priors.prior_of": "store, token, study, *, before",
    "dicom.outline.read_outline": "segmentation",
    "report.findings_reader.read_findings": "document",
    "measure.rano.proposed": "present, earlier, matching",
    "measure.matching.lesion_changes": "before, now",
    "sample.write_sample": "out, *, spec",
    "sample.follow_up": "spec, *, day",
    "store.store.Store": "places, holder, *, clock, quiet_time, pool, audit",
    "store.store.StorePlaces": "data, keys, objects",
    "store.received.ReceivedInstance": "sop_class_uid, sop_instance_uid, transfer_syntax_uid, study_instance_uid, "
    "series_instance_uid, calling_ae_title, data, patient_id, is_fetched",
    "store.life.after": "state, event, *, by",
    "documents.documents": "reading, *, observer",
    "receipt.receipt_of": "reading, bundles, results, *, timings, keys, audit",
    "receipt.signed_receipt": "receipt, signer",
    "receipt.opened_receipt": "data, keys",
    "receipt.check_results": "receipt, results",
    "receipt.check_study": "receipt, study",
    "signing.jws.signed": "payload, signer, *, kind",
    "signing.jws.verified": "data, keys, *, kind",
    "settings.load_settings": "file, environment",
    "peers.sender.sender": "destination, *, patience",
    "delivery.sealer.Sealer": "store",
    "delivery.seal.Seal": "form, recipients, signing",
    "delivery.deliverer.Deliverer": "store, routes, *, delay_s, patience, audit, observer",
    "metrics.Metrics": "standing, *, clock",
    "traces.TracedMetrics": "standing, *, clock, spans",
    "worker.Worker": "store, bundles, place, *, clock, priorities, partners",
    "web.create_app": "service, *, doors, exposition, observer",
    "web.one_token": "token",
    "web.HttpServer": "app, *, host, port, is_proxied",
    "audit.trail.Trail": "folder, sealer, signer, *, source, clock, file_bytes",
    "audit.verification.verify_trail": "folder, *, head, keys",
    "audit.auditor.recorded": "auditor, event",
    "vault.data_key.DataKey": "secret",
    "vault.envelope.sealed": "plain, key, *, study, name",
    "vault.envelope.opened": "data, key, *, study, name",
    "vault.envelope.SealingWriter": "sink, key, *, study, name",
    "vault.envelope.OpeningReader": "source, key, *, study, name",
    "vault.cms.secure_file.sealed_file": "content, recipients, signer, *, at",
    "vault.cms.secure_file.opened_file": "data, recipient, trust, *, at",
    "vault.cms.certificates.Recipients": "certificates",
    "vault.cms.certificates.Trust": "authorities, signers",
    "vault.cms.keys.FileKey": "key, certificate",
    "vault.cms.pkcs11.Pkcs11Key": "key, certificate",
    "vault.token_key.TokenDocumentSigner": "place, label, public_key",
    "dicom.encrypted.encrypted_instance": "content, filing, *, signed, enveloped",
    "dicom.encrypted.reidentified": "content, *, decrypted, verified",
    "dicom.encrypted.Filing": "pseudonym, secret, study_uid",
    "vault.keyholders.FileKeyHolder": "path",
    "vault.keyholders.WrappedKey": "kek_id, data_key_id, ciphertext, owner",
    "vault.keyholders.pkcs11.Pkcs11KeyHolder": "place",
    "vault.keyholders.transit.TransitKeyHolder": "place",
    "vault.pool.KeyPool": "holder, limits, *, clock, away_s",
    "vault.escrow.split": "keks, *, shares, threshold",
    "vault.escrow.joined": "texts",
    "vault.keyholders.make_key_file": "path",
}
"""The rooms' functions with their arguments."""

MODULES = sorted(
    found.name.removeprefix("zweitblick.") for found in pkgutil.walk_packages(zweitblick.__path__, "zweitblick.")
)


def public_names(module: str) -> set[str]:
    """Top-level names that a module itself makes; what it imports is not among them."""
    tree = ast.parse(Path(importlib.import_module(f"zweitblick.{module}").__file__).read_text(encoding="utf-8"))
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names |= {name.id for target in targets(node) for name in ast.walk(target) if isinstance(name, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def arguments(door: str) -> str:
    module, name = f"zweitblick.{door}".rsplit(".", 1)
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters.values()
    keyword_only = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
    others = [each.name for each in parameters if each.kind is not each.KEYWORD_ONLY]
    return ", ".join([*others, "*", *keyword_only] if keyword_only else others)


@pytest.mark.parametrize("module", NOUNS)
def test_nouns_have_these_names_and_no_others(module: str) -> None:
    assert public_names(module) == set(NOUNS[module].split())


@pytest.mark.parametrize("door", DOORS)
def test_doors_take_these_arguments(door: str) -> None:
    assert arguments(door) == DOORS[door]


@pytest.mark.parametrize("module", [module for module in MODULES if module != "__main__"])
def test_public_functions_and_classes_say_what_they_are(module: str) -> None:
    imported = importlib.import_module(f"zweitblick.{module}")
    silent = [
        name
        for name in public_names(module)
        if inspect.isroutine(getattr(imported, name)) or inspect.isclass(getattr(imported, name))
        if not inspect.getdoc(getattr(imported, name))
    ]
    assert not silent
    assert imported.__doc__
