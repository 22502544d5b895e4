"""What the free text of a series says, in the words that scanners and technicians use.

The text itself is never repeated: Series Description (0008,103E) and Protocol Name (0018,1030) are listed in
PS3.15 Table E.1-1. About one description in ten is wrong (Gueld 2002), so words are one vote among several.
"""

import re
from dataclasses import dataclass

from zweitblick.model.sequence_physics import Vote, Weighting
from zweitblick.study import Series

WORD_WEIGHT = 3.0
"""Less than unambiguous timing (4 and 5), more than ambiguous timing (1 and 2)."""


@dataclass(frozen=True)
class Words:
    """A regular expression on the plain text (lower case, words parted by single blanks) and what it stands for."""

    pattern: str
    weighting: Weighting


WEIGHTINGS = (
    Words(
        r"\badc\b|\bdwi\b|\bdti\b|diffusion|diffus|\btrace\w*\b|\bivim\b|\bep2d diff|\bb ?(500|800|1000|2000)\b",
        Weighting.DIFFUSION,
    ),
    Words(r"\bfmri\b|\bbold\b|\basl\b|\bpcasl\b", Weighting.FUNCTIONAL),
    Words(r"\bswi\w*\b|\bswan\b|venobold|suscept|\bsusz|\bqsm\b", Weighting.SUSCEPTIBILITY),
    Words(r"t2 ?\*|t2 ?star|t2 ?(ffe|gre|fl2d|fl3d)|\bhemo\b|\bhaem\w*|\bmedic\b|\bgre t2", Weighting.T2_STAR),
    Words(r"\binv ?[12]\b", Weighting.INVERSION_IMAGE),
    Words(r"\bstir\b", Weighting.STIR),
    Words(r"t1 ?w? ?(tirm|flair|ir)\b|flair ?t1", Weighting.T1),
    Words(r"flair|dark ?fluid|tirm", Weighting.FLAIR),
    Words(r"\bciss\b|fiesta|\btrufi\b|\bdrive\b|balanced", Weighting.STEADY_STATE),
    Words(r"mp2?rage|mp rage|\bbravo\b|f?spgr|\bvibe\b|\bt1\w*|\b3dt1\w*|\btfl\b|\bse ?t1", Weighting.T1),
    Words(r"\bt2\w*|\b3dt2\w*", Weighting.T2),
    Words(r"\bpd\w?\b|\bdp\b|proton|densit", Weighting.PROTON_DENSITY),
)
"""The first that fits speaks. English, German, French, Italian, Spanish and vendors' names."""

NEVER = (
    (
        r"\bloc\b|\blocal\w*|\blokal\w*|scout|survey|\bpilot|3 ?plane|3 ?pl\b|ubersicht|aahead|smartbrain|reperage",
        "localizer",
    ),
    (
        r"\bsub\b|subtr\w*|\bsubs\b|subtrakt\w*|soustr\w*|sottraz\w*|sustrac\w*|resta\b|post (minus|-) pre",
        "subtraction image",
    ),
    (r"\bm?min ?ip\b|\bmip\b|\bmips\b|projection|projektion", "projection"),
    (r"\btof\b|angio\w*|\bmra\b|\bmrv\b|\bpca?\b|inhance|veno\w*gra\w*|willis", "angiography"),
    (
        r"perf\w*|\bdsc\b|\bpwi\b|\bcbv\b|\bcbf\b|\bmtt\b|\bttp\b|\bdce\b|twist|tricks|dynam\w*",
        "perfusion or dynamic series",
    ),
    (r"\bmap\b|t1map|t2map|field ?map|\bb0\b|\bb1\b|relaxo", "parameter map"),
    (r"spectro\w*|\bmrs\b|\bcsi\b|\bsvs\b", "spectroscopy"),
    (r"screen ?\w*|capture|report|summary|\bkey images?\b", "screen capture or report"),
    (
        r"spine|wirbel\w*|\bhws\b|\bbws\b|\blws\b|cervical|lumbar|thora\w*|knee|\bknie\b|abdom\w*|pelvi\w*|becken",
        "not of the head",
    ),
)
"""Words for images whose timing is that of the real one, so that only words or intensities can tell."""

AGENT = r"(iv )?(km|kontrast\w*|contrast\w*|gd|gado?\w*|injection|mdc|civ|c)"

WITHOUT_CONTRAST = (
    rf"\bpre\b ?({AGENT}\b)?|\bpre(contrast|kontrast|km|gd|gad\w*)\b|\bnativ\w*|\bvor {AGENT}\b|\bunenh\w*|"
    rf"\b(ohne|without|w/o|sans)\b ?({AGENT}\b)?|\b(senza|sin|no|non|kein|avant) {AGENT}\b|\bbasal\w*|"
    r"\bc ?-(?=\s|$)|(^| )- ?c\b"
)
"""Words for "before contrast agent"; looked for first, since most hold a word for "after"."""

NOT_AGENT = "er|foss|centr|op|surg|resect|biops|trauma|treat|therap|chemo|rad|rt|gamma|ict|part|proc"
"""How words begin that follow "post" where it speaks of a place, an operation, a treatment or an event."""

POST = rf"(?<!foss[ae] )\bpost(?! ?({NOT_AGENT}))\w*"

WITH_CONTRAST = (
    rf"{POST}|\+ ?(c|k|gd|km|cm|iv|gad\w*|[ck]ontrast\w*)\b|\+ ?$|\bc ?\+|\b(gd|gad\w*|dotarem|magnevist)\b|"
    r"\b(prohance|multihance|clariscan)\b|kontrast\w*|contrast\w*|\binj(ect\w*)?\b|\bmdc\b|\bciv\b|\benh\w*|\bce\b|"
    r"\bkm\w*\b|\bapres\b|\bdopo\b"
)
"""Words for "after contrast agent". A plus sign also joins regions ("head + orbit"), so it counts only with a word for
the agent or at the end."""

ACCENTS = str.maketrans({"ä": "a", "ö": "o", "ü": "u", "ß": "s", "é": "e", "è": "e", "ê": "e", "à": "a"})


def plain_text(series: Series) -> str:
    """Return description, protocol and sequence name as lower-case words; only ``+-*/`` are kept."""
    text = " | ".join((series.description, series.protocol, series.physics.sequence_name)).lower().translate(ACCENTS)
    return re.sub(r"[^a-z0-9+*/|-]+|(?<=\w)[-](?=\w)", " ", text)


def word_votes(series: Series) -> tuple[Vote, ...]:
    """Return the weighting that the series is named for; none where the words say nothing."""
    text = plain_text(series)
    for words in WEIGHTINGS:
        if re.search(words.pattern, text):
            return (Vote(words.weighting, WORD_WEIGHT, f"named as {words.weighting}"),)
    return ()


def word_objections(series: Series) -> tuple[str, ...]:
    """Kinds of image that the words name and that are never one of the four sequences."""
    text = plain_text(series)
    return tuple(f"named as {kind}" for pattern, kind in NEVER if re.search(pattern, text))


def contrast_words(series: Series) -> int:
    """Return 1 where the words say after, -1 before contrast agent, 0 where they say neither."""
    lines = (line.lower().translate(ACCENTS) for line in (series.description, series.protocol))
    text = "\n".join(re.sub(r"[^a-z0-9+/-]+|(?<=[a-z0-9]{2})-(?=[a-z0-9]{2})", " ", line) for line in lines)
    rest = re.sub(WITHOUT_CONTRAST, " ", text, flags=re.MULTILINE)
    if re.search(WITH_CONTRAST, rest, flags=re.MULTILINE):
        return 1
    return -1 if rest != text else 0
