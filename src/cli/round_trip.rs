//! Options say their arguments, and the arguments say the options: both directions held against
//! each other.

use super::{Asked, parse};
use crate::host::Host;
use crate::namespace::{Choice, Namespace, Switch};
use crate::rootfs::image::{ImageChoice, Platform};
use crate::spec::{
    Bind, Capabilities, FileOptions, First, Hide, IdOptions, IdOrder, Ids, ImageOptions,
    KernelOptions, Overlay, ProcView, Ready, RootSwitch, RunOptions, Seccomp, Stdio, StoreOrder,
    Supplementary, Sysctl, Tmpfs, UserOrder, Variable, Verbosity, Writing,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

/// Reads the arguments of some options as `rustic run` would.
fn read(options: &RunOptions) -> RunOptions {
    let words = ["rustic", "run"].map(OsString::from).into_iter().chain(options.arguments());
    match parse(words).0 {
        Asked::Run(options) => *options,
        Asked::Usage(usage) => panic!("{usage}"),
        _ => panic!("another command"),
    }
}

fn word() -> impl Strategy<Value = OsString> {
    vec(1..=255_u8, 1..12).prop_map(OsString::from_vec)
}

fn path() -> impl Strategy<Value = PathBuf> {
    word().prop_map(PathBuf::from)
}

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9=:.,_/-]{1,12}"
}

fn user() -> impl Strategy<Value = IdOrder> {
    let name = "[a-z_][a-z0-9_.$-]{0,9}".prop_filter("an order", |name| name != "keep");
    prop_oneof![
        (0..u32::MAX).prop_map(IdOrder::Number),
        name.prop_map(IdOrder::Name),
        Just(IdOrder::Keep),
    ]
}

fn switch() -> impl Strategy<Value = Switch> {
    prop_oneof![Just(Switch::Yes), Just(Switch::No)]
}

fn choice(namespace: Namespace) -> BoxedStrategy<Choice> {
    let plain = prop_oneof![Just(Choice::New), Just(Choice::Shared)];
    let join = path().prop_map(|path| Choice::Join(PathBuf::from("/proc").join(path)));
    if namespace == Namespace::Mount { plain.boxed() } else { prop_oneof![plain, join].boxed() }
}

fn mounts() -> impl Strategy<Value = FileOptions> {
    let bind = (path(), path(), switch(), switch());
    let bind = bind.prop_map(|(source, target, writable, idmapped)| Bind {
        source,
        target,
        writable,
        idmapped,
    });
    let tmpfs = (path(), switch(), of(1_u64..));
    let tmpfs = tmpfs.prop_map(|(target, writable, size)| Tmpfs { target, writable, size });
    let overlay = (path(), path()).prop_map(|(lower, target)| Overlay { lower, target });
    let hide = (path(), switch()).prop_map(|(path, required)| Hide { path, required });
    let all = (vec(bind, 0..3), vec(tmpfs, 0..3), vec(overlay, 0..3), vec(hide, 0..3));
    all.prop_map(|(binds, tmpfs, overlays, mut hides)| {
        hides.sort_by_key(|hide| hide.required == Switch::No);
        FileOptions { binds, tmpfs, overlays, hides }
    })
}

fn variable() -> impl Strategy<Value = Variable> {
    let name = || "[A-Z_]{1,8}".prop_map(OsString::from);
    prop_oneof![
        (name(), word()).prop_map(|(name, value)| Variable::Set(name, value)),
        name().prop_map(Variable::PassOn),
    ]
}

fn capabilities() -> impl Strategy<Value = Capabilities> {
    let named = proptest::sample::subsequence(caps::all().into_iter().collect::<Vec<_>>(), 1..5);
    prop_oneof![
        Just(Capabilities::Default),
        Just(Capabilities::None),
        Just(Capabilities::All),
        named.clone().prop_map(Capabilities::Named),
        named.prop_map(Capabilities::DefaultAnd),
    ]
}

fn first() -> impl Strategy<Value = First> {
    prop_oneof![
        Just(First::Cmd),
        Just(First::Reaper),
        (0..99).prop_map(First::Probe),
        (0..99).prop_map(First::ReapedProbe),
    ]
}

prop_compose! {
    fn files()(
        rootfs in of(path()),
        root in of(prop_oneof![Just(RootSwitch::Pivot), Just(RootSwitch::Chroot)]),
        writing in prop_oneof![
            Just(Writing::Allowed), Just(Writing::Refused), Just(Writing::Strict),
            Just(Writing::Ephemeral)
        ],
        scratch_size in 1_u64..,
        files in mounts(),
        store in prop_oneof![
            Just(StoreOrder::Usual), Just(StoreOrder::Unwanted), path().prop_map(StoreOrder::At)
        ],
    ) -> RunOptions {
        RunOptions {
            rootfs, root, writing, scratch_size, files, store, ..RunOptions::default()
        }
    }
}

fn image() -> impl Strategy<Value = ImageOptions> {
    let part = || "[a-z][a-z0-9]{0,5}";
    let platform = (part(), part(), of(part())).prop_map(|(os, architecture, variant)| Platform {
        os,
        architecture,
        variant,
    });
    (switch(), of(word()), of(platform), of(text()), of(part())).prop_map(
        |(config, entrypoint, platform, reference, sub)| ImageOptions {
            config,
            entrypoint,
            choice: ImageChoice { platform, reference, sub },
        },
    )
}

prop_compose! {
    fn process()(
        hostname in of(text()),
        workdir in of(path()),
        image in image(),
        uid in of(user()),
        gid in of(user()),
        range in of((1..1_u32 << 31, 1..1_u32 << 24)),
        suid_ok in switch(),
        groups in prop_oneof![Just(Supplementary::Dropped), Just(Supplementary::Kept)],
        env in vec(variable(), 0..3),
        caps in capabilities(),
        stdio in prop_oneof![Just(Stdio::Guarded), Just(Stdio::Inherit)],
        first in first(),
        cmd in vec(word(), 0..4),
    ) -> RunOptions {
        RunOptions {
            hostname, workdir, groups, env, caps, stdio, first, cmd,
            image,
            user: UserOrder { uid, gid },
            ids: IdOptions { range: range.map(|(start, count)| Ids { start, count }), suid_ok },
            ..RunOptions::default()
        }
    }
}

prop_compose! {
    fn besides()(
        seccomp in prop_oneof![Just(Seccomp::Default), Just(Seccomp::None)],
        nest in switch(),
        new_privs in switch(),
        proc_view in prop_oneof![Just(ProcView::Masked), Just(ProcView::Open)],
        sysctls in vec(("[a-z./]{1,9}", text()), 0..3),
        ready in of(prop_oneof![Just(Ready::Queue), Just(Ready::App), Just(Ready::None)]),
        seconds in 1..=u32::MAX,
        info_fd in of(0..i32::MAX),
        talk in prop_oneof![
            Just(Verbosity::Quiet), Just(Verbosity::Story), Just(Verbosity::Steps),
            Just(Verbosity::DryRun)
        ],
        namespaces in Namespace::ALL.map(|namespace| of(choice(namespace))),
    ) -> RunOptions {
        RunOptions {
            ready, info_fd, talk, namespaces,
            kernel: KernelOptions {
                seccomp, nest, new_privs, proc_view,
                sysctls: sysctls.into_iter().map(|(key, value)| Sysctl { key, value }).collect(),
            },
            ready_timeout: Duration::from_secs(seconds.into()),
            ..RunOptions::default()
        }
    }
}

prop_compose! {
    fn options()(files in files(), process in process(), besides in besides()) -> RunOptions {
        let RunOptions {
            hostname, workdir, image, user, groups, ids, env, caps, stdio, first, cmd, ..
        } = process;
        let RunOptions { rootfs, root, writing, scratch_size, files, store, .. } = files;
        RunOptions {
            hostname, workdir, image, user, groups, ids, env, caps, stdio, first, cmd,
            rootfs, root, writing, scratch_size, files, store,
            ..besides
        }
    }
}

/// Options that contradict neither each other nor a host: what a Spec can be made from.
fn consistent() -> impl Strategy<Value = RunOptions> {
    (options(), any::<bool>()).prop_map(|(options, chroot)| RunOptions {
        namespaces: options.namespaces.map(|choice| match choice {
            Some(Choice::Join(_)) => None,
            other => other,
        }),
        rootfs: None,
        root: chroot.then_some(RootSwitch::Chroot),
        workdir: options.workdir.map(|path| PathBuf::from("/").join(path)),
        hostname: options.hostname.map(|_| "box".into()),
        files: in_place(options.files),
        env: options.env.into_iter().filter(|one| matches!(one, Variable::Set(..))).collect(),
        kernel: KernelOptions { sysctls: Vec::new(), ..options.kernel },
        caps: match options.caps {
            Capabilities::Named(_) | Capabilities::DefaultAnd(_) => Capabilities::None,
            other => other,
        },
        ..options
    })
}

/// The first of each kind, with what is there as its source, and a target of its own.
fn in_place(files: FileOptions) -> FileOptions {
    let FileOptions { mut binds, mut tmpfs, mut overlays, mut hides } = files;
    binds.truncate(1);
    binds.iter_mut().for_each(|bind| {
        (bind.source, bind.target) = ("/".into(), "/mnt/a:b".into());
    });
    tmpfs.truncate(1);
    tmpfs.iter_mut().for_each(|tmpfs| tmpfs.target = "/scratch".into());
    overlays.truncate(1);
    overlays.iter_mut().for_each(|overlay| {
        (overlay.lower, overlay.target) = ("/usr/bin".into(), "/mnt/c".into());
    });
    hides.truncate(1);
    hides.iter_mut().for_each(|hide| hide.path = "/mnt/c/cp".into());
    FileOptions { binds, tmpfs, overlays, hides }
}

#[test]
fn no_argument_at_all_is_the_default() {
    let (Asked::Run(options), _) = parse(["rustic", "run"].map(OsString::from)) else {
        panic!("another command");
    };
    let variables = RunOptions { rootfs: None, store: StoreOrder::Usual, ..*options };
    assert_eq!(variables, RunOptions::default());
}

proptest! {
    #[test]
    fn arguments_are_read_as_the_options_that_said_them(options in options()) {
        prop_assert_eq!(read(&options), options);
    }

    #[test]
    fn a_spec_says_the_arguments_that_make_it(options in consistent()) {
        let host = Host::read().unwrap();
        if let Ok(spec) = options.check(&host) {
            let again = read(&spec.options()).check(&host);
            prop_assert_eq!(again.map_err(|failure| failure.to_string()), Ok(spec));
        }
    }
}
