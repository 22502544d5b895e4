"""Receipts signed in SoftHSM: OpenSSL and ``zweitblick verify`` check them by the public key that OpenSC reads out."""

import subprocess
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from audit.happenings import access, opened_trail, signer_in
from quick_reading import quick
from reading_house import House, contents, keep, reached
from readings import NETWORKS, phantom_reading
from signers import flipped
from vault.holders import LABEL, PIN, SOFTHSM, new_token
from zweitblick.audit.head import SignedHead
from zweitblick.cli import main
from zweitblick.cli.checks import checks
from zweitblick.cli.receipts import receipt_signer
from zweitblick.errors import KeyHolderError, SignatureError, SigningKeyError
from zweitblick.model.bundle import Bundles
from zweitblick.receipt import opened_receipt, receipt_of, signed_receipt
from zweitblick.settings import Settings, load_settings
from zweitblick.signing.keys import checked_signature, load_public_key
from zweitblick.store.life import Event, State
from zweitblick.timings import Timings
from zweitblick.vault.keyholders.places import TokenPlace
from zweitblick.vault.token_key import TokenDocumentSigner
from zweitblick.worker import BREAKS, Notary

Program = Callable[..., CompletedProcess[str]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Program) -> TokenPlace:
    """A token with two keys, made as docs/receipts.md says, and files of their public keys."""
    monkeypatch.setenv("SOFTHSM2_CONF", "")
    (tmp_path / "hsm").mkdir()
    made = new_token(tmp_path / "hsm")
    tool = ("pkcs11-tool", "--module", SOFTHSM, "--token-label", LABEL, "--login", "--pin", PIN)
    for label in ("receipts", "others"):
        pair = program(*tool, "--keypairgen", "--key-type", "rsa:3072", "--label", label, "--usage-sign")
        assert pair.returncode == 0, pair.stderr
        der, public = tmp_path / f"{label}.der", tmp_path / f"{label}.pub"
        assert program(*tool, "--read-object", "--type", "pubkey", "--label", label, "-o", der).returncode == 0
        assert program("openssl", "pkey", "-pubin", "-inform", "DER", "-in", der, "-out", public).returncode == 0
    pkcs11.lib(str(SOFTHSM)).reinitialize()
    return made


def settings(folder: Path, place: TokenPlace, *, label: str = "receipts", public_key: str = "receipts.pub") -> Settings:
    (folder / "settings.toml").write_text(
        f"[keys]\nholder = 'pkcs11'\npkcs11_module = '{place.module}'\npkcs11_token = '{place.token}'\n"
        f"pkcs11_pin_file = '{place.pin_file}'\n"
        f"[receipts]\nhsm_key = '{label}'\npublic_key = '{folder / public_key}'\n"
    )
    return load_settings(folder / "settings.toml", {"HOME": str(folder)})


def made_receipt(folder: Path, place: TokenPlace, audit: SignedHead | None = None) -> bytes:
    (folder / "study").mkdir()
    receipt = receipt_of(phantom_reading(folder / "study"), NETWORKS, {}, timings=Timings(), audit=audit)
    return signed_receipt(receipt, receipt_signer(settings(folder, place)))


def assert_openssl_verifies(token: bytes, public_key: Path, folder: Path) -> None:
    message, _, signature = token.rpartition(b".")
    (folder / "message").write_bytes(message)
    (folder / "signature").write_bytes(urlsafe_b64decode(signature + b"=="))
    given = ["-verify", public_key, "-signature", folder / "signature", folder / "message"]
    done = subprocess.run(["openssl", "dgst", "-sha256", *given], capture_output=True, check=True)
    assert done.stdout == b"Verified OK\n"


def test_openssl_verifies_a_receipt_with_the_public_key_alone(tmp_path: Path, place: TokenPlace) -> None:
    assert_openssl_verifies(made_receipt(tmp_path, place), tmp_path / "receipts.pub", tmp_path)


def test_zweitblick_verifies_it_without_the_token_and_refuses_a_flipped_bit(
    tmp_path: Path, place: TokenPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened_trail(tmp_path) as trail:
        trail.record(access())
        head = trail.signed_head()
    token = made_receipt(tmp_path, place, head)
    (tmp_path / "hsm" / "tokens").rename(tmp_path / "hsm" / "gone")
    file, key = tmp_path / "receipt.jws", tmp_path / "receipts.pub"
    file.write_bytes(token)
    assert main(["verify", str(file), "--key", str(key)]) == 0
    assert "Signature: by the key\n" in capsys.readouterr().out
    of_trail = ["verify", "--audit", str(tmp_path / "audit"), "--head", str(file), "--key", str(key)]
    with pytest.raises(SystemExit, match="2"):
        main(of_trail)
    assert "signed by an Ed25519 key" in capsys.readouterr().err
    assert main([*of_trail, "--key", str(tmp_path / "signing.pem.pub")]) == 0
    shown = capsys.readouterr().out
    assert "Signatures: each by the key\n" in shown
    assert "End: entries 1 to 1 lead to the given head" in shown
    for bit in range(0, 8 * len(token), 997):
        with pytest.raises(SignatureError):
            opened_receipt(flipped(token, bit), [load_public_key(key)])
    for byte in (len(token) // 2, len(token) - 4):  # in the receipt, and in the signature
        file.write_bytes(flipped(token, 8 * byte))
        assert main(["verify", str(file), "--key", str(key)]) == 3
        assert capsys.readouterr().err.startswith("error: signing.signature: ")


def test_a_key_that_is_not_there_or_another_s_keeps_the_service_from_starting(
    tmp_path: Path, place: TokenPlace
) -> None:
    assert checks(settings(tmp_path, place))["receipts.hsm_key"]().startswith("signed by key ")
    with pytest.raises(KeyHolderError, match="no private key absent"):
        receipt_signer(settings(tmp_path, place, label="absent"))
    with pytest.raises(SigningKeyError, match="does not fit"):
        receipt_signer(settings(tmp_path, place, public_key="others.pub"))
    signer_in(tmp_path)
    with pytest.raises(SigningKeyError, match="not RSA"):
        receipt_signer(settings(tmp_path, place, public_key="signing.pem.pub"))


def test_a_reading_waits_for_an_hsm_that_is_gone_while_its_receipt_is_signed(
    tmp_path: Path, place: TokenPlace, bundles: Bundles, quick_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zweitblick.store.absence.AWAY_S", 0.05)
    house, tokens = House(tmp_path, quick(bundles)), tmp_path / "hsm" / "tokens"
    public_key = load_public_key(tmp_path / "receipts.pub")
    assert isinstance(public_key, RSAPublicKey)
    signer = TokenDocumentSigner(place, "receipts", public_key)
    checked_signature(b"", signer)  # as at the start of a service
    heads: list[SignedHead] = []
    with opened_trail(tmp_path) as trail, house.store() as store:

        def head() -> SignedHead:
            """Is the last that is asked before something is signed: then the HSM goes, and after many tries is back."""
            heads.append(trail.signed_head())
            if len(heads) == 1:
                tokens.rename(tmp_path / "gone")
            elif len(heads) == BREAKS + 3:
                (tmp_path / "gone").rename(tokens)
            return heads[-1]

        study = keep(store, quick_files)
        house.clock.move(30)
        with house.worker(store, audit=trail, notary=Notary(signer, head)):
            done = reached(store, study, State.AWAITING_REVIEW)
        token = contents(store, done.id)["receipt"]
        happened = [entry.event for entry in store.history(study)]
    assert opened_receipt(token, [public_key]).audit == heads[-1]
    assert len(heads) == BREAKS + 3
    # the study was read once, and its reading put on record once
    assert happened == [Event.COMPLETED, Event.STARTED, Event.READ, Event.SEALED, Event.REVIEW_ASKED]
    assert heads[-1].count == 2
