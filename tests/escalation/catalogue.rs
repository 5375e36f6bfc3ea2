//! The service catalogue and the configuration of this half.
