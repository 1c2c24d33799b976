"""An ambulance, a megaphone and the Welch window, for artifex."""
