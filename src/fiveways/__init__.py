"""Fiveways: health organisations exchange information in five ways, each done as the Integration Patterns Book says."""

from fiveways.types import Consumer, Handler, Interaction, Outcome, Policy

__all__ = ["Consumer", "Handler", "Interaction", "Outcome", "Policy", "__version__"]

__version__ = "0.1.0.dev0"
