//! Confluent's wire format: a zero byte, the id of the writer's schema as four bytes, big-endian, then the value.
//! Before a Protobuf value stands the path to its message among those of the schema.

use super::cursor::Cursor;

/// What stands before a value.
const LENGTH: usize = 5;
/// More steps than any schema nests.
const DEEPEST: i64 = 64;

/// The id of the writer's schema, and what follows it.
///
/// # Errors
/// When the bytes do not begin so.
pub(crate) fn split(bytes: &[u8]) -> Result<(u32, &[u8]), String> {
    match bytes {
        [0, a, b, c, d, rest @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        [0, ..] => Err(format!("{} bytes, where a schema id alone takes {LENGTH}", bytes.len())),
        [first, ..] => Err(format!("it begins with byte {first}, not with 0 and a schema id")),
        [] => Err("it is empty".to_owned()),
    }
}

/// The path to a Protobuf message, outermost first, and what follows it. The commonest path, to the first
/// message, is one zero byte.
///
/// # Errors
/// When the bytes are no path.
pub(crate) fn message_path(bytes: &[u8]) -> Result<(Vec<usize>, &[u8]), String> {
    let no_path = |reason: String| format!("no path to a message stands after the schema id: {reason}");
    let mut cursor = Cursor::new(bytes);
    let count = cursor.zigzag().map_err(|error| no_path(error.to_string()))?;
    if count == 0 {
        return Ok((vec![0], &bytes[1..]));
    }
    if !(1..=DEEPEST).contains(&count) {
        return Err(no_path(format!("it would have {count} steps")));
    }
    let mut path = Vec::new();
    for _ in 0..count {
        let step = cursor.zigzag().map_err(|error| no_path(error.to_string()))?;
        path.push(usize::try_from(step).map_err(|_| no_path(format!("a step is {step}")))?);
    }
    Ok((path, &bytes[bytes.len() - cursor.left()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_from_the_front() {
        assert_eq!(split(&[0, 0, 0, 1, 2, 9]), Ok((258, &[9][..])));
        assert_eq!(split(b"{}").unwrap_err(), "it begins with byte 123, not with 0 and a schema id");
        assert_eq!(split(&[0, 1]).unwrap_err(), "2 bytes, where a schema id alone takes 5");
        assert!(split(&[]).is_err());
    }

    #[test]
    fn a_path_leads_to_a_nested_message() {
        assert_eq!(message_path(&[0, 7]), Ok((vec![0], &[7][..])));
        assert_eq!(message_path(&[4, 2, 0, 7]), Ok((vec![1, 0], &[7][..])));
        for bad in [&[][..], &[1], &[4, 2], &[2, 1], &[0x80; 12]] {
            assert!(message_path(bad).is_err(), "{bad:?}");
        }
    }
}
