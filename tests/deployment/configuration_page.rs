//! docs/CONFIGURATION.md against the types it is made from.
