//! What the tests order of the code that they test: a step or a control that fails, a leak, a name
//! for the queue. There only in builds with the Cargo feature `test-switches`; the binary that is
//! shipped has none of it.

/// The value of a switch, an environment variable. Never inlined: a name that is made of numbers
/// would not be found in a binary, and a test looks for it in the one that is shipped.
#[cfg(feature = "test-switches")]
#[inline(never)]
pub fn ordered(switch: &str) -> Option<String> {
    std::env::var(switch).ok()
}

/// Nothing is ordered.
#[cfg(not(feature = "test-switches"))]
pub const fn ordered(_: &str) -> Option<String> {
    None
}
