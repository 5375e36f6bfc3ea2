//! Which durations become shorter when the loop runs faster than life, for the demo and for rehearsals.
//!
//! Every struct of settings says it beside its fields, with the macro `divided!`: a field that is in neither of the two lists does
//! not compile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// As the log, the API's readers and `mape-k status` say it.
#[must_use]
pub fn rehearsal(speed: f64) -> String {
    format!("rehearsal at {speed}x")
}

/// What stands before everything that people are sent during a rehearsal, so that nobody takes it for production.
#[must_use]
pub fn mark(speed: f64) -> String {
    format!("{MARK}{speed}x] ")
}

/// Is this the text of a rehearsal, at whatever speed?
#[must_use]
pub fn is_marked(text: &str) -> bool {
    text.starts_with(MARK)
}

const MARK: &str = "[REHEARSAL ";

/// What holds times of the loop.
pub trait Divide {
    /// Divides every time of the loop in it; `speed` is a finite number above zero.
    fn divide(&mut self, speed: f64);
}

impl Divide for Duration {
    fn divide(&mut self, speed: f64) {
        if !self.is_zero() {
            let divided = Self::try_from_secs_f64(self.as_secs_f64() / speed).unwrap_or(Self::MAX);
            // A duration that was refused as zero in the configuration must not become zero here.
            *self = divided.max(Self::from_nanos(1));
        }
    }
}

impl<T: Divide> Divide for Option<T> {
    fn divide(&mut self, speed: f64) {
        for value in self.iter_mut() {
            value.divide(speed);
        }
    }
}

impl<T: Divide> Divide for Vec<T> {
    fn divide(&mut self, speed: f64) {
        for value in self.iter_mut() {
            value.divide(speed);
        }
    }
}

impl<K, T: Divide> Divide for BTreeMap<K, T> {
    fn divide(&mut self, speed: f64) {
        for value in self.values_mut() {
            value.divide(speed);
        }
    }
}

impl<T: Divide + Clone> Divide for Arc<T> {
    fn divide(&mut self, speed: f64) {
        Self::make_mut(self).divide(speed);
    }
}

/// `divided!(Settings { interval, window } unchanged { enabled, timeout });` divides the fields of the first list. The second
/// list names all others: what is no duration, and the durations that belong to the world around the loop, such as the
/// time-outs of calls.
macro_rules! divided {
    ($settings:ty { $($divided:ident),* $(,)? } unchanged { $($unchanged:ident),* $(,)? }) => {
        impl $crate::domain::speed::Divide for $settings {
            fn divide(&mut self, speed: f64) {
                let Self { $($divided,)* $($unchanged: _,)* } = self;
                $($crate::domain::speed::Divide::divide($divided, speed);)*
                // Some settings hold no time of the loop at all.
                let _ = speed;
            }
        }
    };
}
pub(crate) use divided;
