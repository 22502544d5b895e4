"""Shares restore a key from so many people and from no fewer; the words are those of SLIP-0039's own vectors."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zweitblick.errors import ShareError
from zweitblick.vault.escrow import joined, joined_words, split
from zweitblick.vault.keyholders import Kek

KEK = Kek("00112233445566778899aabbccddeeff", 1)
SECRET = bytes(range(32))

VALID = {
    # https://github.com/trezor/python-shamir-mnemonic, vectors.json, of 256 bits; the passphrase is TREZOR
    "20": (
        [
            "theory painting academic academic armed sweater year military elder discuss acne wildlife boring employer "
            "fused large satoshi bundle carbon diagnose anatomy hamster leaves tracks paces beyond phantom capital "
            "marvel lips brave detect luck"
        ],
        "989baf9dcaad5b10ca33dfd8cc75e42477025dce88ae83e75a230086a0e00e92",
    ),
    "23": (
        [
            "humidity disease academic always aluminum jewelry energy woman receiver strategy amuse duckling lying "
            "evidence network walnut tactics forget hairy rebound impulse brother survive clothes stadium mailman "
            "rival ocean reward venture always armed unwrap",
            "humidity disease academic agency actress jacket gross physics cylinder solution fake mortgage benefit "
            "public busy prepare sharp friar change work slow purchase ruler again tricycle involve viral wireless "
            "mixture anatomy desert cargo upgrade",
        ],
        "c938b319067687e990e05e0da0ecce1278f75ff58d9853f19dcaeed5de104aae",
    ),
}

INVALID = {
    "21, checksum": [
        "theory painting academic academic armed sweater year military elder discuss acne wildlife boring employer "
        "fused large satoshi bundle carbon diagnose anatomy hamster leaves tracks paces beyond phantom capital marvel "
        "lips brave detect lunar"
    ],
    "22, padding": [
        "theory painting academic academic campus sweater year military elder discuss acne wildlife boring employer "
        "fused large satoshi bundle carbon diagnose anatomy hamster leaves tracks paces beyond phantom capital marvel "
        "lips facility obtain sister"
    ],
    "24, one of two": VALID["23"][0][:1],
    "25, identifiers": [
        "smear husband academic acid deadline scene venture distance dive overall parking bracelet elevator justice "
        "echo burning oven chest duke nylon",
        "smear isolate academic agency alpha mandate decorate burden recover guard exercise fatal force syndrome fumes "
        "thank guest drift dramatic mule",
    ],
    "32, digest": [
        "river deal academic acid average forbid pistol peanut custody bike class aunt hairy merit valid flexible "
        "learn ajar very easel",
        "river deal academic agency camera amuse lungs numb isolate display smear piece traffic worthy year patrol "
        "crush fact fancy emission",
    ],
    "1, of 128 bits": [
        "duckling enlarge academic academic agency result length solution fridge kidney coal piece deal husband erode "
        "duke ajar critical decision keyboard"
    ],
}


@pytest.mark.parametrize("number", VALID)
def test_joins_what_slip_0039_publishes(number: str) -> None:
    mnemonics, secret = VALID[number]
    assert joined_words(mnemonics, b"TREZOR").hex() == secret


@pytest.mark.parametrize("number", INVALID)
def test_refuses_what_slip_0039_calls_invalid(number: str) -> None:
    with pytest.raises(ShareError):
        joined_words(INVALID[number], b"TREZOR")


def test_any_so_many_restore_the_key_and_no_fewer() -> None:
    texts = [share.text() for share in split({KEK: SECRET}, shares=5, threshold=3)]
    for size in range(1, 6):
        for some in itertools.combinations(texts, size):
            if size < 3:
                with pytest.raises(ShareError):
                    joined(some)
            else:
                assert joined(reversed(some)) == {KEK: SECRET}


@settings(max_examples=15)
@given(st.binary(min_size=32, max_size=32), st.data())
def test_any_key_comes_back_from_any_choice_of_people(secret: bytes, data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 16))
    threshold = data.draw(st.integers(2, count))
    shares = split({KEK: secret}, shares=count, threshold=threshold)
    chosen = data.draw(st.permutations(shares))[:threshold]
    assert joined(share.text() for share in chosen)[KEK] == secret
    with pytest.raises(ShareError):
        joined(share.text() for share in chosen[1:])


def test_several_versions_lie_in_the_same_shares() -> None:
    keks = {Kek("f" * 32, 1): bytes(32), Kek("e" * 32, 2): SECRET, Kek("d" * 32, 10): bytes(range(32, 64))}
    texts = [share.text() for share in split(keks, shares=3, threshold=2)]
    assert joined(texts[1:]) == keks
    assert list(joined(texts[1:])) == list(keks), "oldest first"


def test_a_share_as_it_was_copied_by_hand_still_counts() -> None:
    one, two, _ = (share.text() for share in split({KEK: SECRET}, shares=3, threshold=2))
    assert joined([f"\n  kept by M.\r\n{one.replace(chr(10), chr(13) + chr(10))}", two + "\n\n"]) == {KEK: SECRET}


def test_a_changed_word_or_shares_of_different_splits_are_refused() -> None:
    one, two = (share.text() for share in split({KEK: SECRET}, shares=2, threshold=2))
    other = split({KEK: SECRET}, shares=2, threshold=2)[1].text()
    last = one.split()[-1]
    for wrong in (
        [one.replace(last, "academic" if last != "academic" else "acid"), two],
        [one, other],
        [one, one],
        [one],
    ):
        with pytest.raises(ShareError):
            joined(wrong)
    with pytest.raises(ShareError, match="no share"):
        joined(["a shopping list"])


@pytest.mark.parametrize(("shares", "threshold"), [(1, 1), (3, 1), (2, 3), (17, 2), (0, 0), (3, 0), (3, -1)])
def test_what_is_no_sharing_is_refused(shares: int, threshold: int) -> None:
    with pytest.raises(ShareError):
        split({KEK: SECRET}, shares=shares, threshold=threshold)


def test_neither_a_share_nor_an_error_shows_what_it_holds() -> None:
    share = split({KEK: SECRET}, shares=2, threshold=2)[0]
    words = next(iter(share.words.values())).split()
    with pytest.raises(ShareError) as caught:
        joined([share.text()])
    assert " ".join(words[:3]) in share.text()
    for text in (repr(share), str(caught.value)):
        assert " ".join(words[:3]) not in text
    assert SECRET.hex() not in share.text()
