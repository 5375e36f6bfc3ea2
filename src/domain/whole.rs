//! Whole numbers as JSON may write them: `5.0` is the integer 5 to a JSON Schema, and to senders that know only doubles.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

/// 2^53: up to here a double is exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A field that is a whole number of at least 0, whichever way it is written: up to 2^53 also as a double, `-0.0` among them.
pub fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(from: D) -> Result<T, D::Error> {
    let number = Number::deserialize(from)?;
    let exact = number.as_f64().filter(|f| f.fract() == 0.0 && (0.0..=EXACT).contains(f));
    let read = number.as_u64().or_else(|| format!("{:.0}", exact? + 0.0).parse().ok());
    let fits = read.and_then(|read| T::try_from(read).ok());
    fits.ok_or_else(|| D::Error::custom(format!("{number} is no whole number within its bounds")))
}

/// [`whole`] for a field that may be null.
pub fn optional<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    struct Whole<T>(T);
    impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            whole(from).map(Self)
        }
    }
    Ok(Option::<Whole<T>>::deserialize(from)?.map(|Whole(number)| number))
}
