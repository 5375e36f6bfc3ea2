//! B37: blind, or with hands tied.
