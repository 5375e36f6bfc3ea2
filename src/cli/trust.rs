//! Distinguishes a failure of TLS from one of the connection, for the advice that a command gives.

use std::error::Error;

use tokio_rustls::rustls;

/// Did TLS fail, and not the connection?
pub(super) fn failed(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // What an io::Error carries is not among its sources.
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match carried {
            Some(carried) => Some(carried as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    false
}
