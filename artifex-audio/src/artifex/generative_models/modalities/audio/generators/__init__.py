"""Audio types, by family; each is a pure function of a random key."""
