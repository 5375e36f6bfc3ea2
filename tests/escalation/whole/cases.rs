//! What goes through the whole daemon: restarts, reloads, panics, repetition.
