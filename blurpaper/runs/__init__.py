"""How a run is set up, seeded, kept and repeated; imports no other room."""
