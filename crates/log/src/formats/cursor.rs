//! Reading bytes from front to back; nothing is read beyond the end.

/// The bytes of a value that are not read yet.
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

/// Why bytes cannot be read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it ends too early")]
    Short,
    #[error("a number takes more than 64 bits")]
    Long,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Unreadable::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A number in base 128, least digits first.
    pub(crate) fn varint(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0;
        for (i, byte) in self.rest.iter().enumerate() {
            let digits = u64::from(byte & 0x7f);
            if i == 9 && digits > 1 {
                return Err(Unreadable::Long);
            }
            number |= digits << (7 * i);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[i + 1..];
                return Ok(number);
            }
            if i == 9 {
                return Err(Unreadable::Long);
            }
        }
        Err(Unreadable::Short)
    }

    /// A signed number whose lowest bit is its sign.
    pub(crate) fn zigzag(&mut self) -> Result<i64, Unreadable> {
        self.varint().map(unfold)
    }

    /// What follows its own length, which is written as [`Cursor::zigzag`].
    pub(crate) fn zigzag_bytes(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = self.zigzag()?;
        self.take(usize::try_from(length).map_err(|_| Unreadable::Short)?)
    }

    /// What follows its own length, which is written as [`Cursor::varint`].
    pub(crate) fn varint_bytes(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| Unreadable::Short)?)
    }
}

/// The signed number of a zigzag code.
pub(crate) fn unfold(code: u64) -> i64 {
    ((code >> 1) as i64) ^ -((code & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_64_bits_do() {
        let mut most = vec![0xff; 9];
        most.push(1);
        assert_eq!(Cursor::new(&most).varint(), Ok(u64::MAX));
        assert_eq!(Cursor::new(&most).zigzag(), Ok(i64::MIN));
        most[9] = 2;
        assert_eq!(Cursor::new(&most).varint(), Err(Unreadable::Long));
        assert_eq!(Cursor::new(&[0xff; 11]).varint(), Err(Unreadable::Long));
        assert_eq!(Cursor::new(&[0x80]).varint(), Err(Unreadable::Short));
    }

    #[test]
    fn a_length_that_is_too_large_or_negative_reads_nothing() {
        assert_eq!(Cursor::new(&[1, 0]).zigzag_bytes(), Err(Unreadable::Short));
        assert_eq!(Cursor::new(&[5, 0]).varint_bytes(), Err(Unreadable::Short));
        assert_eq!(Cursor::new(&[4, 7, 8]).zigzag_bytes(), Ok(&[7, 8][..]));
    }
}
