"""How the gateway proves to a back end who it is: one file a kind. A wrapper façade presents one or several (S64-S66)."""
