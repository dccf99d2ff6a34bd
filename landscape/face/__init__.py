"""The face: one call for each thing that people ask; a command is a call of it, and shows what it returns."""
