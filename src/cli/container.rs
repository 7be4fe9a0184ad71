//! What a container is made of: the options that `run` and `verify` share.

use super::namespaces::NamespaceOptions;
use super::values::{
    capabilities, completed, groups, ids, platform, proc_view, read_only, ready, root_switch,
    seccomp, stdio, sub, switch, sysctl, user, variable,
};
use super::{from_environment, store_order};
use crate::namespace::Switch;
use crate::rootfs::image::{ImageChoice, Platform};
use crate::spec::{
    Bind, Capabilities, FileOptions, First, Hide, IdOptions, IdOrder, Ids, ImageOptions,
    KernelOptions, Overlay, ProcView, Ready, RootSwitch, RunOptions, Seccomp, Stdio, StoreOrder,
    Supplementary, Sysctl, Tmpfs, UserOrder, Variable, Writing, size,
};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};
use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Container {
    #[command(flatten)]
    namespaces: NamespaceOptions,

    /// An imported name, a tar archive (plain, gzip, zstd, xz, bzip2), or a directory (yours: it is
    /// written); without it $RUSTIC_ROOTFS, or the built-in root
    #[arg(
        long, value_name = "NAME|TAR|DIR", help_heading = "Root file system",
        value_hint = ValueHint::AnyPath,
    )]
    rootfs: Option<PathBuf>,
    /// How the root is entered [default: pivot; chroot with --mount no]
    #[arg(
        long, value_name = "pivot|chroot",
        value_parser = completed(&["pivot", "chroot"], root_switch),
        help_heading = "Root file system",
    )]
    root: Option<RootSwitch>,
    /// Make the root read-only, with the mounts that DIR has below it and the files of /etc; /tmp,
    /// /run and /var/tmp get a small tmpfs each, unless it is strict or something was ordered there
    #[arg(
        long, value_name = "strict", num_args = 0..=1, require_equals = true,
        default_missing_value = "", value_parser = completed(&["strict"], read_only),
        help_heading = "Root file system", conflicts_with = "ephemeral",
    )]
    read_only: Option<Writing>,
    /// Write to a layer that vanishes with the container, never to the directory
    #[arg(long, help_heading = "Root file system")]
    ephemeral: bool,
    /// Size of that layer, in bytes or with K, M, G
    #[arg(
        long, value_name = "SIZE", default_value = "512M", value_parser = size,
        help_heading = "Root file system",
    )]
    scratch_size: u64,
    /// Mount the host's SRC at DST inside, with the mounts below it. A socket in it can be connected
    /// to, also where it is read-only
    #[arg(
        long, value_name = "SRC:DST[:ro]",
        value_parser = OsStringValueParser::new().try_map(|word| Bind::parse(&word)),
        help_heading = FILES,
    )]
    bind: Vec<Bind>,
    /// Mount an empty tmpfs at DST inside; a read-only one has room for mounts in it, and for nothing
    /// else
    #[arg(
        long, value_name = "DST[:ro][:size=N]",
        value_parser = OsStringValueParser::new().try_map(|word| Tmpfs::parse(&word)),
        help_heading = FILES,
    )]
    tmpfs: Vec<Tmpfs>,
    /// Mount the host's DIR at DST inside; writes go to a layer that vanishes with the container
    #[arg(
        long, value_name = "DIR:DST",
        value_parser = OsStringValueParser::new().try_map(|word| Overlay::parse(&word)),
        help_heading = FILES,
    )]
    overlay: Vec<Overlay>,
    /// Hide PATH inside: a directory is empty, a file is not there, also when the host replaces it
    #[arg(long, value_name = "PATH", help_heading = FILES, value_hint = ValueHint::AnyPath)]
    hide: Vec<PathBuf>,
    /// The same where PATH may be missing
    #[arg(long, value_name = "PATH", help_heading = FILES)]
    hide_try: Vec<PathBuf>,
    /// Where unpacked images are kept [default: $RUSTIC_STORE, /var/lib/rustic as root,
    /// $XDG_DATA_HOME/rustic or ~/.local/share/rustic otherwise]
    #[arg(
        long, value_name = "DIR", help_heading = "Root file system",
        value_hint = ValueHint::DirPath,
    )]
    store: Option<PathBuf>,
    /// Keep nothing: unpack an image into the memory of this container alone
    #[arg(long, conflicts_with = "store", help_heading = "Root file system")]
    no_store: bool,

    /// Whether an image's config gives what is not ordered: user, environment, working directory,
    /// entrypoint, command, stop signal
    #[arg(
        long, value_name = "yes|no", default_value = "yes",
        value_parser = completed(&["yes", "no"], switch), help_heading = "Root file system",
    )]
    image_config: Switch,
    /// What stands in front of CMD, in place of the image's entrypoint and command; '' for nothing
    #[arg(long, value_name = "WORD", help_heading = "Root file system")]
    entrypoint: Option<OsString>,
    /// Which image of an archive for several machines [default: this machine's]
    #[arg(
        long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform,
        help_heading = "Root file system",
    )]
    platform: Option<Platform>,
    /// Which image of an archive of several, by the name that it has there
    #[arg(long = "ref", value_name = "NAME", help_heading = "Root file system")]
    reference: Option<String>,
    /// The directory of the archive that is taken for the root
    #[arg(long, value_name = "DIR", value_parser = sub, help_heading = "Root file system")]
    sub: Option<String>,

    /// Host name inside; asks for --uts yes [default: rustic]
    #[arg(long, value_name = "NAME", help_heading = "Process")]
    hostname: Option<String>,
    /// Working directory inside
    #[arg(long, value_name = "DIR", help_heading = "Process")]
    workdir: Option<PathBuf>,
    /// User inside: a number, a name of the image's, or the caller's own number
    #[arg(
        long, value_name = "N|NAME|keep", value_parser = completed(&["keep"], user),
        help_heading = "Process",
    )]
    uid: Option<IdOrder>,
    /// Group inside [default: with --uid the group and the supplementary groups that the image
    /// gives the user]
    #[arg(
        long, value_name = "N|NAME|keep", value_parser = completed(&["keep"], user),
        help_heading = "Process",
    )]
    gid: Option<IdOrder>,
    /// Keep the caller's supplementary groups, which are given up otherwise
    #[arg(
        long, value_name = "keep", value_parser = completed(&["keep"], groups),
        help_heading = "Process",
    )]
    groups: Option<Supplementary>,
    /// With --user yes, as root: which ids outside are those from 0 up inside [default: 65,536 that
    /// nobody has]
    #[arg(long, value_name = "START[:COUNT]", value_parser = ids, help_heading = "Process")]
    ids: Option<Ids>,
    /// With --user yes, as root: let root inside write to a directory that others on the host reach,
    /// where a set-user-ID file that it leaves is the host's root's
    #[arg(long, help_heading = "Process")]
    suid_ok: bool,
    /// Set a variable, or pass on the caller's
    #[arg(
        long, value_name = "K=V|NAME", value_parser = OsStringValueParser::new().try_map(variable),
        help_heading = "Process",
    )]
    env: Vec<Variable>,
    /// Start CMD below a small process 1 that passes signals on and reaps zombies
    #[arg(long, help_heading = "Process")]
    init: bool,
    /// Who says that the container is ready: queue, its walls; app, the program inside (READY=1 on
    /// the queue, descriptor 3 or NOTIFY_SOCKET)
    #[arg(
        long, value_name = "queue|app|none",
        value_parser = completed(&["queue", "app", "none"], ready), help_heading = "Readiness",
    )]
    ready: Option<Ready>,
    /// Capabilities of CMD: podman's eleven (default), none, all that rustic holds, or a list, in which
    /// default stands for the eleven
    #[arg(
        long, value_name = "default|none|all|CAP,...", default_value = "default",
        value_parser = completed(&["default", "none", "all"], capabilities),
        help_heading = "Process",
    )]
    caps: Capabilities,
    /// What CMD gets as stdin, stdout and stderr: never the host's file itself (guarded), or the
    /// caller's descriptors as they are (inherit)
    #[arg(
        long, value_name = "guarded|inherit", default_value = "guarded",
        value_parser = completed(&["guarded", "inherit"], stdio), help_heading = "Process",
    )]
    stdio: Stdio,
    /// Which calls of the kernel run: those that programs need (default), or every one (none)
    #[arg(
        long, value_name = "default|none", default_value = "default",
        value_parser = completed(&["default", "none"], seccomp), help_heading = KERNEL,
    )]
    seccomp: Seccomp,
    /// Whether containers can be made inside: browsers, bwrap, rustic itself
    #[arg(
        long, value_name = "yes|no", default_value = "no",
        value_parser = completed(&["yes", "no"], switch), help_heading = KERNEL,
    )]
    nest: Switch,
    /// Whether set-user-ID programs and file capabilities act, as su and sudo need
    #[arg(
        long, value_name = "yes|no", default_value = "no",
        value_parser = completed(&["yes", "no"], switch), help_heading = KERNEL,
    )]
    new_privs: Switch,
    /// The kernel's own files in /proc and /sys: hidden or read-only (masked), or in sight, those
    /// of /proc to be written too (open)
    #[arg(
        long, value_name = "masked|open", default_value = "masked",
        value_parser = completed(&["masked", "open"], proc_view), help_heading = KERNEL,
    )]
    proc: ProcView,
    /// Set a kernel parameter of the container's own: net.*, kernel.shm*, kernel.msg*, kernel.sem,
    /// fs.mqueue.*
    #[arg(long, value_name = "KEY=VALUE", value_parser = sysctl, help_heading = KERNEL)]
    sysctl: Vec<Sysctl>,
}

const KERNEL: &str = "Kernel";
const FILES: &str = "Files";

fn hides(paths: Vec<PathBuf>, required: Switch) -> impl Iterator<Item = Hide> {
    paths.into_iter().map(move |path| Hide { path, required })
}

impl Container {
    /// What is wanted of it, to run nothing in particular.
    pub(super) fn wanted(self) -> RunOptions {
        let NamespaceOptions(namespaces) = self.namespaces;
        RunOptions {
            namespaces,
            rootfs: self.rootfs.or_else(|| from_environment("RUSTIC_ROOTFS")),
            root: self.root,
            writing: match (self.read_only, self.ephemeral) {
                (Some(read_only), _) => read_only,
                (None, true) => Writing::Ephemeral,
                (None, false) => Writing::Allowed,
            },
            scratch_size: self.scratch_size,
            files: FileOptions {
                binds: self.bind,
                tmpfs: self.tmpfs,
                overlays: self.overlay,
                hides: hides(self.hide, Switch::Yes)
                    .chain(hides(self.hide_try, Switch::No))
                    .collect(),
            },
            store: if self.no_store { StoreOrder::Unwanted } else { store_order(self.store) },
            hostname: self.hostname,
            workdir: self.workdir,
            image: ImageOptions {
                config: self.image_config,
                entrypoint: self.entrypoint,
                choice: ImageChoice {
                    platform: self.platform,
                    reference: self.reference,
                    sub: self.sub,
                },
            },
            user: UserOrder { uid: self.uid, gid: self.gid },
            groups: self.groups.unwrap_or(Supplementary::Dropped),
            ids: IdOptions {
                range: self.ids,
                suid_ok: if self.suid_ok { Switch::Yes } else { Switch::No },
            },
            env: self.env,
            caps: self.caps,
            kernel: KernelOptions {
                seccomp: self.seccomp,
                nest: self.nest,
                new_privs: self.new_privs,
                proc_view: self.proc,
                sysctls: self.sysctl,
            },
            stdio: self.stdio,
            first: if self.init { First::Reaper } else { First::Cmd },
            ready: self.ready,
            ..RunOptions::default()
        }
    }
}
