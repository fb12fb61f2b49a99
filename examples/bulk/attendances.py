"""An attendance, as the feed `planning` has it: the fields are the columns, their types and constraints the rules.

And a rule of the feed `commissioning`, in Python.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, Field

from fiveways.methods.bulk.quality.models import As


class Attendance(BaseModel):
    """From arriving at a department to leaving it. What a type cannot say, `As` does: it takes what a column takes."""

    attendance: Annotated[int, Field(ge=1), As(mask="show")]
    nhs_number: Annotated[str, As(type="nhs_number")]
    department: Annotated[Literal["AE", "AMU", "MIU"], As(mask="show")]
    arrived: Annotated[datetime, As(type="datetime", max="today", mask="show")]
    left: Annotated[datetime | None, As(mask="show")] = None


def bed_days_are_right(spells: pl.DataFrame) -> pl.Series:
    """Whether each spell has as many bed days as there are nights in it."""
    nights = (pl.col("discharged") - pl.col("admitted")).dt.total_days()
    return spells.select(pl.col("bed_days") == nights).to_series()
