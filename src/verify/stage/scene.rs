//! Where the verifier stands.

/// What the verifier stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// A throw-away host of its own.
    Stage,
    /// The real host, where whoever makes the container is no child of the verifier's. Only what is
    /// the verifier's own is touched there.
    Host,
}
