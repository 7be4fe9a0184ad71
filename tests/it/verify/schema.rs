//! The report as JSON is what the schema of the repository says.

use crate::judged::{by, report, verify};
use crate::need;
use serde_json::Value;
use std::fs;

/// The schema of the repository, closed: what it does not describe is not allowed here.
pub(super) fn assert_schema(value: &Value) {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(members) => {
                if members.contains_key("properties") {
                    members.insert("additionalProperties".into(), false.into());
                }
                members.values_mut().for_each(close);
            }
            Value::Array(values) => values.iter_mut().for_each(close),
            _ => {}
        }
    }
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/verify.json")).unwrap();
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    close(&mut schema);
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("verify.json", schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let index = compiler.compile("verify.json", &mut schemas).unwrap();
    if let Err(error) = schemas.validate(value, index) {
        panic!("{error:#} in {value:#}");
    }
}

/// Runs the rest of the command line where no network namespace can be made, and so no stage.
const NO_NET: &str = "echo 0 >/proc/sys/user/max_net_namespaces; exec \"$@\"";

#[test]
fn json_is_what_the_schema_says() {
    need!(root);
    let (_, mut value) = report(verify());
    assert_schema(&value);
    assert_schema(&report(verify().env("RUSTIC_LEAK", "descriptor")).1);
    assert_schema(&report(verify().opt(["--flip", "--only", "ipc,root"])).1);
    assert_schema(&report(verify().opt(["--brief"])).1);
    assert_schema(&report(verify().opt(["--list"])).1);
    assert_schema(&report(verify().opt(["--with", "unshare,chroot", "--only", "uts"])).1);
    assert_schema(&report(verify().opt(["--with", "unshare"])).1);
    let (code, nothing) =
        by(&["unshare", "--user", "--map-root-user", "sh", "-c", NO_NET, "sh"], &["--flip"]);
    assert_eq!(code, 3, "{nothing:#}");
    assert_schema(&nothing);
    // The control: a member of the wrong kind, and one that the schema does not know, are seen.
    for (member, wrong) in [("nonce", Value::from(7)), ("unknown", Value::from("x"))] {
        let kept = value.clone();
        value[member] = wrong;
        assert!(std::panic::catch_unwind(|| assert_schema(&value)).is_err(), "{member}");
        value = kept;
    }
}
