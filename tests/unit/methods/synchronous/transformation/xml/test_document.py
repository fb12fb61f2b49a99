"""XML from elsewhere does no harm, whatever it is: it is read, or refused with a reason that repeats nothing of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.methods.synchronous.transformation.xml.document import (
    Limits,
    XmlRefused,
    XmlTooLarge,
    charset_of,
    make,
    parse,
    serialize,
)

TEXT = "<a>Zoë £5</a>"


@pytest.mark.parametrize(
    ("content", "charset"),
    [
        (TEXT.encode(), ""),
        (b"\xef\xbb\xbf" + TEXT.encode(), ""),
        (TEXT.encode("utf-16"), ""),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), ""),
        (TEXT.encode("utf-16-le"), ""),
        (f"<?xml version='1.0' encoding='UTF-16'?>{TEXT}".encode("utf-16"), ""),
        (f"<?xml version='1.0' encoding='ISO-8859-1'?>{TEXT}".encode("latin-1"), ""),
        (f'<?xml version="1.0" encoding="windows-1252" standalone="yes"?>\n{TEXT}'.encode("cp1252"), ""),
        (f"<?xml version='1.0' encoding='UTF-8'?>{TEXT}".encode("latin-1"), "iso-8859-1"),
        (f"<?xml version='1.0' encoding='ISO-8859-1'?>{TEXT}".encode(), "utf-8"),
        (b"\xef\xbb\xbf" + f"<?xml version='1.0' encoding='ISO-8859-1'?>{TEXT}".encode(), "iso-8859-1"),
    ],
)
def test_encodings_are_honoured(content: bytes, charset: str) -> None:
    assert parse(content, charset).text == "Zoë £5"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"+ADw-a+AD4-x+ADw-/a+AD4-", "not well-formed"),
        (b"<?xml version='1.0' encoding='UTF-7'?><a>+ADw-</a>", "encoding that is not read"),
        (b"<?xml version='1.0' encoding='UTF-16'?><a/>", "encoding that is not read"),
        (b"<?xml version='1.0' encoding='cp037'?><a/>", "encoding that is not read"),
        (b"<?xml version='1.0' encoding='idna'?><a/>", "encoding that is not read"),
        (b"<?xml version='1.0' encoding='hex'?><a/>", "encoding that is not read"),
        ("<a/>".encode("utf-32"), "encoding that is not read"),
        (b"<a>\xff</a>", "not in utf-8"),
        (b"<a>\xed\xa0\x80</a>", "not in utf-8"),
        (b"<a>\x00</a>", "not well-formed"),
        (b"<a/>\x00", "not well-formed"),
        (b"<a>&#0;</a>", "not well-formed"),
        (b"<a>&nbsp;</a>", "not well-formed"),
        (b"", "not well-formed"),
        (b"   ", "not well-formed"),
        (b"\xef\xbb\xbf", "not well-formed"),
        (b"<a><b></a>", "not well-formed"),
        (b"<a", "not well-formed"),
        (b"<a/><b/>", "not well-formed"),
        (b"<a b='1' b='2'/>", "not well-formed"),
        (b"<p:a/>", "not well-formed"),
        (b"{}", "not well-formed"),
    ],
)
def test_what_is_no_xml_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(XmlRefused, match=why):
        parse(content)


LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12))


@pytest.mark.parametrize(
    "content",
    [
        f"<!DOCTYPE a [<!ENTITY l0 'lol'>{LAUGHS}]><a>&l11;</a>",
        f"<!DOCTYPE a [<!ENTITY x '{'x' * 50_000}'>]><a>{'&x;' * 50_000}</a>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'http://127.0.0.1:9/'>]><a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://127.0.0.1:9/'> %x;]><a/>",
        "<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'><a/>",
        "<!DOCTYPE a PUBLIC '-//x' 'http://127.0.0.1:9/a.dtd'><a/>",
        "<!DOCTYPE a [<!ATTLIST a b CDATA 'x'>]><a/>",
        "<!DOCTYPE a><a/>",
        "<?xml version='1.0'?><!-- x --><!DOCTYPE a><a/>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused_at_once(content: str, encoding: str) -> None:
    began = time.monotonic()
    with pytest.raises(XmlRefused, match="DOCTYPE"):
        parse(content.encode(encoding))
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<a>" * 101 + b"</a>" * 101, "deep"),
        (b"<a>" * 500_000, "deep"),
        (b"<a>" + b"<b/>" * 100_000 + b"</a>", "elements"),
        (b"<a " + b" ".join(b"a%d='1'" % n for n in range(65)) + b"/>", "attributes"),
        (b"<a " + b" ".join(b"xmlns:a%d='u:%d'" % (n, n) for n in range(65)) + b"/>", "attributes"),
        (b"<" + b"a" * 257 + b"/>", "name"),
        (b"<a " + b"b" * 257 + b"='1'/>", "name"),
        (b"<a>" + b"x" * (8 * 2**20) + b"</a>", "longer"),
    ],
)
def test_what_is_too_much_is_refused(content: bytes, why: str) -> None:
    began = time.monotonic()
    with pytest.raises(XmlTooLarge, match=why):
        parse(content)
    assert time.monotonic() - began < 2


def test_limits_are_what_is_still_read() -> None:
    limits = Limits(size=100, depth=2, elements=3, attributes=1)
    assert len(parse(b"<a c='1'><b/><b/></a>", limits=limits)) == 2
    for more in (b"<a c='1' d='1'/>", b"<a><b><c/></b></a>", b"<a><b/><b/><b/></a>", b"<a>" + b" " * 94 + b"</a>"):
        with pytest.raises(XmlTooLarge):
            parse(more, limits=limits)


def test_nothing_is_included_and_comments_do_not_part_a_text(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    root = parse(
        f"<a xmlns:i='http://www.w3.org/2001/XInclude'><?x y?><i:include href='{secret}' parse='text'/>"
        "<b>12<!-- 3 -->45</b></a>".encode()
    )
    assert b"secret</" not in serialize(root)
    assert root.findtext("b") == "1245"


def test_reasons_repeat_nothing() -> None:
    for content in (b"<a>Khan</b>", b"<a Khan>", b"<!DOCTYPE Khan><Khan/>", b"Khan", b"<?xml version='1.0' encoding='Khan'?><a/>"):
        with pytest.raises(XmlRefused) as refused:
            parse(content)
        assert "Khan" not in str(refused.value)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        parse(content)
    except XmlRefused:
        pass


@given(st.text(st.sampled_from("<>a/!?[]'\"= &;#x-\x00DOCTYPEN"), max_size=120), st.sampled_from(["utf-8", "utf-16", "latin-1"]))
def test_anything_like_xml_is_read_or_refused(text: str, encoding: str) -> None:
    try:
        root = parse(text.encode(encoding), "" if encoding == "utf-16" else encoding)
    except XmlRefused:
        return
    assert root.getroottree().docinfo.internalDTD is None


@given(st.data())
def test_a_document_that_breaks_off_is_refused(data: st.DataObject) -> None:
    whole = serialize(parse(b"<a xmlns:p='u'><p:b c='1'>text</p:b><d/></a>"))
    with pytest.raises(XmlRefused):
        parse(whole[: data.draw(st.integers(0, len(whole) - 1))])


xml_text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), max_size=20)


@given(xml_text, xml_text)
def test_what_is_written_is_read_again(text: str, attribute: str) -> None:
    root = make("{urn:x}a", {None: "urn:x"})
    root.text = text
    root.set("b", attribute)
    again = parse(serialize(root))
    assert (again.tag, again.text or "", again.get("b")) == ("{urn:x}a", text, attribute)


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [("text/xml", ""), ("text/xml; charset=utf-8", "utf-8"), ('application/soap+xml;charset="UTF-16"; action="x"', "UTF-16")],
)
def test_the_charset_of_a_media_type(content_type: str, charset: str) -> None:
    assert charset_of(content_type) == charset
