//! Watch caches against a fake of the API server that speaks HTTP.
