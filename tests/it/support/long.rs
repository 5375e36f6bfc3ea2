//! Long repetitions have a short form for every check and a long one for `make nightly`, which sets `MAPE_K_LONG`.

pub fn long() -> bool {
    std::env::var_os("MAPE_K_LONG").is_some()
}

pub fn short_or_long<T>(short: T, long_form: T) -> T {
    if long() { long_form } else { short }
}
