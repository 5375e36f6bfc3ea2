//! The OpenAPI description against the running daemon.
