//! JSON as engines read it, which are written in Go.

use crate::error::Failure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// JSON as it is to be.
///
/// # Errors
/// Where and why it is not.
pub(super) fn parsed<T: DeserializeOwned>(text: &[u8], what: &str) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|error| misunderstood(what, &error))
}

pub(super) fn misunderstood(what: &str, error: &serde_json::Error) -> Failure {
    Failure::new(format!("{what} cannot be understood: {error}"))
}

/// An object with its names in lower case: Go's decoder, with which engines read them, knows no
/// difference.
pub(super) fn lowered(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
        ),
        other => other,
    }
}

/// A null is nothing, as Go has it.
pub(super) fn or_nothing<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
