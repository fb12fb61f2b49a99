"""Languages, as FHIR names them (BCP 47), by the codes that senders have for them (ISO 639)."""

from __future__ import annotations

import re

BCP_47 = "urn:ietf:bcp:47"
_TAG = re.compile(r"([a-z]{2})(-[A-Z]{2})?")
_TWO = frozenset(
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo "
    "es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg "
    "ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na nb nd ne ng nl "
    "nn no nr nv ny oc oj om or os pa pi pl ps pt q1 q2 q3 q4 q5 qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr "
    "ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu".split()
)
"""Codes of two letters (ISO 639-1)."""
_THREE = dict(
    pair.split(":")
    for pair in (
        "ara:ar ben:bn bul:bg cat:ca ces:cs cze:cs chi:zh zho:zh cym:cy wel:cy dan:da deu:de ger:de ell:el gre:el eng:en est:et "
        "fas:fa per:fa fin:fi fra:fr fre:fr gle:ga gla:gd guj:gu hat:ht heb:he hin:hi hrv:hr hun:hu hye:hy arm:hy isl:is ice:is "
        "ita:it jpn:ja kan:kn kat:ka geo:ka kor:ko kur:ku lav:lv lin:ln lit:lt mal:ml mar:mr mkd:mk mac:mk msa:ms may:ms mya:my "
        "bur:my nep:ne nld:nl dut:nl nor:no pan:pa pol:pl por:pt pus:ps ron:ro rum:ro rus:ru sin:si slk:sk slo:sk slv:sl sna:sn "
        "som:so spa:es sqi:sq alb:sq srp:sr swa:sw swe:sv tam:ta tel:te tgl:tl tha:th tir:ti tur:tr ukr:uk urd:ur vie:vi wol:wo "
        "yor:yo amh:am aze:az bos:bs eus:eu baq:eu glg:gl hau:ha ibo:ig kaz:kk lug:lg mlt:mt mon:mn orm:om snd:sd tat:tt tuk:tk "
        "uzb:uz xho:xh yid:yi zul:zu"
    ).split()
)
"""Those by codes of three letters (ISO 639-2)."""


def tag(code: str) -> str:
    """The language tag of a code: `en` of EN and eng; '' where it is of no known language."""
    match = _TAG.fullmatch(code) or _TAG.fullmatch(code.lower())
    if match is not None and match[1] in _TWO:
        return match[0]
    return _THREE.get(code.lower(), "")
