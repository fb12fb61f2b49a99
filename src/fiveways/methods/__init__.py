"""The five methods of exchange; `ls` here is the Integration Patterns Book's contents page."""
