"""A siren, a megaphone and the Welch window, for artifex."""
