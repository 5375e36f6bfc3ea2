//! The black-box tests of mape-k: one binary, behaviour through the public surface only.

mod inbox;
mod knowledge_facade;
mod learning;
mod store_bad_days;
mod store_contract;
mod stores_agree;
