"""Nothing is undocumented: settings, commands, faults, refusals, policies, rules. And the pages are made of what they say."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from mkdocs.exceptions import PluginError
from pydantic import Field
from starlette.status import HTTP_400_BAD_REQUEST

from fiveways.deployment.settings import Settings
from fiveways.errors import Fault
from fiveways.platform.model import Deployment

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
WIDEST = 80
"""How many characters of code fit beside the table of contents of a page."""
SVG = "{http://www.w3.org/2000/svg}"
BLANK = ("commands",)
"""Whose tables may have a blank cell."""
POLICIES = ROOT / "src" / "fiveways" / "methods" / "synchronous" / "policies"


@pytest.fixture(scope="module")
def docs() -> Iterator[dict[str, ModuleType]]:
    """The modules that make the pages, by name, as the site's build imports them."""
    names = ("reference_pages", "drawing", "benchmark_pages", "generate")
    before = sys.path.copy()
    sys.path.insert(0, str(DOCS))
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path[:] = before
        for name in names:
            sys.modules.pop(name, None)


def test_every_setting_is_documented(docs: dict[str, ModuleType]) -> None:
    reference = docs["reference_pages"]
    for model in reference.models():
        assert reference.document(model)
        for name in model.model_fields:
            assert reference.describe(model, name)


def test_an_undocumented_setting_is_found(docs: dict[str, ModuleType]) -> None:
    class Bare(Settings):
        """Documented itself."""

        setting: int = 0

    class Silent(Settings):
        setting: int = Field(default=0, description="said")

    with pytest.raises(LookupError, match=r"Bare\.setting has no documentation"):
        docs["reference_pages"].describe(Bare, "setting")
    Silent.__doc__ = None
    with pytest.raises(LookupError, match="Silent has no docstring"):
        docs["reference_pages"].document(Silent)


def test_every_setting_is_in_the_reference_with_its_path(docs: dict[str, ModuleType]) -> None:
    page = docs["generate"].PARTS["settings"](DOCS)
    assert "`apis.NAME.operations[].deduplicate`" in page
    for definition in Deployment.model_json_schema(by_alias=True)["$defs"].values():
        for setting in definition.get("properties", {}):
            assert f"| `{setting}` |" in page


def test_defaults_are_written_as_they_would_be_in_the_file(docs: dict[str, ModuleType]) -> None:
    page = docs["generate"].PARTS["settings"](DOCS)
    assert "| `patience` | duration | `3s` |" in page
    assert "| `availability` | percentage | `99.9%` |" in page
    assert "| `body` | size | `10MiB` |" in page
    assert "| `for` | duration | `1d` |" in page


def test_links_inside_the_reference_lead_somewhere(docs: dict[str, ModuleType]) -> None:
    page = docs["generate"].PARTS["settings"](DOCS)
    anchors = set(re.findall(r"\{ #(\w+) \}", page))
    assert set(re.findall(r"\]\(#(\w+)\)", page)) <= anchors


def test_each_settings_model_has_a_heading_of_its_own(docs: dict[str, ModuleType]) -> None:
    names = [model.__name__.lower() for model in docs["reference_pages"].models()]
    assert sorted(names) == sorted(set(names))


def test_every_command_and_every_option_has_help(docs: dict[str, ModuleType]) -> None:
    names = []
    for name, command in docs["reference_pages"].commands():
        names.append(name)
        assert command.help, name
        for parameter in command.params:
            assert getattr(parameter, "hidden", False) or parameter.help, f"{name} {parameter.name}"
    assert {"fiveways serve", "fiveways audit verify", "fiveways key rotate"} <= set(names)


def subclasses(of: type[Fault]) -> Iterator[type[Fault]]:
    """Every fault below another."""
    for each in of.__subclasses__():
        yield each
        yield from subclasses(each)


def test_every_fault_has_a_status_a_code_a_party_and_a_docstring() -> None:
    for fault in subclasses(Fault):
        if not fault.__module__.startswith("fiveways."):
            continue
        assert fault.__doc__, fault
        assert fault.__doc__ != Fault.__doc__, fault
        assert HTTP_400_BAD_REQUEST <= fault.status < 600, fault
        assert re.fullmatch(r"[A-Z][A-Z_]+", fault.code), fault
        assert fault.party in ("consumer", "platform", "provider"), fault
        # Whose fault it is and the class of its status say the same (RFC 9110 §15.5, §15.6).
        assert (fault.status < 500) == (fault.party == "consumer"), fault


def test_every_policy_says_what_it_is_for_and_is_in_the_table(docs: dict[str, ModuleType]) -> None:
    listed = {spec.partition(":")[0] for spec in docs["generate"].POLICIES.values()}
    files = {file.stem for file in POLICIES.glob("*.py") if file.stem != "__init__"}
    assert files - set(docs["generate"].GUARDS) == listed
    for file in files:
        assert ast.get_docstring(ast.parse((POLICIES / f"{file}.py").read_text())), file


def test_the_table_of_policies_is_the_order_that_runs(docs: dict[str, ModuleType]) -> None:
    page = docs["generate"].PARTS["policies"](DOCS)
    order = re.findall(r"\*\*([\w-]+)\*\*", page)
    assert sorted(order) == sorted(docs["generate"].POLICIES)
    assert page.count("`policies/") == len(order)
    inner = ("request-id", "identity", "entitlement", "rate", "behalf", "de-duplication", "retry", "concurrency", "breaker")
    assert tuple(order[-9:]) == inner
    assert order[-10] == "faults"


def test_refusals_are_in_the_security_page_to_the_letter(docs: dict[str, ModuleType]) -> None:
    page = docs["generate"].PARTS["refusals"](DOCS)
    assert "| 400 | `invalid_request` | Non-unique 'jti' claim in client_assertion JWT |" in page


def test_metrics_are_named_as_prometheus_sees_them(docs: dict[str, ModuleType]) -> None:
    page = docs["generate"].PARTS["metrics"](DOCS)
    assert "`fiveways_gateway_over_latency_budget_total`" in page
    assert "`fiveways_gateway_request_duration_seconds_bucket`, `…_sum`, `…_count`<br>histogram |" in page


def test_every_marker_in_a_page_is_generated_and_everything_generated_is_used(docs: dict[str, ModuleType]) -> None:
    used = {name for page in DOCS.rglob("*.md") for name in re.findall(r"<!-- generated: ([a-z-]+) -->", page.read_text())}
    assert used == set(docs["generate"].PARTS)


def test_every_part_is_made_and_no_table_is_empty(docs: dict[str, ModuleType]) -> None:
    for name, make in docs["generate"].PARTS.items():
        part = make(DOCS)
        assert part, name
        for row in re.findall(r"^\|.*\|$", part, flags=re.MULTILINE):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
            # An option may have no default; nothing else is left blank.
            assert all(cells) or (name in BLANK and sum(not cell for cell in cells) == 1), f"{name}: {row}"
        if part.startswith("| "):
            assert part.count("\n") >= 2, name


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ('"""Rate: a quota."""\nclass Rate: ...', "A quota."),
        ('"""Several."""\ndef rate():\n    """Refuse what\n    is over.\n\n    More."""', "Refuse what is over."),
        ('"""Several."""\nasync def rate():\n    """Refuse."""', "Refuse."),
    ],
)
def test_what_a_policy_does_is_read_from_its_source(docs: dict[str, ModuleType], source: str, sentence: str) -> None:
    name = "Rate" if "class" in source else "rate"
    assert docs["generate"].policy_sentence(source, name) == sentence


@pytest.mark.parametrize("source", ['"""Rate, with no sentence."""\nclass Rate: ...', "class Rate: ...", "def Rate(): ..."])
def test_a_policy_that_does_not_say_what_it_does_stops_the_build(docs: dict[str, ModuleType], source: str) -> None:
    with pytest.raises(LookupError, match="does not say"):
        docs["generate"].policy_sentence(source, "Rate")


@pytest.fixture
def hooks(docs: dict[str, ModuleType]) -> ModuleType:
    """What mkdocs calls, loaded as it loads it."""
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_marker_that_nothing_generates_fails_the_build(hooks: ModuleType) -> None:
    with pytest.raises(PluginError, match="nothing generates 'nonsense'"):
        hooks.on_page_markdown("<!-- generated: nonsense -->")


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://cdn.example/x.js">',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img alt="" src="http://img.example/a.png">',
    ],
)
def test_a_page_that_fetches_from_elsewhere_fails_the_build(hooks: ModuleType, element: str) -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    with pytest.raises(PluginError, match="fetches from elsewhere"):
        hooks.on_post_page(f"<head>{element}</head>", page)


def test_links_and_files_of_its_own_are_no_fetching_from_elsewhere(hooks: ModuleType) -> None:
    html = (
        '<link rel="canonical" href="https://fiveways.example/docs/"><a href="https://example.org"></a><script src="assets/x.js">'
    )
    assert hooks.on_post_page(html, None) == html


def test_a_warning_fails_the_build_even_where_it_is_told_to_be_quiet(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "index.md"
    (tmp_path / "mkdocs.yml").write_text(
        f"site_name: A site\ntheme: {{name: material, font: false}}\nplugins: []\nhooks: [{DOCS / 'hooks.py'}]\n"
    )
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    page.write_text("# A page\n")
    assert subprocess.run(build, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    page.write_text("# A page\n\n[a dead link](nowhere.md)\n")
    assert subprocess.run(build, cwd=tmp_path, capture_output=True, check=False).returncode == 1


def result(**cpu: float) -> dict[str, Any]:
    """A benchmark's result as far as the page must have it."""
    return {"cpu_us_per_request": {name.replace("_", "-"): figure for name, figure in cpu.items()}}


def test_the_benchmark_page_copes_with_no_result_half_a_result_and_another_set_of_peers(
    docs: dict[str, ModuleType], tmp_path: Path
) -> None:
    page = docs["benchmark_pages"].gateway_benchmark
    assert "Not measured yet" in page(tmp_path)
    file = tmp_path / "benchmarks" / "gateway.json"
    file.parent.mkdir()
    file.write_text('{"cpu_us')
    assert "Not measured yet" in page(tmp_path)
    file.write_text(json.dumps(result(fiveways_open=60.0, caddy=80.0, some_peer=10.0)))
    text = page(tmp_path)
    assert "| Fiveways, open access | 60.0 | 0.75 |" in text
    assert "0.75 in this run: **not met**" in text
    assert "| some-peer | 10.0 |" in text
    assert "some-peer</text>" in text
    file.write_text(json.dumps(result(fiveways_open=50.0)))
    assert "not measured" in page(tmp_path)


def test_the_page_of_messaging_says_what_was_met_and_what_not(docs: dict[str, ModuleType], tmp_path: Path) -> None:
    page = docs["benchmark_pages"].messaging_benchmark
    assert "Not measured yet" in page(tmp_path)
    both = {"fiveways": {"1": 400.0, "16": 900.0}, "mesh-sandbox": {"1": 100.0, "16": 100.0}}
    cost = {"p50_ms": 1.0, "cpu_us": 500.0}
    figures = dict.fromkeys(("messages_per_second", "latency_p50_ms", "latency_p99_ms", "cpu_us_per_message"), both)
    result = {
        **figures,
        "messages_per_second_rounds": {name: {at_once: [rate] for at_once, rate in by.items()} for name, by in both.items()},
        "ratio_to_mesh_sandbox": {"1": 4.0, "16": 9.0},
        "ratio_in_the_first_stretch": {"1": 2.0, "16": 3.5},
        "stretch_seconds": 10.0,
        "messages_per_second_over_time": {
            "fiveways": {"1": [400, 400], "16": [900, 900]},
            "mesh-sandbox": {"1": [150, 50], "16": [180, 20]},
        },
        "stored": {"1_000": {"list": cost}, "1_000_000": {"list": cost}},
        "ratio_of_stored": {"list": {"p50_ms": 1.0, "cpu_us": 1.31}},
    }
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "messaging.json").write_text(json.dumps(result))
    text = page(tmp_path)
    assert "1 at once: the goal is at least 3 times mesh-sandbox's rate; 4.00 in this run: **met**" in text
    assert "16 at once: the goal is at least 10 times mesh-sandbox's rate; 9.00 in this run: **not met**" in text
    assert "In the first 10 seconds alone, while mesh-sandbox is empty, it is 2.00 with 1 at once and 3.50 with 16 at once." in text
    assert text.count("from start to end of a round.") == 2
    assert "list: the goal is at most 1.3 times the smaller store's latency; 1.00 in this run: **met**" in text
    assert "list: the goal is at most 1.3 times the smaller store's CPU; 1.31 in this run: **not met**" in text
    assert "| 1,000,000 | list | 1.00 | 500 |" in text


def test_the_page_of_real_time_says_what_was_met_and_what_not(docs: dict[str, ModuleType], tmp_path: Path) -> None:
    page = docs["benchmark_pages"].realtime_benchmark
    assert "Not measured yet" in page(tmp_path)
    rates = {"fiveways-ephemeral": 300_000.0, "fiveways-durable": 90_000.0, "ws": 100_000.0, "nats-server": 400_000.0}
    result = {
        **dict.fromkeys(("deliveries_per_second", "cpu_us_per_delivery", "latency_p50_ms", "latency_p99_ms"), rates),
        "deliveries_per_second_rounds": {name: [rate] for name, rate in rates.items()},
        "ratio_to_ws": {"fiveways-ephemeral": 3.0, "fiveways-durable": 0.9},
        "ratio_to_nats_server": {"fiveways-ephemeral": 0.75, "fiveways-durable": 0.22},
        "ratio_of_p99_to_nats_server": {"fiveways-ephemeral": 1.1, "fiveways-durable": 1.3},
        "channels": {
            "cpu_us_per_delivery": {way: {"1": 2.0, "1000": 2.3} for way in ("one_at_a_time", "burst")},
            "ratio": {"one_at_a_time": 1.15, "burst": 3.3},
        },
        "idle": {"connections": 10_000, "bytes_a_connection": 5120, "share_of_a_core": 0.025},
    }
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "realtime.json").write_text(json.dumps(result))
    text = page(tmp_path)
    assert "| Fiveways, ephemeral | 300,000 |" in text
    assert "Fiveways, ephemeral: the goal is at least 3 times ws's rate; 3.00 in this run: **met**" in text
    assert "Fiveways, ephemeral: the goal is at least 0.8 times nats-server's rate; 0.75 in this run: **not met**" in text
    assert "Fiveways, durable: the goal is at least 1 times ws's rate; 0.90 in this run: **not met**" in text
    assert "Fiveways, ephemeral: the goal is at most 1.2 times nats-server's p99; 1.10 in this run: **met**" in text
    assert "(2.00 µs with 1, 2.30 µs with 1,000): the goal is at most 1.1 times that of one; 1.15 in this run: **not met**" in text
    assert "The same in a burst (2.00 µs with 1, 2.30 µs with 1,000): 3.30 times in this run; there is no goal." in text
    assert "10,000 idle connections take 5.0 KiB each, and 2.5% of a core to be kept." in text


def test_a_curve_falls_where_its_figures_fall(docs: dict[str, ModuleType]) -> None:
    curve = docs["drawing"].Curve
    drawn = docs["drawing"].curves([curve("a & b", [100, 100], True), curve("c", [100, 50], False)], 10, "Caption.")
    svg = ElementTree.fromstring(drawn)
    flat, falling = (path.attrib["d"] for path in svg.iter(SVG + "path") if "stroke-width" in path.attrib)
    heights = [[float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)] for path in (flat, falling)]
    assert heights[0][0] == heights[0][1] == heights[1][0] < heights[1][1]
    assert [text.text for text in svg.iter(SVG + "text")] == ["100", "0", "0 s", "20 s", "a & b: 100", "c: 50"]


def test_a_bar_is_as_long_as_its_figure_and_its_range_lies_around_its_end(docs: dict[str, ModuleType]) -> None:
    bar = docs["drawing"].Bar
    svg = ElementTree.fromstring(docs["drawing"].bars([bar("a & b", 50, 40, 80, True), bar("c", 25, 25, 25, False)], "Caption."))
    lengths = [float(rect.attrib["width"]) for rect in svg.iter(SVG + "rect")]
    assert lengths[0] == pytest.approx(2 * lengths[1], rel=0.01)
    (whisker,) = (path.attrib["d"] for path in svg.iter(SVG + "path") if "stroke-width" in path.attrib)
    low, high = (float(found) for found in re.findall(r"[MH]([\d.]+)", whisker))
    start = float(next(svg.iter(SVG + "rect")).attrib["x"])
    assert ((low - start) / lengths[0], (high - start) / lengths[0]) == pytest.approx((0.8, 1.6), rel=0.01)
    assert [text.text for text in svg.iter(SVG + "text")] == ["a & b", "50", "c", "25"]


def test_drawings_are_in_the_colours_of_the_page_so_that_they_are_legible_in_the_dark(docs: dict[str, ModuleType]) -> None:
    for drawing in (
        docs["generate"].PARTS["diagram"](DOCS),
        docs["generate"].PARTS["benchmark"](DOCS),
        docs["generate"].PARTS["messaging-benchmark"](DOCS),
    ):
        colours = set(re.findall(r'(?:fill|stroke)="([^"]*)"', drawing))
        assert colours <= {"none", "currentColor"}


def test_decisions_are_numbered_without_gaps_and_have_a_status(docs: dict[str, ModuleType], tmp_path: Path) -> None:
    files = sorted((DOCS / "decisions").glob("0*.md"))
    numbers = [int(file.name[:4]) for file in files]
    assert numbers == list(range(1, len(files) + 1))
    index = docs["generate"].PARTS["decisions"](DOCS)
    for number, file in zip(numbers, files, strict=True):
        assert file.read_text().startswith(f"# {number}. "), file
        assert f"({file.name})" in index
    broken = tmp_path / "decisions"
    shutil.copytree(DOCS / "decisions", broken)
    (broken / "0001-record-decisions.md").write_text("# 1. Without a status\n")
    with pytest.raises(StopIteration):
        docs["generate"].PARTS["decisions"](tmp_path)


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """A page's blocks of code: the language of each, and its text."""
    yield from re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_code_fits_the_page_where_it_is_not_wrapped() -> None:
    for page in DOCS.rglob("*.md"):
        for language, text in blocks(page):
            widest = max(map(len, text.splitlines()))
            assert language in ("console", "text") or widest <= WIDEST, f"{page.name}: {widest} characters in {text}"


def test_no_table_is_without_a_head() -> None:
    for page in DOCS.rglob("*.md"):
        assert not re.search(r"^[| ]+\n\|[ -|]+$", page.read_text(), flags=re.MULTILINE), page


def test_every_variable_of_the_shell_is_set_before_it_is_used() -> None:
    for page in (ROOT / "README.md", *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")):
        typed = "".join(text for language, text in blocks(page) if language == "sh")
        for use in re.finditer(r"\$([A-Z]+)\b", typed):
            assert re.search(rf"^{use[1]}=", typed[: use.start()], flags=re.MULTILINE), f"{page}: {use[0]}"


def test_links_in_the_readme_and_its_kin_lead_to_files() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "examples").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
