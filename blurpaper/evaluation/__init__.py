"""The protocol, metrics, intervals and the invariance of features (Sections 3 and 4.3)."""
