//! Calls that must succeed.

use std::ffi::CString;

pub(super) fn done(what: &str, result: i64) -> i64 {
    assert!(result >= 0, "{what}: {}", std::io::Error::last_os_error());
    result
}

pub(super) fn text(text: &str) -> CString {
    CString::new(text).unwrap()
}

pub(super) fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong, data: &str) {
    let (s, t, k, d) = (text(source), text(target), text(kind), text(data));
    // SAFETY: four strings with NUL, which outlive the call.
    let result =
        unsafe { libc::mount(s.as_ptr(), t.as_ptr(), k.as_ptr(), flags, d.as_ptr().cast()) };
    done(&format!("mount {kind} on {target}"), result.into());
}
