"""What is wrong with a file is said with its line and column, its path, what was found and what was expected; all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.deployment import document
from fiveways.errors import DeploymentError
from fiveways.platform.model import Deployment

API = "{pattern: pass-through, at: /a, target: {url: 'http://b'}, security: [open]}"


def said(text: str) -> list[str]:
    """What is said of a deployment file with this text, a line each."""
    with pytest.raises(DeploymentError) as refused:
        document.validate(document.parse(text, "d.yaml"), Deployment)
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "programme:\n  patience: soon\n",
            "d.yaml:2:3: programme.patience: found 'soon', expected a duration such as 250ms, 3s, 10m, 24h or 5d",
            id="duration",
        ),
        pytest.param(
            "programme: {availability: 101%}",
            "d.yaml:1:13: programme.availability: found '101%', expected a percentage such as 2% or 99.9%",
            id="percentage",
        ),
        pytest.param(
            "programme: {patience: 99999999999d}",
            "d.yaml:1:13: programme.patience: found '99999999999d', expected a duration of less than a thousand million days",
            id="too long",
        ),
        pytest.param(
            "products: {p: {apis: [a], quota: 5/fortnight}}",
            "d.yaml:1:27: products.p.quota: found '5/fortnight', expected a rate such as 5/s, 300/min, 1000/h or 10000/d",
            id="rate",
        ),
        pytest.param(
            "products: {p: {apis: []}}", "d.yaml:1:16: products.p.apis: found a list, expected at least 1", id="empty list"
        ),
        pytest.param("organisations:\n  RXN: {}\n", "d.yaml:2:3: organisations.RXN.name: is missing, and required", id="missing"),
        pytest.param("organisations: {rxn: {name: x}}", "d.yaml:1:17: organisations.rxn", id="code"),
        pytest.param("programme: []", "d.yaml:1:1: programme: found a list, ", id="list for mapping"),
        pytest.param("organisations: RXN", "d.yaml:1:1: organisations: found 'RXN', expected a mapping", id="text for mapping"),
        pytest.param(
            "programme: {name: 5}", "d.yaml:1:13: programme.name: found 5, expected text (quote it)", id="number for text"
        ),
        pytest.param(
            "applications: {a: {organisation: RXN, approved: perhaps}}",
            "d.yaml:1:39: applications.a.approved: found 'perhaps', expected true or false",
            id="boolean",
        ),
        pytest.param(
            "programme: {alerts: {at_least: many}}",
            "d.yaml:1:22: programme.alerts.at_least: found 'many', expected a whole number",
            id="integer",
        ),
        pytest.param(
            "programme: {alerts: {at_least: 0}}",
            "d.yaml:1:22: programme.alerts.at_least: found 0, input should be greater than or equal to 1",
            id="bound",
        ),
        pytest.param(
            f"apis: {{a: {API.replace('open', 'opne')}}}",
            "apis.a.security[0]: found 'opne', expected 'open', 'api-key', 'signed-jwt' or 'client-certificate'",
            id="choice",
        ),
        pytest.param(
            f"apis: {{a: {API.replace('/a', 'a/')}}}", "apis.a.at: found 'a/', expected text that matches ^(/", id="pattern"
        ),
        pytest.param(
            f"apis: {{a: {API.replace('[open]', '[open, api-key]')}}}",
            "apis.a: found a mapping, open lets everyone in, so it must be the last of several security contexts",
            id="across keys",
        ),
        pytest.param("status: {keys: [plain]}", "d.yaml:1:17: status.keys[0]: ", id="in a list"),
        pytest.param(
            "listeners: {m: {http: '1.1.1.1:1', https: '1.1.1.1:2'}}",
            "d.yaml:1:13: listeners.m: found a mapping, expected one of http, https, mllp, sftp and realtime",
            id="either",
        ),
    ],
)
def test_a_mistake_is_said_with_its_place(text: str, expected: str) -> None:
    (line,) = said(text)
    assert expected in line
    assert line.startswith("d.yaml:1:" if "\n" not in text else "d.yaml:2:")


@pytest.mark.parametrize(
    ("text", "path", "hint"),
    [
        ("programe: {}", "programe", "did you mean 'programme'?"),
        ("programme: {pateince: 3s}", "programme.pateince", "did you mean 'patience'?"),
        (
            "programme: {alerts: {webhook: {url: 'http://a', secrte: 'env:A'}}}",
            "programme.alerts.webhook.secrte",
            "did you mean 'secret'?",
        ),
        ("organisations: {RXN: {name: x, nmae: y}}", "organisations.RXN.nmae", "did you mean 'name'?"),
        (f"apis: {{a: {API[:-1]}, limit: {{}}}}}}", "apis.a.limit", "did you mean 'limits'?"),
        (
            f"apis: {{a: {API[:-1]}, operations: [{{match: GET /a, idempotnt: true}}]}}}}",
            "apis.a.operations[0].idempotnt",
            "did you mean 'idempotent'?",
        ),
        ("organisations: {RXN: {name: x, zzz: y}}", "organisations.RXN.zzz", "expected one of: name"),
        (
            "applications: {w: {organisation: RXN, certificates: [{dsn: a, dns: b}]}}",
            "applications.w.certificates[0].dsn",
            "did you mean 'dns'?",
        ),
    ],
)
def test_an_unknown_key_is_answered_with_a_suggestion(text: str, path: str, hint: str) -> None:
    (line,) = said(text)
    assert f": {path}: unknown key; {hint}" in line


@pytest.mark.parametrize("value", ["5", "[a]", "ftp://x", "plain"])
def test_a_value_that_may_be_of_two_kinds_is_named_by_its_own_path(value: str) -> None:
    """`jwks` is a place or a set written out: the path in the message is the file's, whichever was tried."""
    lines = said(f"applications:\n  w:\n    organisation: RXN\n    jwks: {value}\n")
    assert lines
    assert all(line.startswith("d.yaml:4:5: applications.w.jwks: found ") for line in lines)


def test_a_key_of_a_set_written_out_is_named_with_its_place() -> None:
    lines = said("applications: {w: {organisation: RXN, jwks: {kees: []}}}")
    assert any("applications.w.jwks.kees: unknown key; did you mean 'keys'?" in line for line in lines)
    assert not any("InlineJwks" in line or "str" in line.split(": ")[1] for line in lines)


def test_several_mistakes_are_said_at_once_in_the_order_of_the_file() -> None:
    lines = said(
        "programme: {patience: x}\norganisations:\n  RXN: {}\n  rxn: {name: y}\n"
        "apis:\n  a:\n    pattern: pass-thru\n    at: /a\n    target: {url: 'ftp://b'}\n"
    )
    assert [(line.split(":")[1], line.split(": ")[1]) for line in lines] == [
        ("1", "programme.patience"), ("3", "organisations.RXN.name"), ("4", "organisations.rxn.[key]"), ("6", "apis.a.security"),
        ("7", "apis.a.pattern"), ("9", "apis.a.target.url"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "status: {keys: [hunter2-hunter2]}",
        "applications: {a: {organisation: RXN, api_keys: [hunter2-hunter2]}}",
        "identity: {providers: {p: {issuer: 'https://a', kind: nhs-cis2, client: {id: a, secret: hunter2-hunter2}}}}",
        "programme: {alerts: {webhook: {url: 'http://a', secret: hunter2-hunter2}}}",
        "store: {url: 'postgresql://u:hunter2-hunter2@h/x'}",
    ],
)
def test_a_secret_written_in_place_is_refused_and_not_repeated(text: str) -> None:
    (line,) = said(text)
    assert "hunter2" not in line


def test_what_was_found_is_cut_to_a_line() -> None:
    (line,) = said(f"programme: {{patience: {'x' * 500}}}")
    assert len(line) < 200
    assert "…'" in line


# --- YAML -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\nb: 2", "d.yaml:2:"),
        ("a: b: c", "d.yaml:1:5: not YAML: "),
        ("a: 'x", "d.yaml:1:"),
        ("\ta: 1", "d.yaml:1:1: not YAML: "),
        ("a: *b", "d.yaml:1:4: not YAML: "),
        ("a: 1\n---\nb: 2", "d.yaml:2:1: not YAML: "),
        ("a: 1\nb: \x00", "d.yaml:"),
        ("- a", "d.yaml:1:1: (the file): found a list, expected a mapping such as 'apis: …'"),
        ("just text", "d.yaml:1:1: (the file): found 'just text', expected a mapping"),
        ("5", "d.yaml:1:1: (the file): found 5, expected a mapping"),
        ("a: 2026-13-45", "d.yaml:1:1: a: found '2026-13-45': "),
    ],
)
def test_what_is_no_mapping_in_yaml_is_refused(text: str, expected: str) -> None:
    (line,) = said(text)
    assert line.startswith(expected)


def test_duplicate_keys_are_all_refused_at_their_second_place() -> None:
    lines = said("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert [line[: line.index(": ")] for line in lines] == ["d.yaml:2:11", "d.yaml:3:1"]
    assert "the key 'c' stands here again (first on line 2)" in lines[0]
    assert "the key 'a' stands here again (first on line 1)" in lines[1]


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['true']",
        "!!python/name:os.system ''",
        "!mine x",
        "!mine {a: 1}",
        "!mine [1]",
        "!!set {a}",
        "!!omap []",
        "!!binary '!'",
    ],
)
def test_a_tag_is_refused(value: str) -> None:
    (line,) = said(f"a: {value}")
    assert line.startswith("d.yaml:1:1: a: found the tag ")


def test_an_alias_is_the_value_it_stands_for() -> None:
    read = document.parse("a: &x {b: 1}\nc: *x\n")
    assert read.data == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)), id="bomb"
        ),
        pytest.param("a: &a [*a]", id="in itself"),
        pytest.param("a: &a {b: *a}", id="in itself, as a mapping"),
        pytest.param("a: " + "[" * 64 + "]" * 64, id="deep"),
        pytest.param("a: " + "{b: " * 64 + "c" + "}" * 64, id="deep, as mappings"),
        pytest.param("[" * 1_000_000, id="so deep that no stack would hold it"),
    ],
)
def test_what_grows_without_end_or_too_deep_is_refused(text: str) -> None:
    (line,) = said(text)
    assert "nested too deeply" in line


def test_an_empty_file_is_an_empty_deployment() -> None:
    assert document.parse("").data == {}
    assert document.parse("# nothing\n").data == {}


def test_a_file_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    for file, content in (("none.yaml", None), ("latin.yaml", b"a: \xe9"), ("large.yaml", b"#" * (document.MAX_BYTES + 1))):
        if content is not None:
            (tmp_path / file).write_bytes(content)
        with pytest.raises(DeploymentError, match=file):
            document.read(tmp_path / file)


SCALARS = st.none() | st.booleans() | st.integers() | st.text("abc: -#[]{}\"'\n\u20ac", max_size=8)
DATA = st.dictionaries(
    st.text("abc.[]", min_size=1, max_size=4),
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", min_size=1), inner, max_size=3)
    ),
    max_size=4,
)


@given(DATA)
def test_every_part_of_a_file_has_its_place(data: dict[str, object]) -> None:
    """What is written comes back, and where each key is said to stand, it stands."""
    import yaml

    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
    read = document.parse(text)
    assert read.data == data
    lines = text.splitlines()
    for key in data:
        line, column = read.position((key,))
        assert column == 1
        assert lines[line - 1].lstrip("? ").lstrip("'\"").startswith(key[:1])


def test_the_place_of_what_is_not_there_is_the_nearest_thing_around_it() -> None:
    read = document.parse("a:\n  b:\n    - c\n")
    assert read.position(("a", "b", 0)) == (3, 7)
    assert read.position(("a", "b", 7, "x")) == (2, 3)
    assert read.position(("z",)) == (1, 1)


def test_paths_are_written_as_people_write_them() -> None:
    assert document.path(("apis", "patients", "security", 0)) == "apis.patients.security[0]"
    assert document.path(()) == ""
