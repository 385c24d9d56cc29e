"""What the system is built from: requirements, locks, and whether they name one exact artefact each."""
