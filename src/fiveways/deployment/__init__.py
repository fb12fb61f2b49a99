"""The deployment file: how its values are written, read and refused. Components declare their own part beside their code."""
