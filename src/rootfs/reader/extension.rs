//! What extended headers say of the entry that follows, in the way of PAX and in that of GNU, and
//! what they and its own header come to.

use super::header::{self, fits, text};
use super::pax::Records;
use crate::error::Failure;
use crate::rootfs::policy::Rule;
use tar::Header;

/// The extended headers before one entry.
#[derive(Default)]
pub(super) struct Extension {
    pub(super) records: Option<Records>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
}

impl Extension {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_none() && self.name.is_none() && self.link.is_none()
    }

    /// What a header and its extensions say together: PAX before GNU before the header itself.
    pub(super) fn effective(
        self,
        header: &Header,
        globals: &Records,
    ) -> Result<Effective, Failure> {
        let Extension { records, name: long_name, link: long_link } = self;
        let mixed = records.as_ref().is_some_and(|records| {
            long_name.is_some() && (records.path.is_some() || records.sparse.name.is_some())
                || long_link.is_some() && records.linkpath.is_some()
        });
        let mut records = records.unwrap_or_else(|| globals.clone());
        let named = records
            .sparse
            .name
            .take()
            .or_else(|| records.path.take())
            .or(long_name)
            .unwrap_or_else(|| header::name(header));
        if mixed {
            return Err(Rule::MixedExtensions.of(&named));
        }
        let link = records
            .linkpath
            .take()
            .or(long_link)
            .unwrap_or_else(|| text(&header.as_old().linkname).to_vec());
        let size = match records.size {
            Some(size) => size,
            None => fits(&header.as_old().size, "size").map_err(|rule| rule.of(&named))?,
        };
        if i64::try_from(size).is_err() {
            return Err(Rule::Number("size").of(&named));
        }
        Ok(Effective { name: named, link, flag: header.entry_type().as_byte(), size, records })
    }
}

/// A header with all that is said of it elsewhere.
pub(super) struct Effective {
    /// The name as the archive has it.
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) flag: u8,
    pub(super) size: u64,
    pub(super) records: Records,
}

/// The name in a GNU `L` or `K` header: to its first NUL, and nothing else behind it.
pub(super) fn long_name(content: Vec<u8>) -> Result<Vec<u8>, Rule> {
    let name = text(&content);
    match name {
        [] => Err(Rule::Nameless),
        _ if content[name.len()..].iter().any(|&byte| byte != 0) => Err(Rule::NulInName),
        name => Ok(name.to_vec()),
    }
}
