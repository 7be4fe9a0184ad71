//! From options back to the words of a command line: the other direction of `cli`.

use crate::namespace::{Choice, Namespace};
use crate::spec::{
    Capabilities, First, IdOrder, Ready, RootSwitch, RunOptions, Stdio, StoreOrder, Supplementary,
    Variable, Verbosity, Writing,
};
use caps::Capability;
use std::ffi::{OsStr, OsString};

/// Words of a command line, while they are collected.
#[derive(Default)]
pub(super) struct Words(Vec<OsString>);

impl Words {
    /// An option with its value in one word, so that a value may begin with a dash.
    pub(super) fn value(&mut self, option: &str, value: impl AsRef<OsStr>) {
        let mut word = OsString::from(format!("--{option}="));
        word.push(value);
        self.0.push(word);
    }

    /// The same for a value that may be missing.
    pub(super) fn given(&mut self, option: &str, value: Option<impl AsRef<OsStr>>) {
        value.into_iter().for_each(|value| self.value(option, value));
    }

    pub(super) fn flag(&mut self, option: &str) {
        self.0.push(format!("--{option}").into());
    }
}

impl RunOptions {
    /// The words that `rustic run` reads as these options, without its own name, and with CMD at
    /// their end.
    pub fn arguments(&self) -> Vec<OsString> {
        // A new option is asked for here: without its words it would be lost on the way back.
        let Self {
            namespaces: _,
            rootfs: _,
            root: _,
            writing: _,
            scratch_size: _,
            files: _,
            store: _,
            hostname: _,
            workdir: _,
            image: _,
            user: _,
            groups: _,
            ids: _,
            env: _,
            caps: _,
            kernel: _,
            stdio: _,
            first: _,
            ready: _,
            ready_timeout: _,
            info_fd: _,
            talk: _,
            cmd: _,
        } = self;
        let mut words = Words::default();
        self.namespace_words(&mut words);
        self.root_words(&mut words);
        self.process_words(&mut words);
        self.kernel.say(&mut words);
        self.telling_words(&mut words);
        let Words(mut words) = words;
        words.push("--".into());
        words.extend(self.cmd.iter().cloned());
        words
    }

    fn namespace_words(&self, words: &mut Words) {
        for (namespace, choice) in Namespace::ALL.into_iter().zip(&self.namespaces) {
            match choice {
                Some(Choice::New) => words.value(namespace.name(), "yes"),
                Some(Choice::Shared) => words.value(namespace.name(), "no"),
                Some(Choice::Join(path)) => words.value(namespace.name(), path),
                None => {}
            }
        }
    }

    fn root_words(&self, words: &mut Words) {
        words.given("rootfs", self.rootfs.as_ref());
        words.given("root", self.root.map(RootSwitch::word));
        match self.writing {
            Writing::Allowed => {}
            Writing::Refused => words.flag("read-only"),
            Writing::Strict => words.value("read-only", "strict"),
            Writing::Ephemeral => words.flag("ephemeral"),
        }
        words.value("scratch-size", self.scratch_size.to_string());
        self.files.say(words);
        match &self.store {
            StoreOrder::Usual => {}
            StoreOrder::At(path) => words.value("store", path),
            StoreOrder::Unwanted => words.flag("no-store"),
        }
    }

    fn process_words(&self, words: &mut Words) {
        words.given("hostname", self.hostname.as_ref());
        words.given("workdir", self.workdir.as_ref());
        self.image.say(words);
        words.given("uid", self.user.uid.as_ref().map(IdOrder::to_string));
        words.given("gid", self.user.gid.as_ref().map(IdOrder::to_string));
        if self.groups == Supplementary::Kept {
            words.value("groups", "keep");
        }
        self.ids.say(words);
        for variable in &self.env {
            match variable {
                Variable::Set(name, value) => {
                    words.value("env", [name.as_os_str(), value].join(OsStr::new("=")));
                }
                Variable::PassOn(name) => words.value("env", name),
            }
        }
        words.value("caps", self.caps.word());
        words.value("stdio", self.stdio.word());
        if matches!(self.first, First::Reaper | First::ReapedProbe(_)) {
            words.flag("init");
        }
        words.given("probe", self.first.channel().map(|channel| channel.to_string()));
    }

    fn telling_words(&self, words: &mut Words) {
        words.given("ready", self.ready.map(Ready::word));
        words.value("ready-timeout", self.ready_timeout.as_secs().to_string());
        words.given("info-fd", self.info_fd.map(|number| number.to_string()));
        match self.talk {
            Verbosity::Quiet => {}
            Verbosity::Story => words.flag("verbose"),
            Verbosity::Steps => words.flag("explain"),
            Verbosity::DryRun => words.flag("dry-run"),
        }
    }
}

impl RootSwitch {
    const fn word(self) -> &'static str {
        match self {
            Self::Pivot => "pivot",
            Self::Chroot => "chroot",
        }
    }
}

impl Stdio {
    const fn word(self) -> &'static str {
        match self {
            Self::Guarded => "guarded",
            Self::Inherit => "inherit",
        }
    }
}

impl Ready {
    const fn word(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::App => "app",
            Self::None => "none",
        }
    }
}

fn names(caps: &[Capability]) -> String {
    caps.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl Capabilities {
    fn word(&self) -> String {
        match self {
            Self::Default => "default".into(),
            Self::None => "none".into(),
            Self::All => "all".into(),
            Self::Named(caps) => names(caps),
            Self::DefaultAnd(caps) => format!("default,{}", names(caps)),
        }
    }
}
