//! Compressed files of several members, one behind the other.

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, Read};
use std::marker::PhantomData;

/// What decompresses one member of a file that may have several.
pub(super) trait Member<R>: Read + Sized {
    fn of(bytes: R) -> Self;
    fn into_rest(self) -> R;
}

impl<R: BufRead> Member<R> for GzDecoder<R> {
    fn of(bytes: R) -> Self {
        Self::new(bytes)
    }
    fn into_rest(self) -> R {
        self.into_inner()
    }
}

impl<R: BufRead> Member<R> for BzDecoder<R> {
    fn of(bytes: R) -> Self {
        Self::new(bytes)
    }
    fn into_rest(self) -> R {
        self.into_inner()
    }
}

/// The members of a gzip file as one stream, RFC 1952, and those of a bzip2 file. Zeros behind the
/// last one are the padding of a tape, anything else is damage.
pub(super) struct Members<R, M: Member<R>> {
    member: Option<M>,
    bytes: PhantomData<R>,
}

impl<R: BufRead, M: Member<R>> Members<R, M> {
    pub(super) fn new(bytes: R) -> Self {
        Self { member: Some(M::of(bytes)), bytes: PhantomData }
    }
}

impl<R: BufRead, M: Member<R>> Read for Members<R, M> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.member else { return Ok(0) };
            let length = member.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            let Some(mut bytes) = self.member.take().map(M::into_rest) else {
                return Ok(0);
            };
            match bytes.fill_buf()?.first() {
                None => {}
                Some(0) => only_zeros(&mut bytes)?,
                Some(_) => self.member = Some(M::of(bytes)),
            }
        }
    }
}

fn only_zeros(bytes: &mut impl BufRead) -> io::Result<()> {
    loop {
        let piece = bytes.fill_buf()?;
        if piece.is_empty() {
            return Ok(());
        }
        if piece.iter().any(|&byte| byte != 0) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "something stands behind the end of the compressed stream",
            ));
        }
        let length = piece.len();
        bytes.consume(length);
    }
}
