//! Pipes behind the standard streams that are CMD's for one run.

use super::standard::{NAMES, Stream, descriptors};
use crate::error::SysError;
use crate::host::Host;
use crate::spec::{Spec, Stdio};
use caps::Capability;
use rustix::fs::{FileType, fchown, fstat};
use rustix::process::Uid;

/// The pipes among the streams that CMD's uid could not open by /dev/stdin, stdout or stderr, each
/// with its owner. Root alone can give them away.
pub fn pipe_owners(each: &[Stream; 3], spec: &Spec, host: &Host, uid: u32) -> Vec<(usize, u32)> {
    let opens_all = uid == 0 && spec.cap_mask & Capability::CAP_DAC_OVERRIDE.bitmask() != 0;
    if host.uid != 0 || opens_all || spec.stdio == Stdio::Inherit {
        return Vec::new();
    }
    let owner = |(number, stream): (usize, &Stream)| {
        let stat = fstat(descriptors()[number]).ok()?;
        let pipe = *stream == Stream::Passed
            && FileType::from_raw_mode(stat.st_mode) == FileType::Fifo
            && stat.st_uid != uid;
        pipe.then_some((number, stat.st_uid))
    };
    each.iter().enumerate().filter_map(owner).collect()
}

/// Gives pipes to a uid.
///
/// # Errors
/// EPERM, with the stream's name.
pub fn give(pipes: &[(usize, u32)], uid: u32) -> Result<(), SysError> {
    for &(number, _) in pipes {
        fchown(descriptors()[number], Some(Uid::from_raw(uid)), None)
            .map_err(|errno| SysError::new(errno, NAMES[number]))?;
    }
    Ok(())
}

/// Gives pipes back to whom they belonged to.
pub fn give_back(pipes: &[(usize, u32)]) {
    for &(number, owner) in pipes {
        let _ = fchown(descriptors()[number], Some(Uid::from_raw(owner)), None);
    }
}
