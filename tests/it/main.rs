//! Black-box tests over real HTTP.

mod charter_contract;
mod executor;
mod fake_charter;
