"""The audio types, by family: each a pure function of a key."""
