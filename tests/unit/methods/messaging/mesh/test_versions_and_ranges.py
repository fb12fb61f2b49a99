"""What a client accepts, and the chunk that it sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.methods.messaging.mesh.faults import MeshFault
from fiveways.methods.messaging.mesh.headers import chunk_range
from fiveways.methods.messaging.mesh.routes import version_of

V1, V2 = "application/vnd.mesh.v1+json", "application/vnd.mesh.v2+json"


@pytest.mark.parametrize(
    ("accept", "version"),
    [("", 1), ("*/*", 1), ("application/json", 1), (V1, 1), (V2, 2), (f"{V2};q=0.9", 2), (f"{V1}, {V2}", 2), (f"text/html;{V2}", 2),
     (V2.replace("v2", "v3"), 2)],
)  # fmt: skip
def test_the_latest_version_that_is_accepted_counts(accept: str, version: int) -> None:
    assert version_of(accept) == version


@pytest.mark.parametrize(
    "accept", ["application/vnd.mesh", "application/vnd.mesh.v+json", "application/vnd.mesh.v2", f"{V2}, x/vnd.mesh"]
)
def test_a_type_of_mesh_that_is_none_is_refused(accept: str) -> None:
    with pytest.raises(MeshFault) as refused:
        version_of(accept)
    assert refused.value.status == 400


@given(st.integers(-2, 10**10), st.integers(-2, 10**10), st.integers(1, 5))
def test_a_range_is_a_number_from_one_to_the_total(chunk: int, total: int, number: int) -> None:
    if chunk == number and chunk <= total < 10**9:
        assert chunk_range(f" {chunk} : {total} ", number) == (chunk, total)
    else:
        with pytest.raises(MeshFault) as refused:
            chunk_range(f"{chunk}:{total}", number)
        assert refused.value.status == 417


@given(st.text(max_size=25).filter(lambda value: ":" not in value), st.integers(2, 5))
def test_a_later_chunk_must_say_which_it_is(value: str, number: int) -> None:
    with pytest.raises(MeshFault) as refused:
        chunk_range(value, number)
    assert refused.value.status == 417
