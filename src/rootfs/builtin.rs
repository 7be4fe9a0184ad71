//! The built-in root: a tar.gz that `scripts/build-rootfs` made and the build put into the binary.

/// The archive; empty in a binary that was built without it.
pub const ARCHIVE: &[u8] = include_bytes!(env!("RUSTIC_BUILTIN_ROOTFS"));

/// Its sha256 as hexadecimal digits, taken at build time.
pub const DIGEST: &str = env!("RUSTIC_BUILTIN_DIGEST");
