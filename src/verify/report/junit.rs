//! JUnit's XML, as CI systems read it: a suite a container, a case a wall and a case a probe.

use super::parts::{Outcome, Part, Report, told};
use super::table::evidence;
use super::wall::WallReport;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::writer::Writer;
use std::io;

/// A case: what it is called, how it came out, what is told of it, and how long it took.
struct Case {
    class: String,
    name: String,
    outcome: Outcome,
    told: String,
    nanoseconds: u64,
}

/// The text of a file of that form.
///
/// # Errors
/// None: it is written to memory.
pub fn junit(reports: &impl Report) -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let mut top = BytesStart::new("testsuites");
    top.push_attribute(("name", "rustic verify"));
    writer.write_event(Event::Start(top))?;
    for part in reports.parts() {
        suite(&mut writer, &part)?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuites")))?;
    let text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    Ok(text + "\n")
}

fn suite(writer: &mut Writer<Vec<u8>>, part: &Part<'_>) -> io::Result<()> {
    let report = part.report;
    let mut cases = vec![controls(part)];
    for wall in &report.walls {
        cases.extend(cases_of(part, wall));
    }
    let count = |wanted: Outcome| cases.iter().filter(|case| case.outcome == wanted).count();
    let counts = [
        ("tests", cases.len()),
        ("failures", count(Outcome::Failed)),
        ("errors", count(Outcome::Unknown)),
        ("skipped", count(Outcome::Skipped)),
    ];
    let mut start = BytesStart::new("testsuite");
    start.push_attribute(("name", format!("rustic verify {}", part.name).as_str()));
    for (name, number) in counts {
        start.push_attribute((name, number.to_string().as_str()));
    }
    let total: u64 = cases.iter().map(|case| case.nanoseconds).sum();
    start.push_attribute(("time", seconds(total).as_str()));
    start.push_attribute(("hostname", report.caller.host.as_str()));
    writer.write_event(Event::Start(start))?;
    for case in &cases {
        write_case(writer, case)?;
    }
    writer.write_event(Event::End(BytesEnd::new("testsuite")))
}

/// Whether what was found can be believed: the controls have come out as they must, and of nothing
/// that was to be tried nothing is known.
fn controls(part: &Part<'_>) -> Case {
    let report = part.report;
    let doubts = report.doubts();
    let doubt = (!doubts.is_empty()).then(|| format!("nothing is known of {}", doubts.join(", ")));
    let untried = (!report.was_tried()).then(|| "nothing was tried".to_owned());
    let wrong = untried.or_else(|| report.controls.failed()).or(doubt);
    Case {
        class: part.name.clone(),
        name: "controls".into(),
        outcome: if wrong.is_some() { Outcome::Unknown } else { Outcome::Passed },
        told: wrong.unwrap_or_default(),
        nanoseconds: 0,
    }
}

fn cases_of(part: &Part<'_>, wall: &WallReport) -> Vec<Case> {
    let class = format!("{}.{}", part.name, wall.wall.name());
    let own = Case {
        class: class.clone(),
        name: wall.wall.name().to_owned(),
        outcome: Outcome::of(wall),
        told: told(wall),
        nanoseconds: 0,
    };
    let probes = wall.findings.iter().map(|finding| Case {
        class: class.clone(),
        name: format!("{} {}", finding.probe.id, finding.probe.title),
        outcome: Outcome::of_probe(finding, wall),
        told: match finding.verdict.because() {
            Some(reason) => reason.to_owned(),
            None => format!("{}: {}", finding.verdict.word(), evidence(finding)),
        },
        nanoseconds: finding.nanoseconds,
    });
    std::iter::once(own).chain(probes).collect()
}

fn write_case(writer: &mut Writer<Vec<u8>>, case: &Case) -> io::Result<()> {
    let mut start = BytesStart::new("testcase");
    start.push_attribute(("classname", case.class.as_str()));
    start.push_attribute(("name", case.name.as_str()));
    start.push_attribute(("time", seconds(case.nanoseconds).as_str()));
    let element = match case.outcome {
        Outcome::Passed => None,
        Outcome::Failed => Some("failure"),
        Outcome::Unknown => Some("error"),
        Outcome::Skipped => Some("skipped"),
    };
    writer.write_event(Event::Start(start))?;
    match element {
        Some(name) => {
            let mut inner = BytesStart::new(name);
            inner.push_attribute(("message", case.told.as_str()));
            writer.write_event(Event::Empty(inner))?;
        }
        None if case.told.is_empty() => {}
        None => {
            writer.write_event(Event::Start(BytesStart::new("system-out")))?;
            writer.write_event(Event::Text(BytesText::new(&case.told)))?;
            writer.write_event(Event::End(BytesEnd::new("system-out")))?;
        }
    }
    writer.write_event(Event::End(BytesEnd::new("testcase")))
}

fn seconds(nanoseconds: u64) -> String {
    format!("{:.6}", nanoseconds as f64 / 1e9)
}
