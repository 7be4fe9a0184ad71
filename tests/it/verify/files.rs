//! What verify writes for others to read: JUnit's XML, Markdown, the annotations of a runner; and
//! the same in brief.

use crate::judged::{report, verify};
use crate::need;
use crate::support::{Ran, host, scratch, unfolded};
use std::fs;
use std::path::Path;

/// What a reader of XML finds: suites, cases, failures, errors, and those of the attributes.
const READER: &str = "
import sys, xml.etree.ElementTree as tree
top = tree.parse(sys.argv[1]).getroot()
suites = top.findall('testsuite')
cases = [case for suite in suites for case in suite.findall('testcase')]
count = lambda kind: sum(1 for case in cases if case.find(kind) is not None)
said = lambda name: sum(int(suite.get(name)) for suite in suites)
print(len(suites), count('failure'), count('error'), len(cases) == said('tests'),
      count('failure') == said('failures'), count('error') == said('errors'),
      count('skipped') == said('skipped'))
";

fn read(file: &Path) -> String {
    host("python3", ["-c", READER, &file.to_string_lossy()])
}

/// Whether there are failures, and whether there are errors.
fn counted(file: &Path) -> (usize, bool, bool) {
    let told = read(file);
    let words: Vec<&str> = told.split_whitespace().collect();
    assert_eq!(words[3..], ["True"; 4], "{told}");
    (words[0].parse().unwrap(), words[1] != "0", words[2] != "0")
}

fn written(options: &[&str], environment: &[(&str, &str)]) -> (Ran, std::path::PathBuf, String) {
    let folder = scratch("verify-files");
    let (junit, markdown) = (folder.join("junit.xml"), folder.join("summary.md"));
    let mut verify = verify().opt(["--junit", &junit.to_string_lossy()]);
    verify = verify.opt(["--markdown", &markdown.to_string_lossy()]).opt(options.iter().copied());
    for (name, value) in environment {
        verify = verify.env(name, value);
    }
    let ran = verify.ran();
    let text = fs::read_to_string(markdown).unwrap();
    (ran, junit, text)
}

#[test]
fn junit_says_what_the_exit_code_says() {
    need!(root);
    let wrong = ["--only", "uts,fds", "--expect", "uts=shared"];
    let launchers = ["--with", "bwrap,chroot", "--only", "uts,fds"];
    let cases = [
        (&[][..], &[][..], 0, 1),
        (&[], &[("RUSTIC_LEAK", "descriptor")], 1, 1),
        (&wrong, &[], 1, 1),
        (&["--only", "uts"], &[("RUSTIC_FAIL_CONTROL", "RV-UTS-01")], 3, 1),
        (&launchers, &[], 0, 2),
        (&["--flip", "--only", "uts,ipc"], &[], 0, 3),
    ];
    for (options, environment, code, suites) in cases {
        let (ran, junit, _) = written(options, environment);
        let (read, failures, errors) = counted(&junit);
        assert_eq!((ran.code, read), (code, suites), "{options:?}: {ran:?}");
        assert_eq!((failures, failures || errors), (code == 1, code != 0), "{options:?}");
    }
}

#[test]
fn markdown_has_a_row_a_wall_and_says_what_the_table_says() {
    need!(root);
    let (ran, _, text) = written(&[], &[("RUSTIC_LEAK", "descriptor")]);
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    // The head, its line, and fourteen walls, each with three cells.
    assert_eq!(rows.len(), 16, "{text}");
    for row in &rows {
        let bars = row.replace("\\|", "").matches('|').count();
        assert_eq!(bars, 4, "{row}");
    }
    assert!(text.contains("| fds | **✖ leaked**, held was ordered |"), "{text}");
    assert!(text.contains("Not as ordered: fds.") && ran.stdout.contains("Not as ordered: fds."));
    assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
    let (_, _, several) = written(&["--with", "unshare,chroot", "--only", "uts,ipc"], &[]);
    assert!(several.contains("| | uts | ipc |") && several.contains("| **chroot** | (◐) | (◐) |"));
}

#[test]
fn a_runner_is_told_of_what_is_not_as_ordered_and_of_nothing_else() {
    need!(root);
    let told = |verify: crate::support::Rustic| -> Vec<String> {
        let ran = verify.env("GITHUB_ACTIONS", "true").ran();
        let lines = ran.stdout.lines().filter(|line| line.starts_with("::"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(told(verify()), [""; 0]);
    let leak = || verify().env("RUSTIC_LEAK", "descriptor");
    let lines = told(leak());
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("::error title=rustic verify rustic::fds leaked, and held was"));
    let doubt = told(verify().opt(["--only", "uts"]).env("RUSTIC_FAIL_CONTROL", "RV-UTS-01"));
    assert!(doubt.len() == 1 && doubt[0].starts_with("::warning title="), "{doubt:?}");
    // JSON stays one value, and elsewhere nobody is told.
    assert_eq!(told(leak().opt(["--json"])), [""; 0]);
    assert!(!leak().ran().stdout.contains("::error"));
}

#[test]
fn in_brief_only_what_is_not_as_ordered_is_told() {
    need!(root);
    let held = verify().opt(["--brief"]).ran();
    assert!(held.code == 0 && !held.stdout.contains("held "), "{held:?}");
    let (code, brief) = report(verify().opt(["--brief"]).env("RUSTIC_LEAK", "descriptor"));
    let (_, whole) = report(verify().env("RUSTIC_LEAK", "descriptor"));
    let probes = |report: &serde_json::Value| {
        let walls = report["walls"].as_array().unwrap().iter();
        walls.flat_map(|wall| wall["probes"].as_array().unwrap().clone()).collect::<Vec<_>>()
    };
    assert_eq!((code, probes(&whole).len() > 80), (1, true));
    let told = probes(&brief);
    let untold = ["held", "untried"];
    assert!(told.iter().all(|probe| !untold.iter().any(|word| probe["verdict"] == *word)));
    assert!(told.iter().any(|probe| probe["id"] == "RV-FD-01"), "{told:#?}");
    let leaking = verify().opt(["--brief"]).env("RUSTIC_LEAK", "descriptor").ran();
    assert!(unfolded(&leaking.stdout).contains("LEAKED") && !leaking.stdout.contains("  pid "));
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_is_tried() {
    need!(root);
    for option in ["--junit", "--markdown"] {
        let ran = verify().opt([option, "/no/such/folder/file"]).ran();
        ran.fails(125, &["cannot write /no/such/folder/file", "No such file or directory"]);
    }
}
