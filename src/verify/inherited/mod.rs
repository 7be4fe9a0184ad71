//! What a careless caller leaves to the process that it starts: a terminal, files behind standard
//! streams, open descriptors, odd habits and a variable. None of it may be of use inside.

pub mod descriptors;
pub mod habits;
pub mod streams;
pub mod terminal;

/// The variable that holds the secret.
pub const VARIABLE: &str = "RUSTIC_CANARY";
