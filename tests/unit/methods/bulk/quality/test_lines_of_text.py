"""CSV and fixed width: what is a record, what is none, and that none costs another."""

from __future__ import annotations

from collections import Counter
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.unit.methods.bulk.quality.examined import look, settings

from fiveways.methods.bulk.quality import lines

THREE = {"columns": {"id": {"required": True}, "name": {}, "note": {}}}
PLAIN = settings(**THREE)
SEVERAL = settings(**THREE, lines=5)
HEAD = b"id,name,note\n"


def test_good_records_go_on_as_they_came() -> None:
    source = HEAD + b'1,a,x\n2,"b, c","say ""so"""\r\n3,,\n'
    found = look(source, PLAIN)
    assert (found.good, found.bad, found.examination.verdict) == (source, [], "good")
    assert (found.examination.records, found.examination.columns["name"].nulls) == (3, 1)


def test_too_few_and_too_many_values_are_each_their_own_lines_fault() -> None:
    found = look(HEAD + b"1,a,x\n2,b\n3,c,x,y\n4,d,x\n", PLAIN)
    assert found.rules == {2: ["columns"], 3: ["columns"]}
    assert found.good == HEAD + b"1,a,x\n4,d,x\n"
    assert [(each.line, each.offset, each.raw) for each in found.bad] == [(3, 19, b"2,b\n"), (4, 23, b"3,c,x,y\n")]
    assert found.bad[0].breaches[0].note == "2 values instead of 3"
    assert found.examination.malformed == 2


@pytest.mark.parametrize("stray", [b'2,"b,x', b'2,b",x', b'2,"b"c,x', b'2,b,"', b'2, "b",x', b'"'])
@pytest.mark.parametrize("said", [PLAIN, SEVERAL], ids=["one line", "several"])
def test_a_stray_quote_costs_its_own_line_and_no_other(stray: bytes, said: object) -> None:
    others = b'3,c,x\n4,"d",x\n5,"e ""f""",x\n6,g,x\n'
    found = look(HEAD + b"1,a,x\n" + stray + b"\n" + others, said)  # type: ignore[arg-type]
    assert found.rules == {2: ["quote"]}
    assert found.good == HEAD + b"1,a,x\n" + others


def test_a_quoted_value_may_hold_line_ends_where_the_feed_says_so() -> None:
    source = HEAD + b'1,a,"first\nsecond\n\nfourth"\n2,b,x\n'
    found = look(source, SEVERAL)
    assert (found.good, found.examination.records, found.examination.blank) == (source, 2, 0)
    assert look(source, PLAIN).examination.records == 4


def test_a_record_of_several_lines_has_the_line_that_it_begins_on() -> None:
    found = look(HEAD + b'1,a,"x\ny"\n,b,x\n,c,"x\ny"\n', SEVERAL)
    assert [(each.number, each.line, each.raw) for each in found.bad] == [(2, 4, b",b,x\n"), (3, 5, b',c,"x\ny"\n')]


def test_a_quote_that_two_lines_leave_open_swallows_no_whole_record_between_them() -> None:
    found = look(HEAD + b'1,a,"x\n2,b,x\n3,c,x"\n4,d,x\n', SEVERAL)
    assert found.rules == {1: ["quote"], 3: ["quote"]}
    assert found.good == HEAD + b"2,b,x\n4,d,x\n"


def test_a_value_with_more_lines_than_allowed_is_malformed_line_by_line() -> None:
    found = look(HEAD + b'1,a,"' + b"x\n" * 9 + b'"\n2,b,x\n', SEVERAL)
    assert found.good == HEAD + b"2,b,x\n"
    assert found.examination.records == 11
    assert found.examination.bad == 10


def test_bytes_that_are_no_text_and_nul_are_their_own_lines_faults() -> None:
    found = look(HEAD + b"1,\xe9,x\n2,b\0,x\n3,\xc3\xa9,x\n", PLAIN)
    assert found.rules == {1: ["encoding"], 2: ["nul"]}
    assert found.good == HEAD + b"3,\xc3\xa9,x\n"
    assert found.bad[0].raw == b"1,\xe9,x\n"


def test_a_gigantic_line_is_kept_as_far_as_it_may_be_and_passed_over() -> None:
    said = settings(**THREE, limits={"line": 100})
    size = 3 * lines.BLOCK + 17
    found = look((each for each in (HEAD + b"1,a,x\n", b"z" * size, b"\n2,b,x\n")), said)
    assert found.rules == {2: ["too-long"]}
    assert found.good == HEAD + b"1,a,x\n2,b,x\n"
    (record,) = found.bad
    assert record.raw == b"z" * 100
    assert record.cut == size + 1 - 100
    assert (record.line, record.offset) == (3, len(HEAD) + 6)


def test_a_line_over_the_longest_is_bad_wherever_it_stands() -> None:
    said = settings(**THREE, limits={"line": 100})
    found = look(HEAD + b"1,a,x\n2,b," + b"y" * 100 + b"\n3,c,x\n4,d," + b"y" * 100, said)
    assert found.rules == {2: ["too-long"], 4: ["too-long"]}
    assert [len(each.raw) + each.cut for each in found.bad] == [105, 104]
    assert found.good == HEAD + b"1,a,x\n3,c,x\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_line_ends_are_what_the_file_has(end: bytes) -> None:
    source = end.join((b"id,name,note", b"1,a,x", b",b,x", b"3,c,x", b"4,d,x"))
    found = look(source, PLAIN)
    assert found.rules == {2: ["required"]}
    assert [each.line for each in found.bad] == [3]
    assert found.good == end.join((b"id,name,note", b"1,a,x", b"3,c,x", b"4,d,x", b""))


def test_a_carriage_return_inside_a_line_is_none_of_a_value() -> None:
    found = look(HEAD + b'1,a\rb,x\n2,"a\rb",x\n3,c,x\r\n', PLAIN)
    assert found.rules == {1: ["quote"]}
    assert found.good == HEAD + b'2,"a\rb",x\n3,c,x\r\n'


def test_a_byte_order_mark_is_not_part_of_the_first_columns_name() -> None:
    found = look(b"\xef\xbb\xbf" + HEAD + b"1,a,x\n,b,x\n", PLAIN)
    assert found.good == HEAD + b"1,a,x\n"
    assert found.bad[0].offset == 3 + len(HEAD) + 6


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le"])
def test_other_encodings_are_read_and_written_again(encoding: str) -> None:
    said = settings(**THREE, encoding=encoding)
    found = look("id,name,note\n1,Zoë,x\n,b,x\n3,Renée,x\n".encode(encoding), said)
    assert found.good == "id,name,note\n1,Zoë,x\n3,Renée,x\n".encode(encoding)
    assert found.rules == {2: ["required"]}


def test_a_byte_that_an_encoding_has_not_is_its_own_lines_fault() -> None:
    found = look(b"id,name,note\n1,\x81,x\n2,\xe9,x\n", settings(**THREE, encoding="cp1252"))
    assert found.rules == {1: ["encoding"]}
    assert found.good == b"id,name,note\n2,\xe9,x\n"


def test_half_a_character_at_the_end_is_its_own_lines_fault() -> None:
    found = look("id,name,note\n1,a,x\n2,b,x".encode("utf-16-le") + b"\x00", settings(**THREE, encoding="utf-16-le"))
    assert found.rules == {2: ["encoding"]}
    assert found.examination.good == 1


def test_blank_lines_are_no_records() -> None:
    found = look(HEAD + b"\n1,a,x\n\n\r\n2,b,x\n\n", PLAIN)
    assert found.good == HEAD + b"1,a,x\n2,b,x\n"
    assert (found.examination.records, found.examination.blank) == (2, 4)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (b"", "empty"),
        (b"\n\n", "header"),
        (b"id,name\n1,a\n", "header"),
        (b"id,name,note,more\n1,a,x,y\n", "columns"),
        (b"id,name,note,note\n", "header"),
        (b'id,"name,note\n', "header"),
        (b"\xff\xfei\0d\0", "header"),
    ],
)
def test_a_file_without_the_columns_is_rejected(source: bytes, code: str) -> None:
    found = look(source, PLAIN)
    assert found.examination.verdict == "rejected"
    assert found.examination.fault is not None
    assert found.examination.fault.code == code
    assert not found.batches


def test_a_fault_of_the_header_does_not_show_what_stands_there() -> None:
    found = look(b"9434765919,Khan,x\n", PLAIN)
    assert found.examination.fault is not None
    assert "9434765919" not in found.examination.fault.text
    assert "Khan" not in found.examination.fault.text


def test_a_header_alone_is_a_file_of_no_records() -> None:
    found = look(HEAD, PLAIN)
    assert (found.examination.verdict, found.examination.records, found.examination.header) == ("good", 0, HEAD)


def test_columns_may_come_in_another_order_and_more_of_them_where_allowed() -> None:
    source = b"note,extra,id,name\nx,y,1,a\nx,y,,b\n"
    found = look(source, settings(**THREE, extra_columns="allow"))
    assert found.rules == {2: ["required"]}
    assert found.good == b"note,extra,id,name\nx,y,1,a\n"


def test_a_file_may_have_no_header() -> None:
    found = look(b"1,a,x\n,b,x\n", settings(**THREE, header=False))
    assert (found.good, found.rules) == (b"1,a,x\n", {2: ["required"]})


@pytest.mark.parametrize("delimiter", ["|", "\t", ";", "^", "-", " "])
def test_delimiter_quote_and_escape_are_the_feeds(delimiter: str) -> None:
    said = settings(**THREE, delimiter=delimiter, quote="'", escape="\\")
    text = "id,name,note\n1,'a\\'b','c,d'\n2,x\\,y,z\n3,'open,x\n,q,x\n".replace(",", delimiter)
    found = look(text.encode(), said)
    assert found.rules == {3: ["quote"], 4: ["required"]}
    assert found.good == "id,name,note\n1,'a\\'b','c,d'\n2,x\\,y,z\n".replace(",", delimiter).encode()


def test_without_a_quote_every_character_is_one_of_the_value() -> None:
    found = look(HEAD + b'1,"a,x\n2,b"c,x\n', settings(**THREE, quote=""))
    assert found.examination.good == 2


def test_a_trailer_is_no_record_and_says_how_many_there_are() -> None:
    said = settings(**THREE, trailer=r"T\|(?P<count>[0-9]+)\|(?P<sum>.*)")
    found = look(HEAD + b"1,a,x\n2,b,x\nT|5|12.50\n\n", said)
    assert found.good == HEAD + b"1,a,x\n2,b,x\n"
    trailer = found.examination.trailer
    assert trailer is not None
    assert (trailer.line, trailer.count, trailer.values["sum"]) == (4, 5, "12.50")
    assert found.examination.records == 2


def test_a_trailer_inside_the_file_is_a_bad_line_and_a_missing_one_is_missed() -> None:
    said = settings(**THREE, trailer=r"T\|(?P<count>[0-9]+)")
    found = look(HEAD + b"1,a,x\nT|1\n2,b,x\n", said)
    assert (found.examination.trailer, found.rules) == (None, {2: ["columns"]})


def test_a_trailer_is_found_where_a_block_ends_just_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = settings(**THREE, trailer=r"T\|(?P<count>[0-9]+)")
    source = HEAD + b"1,a,x\n2,b,x\n" * 8 + b"T|16\n\n"
    for size in range(1, len(source) + 2, 3):
        monkeypatch.setattr(lines, "BLOCK", size)
        found = look(source, said)
        assert found.examination.trailer is not None, size
        assert (found.examination.trailer.line, found.examination.records, found.examination.bad) == (18, 16, 0)


@pytest.mark.parametrize("block", [50, 4096])
@pytest.mark.parametrize("end", [b"", b"\n" * 20])
def test_short_lines_are_given_some_at_a_time(monkeypatch: pytest.MonkeyPatch, block: int, end: bytes) -> None:
    monkeypatch.setattr(lines, "BLOCK", block)
    monkeypatch.setattr(lines, "MOST", 8)
    said = settings(**THREE, trailer="T(?P<count>[0-9]+)", lines=5)
    records = [b'%d,"a\nb\nc",\n' % at if at % 5 == 0 else b"%d,,\n" % at if at % 3 else b"x\n" for at in range(100)]
    found = look(HEAD + b"".join(records) + b"T100" + end, said)
    assert found.good == HEAD + b"".join(each for each in records if each != b"x\n")
    assert [each.number for each in found.bad] == [at + 1 for at, each in enumerate(records) if each == b"x\n"]
    assert [each.line for each in found.bad[:2]] == [7, 12]
    assert found.examination.trailer is not None
    assert found.examination.trailer.line == 142
    assert len(found.batches) > 5


def test_a_bad_record_whose_line_does_not_end_does_not_glue_others_together() -> None:
    found = look(HEAD + b"1,a,x\n2,b,x", PLAIN)
    assert found.good == HEAD + b"1,a,x\n2,b,x\n"


def test_fixed_width_lines_are_cut_where_the_columns_are() -> None:
    said = settings(
        format="fixed",
        columns={
            "id": {"start": 1, "width": 3, "required": True},
            "born": {"start": 4, "width": 8, "type": "date", "format": "%Y%m%d"},
            "name": {"start": 12, "width": 4},
        },
        trailer=r"END(?P<count>[0-9]{5})",
    )
    source = (
        b"00119800101Zo\xc3\xab \n   19800101Bob \n003198001\n00419800230Ann \n00519800101Anna  \n00619800101Annabel\nEND00005\n"
    )
    found = look(source, said)
    assert found.broken == {2: [("required", "id")], 3: [("columns", None)], 4: [("type", "born")], 6: [("columns", None)]}
    assert found.good == b"00119800101Zo\xc3\xab \n00519800101Anna  \n"
    assert found.examination.trailer is not None
    assert found.examination.trailer.count == 5


WELL = st.tuples(st.integers(0, 10**6), st.sampled_from(["a", '"b, c"', '"d ""e"""', ""]), st.sampled_from(["x", '"y"', ""])).map(
    lambda each: f"{each[0]},{each[1]},{each[2]}"
)
ILL = st.sampled_from(['1,"a', '1,a"b,c', "1,2", "1,2,3,4", '","', '"', '1,"a"b,c', "1,\0,x", "1,\udce9,x", '"""', '1,",x', '""",'])


@hypothesis_settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(WELL.map(lambda each: (True, each)), ILL.map(lambda each: (False, each))), max_size=30),
    st.sampled_from([7, 40, 4096]),
    st.sampled_from([PLAIN, SEVERAL]),
)
def test_every_well_formed_line_is_accounted_for_exactly_once(given_: list[tuple[bool, str]], block: int, said: object) -> None:
    source = HEAD + "".join(f"{line}\n" for _, line in given_).encode("utf-8", "surrogateescape")
    with mock.patch.object(lines, "BLOCK", block):
        found = look(source, said)  # type: ignore[arg-type]
    well = [line for fine, line in given_ if fine]
    kept = found.good.removeprefix(HEAD).decode().splitlines()
    assert kept == well if said is PLAIN else not Counter(well) - Counter(kept)
    everything = sorted(
        [*found.good.removeprefix(HEAD).splitlines(), *(each for one in found.bad for each in one.raw.splitlines())]
    )
    assert everything == sorted(source.removeprefix(HEAD).splitlines())
    assert found.examination.records == found.examination.good + len(found.bad)
