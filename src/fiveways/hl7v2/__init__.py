"""HL7 version 2 as it is on the wire: messages that are read without loss, and written back byte for byte."""
