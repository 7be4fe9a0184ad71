//! The options as they were given, before anything is checked.

use crate::namespace::{Choice, Namespace, Switch};
use crate::spec::{
    Capabilities, FileOptions, First, IdOptions, ImageOptions, KernelOptions, ProcView, Ready,
    RootSwitch, Rootfs, Spec, Stdio, StoreOrder, Supplementary, UserOrder, Variable, Verbosity,
    Writing,
};
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

/// The options as they were given: each field is the option of that name, which --help documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOptions {
    pub namespaces: [Option<Choice>; Namespace::ALL.len()],
    pub rootfs: Option<PathBuf>,
    pub root: Option<RootSwitch>,
    pub writing: Writing,
    pub scratch_size: u64,
    pub files: FileOptions,
    pub store: StoreOrder,
    pub hostname: Option<String>,
    pub workdir: Option<PathBuf>,
    pub image: ImageOptions,
    pub user: UserOrder,
    pub groups: Supplementary,
    pub ids: IdOptions,
    pub env: Vec<Variable>,
    pub caps: Capabilities,
    pub kernel: KernelOptions,
    pub stdio: Stdio,
    pub first: First,
    pub ready: Option<Ready>,
    pub ready_timeout: Duration,
    pub info_fd: Option<i32>,
    pub talk: Verbosity,
    pub cmd: Vec<OsString>,
}

/// Size of the layer that takes writes, in bytes.
const SCRATCH_SIZE: u64 = 512 << 20;

/// How long a container that is not told otherwise may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

impl Default for RunOptions {
    /// `rustic run` without a word behind it.
    fn default() -> Self {
        Self {
            namespaces: [const { None }; Namespace::ALL.len()],
            rootfs: None,
            root: None,
            writing: Writing::Allowed,
            scratch_size: SCRATCH_SIZE,
            files: FileOptions::default(),
            store: StoreOrder::Usual,
            hostname: None,
            workdir: None,
            image: ImageOptions::default(),
            user: UserOrder::default(),
            groups: Supplementary::Dropped,
            ids: IdOptions::default(),
            env: Vec::new(),
            caps: Capabilities::Default,
            kernel: KernelOptions::default(),
            stdio: Stdio::Guarded,
            first: First::Cmd,
            ready: None,
            ready_timeout: READY_TIMEOUT,
            info_fd: None,
            talk: Verbosity::Quiet,
            cmd: Vec::new(),
        }
    }
}

impl RunOptions {
    /// The same with one namespace ordered, and without the options that ask for it where it is to
    /// be shared.
    #[must_use]
    pub fn with(mut self, namespace: Namespace, choice: Choice) -> Self {
        let is_new = choice == Choice::New;
        self.namespaces[namespace as usize] = Some(choice);
        if is_new {
            return self;
        }
        match namespace {
            Namespace::Uts => self.hostname = None,
            Namespace::Mount => {
                (self.files, self.writing, self.root) =
                    (FileOptions::default(), Writing::Allowed, None);
                (self.kernel.proc_view, self.kernel.sysctls) = (ProcView::Masked, Vec::new());
            }
            Namespace::Net | Namespace::Ipc => self.kernel.sysctls = Vec::new(),
            Namespace::Pid | Namespace::User | Namespace::Cgroup | Namespace::Time => {}
        }
        self
    }
}

impl Spec {
    /// The options that make it, with what was looked up and filled in said aloud.
    pub fn options(&self) -> RunOptions {
        RunOptions {
            namespaces: Namespace::ALL.map(|one| Some(self.namespaces.get(one).clone())),
            rootfs: match &self.rootfs {
                Rootfs::Builtin => None,
                Rootfs::Archive(path) | Rootfs::Directory(path) => Some(path.clone()),
                Rootfs::Stored(name) => Some(name.into()),
            },
            root: Some(self.root),
            writing: self.writing,
            scratch_size: self.scratch_size,
            files: self.files.clone(),
            store: match &self.store {
                None => StoreOrder::Unwanted,
                Some(path) if self.store_by_name == Switch::Yes => StoreOrder::At(path.clone()),
                Some(_) => StoreOrder::Usual,
            },
            hostname: self.hostname.clone(),
            workdir: self.process.workdir.as_ref().map(|path| os_string(path).into()),
            image: self.image.clone(),
            user: self.user_order.clone(),
            groups: self.groups,
            ids: self.ids,
            env: self.process.env.iter().map(variable).collect(),
            caps: self.caps.clone(),
            kernel: self.kernel.clone(),
            stdio: self.stdio,
            first: self.first,
            ready: Some(self.ready).filter(|_| self.ready_by_name == Switch::Yes),
            ready_timeout: self.ready_timeout,
            info_fd: self.info_fd,
            talk: self.talk,
            cmd: self.process.cmd.iter().map(os_string).collect(),
        }
    }
}

fn os_string(word: &CString) -> OsString {
    OsString::from_vec(word.to_bytes().to_vec())
}

/// A line of an environment, `K=V`.
fn variable(line: &CString) -> Variable {
    let line = line.to_bytes();
    let end = line.iter().position(|&byte| byte == b'=').unwrap_or(line.len());
    let text = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    Variable::Set(text(&line[..end]), text(line.get(end + 1..).unwrap_or_default()))
}
