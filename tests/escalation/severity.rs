//! Severities, incidents, repetition, trend, business hours.
