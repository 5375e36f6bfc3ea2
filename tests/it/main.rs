//! Black-box tests over real HTTP.

mod charter_contract;
mod charter_sandbox;
mod executor;
mod fake_charter;
