//! S14 for the process: TLS and the tokens as a person sets them up, and that no secret ever comes out.

mod secrets;
mod tls;
