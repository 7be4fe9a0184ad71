//! What the outside and the inside agree on.

/// What there is to be reached, as the inside is told it.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Canaries {
    /// What only the outside knows, and what a crossing brings back.
    pub(crate) secret: String,
    /// A directory of the outside with a file `secret`.
    pub(crate) dir: String,
    /// Device and inode of the root of the outside.
    pub(crate) root: (u64, u64),
    /// A process outside, and where the secret lies in its memory.
    pub(crate) pid: i32,
    pub(crate) address: usize,
    /// A port on the loopback.
    pub(crate) port: u16,
    /// A port of AF_VSOCK; 0 where the outside has none.
    pub(crate) vsock: u32,
    /// The serial number of a key.
    pub(crate) key: i32,
    /// Device and inode of a terminal, and its number.
    pub(crate) terminal: (u64, u64, String),
    /// The links of /proc/PID/ns outside.
    pub(crate) namespaces: Vec<(String, String)>,
    /// The path of a cgroup that is not the root.
    pub(crate) cgroup: String,
    /// Peer groups of the mounts outside, mount_namespaces(7).
    #[serde(default)]
    pub(crate) peers: Vec<String>,
    /// Lines of files of /proc that tell of the machine.
    #[serde(default)]
    pub(crate) facts: Vec<(String, String)>,
    /// Disks, as major and minor numbers.
    pub(crate) disks: Vec<(u32, u32)>,
}

impl Canaries {
    /// As the inside is told it.
    pub(crate) fn told(&self) -> String {
        serde_json::to_string(self).unwrap()
    }
}

/// A variable that holds the secret, a umask and a signal that is blocked, where a launcher is
/// looked at.
pub(crate) const VARIABLE: &str = "TRUTH_SECRET";
pub(crate) const UMASK: u32 = 0o137;
pub(crate) const BLOCKED: i32 = 50;

/// The host name of the outside.
pub(crate) const NAME: &str = "outside";
/// The key of its shared memory.
pub(crate) const KEY: i32 = 0x7472_7574;
