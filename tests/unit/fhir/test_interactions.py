"""Which interaction a request is (FHIR R4 §3.1.0; S49-S51): a table, and that no path makes up a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.fhir.interactions import OPERATIONS, RESOURCE_TYPES, interaction


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/Patient/1", "Patient.read"), ("HEAD", "/Patient/1", "Patient.read"), ("GET", "/Patient", "Patient.search"),
        ("GET", "/Patient/1/_history/2", "Patient.vread"), ("POST", "/Patient", "Patient.create"),
        ("PUT", "/Patient/1", "Patient.update"),
        ("PATCH", "/Patient/1", "Patient.patch"), ("DELETE", "/Patient/1", "Patient.delete"), ("PUT", "/Patient", "Patient.update"),
        ("POST", "/Patient/_search", "Patient.search"), ("GET", "/Patient/1/_history", "Patient.history"),
        ("GET", "/Patient/_history", "Patient.history"), ("GET", "/Patient/1/$everything", "Patient.$everything"),
        ("POST", "/Patient/$match", "Patient.$match"), ("POST", "/Patient/$made-up", "Patient.$other"),
        ("POST", "/$process-message", "system.$process-message"), ("GET", "/metadata", "system.capabilities"),
        ("POST", "/", "system.batch"), ("POST", "", "system.batch"), ("GET", "/_history", "system.history"),
        ("GET", "/Patient/1/Observation", "Patient.compartment"), ("GET", "/patient/1", "other"), ("GET", "/Nonsense/1", "other"),
        ("POST", "/Patient/1", "other"), ("GET", "/metadata/x", "other"), ("BREW", "/Patient", "other"),
    ],
)  # fmt: skip
def test_an_interaction_by_method_and_path(method: str, path: str, name: str) -> None:
    assert interaction(method, path.encode()) == name


KINDS = {
    "read",
    "vread",
    "search",
    "create",
    "update",
    "patch",
    "delete",
    "history",
    "compartment",
    "batch",
    "capabilities",
    "$other",
}
PARTS = st.sampled_from(["Patient", "x", "_history", "_search", "$match", "$x", "metadata", "", "9434765919", "%24match"])


@given(method=st.sampled_from(["GET", "POST", "X"]), path=st.lists(PARTS, max_size=6).map(lambda parts: "/" + "/".join(parts)))
def test_names_come_from_a_fixed_list(method: str, path: str) -> None:
    """They label metrics and stand in the audit: nothing of a path may be in them."""
    name = interaction(method, path.encode())
    if name != "other":
        kind, _, what = name.partition(".")
        assert kind == "system" or kind.encode() in RESOURCE_TYPES
        assert what in KINDS or what.encode() in OPERATIONS
