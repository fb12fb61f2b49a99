"""The policies of the gateway, one a file. Each wraps a handler and is, with it, a handler again (S35, S43).

The order in which they stand around an operation is in `compile.py` of the folder above, in one place, to be read.
"""
