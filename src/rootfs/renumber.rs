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
    /// Root's number among those, as user and as group.
    pub root: (u32, u32),
}

/// The tags of an access control list that a number stands with, linux/posix_acl.h.
const USER: u16 = 2;
const GROUP: u16 = 8;

/// The second revision of a file's capabilities, for which root is who has 0, and the third, which
/// has a number of its own, linux/capability.h.
const REVISIONS: u32 = 0xFF00_0000;
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;

/// What has become of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renumbered {
    /// It has another number.
    Kept,
    /// The other side lacks it: the file is root's, without set-ID bits.
    Lost,
}

impl Renumber {
    /// To the numbers that ids have outside of a user namespace with these maps, and this root.
    pub fn outside(uids: &[Extent], gids: &[Extent], root: (u32, u32)) -> Self {
        let same = |map: &[Extent]| {
            map.iter().map(|extent| Extent { inside: extent.outside, ..*extent }).collect()
        };
        let from = FileIds { uids: uids.to_vec(), gids: gids.to_vec() };
        Self { from, to: FileIds { uids: same(uids), gids: same(gids) }, root }
    }

    /// Whether a number becomes another one.
    pub fn changes(&self) -> bool {
        self.from != self.to
    }

    /// Changes the owner of a file, and the numbers in its attributes; a list that names what the
    /// other side lacks is left out.
    pub fn apply(&self, metadata: &mut Metadata) -> Renumbered {
        let before = metadata.attributes.len();
        metadata.attributes.retain_mut(|(name, value)| match name.as_slice() {
            b"system.posix_acl_access" | b"system.posix_acl_default" => self.list(value).is_some(),
            b"security.capability" => {
                self.capability(value);
                true
            }
            _ => true,
        });
        metadata.left_out += (before - metadata.attributes.len()) as u64;
        let owner = self.uid(metadata.uid).zip(self.gid(metadata.gid));
        if let Some(owner) = owner {
            (metadata.uid, metadata.gid) = owner;
            return Renumbered::Kept;
        }
        const SET_IDS: u32 = 0o6000;
        (metadata.uid, metadata.gid) = self.root;
        metadata.mode &= !SET_IDS;
        Renumbered::Lost
    }

    fn uid(&self, id: u32) -> Option<u32> {
        translated(&self.from.uids, &self.to.uids, id)
    }

    fn gid(&self, id: u32) -> Option<u32> {
        translated(&self.from.gids, &self.to.gids, id)
    }

    fn list(&self, value: &mut [u8]) -> Option<()> {
        for entry in value.get_mut(4..).unwrap_or_default().chunks_exact_mut(8) {
            let (head, number) = entry.split_at_mut(4);
            let id = u32::from_le_bytes([number[0], number[1], number[2], number[3]]);
            let id = match u16::from_le_bytes([head[0], head[1]]) {
                USER => self.uid(id)?,
                GROUP => self.gid(id)?,
                _ => id,
            };
            number.copy_from_slice(&id.to_le_bytes());
        }
        Some(())
    }

    /// Whose root they count for stands in them, unless that is 0.
    fn capability(&self, value: &mut Vec<u8>) {
        let word = |value: &[u8], at: usize| {
            let word = value.get(at..at + 4)?;
            Some(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        };
        let Some(magic) = word(value, 0) else { return };
        let root = match magic & REVISIONS {
            REVISION_2 => 0,
            REVISION_3 => word(value, 20).unwrap_or(0),
            _ => return,
        };
        let root = self.uid(root).unwrap_or(root);
        let revision = if root == 0 { REVISION_2 } else { REVISION_3 };
        value.truncate(20);
        value[..4].copy_from_slice(&(magic & !REVISIONS | revision).to_le_bytes());
        if root != 0 {
            value.extend(root.to_le_bytes());
        }
    }
}

fn translated(from: &[Extent], to: &[Extent], id: u32) -> Option<u32> {
    let mut from =
        from.iter().filter(|extent| id >= extent.inside && id - extent.inside < extent.count);
    let outside = from.next().map(|extent| extent.outside + (id - extent.inside))?;
    let within =
        |extent: &&Extent| outside >= extent.outside && outside - extent.outside < extent.count;
    to.iter().find(within).map(|extent| extent.inside + (outside - extent.outside))
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
        let renumber = Renumber { from, to, root: (0, 0) };
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
        assert_eq!(renumber.apply(&mut metadata), Renumbered::Kept);
        assert_eq!((metadata.uid, metadata.gid), (0, 42));
        let expected = [&0x0200_0001u32.to_le_bytes()[..], &[7; 16]].concat();
        let values: Vec<_> = metadata.attributes.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [list(0, 1001), expected, vec![1]]);
    }

    #[test]
    fn what_the_other_side_lacks_is_roots_and_gives_nobody_rights() {
        let map = [Extent { inside: 0, outside: 600_000, count: 65_536 }];
        let renumber = Renumber::outside(&map, &map, (600_000, 600_000));
        let capability = [&0x0200_0001u32.to_le_bytes()[..], &[7; 16]].concat();
        let mut metadata = Metadata { uid: 33, gid: 42, mode: 0o4755, ..Metadata::default() };
        metadata.attributes = vec![(b"security.capability".to_vec(), capability)];
        assert_eq!(renumber.apply(&mut metadata), Renumbered::Kept);
        assert_eq!((metadata.uid, metadata.gid, metadata.mode), (600_033, 600_042, 0o4755));
        let of_another = [&0x0300_0001u32.to_le_bytes()[..], &[7; 16], &600_000u32.to_le_bytes()];
        assert_eq!(metadata.attributes[0].1, of_another.concat());
        let mut metadata = Metadata { uid: 33, gid: 65_536, mode: 0o6755, ..Metadata::default() };
        assert_eq!(renumber.apply(&mut metadata), Renumbered::Lost);
        assert_eq!((metadata.uid, metadata.gid, metadata.mode), (600_000, 600_000, 0o755));
    }
}
