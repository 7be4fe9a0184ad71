//! Manual pages and completions, made from the command line's own description.

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::io;

/// The words for a shell, without those that rustic says to itself.
pub(super) fn completions(command: &Command, name: &str, shell: Shell) -> String {
    let shown = command.get_subcommands().filter(|below| !below.is_hide_set()).cloned();
    let about = command.get_about().cloned().unwrap_or_default();
    let mut words = Command::new(name.to_owned())
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments().cloned())
        .subcommands(shown);
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut words, name, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// A manual page of section 1 for the program and one for each of its commands: file names and
/// texts.
///
/// # Errors
/// None: what is written is kept in memory.
pub(super) fn manual(command: Command, name: &'static str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.name(name).bin_name(name).disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    page(&command, name.to_owned(), &mut pages)?;
    Ok(pages)
}

fn page(command: &Command, name: String, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let shown =
        command.clone().name(name.clone()).before_help(None::<&str>).after_help(None::<&str>);
    let man = Man::new(shown).title(name.to_uppercase()).section("1").manual("User Commands");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    let commands: Vec<&Command> =
        command.get_subcommands().filter(|below| !below.is_hide_set()).collect();
    if !commands.is_empty() {
        man.render_subcommands_section(&mut text)?;
    }
    // Both have columns, which a filled paragraph would run together.
    for (heading, kept) in
        [("EXAMPLES", command.get_before_help()), ("NOTES", command.get_after_help())]
    {
        if let Some(kept) = kept {
            as_it_is(heading, &kept.to_string()).to_writer(&mut text)?;
        }
    }
    let others =
        ["namespaces(7)", "user_namespaces(7)", "mq_overview(7)", "pivot_root(2)", "seccomp(2)"];
    let above = name.rsplit_once('-').map(|(above, _)| format!("{above}(1)"));
    let below = commands.iter().map(|below| format!("{name}-{}(1)", below.get_name()));
    let all: Vec<String> =
        above.into_iter().chain(below).chain(others.map(str::to_owned)).collect();
    let mut see = Roff::new();
    see.control("SH", ["SEE ALSO"]).text([roman(all.join(", "))]);
    see.to_writer(&mut text)?;
    pages.push((format!("{name}.1"), text));
    for below in commands {
        page(below, format!("{name}-{}", below.get_name()), pages)?;
    }
    Ok(())
}

/// A section of prose, which is filled, and of indented lines, which stay as they are.
fn as_it_is(heading: &str, text: &str) -> Roff {
    let mut section = Roff::new();
    section.control("SH", [heading]);
    let mut filled = true;
    for line in text.lines().filter(|line| *line != "Examples:") {
        let fills = !line.starts_with(' ');
        if fills != filled {
            section.control(if fills { "fi" } else { "nf" }, []);
        }
        filled = fills;
        match line {
            "" => section.control("PP", []),
            line => section.text([roman(line)]),
        };
    }
    section
}
