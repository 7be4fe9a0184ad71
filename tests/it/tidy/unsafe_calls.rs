//! Where unsafe stands: in src/sys, and where one of its unsafe functions is called.

use super::{code, sources};
use std::collections::BTreeMap;

/// The blocks outside of sys, each a call of one of its unsafe functions: file, function, how many.
const UNSAFE_CALLS: [(&str, &str, usize); 25] = [
    ("src/invoke/parent.rs", "clone3", 1),
    ("src/rootfs/keeper.rs", "fork", 1),
    ("src/run/child/stdio.rs", "close_all_but", 1),
    ("src/run/foreign_filter.rs", "fork", 1),
    ("src/run/init.rs", "fork", 1),
    ("src/run/parent.rs", "fork", 1),
    ("src/run/resource.rs", "fork", 1),
    ("src/run/warden/joiner.rs", "fork", 1),
    ("src/run/warden/start.rs", "clone3", 1),
    ("src/verify/agent/mod.rs", "fork", 1),
    ("src/verify/child.rs", "fork", 1),
    ("src/verify/inherited/descriptors.rs", "close_all_but", 1),
    ("src/verify/inherited/descriptors.rs", "put_at_number", 1),
    ("src/verify/join.rs", "fork", 1),
    ("src/verify/launch.rs", "fork", 1),
    ("src/verify/nsenter.rs", "fork", 1),
    ("src/verify/probes/fds/inside.rs", "borrow_by_number", 1),
    ("src/verify/probes/pid/canary.rs", "close_all_but", 1),
    ("src/verify/probes/pid/canary.rs", "fork", 1),
    ("src/verify/probes/time.rs", "fork", 1),
    ("src/verify/probes/user/canary.rs", "fork", 1),
    ("src/verify/stage/cleanup.rs", "fork", 1),
    ("src/verify/stage/place.rs", "fork", 1),
    ("src/walls/idmap.rs", "clone3", 1),
    ("src/walls/join.rs", "fork", 1),
];

#[test]
fn unsafe_stands_in_sys_but_for_calls_of_its_unsafe_functions() {
    let mut called: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (name, text) in sources().into_iter().filter(|(name, _)| !name.starts_with("src/sys/")) {
        let code = code(&text);
        let blocks: Vec<_> = code.match_indices("unsafe ").collect();
        assert_eq!(blocks.len(), code.matches("allow(unsafe_code").count(), "{name}");
        assert_eq!(blocks.len(), code.matches("unsafe_code").count(), "{name}");
        for (at, _) in blocks {
            let call = code[at..].strip_prefix("unsafe { sys::");
            let function = call.and_then(|call| call.split('(').next());
            let function = function.unwrap_or_else(|| panic!("{name}: an unsafe block of its own"));
            *called.entry((name.clone(), function.to_owned())).or_default() += 1;
        }
    }
    let listed = UNSAFE_CALLS
        .iter()
        .map(|(file, function, count)| ((file.to_string(), function.to_string()), *count));
    assert_eq!(called, listed.collect());
}
