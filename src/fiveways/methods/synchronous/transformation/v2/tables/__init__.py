"""Tables that are read in both directions: of data types and of segments."""
