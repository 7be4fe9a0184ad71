//! Owners of a tree that was made for other numbers of the same ids: what is 0 on one side may be
//! 1000 on the other.

use crate::host::Extent;
use crate::rootfs::entry::Metadata;
use crate::rootfs::keeper::FileIds;

/// From the numbers of one user namespace to those of another, for the ids that both have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renumber {
    /// The numbers as they are read.
    pub from: FileIds,
    /// The numbers that they are to be.
    pub to: FileIds,
}

/// The tags of an access control list that a number stands with, linux/posix_acl.h.
const USER: u16 = 2;
const GROUP: u16 = 8;

/// The second revision of a file's capabilities, for which root is who has 0, and the third, which
/// has a number of its own, linux/capability.h.
const REVISIONS: u32 = 0xFF00_0000;
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;

impl Renumber {
    /// The owner of a file, and the numbers in its attributes.
    pub fn apply(&self, metadata: &mut Metadata) {
        metadata.uid = self.uid(metadata.uid);
        metadata.gid = self.gid(metadata.gid);
        for (name, value) in &mut metadata.attributes {
            match name.as_slice() {
                b"system.posix_acl_access" | b"system.posix_acl_default" => self.list(value),
                b"security.capability" => self.capability(value),
                _ => {}
            }
        }
    }

    fn uid(&self, id: u32) -> u32 {
        translated(&self.from.uids, &self.to.uids, id)
    }

    fn gid(&self, id: u32) -> u32 {
        translated(&self.from.gids, &self.to.gids, id)
    }

    fn list(&self, value: &mut [u8]) {
        for entry in value.get_mut(4..).unwrap_or_default().chunks_exact_mut(8) {
            let (head, number) = entry.split_at_mut(4);
            let id = u32::from_le_bytes([number[0], number[1], number[2], number[3]]);
            let id = match u16::from_le_bytes([head[0], head[1]]) {
                USER => self.uid(id),
                GROUP => self.gid(id),
                _ => id,
            };
            number.copy_from_slice(&id.to_le_bytes());
        }
    }

    fn capability(&self, value: &mut Vec<u8>) {
        let word = |at: usize| {
            value
                .get(at..at + 4)
                .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        };
        if let (Some(magic), Some(root)) = (word(0), word(20))
            && magic & REVISIONS == REVISION_3
            && self.uid(root) == 0
        {
            value.truncate(20);
            value[..4].copy_from_slice(&(magic & !REVISIONS | REVISION_2).to_le_bytes());
        }
    }
}

fn translated(from: &[Extent], to: &[Extent], id: u32) -> u32 {
    let outside =
        from.iter().find(|extent| id >= extent.inside && id - extent.inside < extent.count);
    let outside = outside.map(|extent| extent.outside + (id - extent.inside));
    let inside = outside.and_then(|id| {
        let mut extents = to.iter().filter(|extent| id >= extent.outside);
        extents
            .find(|extent| id - extent.outside < extent.count)
            .map(|extent| extent.inside + (id - extent.outside))
    });
    inside.unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(extents: &[(u32, u32, u32)]) -> FileIds {
        let extent = |&(inside, outside, count): &_| Extent { inside, outside, count };
        let map: Vec<_> = extents.iter().map(extent).collect();
        FileIds { uids: map.clone(), gids: map }
    }

    #[test]
    fn owners_lists_and_capabilities_have_their_numbers_again() {
        let to = ids(&[(0, 1000, 1), (1, 100_000, 65_536)]);
        let from = ids(&[(0, 100_000, 1000), (1000, 1000, 1), (1001, 101_000, 64_536)]);
        let renumber = Renumber { from, to };
        let mut metadata = Metadata { uid: 1000, gid: 41, ..Metadata::default() };
        let list = |user: u32, group: u32| {
            [
                &2u32.to_le_bytes()[..],
                &[2, 0, 4, 0],
                &user.to_le_bytes(),
                &[8, 0, 4, 0],
                &group.to_le_bytes(),
                &[32, 0, 4, 0],
                &u32::MAX.to_le_bytes(),
            ]
            .concat()
        };
        let capability =
            [&0x0300_0001u32.to_le_bytes()[..], &[7; 16], &1000u32.to_le_bytes()].concat();
        metadata.attributes = vec![
            (b"system.posix_acl_access".to_vec(), list(1000, 1001)),
            (b"security.capability".to_vec(), capability),
            (b"user.x".to_vec(), vec![1]),
        ];
        renumber.apply(&mut metadata);
        assert_eq!((metadata.uid, metadata.gid), (0, 42));
        let expected = [&0x0200_0001u32.to_le_bytes()[..], &[7; 16]].concat();
        let values: Vec<_> = metadata.attributes.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [list(0, 1001), expected, vec![1]]);
    }
}
